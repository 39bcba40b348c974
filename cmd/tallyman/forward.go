// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"tallyman"
	"tallyman/alert/notify"
	"tallyman/config"
	"tallyman/doctor"
	"tallyman/forward/amqp"
	"tallyman/forward/dockermonitor"
	"tallyman/forward/loki"
	"tallyman/forward/promwrite"
	"tallyman/forward/queue"
	"tallyman/forward/send"
	"tallyman/forward/spool"
	"tallyman/forward/webhook"
	"tallyman/internal/fsx"
	"tallyman/query/logql"
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

// openSpool opens where samples wait for those to whom they are sent on, if there are any:
//
//	pipeline ─► spool on the disk ─► sender of each destination
func (a *app) openSpool(space *fsx.Space) (err error) {
	if !slices.ContainsFunc(a.cfg.Forward.To, func(d config.Destination) bool { return d.RemoteWrite != "" }) {
		return nil
	}
	a.spool, err = spool.Open(spool.Options{
		Dir: filepath.Join(a.cfg.Data, "forward", "spool"), MaxBytes: int64(a.cfg.Spool.Size), MaxAge: time.Duration(a.cfg.Spool.Time), Space: space,
		Log: a.log, Lost: func(l spool.Lost) {
			attributes := map[string]string{"to": l.To, "samples": fmt.Sprint(l.Samples), "reason": l.Reason, "up_to": l.UpTo.UTC().Format(time.RFC3339)}
			if !l.After.IsZero() {
				attributes["after"] = l.After.UTC().Format(time.RFC3339)
			}
			a.forwardLost(l.To, fmt.Sprint(l.UpTo.UnixMilli()), attributes)
		},
	})
	if err != nil {
		return err
	}
	a.add(part{name: "spool of samples", run: a.spool.Run, metrics: a.spool.SelfMetrics(), close: a.spool.Close})
	return nil
}

// forwardLost tells that a destination will not get something.
func (a *app) forwardLost(to, what string, attributes map[string]string) {
	a.bus.ObserveEvent(tallyman.Event{ID: "tallyman-forward-lost-" + to + "-" + what, Time: time.Now(), Host: a.cfg.Host, Type: "tallyman", Action: "forward_lost", Attributes: attributes})
}

// openDestinations makes what sends records and samples on.
func (a *app) openDestinations() error {
	for i := range a.cfg.Forward.To {
		d := &a.cfg.Forward.To[i]
		open := a.openLoki
		if d.RemoteWrite != "" {
			open = a.openRemoteWrite
		}
		if err := open(d); err != nil {
			return fmt.Errorf("forward.to[%d]: %w", i, err)
		}
	}
	return nil
}

// openLoki makes what sends records to a Loki, from its mark in their store.
func (a *app) openLoki(d *config.Destination) error {
	o, err := lokiOptions(d, a.cfg.Host)
	if err != nil {
		return err
	}
	o.Log, o.Logger = a.records, a.log.With("forward", o.Name)
	o.Gap = func(g tallyman.Gap) {
		a.forwardLost(o.Name, fmt.Sprint(uint64(g.To)), map[string]string{"to": o.Name, "records": fmt.Sprint(g.Records), "after": fmt.Sprint(g.After), "up_to": fmt.Sprint(g.To)})
	}
	s, err := loki.New(o)
	if err != nil {
		return err
	}
	a.add(part{name: "forward " + o.Name, run: s.Run, metrics: s.SelfMetrics()})
	a.forwards = append(a.forwards, func() doctor.Forward {
		now := s.Stats()
		return doctor.Forward{ID: o.Name, Name: "Logs and events to Loki " + o.Name, To: now.Host, Up: now.Up, Since: now.Since, Reason: now.Reason,
			Waiting: int(now.Waiting), Oldest: time.Now().Add(-now.Lag), Sent: now.Sent, Refused: now.Refused, Lost: now.Dropped, Refusal: now.Refusal, Mend: now.Mend}
	})
	return nil
}

// openRemoteWrite makes what sends samples over remote write, from its cursor in the spool.
func (a *app) openRemoteWrite(d *config.Destination) error {
	o, err := remoteWriteOptions(d, a.cfg.Host)
	if err != nil {
		return err
	}
	o.Logger = a.log.With("forward", o.Name)
	if o.Reader, err = a.spool.Reader(o.Name); err != nil {
		return err
	}
	s, err := promwrite.New(o)
	if err != nil {
		return err
	}
	a.add(part{name: "forward " + o.Name, run: s.Run, metrics: s.SelfMetrics()})
	a.forwards = append(a.forwards, func() doctor.Forward {
		now := s.Stats()
		return doctor.Forward{ID: o.Name, Name: "Metrics to " + o.Name, To: now.Host, Up: now.Up, Since: now.Since, Reason: now.Reason,
			Waiting: int(now.Waiting), Oldest: time.Now().Add(-now.Lag), Sent: now.Sent, Refused: now.Refused, Lost: now.Dropped, Refusal: now.Refusal, Mend: now.Mend}
	})
	return nil
}

// lokiOptions are those of a destination of records.
func lokiOptions(d *config.Destination, host string) (loki.Options, error) {
	o := loki.Options{Name: d.ID(), Labels: d.Labels, Host: host, External: externalLabels(d)}
	for _, text := range d.Only {
		m, err := logql.ParseSelector(text)
		if err != nil {
			return o, fmt.Errorf("forward %s: only: %w", o.Name, err)
		}
		o.Only = append(o.Only, m)
	}
	var err error
	o.Client, err = clientOf(d)
	return o, err
}

// remoteWriteOptions are those of a destination of samples.
func remoteWriteOptions(d *config.Destination, host string) (promwrite.Options, error) {
	client, err := clientOf(d)
	return promwrite.Options{Name: d.ID(), Client: client, Host: host, External: externalLabels(d), Keep: d.Keep, Drop: d.Drop, Every: time.Duration(d.Every)}, err
}

func externalLabels(d *config.Destination) (out []tallyman.Label) {
	for _, name := range slices.Sorted(maps.Keys(d.ExternalLabels)) {
		out = append(out, tallyman.Label{Name: name, Value: d.ExternalLabels[name]})
	}
	return out
}

// clientOf is what posts to a destination.
func clientOf(d *config.Destination) (*send.Client, error) {
	c, err := send.New(send.Options{
		URL: d.Address(), Plain: d.Plain, User: d.User, Password: d.Password, PasswordFile: d.PasswordFile, BearerFile: d.BearerFile,
		Headers: d.Headers, HeaderFiles: d.HeadersFile, CA: d.CA, Pin: d.Pin, Cert: d.Cert, Key: d.Key, Timeout: time.Duration(d.Timeout),
		Proxy: http.ProxyFromEnvironment, Dial: notify.Dial,
	})
	if err != nil {
		return nil, fmt.Errorf("forward %s: %w", d.ID(), err)
	}
	return c, nil
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
