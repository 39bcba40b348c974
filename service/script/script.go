// SPDX-License-Identifier: Apache-2.0

// Package script is the plugin GENERICSCRIPT: it runs a program in its container and takes
// what that prints as metrics and events.
//
// # Formats
//
// coscale is the protocol of CoScale's agent: the program is asked with -c what it measures,
// once, and with -d for the values, each time. prometheus is a text of metrics; nagios the
// exit code and the performance data of a Nagios check; json a flat object of numbers. auto
// takes a text that begins as metrics do for one, and else speaks coscale.
//
// What a program prints is a stranger's: it is bounded where it is read, lines that cannot be
// followed are counted, and the others stand.
package script

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"tallyman"
	"tallyman/service/ask"
)

var (
	exitCode = &tallyman.Desc{Name: "script_exit_code", Type: tallyman.Gauge, Help: "Exit code of the last run"}
	duration = &tallyman.Desc{Name: "script_duration_seconds", Type: tallyman.Gauge, Unit: "seconds", Help: "Time that the last run took"}
	bad      = &tallyman.Desc{Name: "script_bad_lines", Type: tallyman.Gauge, Help: "Lines of the last run that could not be followed"}
	state    = &tallyman.Desc{Name: "nagios_state", Type: tallyman.Gauge, Help: "0 ok, 1 warning, 2 critical, 3 unknown"}
	perfdata = &tallyman.Desc{Name: "nagios_perfdata", Type: tallyman.Gauge, Help: "Performance data of the check, in base units"}
)

// The bounds of the protocol.
const (
	configTime = 5 * time.Second // for -c
	dataTime   = time.Minute     // for -d
	maxMetrics = 500
	maxEvents  = 100 // kinds
)

// Kind is the catalog's entry.
func Kind() tallyman.ServiceKind {
	return tallyman.ServiceKind{
		Name: "GENERICSCRIPT", Aliases: []string{"SCRIPT"}, Summary: "Runs a program in the container and takes what it prints as metrics and events",
		Keys: []tallyman.ServiceKey{
			{Name: "SCRIPT", Type: tallyman.CommandKey, Help: "program in the container with its arguments, or interpreter, path and arguments; several for several instances", Example: "/script.sh"},
			{Name: "FORMAT", Type: tallyman.TextKey, Help: "coscale, prometheus, nagios, json, or auto to tell by what it prints", Default: "auto"},
			{Name: "USER", Type: tallyman.TextKey, Help: "user who runs it", Rule: true},
		},
		Metrics: []*tallyman.Desc{exitCode, duration, bad, state, perfdata},
		Charts: []tallyman.ServiceChart{
			{Title: "Time of a run", Unit: "seconds", Lines: []tallyman.ServiceLine{{Name: "time", Metric: duration}}},
			{Title: "Performance data", Lines: []tallyman.ServiceLine{{Name: "value", Metric: perfdata, By: "label"}}},
		},
		Every: time.Minute, Timeout: dataTime, Runs: true,
		Where: func(c tallyman.ServiceConfig) string { return c.Text("SCRIPT", "") },
		Check: check,
		Open:  open,
		Docs: tallyman.ServiceDocs{
			Detect: "It is never found by itself: a label or a rule names the program.",
			Free:   "A label in the Dockerfile that names a program of the image is all: `LABEL com.coscale.monitoring='[{\"PluginType\":\"GENERICSCRIPT\",\"Configuration\":{\"SCRIPT\":[\"/script.sh\"]}}]'`. It runs in that container, as its user, and not privileged. The first run of one that an image names is an event; `plugins.exec_from_image_labels: false` runs none of those.",
			Notes: "**coscale**: `SCRIPT -c` prints, within 5 s, a JSON object with `maxruntime` (ms), `period` (s), `metrics` (`id`, `name`, `unit`, `datatype` GAUGE, DOUBLE, COUNT or COUNTER, `calctype` Instant or Difference, `dimensions`) and `events`. `SCRIPT -d` prints a line for each value, `M<id> \"<dimension>:<value>,…\" <number>`, and for each event, `E<id> <start> <stop> \"<message>\" \"<JSON>\" S`. " +
				"A metric is called `script_` and its name in lower case; COUNTER, COUNT and Difference are counters.\n\n" +
				"**prometheus**: the program prints metrics in Prometheus' text.\n\n**nagios**: exit code 0 to 3 is `nagios_state`, and what stands behind `|` is `nagios_perfdata{label}` in base units.\n\n**json**: `{\"name\": 5, …}`; numbers alone are taken.\n\n" +
				"One that runs longer than it may is ended with all that it has started; a second run never begins before the first has ended. At most 256 KiB are read.",
			Example: `[{"PluginType":"GENERICSCRIPT","Configuration":{"SCRIPT":["/script.sh"]}}]`,
		},
	}
}

var formats = []string{"auto", "coscale", "prometheus", "nagios", "json"}

func check(c tallyman.ServiceConfig) error {
	if _, err := ask.Command(c, "SCRIPT"); err != nil {
		return err
	}
	if f := strings.ToLower(c.Text("FORMAT", "auto")); !slices.Contains(formats, f) {
		return fmt.Errorf("FORMAT is one of %s", strings.Join(formats, ", "))
	}
	return nil
}

type instance struct {
	in     tallyman.Inside
	argv   []string
	name   string // the label script
	format string
	user   string

	config *protocol
	asked  time.Time            // when -c was asked in vain
	counts map[string]float64   // of COUNT, by series
	told   map[[2]string]string // events that were told, so that each is told once
}

func open(in tallyman.Inside, c tallyman.ServiceConfig) (tallyman.Service, error) {
	argv, err := ask.Command(c, "SCRIPT")
	if err != nil {
		return nil, tallyman.Faulty(tallyman.ConfigFault, "", "%s", err)
	}
	return &instance{in: in, argv: argv, name: c.Text("SCRIPT", ""), format: strings.ToLower(c.Text("FORMAT", "auto")), user: c.Text("USER", ""),
		counts: map[string]float64{}, told: map[[2]string]string{}}, nil
}

// Close implements tallyman.Service.
func (i *instance) Close() {}

// run runs the program with one more argument.
func (i *instance) run(ctx context.Context, more ...string) (tallyman.ExecResult, error) {
	r, err := i.in.Exec(ctx, append(slices.Clone(i.argv), more...), tallyman.ExecOptions{User: i.user})
	switch {
	case err != nil:
		return r, err
	case r.Code == 126 || r.Code == 127:
		return r, tallyman.Faulty(tallyman.ConfigFault, "Name a program that is in the container and may be run; a script's interpreter has to be there, too.", "the program cannot be started: %s", said(r))
	}
	return r, nil
}

// said is the end of what a program wrote about what went wrong.
func said(r tallyman.ExecResult) string {
	text := strings.TrimSpace(string(r.Stderr))
	if text == "" {
		text = strings.TrimSpace(string(r.Stdout))
	}
	if len(text) > 300 {
		text = "…" + text[len(text)-300:]
	}
	return cmp.Or(strings.ToValidUTF8(text, "�"), fmt.Sprintf("exit code %d", r.Code))
}

// Scrape implements tallyman.Service.
func (i *instance) Scrape(ctx context.Context, s tallyman.ServiceSink) error {
	format := i.format
	if format == "auto" || format == "coscale" {
		if err := i.configure(ctx); err != nil {
			return err
		}
		format = "prometheus"
		if i.config != nil {
			format = "coscale"
		}
	}
	var args []string
	if format == "coscale" {
		args = []string{"-d"}
	}
	began := time.Now()
	r, err := i.run(ctx, args...)
	if err != nil {
		return err
	}
	s.Add(exitCode, float64(r.Code), "script", i.name)
	s.Add(duration, time.Since(began).Seconds(), "script", i.name)
	if r.Code != 0 && format != "nagios" {
		return tallyman.Faulty(tallyman.ParseFault, "", "the program ended with exit code %d: %s", r.Code, said(r))
	}
	wrong := 0
	switch format {
	case "coscale":
		wrong = i.data(string(r.Stdout), s)
	case "prometheus":
		if _, err := (ask.Exposition{}).Parse(r.Stdout, "text/plain; version=0.0.4", s); err != nil {
			return err
		}
	case "nagios":
		wrong = i.nagios(r, s)
	case "json":
		if err := i.json(r.Stdout, s); err != nil {
			return err
		}
	}
	s.Add(bad, float64(wrong), "script", i.name)
	return nil
}

// configure asks once what the program measures. Of one whose format is not set, config
// stays nil when it prints metrics.
func (i *instance) configure(ctx context.Context) error {
	if i.config != nil || i.format == "auto" && !i.asked.IsZero() {
		return nil
	}
	within, cancel := context.WithTimeout(ctx, configTime)
	defer cancel()
	r, err := i.run(within, "-c")
	if err != nil {
		return err
	}
	text := strings.TrimSpace(string(r.Stdout))
	if i.format == "auto" && (strings.HasPrefix(text, "# HELP") || strings.HasPrefix(text, "# TYPE")) {
		i.asked = time.Now()
		return nil
	}
	if r.Code != 0 {
		return tallyman.Faulty(tallyman.ConfigFault, "It has to answer -c; or set FORMAT.", "the program with -c ended with exit code %d: %s", r.Code, said(r))
	}
	p, err := readConfig([]byte(text))
	if err != nil {
		return tallyman.Faulty(tallyman.ParseFault, "With -c it has to print what it measures; or set FORMAT.", "what it prints with -c cannot be read: %w", err)
	}
	i.config = p
	return nil
}

// json takes the numbers of a flat object.
func (i *instance) json(text []byte, s tallyman.ServiceSink) error {
	var values map[string]any
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	if err := d.Decode(&values); err != nil {
		return tallyman.Faulty(tallyman.ParseFault, "", "what it prints is no JSON object: %w", err)
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if n, ok := values[name].(json.Number); ok {
			if v, err := n.Float64(); err == nil {
				s.Add(s.Desc("script_"+slug(name), tallyman.Gauge, "What a script gives as "+name), v, "script", i.name)
			}
		}
	}
	return nil
}
