// SPDX-License-Identifier: Apache-2.0

// Package pidcheck is the plugin PIDCHECK: it looks whether a process of a container
// lives, by its name or by the file that holds its number, without running anything.
package pidcheck

import (
	"context"
	"errors"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"time"

	"tallyman"
	"tallyman/service/ask"
)

var (
	up    = &tallyman.Desc{Name: "process_check_up", Type: tallyman.Gauge, Help: "1 when there is such a process"}
	count = &tallyman.Desc{Name: "process_check_count", Type: tallyman.Gauge, Help: "Such processes"}
	age   = &tallyman.Desc{Name: "process_check_uptime_seconds", Type: tallyman.Gauge, Unit: "seconds", Help: "Age of the oldest of them"}
)

// Kind is the catalog's entry.
func Kind() tallyman.ServiceKind {
	return tallyman.ServiceKind{
		Name: "PIDCHECK", Aliases: []string{"PROCESS"}, Summary: "Looks whether a process lives",
		Keys: append([]tallyman.ServiceKey{
			{Name: "PROCESS", Type: tallyman.TextKey, Help: "name of the process, or regular expression that fits its command line", Example: "nginx"},
			{Name: "PID FILE", Type: tallyman.PathKey, Help: "file in the container with the number of the process, in place of its name", Example: "/run/nginx.pid"},
		}, ask.CheckKeys()...),
		Metrics: []*tallyman.Desc{up, count, age, ask.CheckFailed},
		Charts: []tallyman.ServiceChart{
			{Title: "Processes", Lines: []tallyman.ServiceLine{{Name: "such", Metric: count}}},
			{Title: "Age", Unit: "seconds", Lines: []tallyman.ServiceLine{{Name: "oldest", Metric: age}}},
		},
		Every: 30 * time.Second,
		Where: func(c tallyman.ServiceConfig) string { return c.Text("PID FILE", c.Text("PROCESS", "")) },
		Check: func(c tallyman.ServiceConfig) error { _, err := pattern(c); return err },
		Open:  open,
		Docs: tallyman.ServiceDocs{
			Detect: "It is never found; it is asked for.", Free: "Nothing: name a process or a file.",
			Notes:   "Nothing is run in the container. Processes that have ended and were not waited for do not count. The number in the file is the one that the container itself sees.",
			Example: `[{"PluginType":"PIDCHECK","Configuration":{"PROCESS":["php-fpm: pool www"]}}]`,
		},
	}
}

func pattern(c tallyman.ServiceConfig) (*regexp.Regexp, error) {
	if !c.Has("PROCESS") && !c.Has("PID FILE") {
		return nil, errors.New("PROCESS or PID FILE is missing")
	}
	re, err := regexp.Compile(c.Text("PROCESS", ""))
	if err != nil {
		return nil, errors.New("PROCESS is no regular expression")
	}
	return re, nil
}

type instance struct {
	in      tallyman.Inside
	name    string
	pattern *regexp.Regexp
	file    string
	outcome *ask.Outcome
}

func open(in tallyman.Inside, c tallyman.ServiceConfig) (tallyman.Service, error) {
	re, err := pattern(c)
	if err != nil {
		return nil, &tallyman.ServiceError{Fault: tallyman.ConfigFault, Err: err}
	}
	return &instance{in: in, name: c.Text("PROCESS", ""), pattern: re, file: c.Text("PID FILE", ""), outcome: ask.NewOutcome(c, c.Text("PID FILE", c.Text("PROCESS", "")))}, nil
}

// Close implements tallyman.Service; nothing is kept open.
func (i *instance) Close() {}

// Scrape implements tallyman.Service.
func (i *instance) Scrape(ctx context.Context, s tallyman.ServiceSink) error {
	fits := func(p tallyman.ServiceProcess) bool {
		return p.Name == i.name || i.pattern.MatchString(strings.Join(p.Args, " ")) && len(p.Args) > 0
	}
	if i.file != "" {
		text, err := i.in.ReadFile(i.file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		pid, bad := strconv.Atoi(strings.TrimSpace(string(text)))
		fits = func(p tallyman.ServiceProcess) bool { return err == nil && bad == nil && p.Inner == pid }
	}
	n, oldest := 0, time.Time{}
	for _, p := range i.in.Processes() {
		if p.Zombie || !fits(p) {
			continue
		}
		n++
		if !p.Started.IsZero() && (oldest.IsZero() || p.Started.Before(oldest)) {
			oldest = p.Started
		}
	}
	s.Add(up, float64(min(n, 1)))
	s.Add(count, float64(n))
	if !oldest.IsZero() {
		s.Add(age, max(0, time.Since(oldest).Seconds()))
	}
	attributes := map[string]string{}
	if n == 0 {
		attributes["reason"] = "there is no such process"
	}
	i.outcome.Took(s, n > 0, attributes)
	return ctx.Err()
}
