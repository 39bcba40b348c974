// SPDX-License-Identifier: Apache-2.0

// Package tcpcheck is the plugin TCPCHECK: it connects to a port or a unix socket of a
// container, and can say something and wait for an answer. That nobody answers is a
// value, not an error.
package tcpcheck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"tallyman"
	"tallyman/service/ask"
)

const maxText = 1024

// Kind is the catalog's entry.
func Kind() tallyman.ServiceKind {
	return tallyman.ServiceKind{
		Name: "TCPCHECK", Aliases: []string{"TCP"}, Summary: "Connects to a port or a socket, and can talk",
		Keys: append(append(ask.HostKeys("none"), ask.SocketKey("/run/app.sock"),
			tallyman.ServiceKey{Name: "SEND", Type: tallyman.TextKey, Help: `text that is sent, with \n and \x00, at most 1 KiB`, Example: `PING\r\n`, Write: true},
			tallyman.ServiceKey{Name: "EXPECT", Type: tallyman.TextKey, Help: "text that must be in the first KiB of the answer", Example: "PONG"}), ask.CheckKeys()...),
		Metrics: []*tallyman.Desc{ask.ProbeSuccess, ask.ProbeDuration, ask.CheckFailed},
		Charts: []tallyman.ServiceChart{
			{Title: "Good", Lines: []tallyman.ServiceLine{{Name: "check", Metric: ask.ProbeSuccess}}},
			{Title: "Time", Unit: "seconds", Lines: []tallyman.ServiceLine{{Name: "check", Metric: ask.ProbeDuration}}},
		},
		Every: 30 * time.Second,
		Where: func(c tallyman.ServiceConfig) string { return ask.Where(c, 0) },
		Check: check,
		Open:  open,
		Docs: tallyman.ServiceDocs{
			Detect: "It is never found; it is asked for.", Free: "Nothing: name a port or a socket.",
			Notes:   "The names are those of blackbox_exporter. UDP is not offered.",
			Example: `[{"PluginType":"TCPCHECK","Configuration":{"PORT":["6379"],"SEND":["PING\\r\\n"],"EXPECT":["PONG"]}}]`,
		},
	}
}

func check(c tallyman.ServiceConfig) error {
	if !c.Has("SOCKET") && !c.Has("PORT") {
		return errors.New("PORT or SOCKET is missing")
	}
	for _, key := range []string{"SEND", "EXPECT"} {
		text, err := ask.Unescape(c.Text(key, ""))
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		if len(text) > maxText {
			return fmt.Errorf("%s is longer than 1 KiB", key)
		}
	}
	return nil
}

type instance struct {
	in               tallyman.Inside
	network, address string
	send, expect     string
	outcome          *ask.Outcome
}

func open(in tallyman.Inside, c tallyman.ServiceConfig) (tallyman.Service, error) {
	if err := check(c); err != nil {
		return nil, &tallyman.ServiceError{Fault: tallyman.ConfigFault, Err: err}
	}
	i := &instance{in: in, outcome: ask.NewOutcome(c, ask.Where(c, 0))}
	i.network, i.address = ask.Target(c, 0)
	i.send, _ = ask.Unescape(c.Text("SEND", ""))
	i.expect, _ = ask.Unescape(c.Text("EXPECT", ""))
	return i, nil
}

// Close implements tallyman.Service; nothing is kept open.
func (i *instance) Close() {}

// Scrape implements tallyman.Service.
func (i *instance) Scrape(ctx context.Context, s tallyman.ServiceSink) error {
	begin := time.Now()
	v, attributes := 1.0, map[string]string{}
	switch err := i.try(ctx); {
	case errors.Is(err, tallyman.ErrForbidden):
		return err
	case err != nil:
		v, attributes["reason"] = 0, err.Error()
	}
	s.Add(ask.ProbeSuccess, v)
	s.Add(ask.ProbeDuration, time.Since(begin).Seconds())
	i.outcome.Took(s, v == 1, attributes)
	return nil
}

func (i *instance) try(ctx context.Context) error {
	c, err := i.in.DialContext(ctx, i.network, i.address)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	if i.send != "" {
		if _, err := io.WriteString(c, i.send); err != nil {
			return err
		}
	}
	if i.expect == "" {
		return nil
	}
	have := make([]byte, 0, maxText)
	for !bytes.Contains(have, []byte(i.expect)) {
		if len(have) == cap(have) {
			return errors.New("the answer is another one")
		}
		n, err := c.Read(have[len(have):cap(have)])
		have = have[:len(have)+n]
		if err != nil && !bytes.Contains(have, []byte(i.expect)) {
			return err
		}
	}
	return nil
}
