// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"time"

	"tallyman"
	"tallyman/alert/notify"
	"tallyman/config"
	"tallyman/doctor"
	"tallyman/forward/amqp"
	"tallyman/forward/dockermonitor"
	"tallyman/forward/queue"
	"tallyman/forward/webhook"
	"tallyman/internal/fsx"
)

// openAMQP makes what sends the states of containers to a broker, if it is wanted.
func (a *app) openAMQP(space *fsx.Space) error {
	cfg := a.cfg.Forward.AMQP
	if cfg.URL == "" {
		return nil
	}
	return a.openStates(states{
		name: "amqp", title: "States of containers to the broker", space: space,
		States: cfg.States,
		sender: func(q *queue.Queue, log *slog.Logger) (sender, error) {
			return amqp.New(amqp.Options{URL: string(cfg.URL), Exchange: cfg.Exchange, RoutingKey: cfg.RoutingKey, BrokerQueue: cfg.Queue, Queue: q, Log: log})
		},
	})
}

// openWebhook makes what posts them, if it is wanted.
func (a *app) openWebhook(space *fsx.Space) error {
	cfg := a.cfg.Forward.Webhook
	if cfg.URL == "" {
		return nil
	}
	return a.openStates(states{
		name: "webhook", title: "States of containers to the webhook", space: space,
		States: cfg.States,
		sender: func(q *queue.Queue, log *slog.Logger) (sender, error) {
			return webhook.New(webhook.Options{URL: string(cfg.URL), Queue: q, Transport: notify.Transport(nil), Log: log})
		},
	})
}

// sender takes messages out of a queue and sends them.
type sender interface {
	Run(ctx context.Context) error
	State() queue.State
	SelfMetrics(to string) []tallyman.SelfMetric
}

// states says where the states of containers go as docker-monitor's alarms, and how.
type states struct {
	config.States
	name, title string // of the destination; name is its folder, and its label to
	space       *fsx.Space
	sender      func(q *queue.Queue, log *slog.Logger) (sender, error)
}

// openStates makes the way of the states of containers to a destination:
//
//	bus ─► stream ─► queue on the disk ─► sender
func (a *app) openStates(s states) error {
	dir := filepath.Join(a.cfg.Data, "forward", s.name)
	log := a.log.With("forward", s.name)
	q, err := queue.Open(queue.Options{Dir: dir, MaxBytes: int64(s.Buffer), MaxAge: time.Duration(s.MaxAge), Remember: dockermonitor.Remember, Space: s.space, Log: log})
	if err != nil {
		return err
	}
	a.add(part{name: "queue of " + s.name, run: q.Run, metrics: q.SelfMetrics(s.name, "events"), close: q.Close})
	stream, err := dockermonitor.New(dockermonitor.Options{
		Queue: q, Dir: dir, Events: a.eventStore, Inventory: a.discovery, Namespace: s.Namespace, Domain: s.Domain, Align: s.Align, Log: log,
	})
	if err != nil {
		return err
	}
	a.add(part{name: "stream of " + s.name, run: stream.Run})
	to, err := s.sender(q, log)
	if err != nil {
		return err
	}
	a.add(part{name: s.name, run: to.Run, metrics: to.SelfMetrics(s.name)})
	a.bus.Observe(stream)
	a.discovery.ObserveEngines(stream)
	a.forwards = append(a.forwards, func() doctor.Forward {
		now, in := to.State(), q.Stats()
		f := doctor.Forward{ID: s.name, Name: s.title, To: now.Host, Up: now.Up, Since: now.Since, Reason: now.Reason, Waiting: in.Length, Oldest: in.Oldest, Sent: in.Sent}
		if in.Failing != nil {
			f.Up, f.Reason = false, in.Failing.Error()
		}
		return f
	})
	return nil
}

// forwarding tells the doctor how those get on to whom is sent.
func (a *app) forwarding() (out []doctor.Forward) {
	for _, f := range a.forwards {
		out = append(out, f())
	}
	return out
}

// broker sends alarms to a broker of messages.
type broker struct{ *amqp.Publisher }

// newBroker makes what sends the messages of a line amqp://… of alarms.notify.
func newBroker(o notify.BrokerOptions) (notify.Broker, error) {
	p, err := amqp.New(amqp.Options{URL: o.URL, Exchange: o.Exchange, RoutingKey: o.RoutingKey, BrokerQueue: o.Queue, Settings: "its line in alarms.notify", Dial: o.Dial})
	if err != nil {
		return nil, err
	}
	return broker{p}, nil
}

// Send implements notify.Broker.
func (b broker) Send(ctx context.Context, messages ...notify.BrokerMessage) error {
	var out []amqp.Message
	for _, m := range messages {
		out = append(out, amqp.Message(m))
	}
	return b.Publisher.Send(ctx, out...)
}
