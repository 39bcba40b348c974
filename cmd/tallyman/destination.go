// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyman"
	"tallyman/alert/notify"
	"tallyman/config"
	"tallyman/doctor"
	"tallyman/forward/httpjson"
	"tallyman/forward/influx"
	"tallyman/forward/loki"
	"tallyman/forward/mackerel"
	"tallyman/forward/otlp"
	"tallyman/forward/promwrite"
	"tallyman/forward/send"
	"tallyman/forward/spool"
	"tallyman/forward/syslog"
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
	o.Line.Limit = int64(d.Limit)
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
	o.Line.Limit = int64(d.Limit)
	o.Keep, o.Drop, o.Every = d.Keep, d.Drop, time.Duration(d.Every)
	return o
}

// destinationsOf are those of an entry.
func destinationsOf(d *config.Destination) []destination {
	id := d.ID()
	records := func(id, title string, make func(o send.RecordOptions, host string) (forwarder, error)) []destination {
		return []destination{{name: id, title: "Logs and events to " + title + id, new: func(in supply) (forwarder, error) {
			o, err := in.records(d)
			if err != nil {
				return nil, err
			}
			return make(o, in.host)
		}}}
	}
	samples := func(id string, make func(o send.SampleOptions, host string) (forwarder, error)) []destination {
		return []destination{{name: id, title: "Metrics to " + id, samples: true, new: func(in supply) (forwarder, error) {
			return make(in.samples(d), in.host)
		}}}
	}
	switch d.Kind() {
	case "loki":
		return records(id, "Loki ", func(o send.RecordOptions, host string) (forwarder, error) {
			c, err := clientOf(d)
			if err != nil {
				return nil, err
			}
			return loki.New(loki.Options{RecordOptions: o, Client: c, Labels: d.Labels, Host: host, External: externalLabels(d)})
		})
	case "syslog":
		return records(id, "", func(o send.RecordOptions, host string) (forwarder, error) {
			return syslog.New(syslog.Options{RecordOptions: o, URL: d.Syslog, Plain: d.Plain, CA: d.CA, Pin: d.Pin, Cert: d.Cert, Key: d.Key,
				Host: host, External: externalLabels(d), Timeout: time.Duration(d.Timeout), Dial: notify.Dial})
		})
	case "http":
		return records(id, "", func(o send.RecordOptions, host string) (forwarder, error) {
			c, err := clientOf(d)
			if err != nil {
				return nil, err
			}
			format := httpjson.Lines
			if d.Format == "array" {
				format = httpjson.Array
			}
			return httpjson.New(httpjson.Options{RecordOptions: o, Client: c, Format: format, Gzip: d.Gzip, Host: host, External: externalLabels(d)}), nil
		})
	case "otlp":
		return otlpDestinations(d, records, samples)
	case "hub":
		return hubDestinations(d)
	case "influx":
		return samples(id, func(o send.SampleOptions, host string) (forwarder, error) {
			path, query := "write", url.Values{"db": {d.Database}, "precision": {"ms"}}
			if d.Bucket != "" {
				path, query = "api/v2/write", url.Values{"bucket": {d.Bucket}, "org": {d.Org}, "precision": {"ms"}}
			}
			post, err := postOptions(d, path, query.Encode())
			if err != nil {
				return nil, err
			}
			if d.TokenFile != "" {
				post.BearerFile, post.Scheme = d.TokenFile, "Token"
			}
			c, err := newClient(d, post)
			if err != nil {
				return nil, err
			}
			return influx.New(influx.Options{Client: c, External: externalLabels(d), Host: host}, o)
		})
	case "mackerel":
		return samples(id, func(o send.SampleOptions, host string) (forwarder, error) {
			post, err := postOptions(d, "api/v0/services/"+d.Service+"/tsdb", "")
			if err != nil {
				return nil, err
			}
			post.HeaderFiles = maps.Clone(post.HeaderFiles)
			if post.HeaderFiles == nil {
				post.HeaderFiles = map[string]string{}
			}
			post.HeaderFiles["X-Api-Key"] = d.APIKeyFile
			c, err := newClient(d, post)
			if err != nil {
				return nil, err
			}
			return mackerel.New(mackerel.Options{Client: c, Host: host}, o)
		})
	case "elasticsearch":
		return records(id, "", func(o send.RecordOptions, host string) (forwarder, error) {
			post, err := postOptions(d, cmp.Or(d.Index, "logs-tallyman-default")+"/_bulk", "filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason")
			if err != nil {
				return nil, err
			}
			c, err := newClient(d, httpjson.BulkOptions(post))
			if err != nil {
				return nil, err
			}
			return httpjson.New(httpjson.Options{RecordOptions: o, Client: c, Format: httpjson.Bulk, Gzip: true, Host: host, External: externalLabels(d)}), nil
		})
	}
	return samples(id, func(o send.SampleOptions, host string) (forwarder, error) {
		c, err := clientOf(d)
		if err != nil {
			return nil, err
		}
		protocol, _ := strconv.Atoi(d.Protocol) // 0 for auto
		return promwrite.New(promwrite.Options{SampleOptions: o, Client: c, Host: host, External: externalLabels(d), Protocol: protocol})
	})
}

// otlpDestinations are one for each signal, which keep how far they have come each for itself.
func otlpDestinations(d *config.Destination, records func(id, title string, make func(send.RecordOptions, string) (forwarder, error)) []destination,
	samples func(id string, make func(send.SampleOptions, string) (forwarder, error)) []destination) (out []destination) {
	options := func(signal, host string) (o otlp.Options, err error) {
		post, err := postOptions(d, "v1/"+signal, "")
		if err != nil {
			return o, err
		}
		o = otlp.Options{External: externalLabels(d), Points: d.Attributes == "point", Host: host}
		o.Client, err = newClient(d, post)
		return o, err
	}
	if d.Sends("logs") {
		out = records(d.ID()+"-logs", "", func(o send.RecordOptions, host string) (forwarder, error) {
			to, err := options("logs", host)
			if err != nil {
				return nil, err
			}
			return otlp.NewLogs(to, o), nil
		})
	}
	if d.Sends("metrics") {
		out = append(out, samples(d.ID()+"-metrics", func(o send.SampleOptions, host string) (forwarder, error) {
			to, err := options("metrics", host)
			if err != nil {
				return nil, err
			}
			return otlp.NewMetrics(to, o)
		})...)
	}
	return out
}

// hubLabels are those that streams of tallyman's have: a hub keeps them as they are.
var hubLabels = []string{"host", "source", "name", "workload", "image", "stream", "level", "unit", "filename", "overflow"}

// hubDestinations are those of a hub: samples by remote write, records by Loki's push. What is
// of other hosts stays here, as the hub takes one host of each agent.
func hubDestinations(d *config.Destination) []destination {
	client := func(path string) (*send.Client, error) {
		post, err := postOptions(d, path, "")
		if err != nil {
			return nil, err
		}
		post.BearerFile = d.TokenFile
		return newClient(d, post)
	}
	id := d.ID()
	return []destination{
		{name: id + "-logs", title: "Logs, events and inventory to " + id, new: func(in supply) (forwarder, error) {
			o, err := in.records(d)
			if err != nil {
				return nil, err
			}
			if o.Only, err = ofHost(o.Only, in.host); err != nil {
				return nil, err
			}
			c, err := client("loki/api/v1/push")
			if err != nil {
				return nil, err
			}
			return loki.New(loki.Options{RecordOptions: o, Client: c, Labels: hubLabels, Host: in.host, External: externalLabels(d)})
		}},
		{name: id + "-metrics", title: "Metrics to " + id, samples: true, new: func(in supply) (forwarder, error) {
			o := in.samples(d)
			o.Host = in.host
			c, err := client("api/v1/write")
			if err != nil {
				return nil, err
			}
			return promwrite.New(promwrite.Options{SampleOptions: o, Client: c, Host: in.host, External: externalLabels(d), Protocol: 2})
		}},
	}
}

// ofHost narrows selectors to what is of a host, or of none; without any it is all of that.
// The inventory is always among it.
func ofHost(only [][]tallyman.Matcher, host string) (out [][]tallyman.Matcher, err error) {
	own, err := tallyman.NewMatcher(tallyman.MatchRegexp, "host", "|"+regexp.QuoteMeta(host))
	if err != nil {
		return nil, err
	}
	if len(only) == 0 {
		return [][]tallyman.Matcher{{own}}, nil
	}
	for _, m := range only {
		out = append(out, append(slices.Clone(m), own))
	}
	return append(out, []tallyman.Matcher{{Name: "source", Value: tallyman.SourceInventory}, own}), nil
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
		in.RecordOptions = send.RecordOptions{Name: d.name, ID: a.installID(), Logger: log, Log: a.records, Note: filepath.Join(a.cfg.Data, "forward", d.name+".mark"), Gap: func(g tallyman.Gap) {
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

// installID is what this tallyman is called in the ids of records: made once for a data directory.
func (a *app) installID() string {
	file := filepath.Join(a.cfg.Data, "forward", "id")
	b, err := os.ReadFile(file)
	if id := strings.TrimSpace(string(b)); err == nil && len(id) == 16 {
		return id
	}
	id := fmt.Sprintf("%016x", rand.Uint64())
	err = os.MkdirAll(filepath.Dir(file), 0o700)
	if err == nil {
		err = fsx.WriteFile(file, []byte(id+"\n"), 0o600)
	}
	if err != nil {
		a.log.Warn("the id of this tallyman cannot be kept; after a restart repeats have other ids", "err", err)
	}
	return id
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

// clientOf is what posts to the address of a destination.
func clientOf(d *config.Destination) (*send.Client, error) {
	o, err := postOptions(d, "", "")
	if err != nil {
		return nil, err
	}
	return newClient(d, o)
}

// postOptions are those of a client that posts below the address of a destination.
func postOptions(d *config.Destination, path, query string) (send.Options, error) {
	o := send.Options{
		URL: d.Address(), Plain: d.Plain, User: d.User, Password: d.Password, PasswordFile: d.PasswordFile, BearerFile: d.BearerFile,
		Headers: d.Headers, HeaderFiles: d.HeadersFile, CA: d.CA, Pin: d.Pin, Cert: d.Cert, Key: d.Key, Timeout: time.Duration(d.Timeout),
		Proxy: http.ProxyFromEnvironment, Dial: notify.Dial,
	}
	if path == "" {
		return o, nil
	}
	u, err := url.Parse(string(o.URL))
	if err != nil {
		return o, fmt.Errorf("forward %s: the address cannot be read", d.ID()) // and is not shown
	}
	u = u.JoinPath(path)
	u.RawQuery = query
	o.URL = config.Secret(u.String())
	return o, nil
}

func newClient(d *config.Destination, o send.Options) (*send.Client, error) {
	c, err := send.New(o)
	if err != nil {
		return nil, fmt.Errorf("forward %s: %w", d.ID(), err)
	}
	return c, nil
}
