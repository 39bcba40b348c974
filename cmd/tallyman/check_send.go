// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"time"

	"tallyman/alert/book"
	"tallyman/alert/notify"
	"tallyman/alert/route"
	"tallyman/forward/amqp"
	"tallyman/forward/dockermonitor"
	"tallyman/forward/webhook"
)

// sendWithin is how long one message of a check may take.
const sendWithin = 30 * time.Second

type checkNotifyCmd struct {
	Receiver int `arg:"" optional:"" help:"Number of one receiver, as the page counts them. Default all." placeholder:"N"`
	settings
}

// Run sends a marked message to the receivers of the configuration, as the button on the
// page does. Nothing is kept, and no running tallyman is asked.
func (c *checkNotifyCmd) Run(ctx context.Context, out io.Writer) (err error) {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "tallyman-check")
	if err != nil {
		return fmt.Errorf("make a directory for the check: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b, err := book.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	external, err := url.Parse(cfg.Alarms.ExternalURL)
	if err != nil || cfg.Alarms.ExternalURL == "" {
		external = &url.URL{Scheme: scheme(cfg), Host: reachable(cfg.Listen)}
	}
	r, err := route.New(route.Options{Book: b, Lines: cfg.Alarms.Notify, File: cfg.Alarms.AlertmanagerConfig, QuietHours: cfg.Alarms.QuietHours, External: external,
		Broker: newBroker, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	list := r.Receivers()
	if c.Receiver < 0 || c.Receiver > len(list) {
		return fmt.Errorf("there is no receiver %d; there are %d", c.Receiver, len(list))
	}
	var tries []try
	for _, one := range list {
		if c.Receiver > 0 && one.Number != c.Receiver {
			continue
		}
		tries = append(tries, try{fmt.Sprintf("receiver %d, %s at %s", one.Number, one.Kind, one.Host), func(ctx context.Context) (string, error) { return r.Test(ctx, one.Number) }})
	}
	return sendAll(ctx, out, tries, "nobody is told of alarms; set alarms.notify")
}

type checkForwardCmd struct {
	settings
}

// Run sends a marked message to each forwarder of the configuration, beside its queue:
// what waits there stays. No running tallyman is asked.
func (c *checkForwardCmd) Run(ctx context.Context, out io.Writer) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	var tries []try
	now := time.Now()
	id := "tallyman-test-" + strconv.FormatInt(now.UnixMilli(), 10)
	if f := cfg.Forward.AMQP; f.URL != "" {
		p, err := amqp.New(amqp.Options{URL: string(f.URL), Exchange: f.Exchange, RoutingKey: f.RoutingKey, BrokerQueue: f.Queue})
		if err != nil {
			return err
		}
		body := dockermonitor.Test(f.Namespace, f.Domain, now)
		tries = append(tries, try{"forward.amqp at " + p.State().Host, func(ctx context.Context) (string, error) {
			return "the broker has confirmed it", p.Send(ctx, amqp.Message{ID: id, Time: now, Body: body})
		}})
	}
	if f := cfg.Forward.Webhook; f.URL != "" {
		s, err := webhook.New(webhook.Options{URL: string(f.URL), Transport: notify.Transport(nil)})
		if err != nil {
			return err
		}
		body := dockermonitor.Test(f.Namespace, f.Domain, now)
		tries = append(tries, try{"forward.webhook at " + s.State().Host, func(ctx context.Context) (string, error) {
			status, err := s.Send(ctx, id, body)
			return "it answers " + status, err
		}})
	}
	for i := range cfg.Forward.To {
		for _, d := range destinationsOf(&cfg.Forward.To[i]) {
			f, err := d.checked(cfg.Host)
			if err != nil {
				return fmt.Errorf("forward.to[%d]: %w", i, err)
			}
			tries = append(tries, try{"forward " + d.name + " at " + f.Stats().Host, func(ctx context.Context) (string, error) {
				status, err := f.Send(ctx, id)
				return "it answers " + status, err
			}})
		}
	}
	return sendAll(ctx, out, tries, "nothing is forwarded; set forward, forward.amqp or forward.webhook")
}

// try is one message that is sent, and to whom.
type try struct {
	to   string
	send func(ctx context.Context) (answer string, err error)
}

// sendAll sends, and prints what became of each. Without any it is an error that says what
// to set.
func sendAll(ctx context.Context, out io.Writer, tries []try, none string) error {
	if len(tries) == 0 {
		return errors.New(none)
	}
	failed := 0
	for _, t := range tries {
		limited, cancel := context.WithTimeout(ctx, sendWithin)
		answer, err := t.send(limited)
		cancel()
		if err != nil {
			failed++
			answer = "FAILED: " + err.Error()
		}
		if _, err := fmt.Fprintf(out, "%s: %s\n", t.to, answer); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d did not take the message", failed, len(tries))
	}
	return nil
}
