// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"tallyman"
	"tallyman/alert/notify"
	"tallyman/config"
	"tallyman/doctor"
	"tallyman/forward/loki"
	"tallyman/forward/promwrite"
	"tallyman/forward/send"
	"tallyman/forward/spool"
	"tallyman/internal/fsx"
	"tallyman/query/logql"
)

// forwarder sends on what one entry of forward.to asks for.
type forwarder interface {
	Run(ctx context.Context) error
	// Send sends something marked beside what waits, and tells what came back.
	Send(ctx context.Context, id string) (answer string, err error)
	Stats() send.Stats
	SelfMetrics() []tallyman.SelfMetric
}

// destination is a forwarder before it is made.
type destination struct {
	name, title string
	samples     bool // not records
	new         func(in supply) (forwarder, error)
}

// supply is where a forwarder gets what it sends. All of it may be missing, for one that is
// only checked.
type supply struct {
	send.RecordOptions
	send.SampleOptions
	host string
}

// records are the options of a sender of records.
func (in *supply) records(d *config.Destination) (o send.RecordOptions, err error) {
	o = in.RecordOptions
	for _, text := range d.Only {
		m, err := logql.ParseSelector(text)
		if err != nil {
			return o, fmt.Errorf("forward %s: only: %w", o.Name, err)
		}
		o.Only = append(o.Only, m)
	}
	return o, nil
}

// samples are the options of a sender of samples.
func (in *supply) samples(d *config.Destination) send.SampleOptions {
	o := in.SampleOptions
	o.Keep, o.Drop, o.Every = d.Keep, d.Drop, time.Duration(d.Every)
	return o
}

// destinationsOf are those of an entry.
func destinationsOf(d *config.Destination) []destination {
	id := d.ID()
	switch d.Kind() {
	case "remote_write":
		return []destination{{name: id, title: "Metrics to " + id, samples: true, new: func(in supply) (forwarder, error) {
			c, err := clientOf(d)
			if err != nil {
				return nil, err
			}
			return promwrite.New(promwrite.Options{SampleOptions: in.samples(d), Client: c, Host: in.host, External: externalLabels(d)})
		}}}
	}
	return []destination{{name: id, title: "Logs and events to Loki " + id, new: func(in supply) (forwarder, error) {
		c, err := clientOf(d)
		if err != nil {
			return nil, err
		}
		o, err := in.records(d)
		if err != nil {
			return nil, err
		}
		return loki.New(loki.Options{RecordOptions: o, Client: c, Labels: d.Labels, Host: in.host, External: externalLabels(d)})
	}}}
}

// checked makes a forwarder that has nothing to send but a test.
func (d *destination) checked(host string) (forwarder, error) {
	return d.new(supply{RecordOptions: send.RecordOptions{Name: d.name}, SampleOptions: send.SampleOptions{Name: d.name}, host: host})
}

// openDestinations makes what sends records and samples on.
func (a *app) openDestinations() error {
	for i := range a.cfg.Forward.To {
		for _, d := range destinationsOf(&a.cfg.Forward.To[i]) {
			if err := a.openDestination(&d); err != nil {
				return fmt.Errorf("forward.to[%d]: %w", i, err)
			}
		}
	}
	return nil
}

// openDestination makes what sends records from their mark in the store, or samples from
// their cursor in the spool.
func (a *app) openDestination(d *destination) (err error) {
	log := a.log.With("forward", d.name)
	in := supply{host: a.cfg.Host}
	if d.samples {
		in.SampleOptions = send.SampleOptions{Name: d.name, Logger: log}
		if in.Reader, err = a.spool.Reader(d.name); err != nil {
			return err
		}
	} else {
		in.RecordOptions = send.RecordOptions{Name: d.name, Logger: log, Log: a.records, Note: filepath.Join(a.cfg.Data, "forward", d.name+".mark"), Gap: func(g tallyman.Gap) {
			a.forwardLost(d.name, fmt.Sprint(uint64(g.To)), map[string]string{"to": d.name, "records": fmt.Sprint(g.Records), "after": fmt.Sprint(g.After), "up_to": fmt.Sprint(g.To)})
		}}
	}
	f, err := d.new(in)
	if err != nil {
		return err
	}
	a.add(part{name: "forward " + d.name, run: f.Run, metrics: f.SelfMetrics()})
	name, title := d.name, d.title
	a.forwards = append(a.forwards, func() doctor.Forward {
		now := f.Stats()
		return doctor.Forward{ID: name, Name: title, To: now.Host, Up: now.Up, Since: now.Since, Reason: now.Reason, Notice: now.Notice,
			Waiting: int(now.Waiting), Oldest: time.Now().Add(-now.Lag), Sent: now.Sent, Refused: now.Refused, Lost: now.Dropped, Refusal: now.Refusal, Mend: now.Mend}
	})
	return nil
}

// openSpool opens where samples wait for those to whom they are sent on, if there are any:
//
//	pipeline ─► spool on the disk ─► sender of each destination
func (a *app) openSpool(space *fsx.Space) (err error) {
	if !slices.ContainsFunc(a.cfg.Forward.To, func(d config.Destination) bool {
		return slices.ContainsFunc(destinationsOf(&d), func(one destination) bool { return one.samples })
	}) {
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
