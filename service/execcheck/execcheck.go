// SPDX-License-Identifier: Apache-2.0

// Package execcheck is the plugin EXECCHECK: it runs a command in a container, and what
// the command ends with is the outcome.
package execcheck

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"tallyman"
	"tallyman/internal/redact"
	"tallyman/service/ask"
)

var (
	up   = &tallyman.Desc{Name: "check_up", Type: tallyman.Gauge, Help: "1 when the command has ended with 0"}
	code = &tallyman.Desc{Name: "check_exit_code", Type: tallyman.Gauge, Help: "What the command has ended with"}
	took = &tallyman.Desc{Name: "check_duration_seconds", Type: tallyman.Gauge, Unit: "seconds", Help: "Time that the command took"}
)

// tail is how much of the output an event holds, in bytes.
const tail = 1024

// Kind is the catalog's entry.
func Kind() tallyman.ServiceKind {
	return tallyman.ServiceKind{
		Name: "EXECCHECK", Aliases: []string{"EXEC"}, Summary: "Runs a command in the container; ending with 0 is good",
		Keys: append([]tallyman.ServiceKey{
			{Name: "COMMAND", Type: tallyman.CommandKey, Help: "command with its arguments, without a shell", Example: "/check.sh --quick"},
			{Name: "USER", Type: tallyman.TextKey, Help: "who runs it, in place of the container's user", Rule: true},
		}, ask.CheckKeys()...),
		Metrics: []*tallyman.Desc{up, code, took, ask.CheckFailed},
		Charts: []tallyman.ServiceChart{
			{Title: "Good", Lines: []tallyman.ServiceLine{{Name: "check", Metric: up}}},
			{Title: "Time", Unit: "seconds", Lines: []tallyman.ServiceLine{{Name: "check", Metric: took}}},
		},
		Every: 30 * time.Second, Runs: true,
		Where: func(c tallyman.ServiceConfig) string { return c.Text("NAME", c.Text("COMMAND", "")) },
		Check: func(c tallyman.ServiceConfig) error { _, err := ask.Command(c, "COMMAND"); return err },
		Open:  open,
		Docs: tallyman.ServiceDocs{
			Detect: "It is never found; it is asked for.", Free: "Nothing: name a command.",
			Notes: "The command runs as the container's user, without a terminal and not privileged. It is ended when it takes longer than `TIMEOUT`, which counts as a failure; one that prints more than 256 KiB is ended as well. " +
				"There is an event when the check has failed and when it is good again, with the end of what was printed, and the alarm `CheckFails`. Docker's own health checks are told of without this plugin.",
			Example: `[{"PluginType":"EXECCHECK","Configuration":{"COMMAND":["/check.sh --quick"],"INTERVAL":["60s"]}}]`,
		},
	}
}

type instance struct {
	in      tallyman.Inside
	command []string
	options tallyman.ExecOptions
	outcome *ask.Outcome
}

func open(in tallyman.Inside, c tallyman.ServiceConfig) (tallyman.Service, error) {
	command, err := ask.Command(c, "COMMAND")
	if err != nil {
		return nil, &tallyman.ServiceError{Fault: tallyman.ConfigFault, Err: err}
	}
	return &instance{in: in, command: command, options: tallyman.ExecOptions{User: c.Text("USER", "")}, outcome: ask.NewOutcome(c, c.Text("COMMAND", ""))}, nil
}

// Close implements tallyman.Service; nothing is kept open.
func (i *instance) Close() {}

// Scrape implements tallyman.Service.
func (i *instance) Scrape(ctx context.Context, s tallyman.ServiceSink) error {
	begin := time.Now()
	r, err := i.in.Exec(ctx, i.command, i.options)
	d := time.Since(begin)
	v, attributes := 0.0, map[string]string{}
	switch {
	case errors.Is(err, tallyman.ErrForbidden):
		return err
	case ctx.Err() != nil: // it took too long
		attributes["reason"] = "timeout"
	case errors.Is(err, tallyman.ErrLimit):
		attributes["reason"] = "it prints too much"
	case err != nil:
		return err
	default:
		if r.Code == 0 {
			v = 1
		}
		s.Add(code, float64(r.Code), i.outcome.Labels()...)
		attributes["exit_code"] = strconv.Itoa(r.Code)
	}
	s.Add(up, v, i.outcome.Labels()...)
	s.Add(took, d.Seconds(), i.outcome.Labels()...)
	text := r.Stdout
	if len(text) == 0 {
		text = r.Stderr
	}
	if text = text[max(0, len(text)-tail):]; len(text) > 0 {
		attributes["output"] = printed(text)
	}
	i.outcome.Took(s, v == 1, attributes)
	return nil
}

// printed is what a command has printed, without what looks like a secret.
func printed(text []byte) string {
	lines := strings.Split(strings.ToValidUTF8(strings.TrimSpace(string(text)), "�"), "\n")
	for i := range lines {
		lines[i] = redact.Command(lines[i])
	}
	return strings.Join(lines, "\n")
}
