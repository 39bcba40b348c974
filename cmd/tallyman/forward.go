// SPDX-License-Identifier: Apache-2.0

package main

import (
	"path/filepath"
	"time"

	"tallyman/doctor"
	"tallyman/forward/amqp"
	"tallyman/forward/dockermonitor"
	"tallyman/forward/queue"
	"tallyman/internal/fsx"
)

// openForward makes what sends on to others, if it is wanted:
//
//	bus ─► stream ─► queue on the disk ─► publisher ─► broker
func (a *app) openForward(space *fsx.Space) error {
	cfg := a.cfg.Forward.AMQP
	if cfg.URL == "" {
		return nil
	}
	const name, what = "amqp", "events"
	dir := filepath.Join(a.cfg.Data, "forward", name)
	q, err := queue.Open(queue.Options{Dir: dir, MaxBytes: int64(cfg.Buffer), MaxAge: time.Duration(cfg.MaxAge), Remember: dockermonitor.Remember, Space: space})
	if err != nil {
		return err
	}
	a.add(part{name: "queue of " + name, run: q.Run, metrics: q.SelfMetrics(name, what), close: q.Close})
	log := a.log.With("forward", name)
	stream, err := dockermonitor.New(dockermonitor.Options{
		Queue: q, Dir: dir, Events: a.eventStore, Inventory: a.discovery, Namespace: cfg.Namespace, Domain: cfg.Domain, Align: cfg.Align, Log: log,
	})
	if err != nil {
		return err
	}
	a.add(part{name: "stream of " + name, run: stream.Run})
	p, err := amqp.New(amqp.Options{URL: string(cfg.URL), Exchange: cfg.Exchange, RoutingKey: cfg.RoutingKey, BrokerQueue: cfg.Queue, Queue: q, Log: log})
	if err != nil {
		return err
	}
	a.add(part{name: name, run: p.Run, metrics: p.SelfMetrics(name)})
	a.bus.Observe(stream)
	a.discovery.ObserveEngines(stream)
	a.forwards = append(a.forwards, func() doctor.Forward {
		s, st := p.State(), q.Stats()
		f := doctor.Forward{ID: name, Name: "States of containers to the broker", To: s.Host, Up: s.Up, Since: s.Since, Reason: s.Reason, Waiting: st.Length, Oldest: st.Oldest, Sent: st.Sent}
		if st.Failing != nil {
			f.Up, f.Reason = false, st.Failing.Error()
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
