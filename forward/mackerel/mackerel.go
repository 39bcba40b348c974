// SPDX-License-Identifier: Apache-2.0

// Package mackerel sends samples on to Mackerel, as the metrics of a service, in the JSON of its own
// API: POST /api/v0/services/SERVICE/tsdb.
//
//	f, err := mackerel.New(mackerel.Options{Client: client}, send.SampleOptions{Name: "mackerel", Reader: r})
//	err = f.Run(ctx)
//
// Mackerel has no labels and no counters, and counts how much is posted. So a few metrics go there,
// a dozen, once a minute: as container.METRIC.NAME and host.METRIC.HOST, with
// rates in place of counters, and the sum where a container has several series (of interfaces, of
// disks). Other characters than letters, digits, dots, dashes and underscores become
// underscores, also dots in a name.
//
// A rate needs two samples, so the first of a counter tells none, nor does the first after a reset.
// Samples of which one value is made count as sent with it; so do those that tell none.
//
// Mackerel says 200 to what is older than 24 hours and does not record it: such samples are
// refused here, for the reason too_old. A value that comes twice is one.
package mackerel

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tallyman"
	"tallyman/forward/send"
	"tallyman/forward/spool"
)

const (
	mostValues = 1000 // of a request
	every      = time.Minute
	oldest     = 24 * time.Hour
	keeps      = 8 // rates that are remembered: more than ticks are handed over at once
	tooOld     = "too_old"
)

// Options are what a sender is made of.
type Options struct {
	// Client posts to …/api/v0/services/SERVICE/tsdb, with the header X-Api-Key.
	Client *send.Client
	// Host is the host of what tallyman sends of itself.
	Host string

	patience time.Duration // for tests
}

// metric is one that goes there.
type metric struct {
	from, name string
	host       bool    // of the host, not of a container
	times      float64 // of the value
	not        tallyman.Label
}

var metrics = []metric{
	{from: "container_cpu_usage_seconds_total", name: "cpu_percent", times: 100},
	{from: "container_memory_usage_bytes", name: "memory_usage", times: 1},
	{from: "container_memory_working_set_bytes", name: "memory", times: 1},
	{from: "container_network_receive_bytes_total", name: "net_in", times: 1},
	{from: "container_network_transmit_bytes_total", name: "net_out", times: 1},
	{from: "container_fs_reads_bytes_total", name: "disk_read", times: 1},
	{from: "container_fs_writes_bytes_total", name: "disk_write", times: 1},
	{from: "node_load1", name: "load1", host: true, times: 1},
	{from: "node_cpu_seconds_total", name: "cpu_percent", host: true, times: 100, not: tallyman.Label{Name: "mode", Value: "idle"}},
	{from: "node_memory_MemAvailable_bytes", name: "memory_available", host: true, times: 1},
	{from: "node_network_receive_bytes_total", name: "net_in", host: true, times: 1},
	{from: "node_network_transmit_bytes_total", name: "net_out", host: true, times: 1},
}

var reasons = send.Reasons{
	{Name: tooOld, Mend: "nothing: Mackerel records what is at most 24 hours old"},
	{Name: send.TooLarge},
}

// rate is that of a counter at a time.
type rate struct {
	time  int64
	value float64
}

// series is one as it goes out.
type series struct {
	name    string
	times   float64
	counter bool

	rates    [keeps]rate // by their turn
	turn     int
	last     float64
	lastTime int64
}

type point = send.Point[series]

// value is what goes out.
type value struct {
	name  string
	time  int64 // Unix seconds
	value float64
}

// Sender sends samples.
type Sender struct {
	*send.SampleSender[series]
	opt     Options
	line    *send.Line
	ledger  *send.Ledger
	deliver send.Deliverer[value]
	buf     []byte
}

// New makes a sender. It connects to nobody.
func New(o Options, samples send.SampleOptions) (*Sender, error) {
	samples.Values, samples.Every = true, max(every, samples.Every)
	return newSender(o, samples)
}

func newSender(o Options, samples send.SampleOptions) (_ *Sender, err error) {
	s := &Sender{opt: o, line: send.NewLine(o.Client, samples.LineOptions()), ledger: send.NewLedger(samples.Name, send.Samples, reasons, samples.Logger)}
	size := send.NewPointSize()
	s.deliver = send.Deliverer[value]{Line: s.line, Ledger: s.ledger, Patience: o.patience, Halve: true, Request: s.request, Probe: func() value { return s.own("tallyman_probe") }}
	s.SampleSender, err = send.NewSampleSender(samples, s, s.ledger, size)
	return s, err
}

// Run sends until ctx ends. Mackerel may be away at any time; that is no error.
func (s *Sender) Run(ctx context.Context) error {
	defer s.opt.Client.Close()
	return s.SampleSender.Run(ctx)
}

// word is a text as a part of a name.
func word(text string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 && (r == '-' || r == '_' || r >= '0' && r <= '9' || r|0x20 >= 'a' && r|0x20 <= 'z') {
			return r
		}
		return '_'
	}, text)
}

// Series implements send.SampleSink.
func (s *Sender) Series(one *spool.Series) *series {
	for i := range metrics {
		m := &metrics[i]
		kind, of := "container", tallyman.LabelIn(one.Labels, "name")
		if m.host {
			kind, of = "host", cmp.Or(tallyman.LabelIn(one.Labels, "host"), s.opt.Host)
		}
		if one.Name != m.from || of == "" || m.not.Name != "" && tallyman.LabelIn(one.Labels, m.not.Name) == m.not.Value {
			continue
		}
		return &series{name: kind + "." + m.name + "." + word(of), times: m.times, counter: one.Type == tallyman.Counter}
	}
	return nil
}

// Forget implements send.SampleSink.
func (s *Sender) Forget() {}

// at is the value of a series at a point, ok when it has one.
func (s *series) at(p *point) (v float64, ok bool) {
	if !s.counter {
		return p.Value * s.times, true
	}
	for i := range s.rates {
		if r := &s.rates[i]; r.time == p.Time && r.time != 0 {
			return r.value, true
		}
	}
	before, then := s.last, s.lastTime
	if p.Time <= then {
		return 0, false
	}
	s.last, s.lastTime = p.Value, p.Time
	if then == 0 || p.Value < before {
		return 0, false
	}
	v = (p.Value - before) / (float64(p.Time-then) / 1000) * s.times
	s.rates[s.turn%keeps] = rate{p.Time, v}
	s.turn++
	return v, true
}

// Deliver implements send.SampleSink.
func (s *Sender) Deliver(ctx context.Context, points []point) error {
	limit := time.Now().Add(-oldest).UnixMilli()
	var values []value
	at := map[string]int{} // in values, of this tick
	tick, old := int64(math.MinInt64), 0
	for i := range points {
		p := &points[i]
		if p.Time != tick {
			clear(at)
			tick = p.Time
		}
		v, ok := p.Series.at(p)
		if p.Time < limit {
			old++
			continue
		}
		if !ok || math.IsInf(v, 0) {
			continue
		}
		j, known := at[p.Series.name]
		if !known {
			j = len(values)
			at[p.Series.name] = j
			values = append(values, value{name: p.Series.name, time: p.Time / 1000})
		}
		values[j].value += v
	}
	if old > 0 {
		s.ledger.Refuse(old, tooOld, errors.New("samples are older than 24 hours, which Mackerel does not record"))
	}
	folded := len(points) - old - len(values)
	for len(values) > 0 {
		n := min(len(values), mostValues)
		if err := s.deliver.Deliver(ctx, values[:n]); err != nil {
			return err
		}
		values = values[n:]
	}
	s.ledger.Sent(folded)
	return nil
}

// request is the request of values. It is good until the next one.
func (s *Sender) request(values []value) send.Request {
	b := append(s.buf[:0], '[')
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, `{"name":"`...), v.name...), `","time":`...)
		b = append(strconv.AppendInt(b, v.time, 10), `,"value":`...)
		b = append(strconv.AppendFloat(b, v.value, 'f', -1, 64), '}')
	}
	s.buf = append(b, ']')
	return send.Request{Body: s.buf, Header: http.Header{"Content-Type": {"application/json"}}}
}

// own is a value that is in no spool.
func (s *Sender) own(name string) value {
	return value{name: "host." + name + "." + word(s.opt.Host), time: time.Now().Unix(), value: 1}
}

// Send posts one value beside the spool, once, and tells what came back.
func (s *Sender) Send(ctx context.Context, _ string) (string, error) {
	return s.opt.Client.Try(ctx, s.request([]value{s.own("tallyman_test")}))
}

// Stats are those of now.
func (s *Sender) Stats() send.Stats { return s.SampleSender.Stats(s.line.State()) }

// SelfMetrics are the sender's own numbers.
func (s *Sender) SelfMetrics() []tallyman.SelfMetric {
	return append(s.line.SelfMetrics(), s.SampleSender.SelfMetrics()...)
}
