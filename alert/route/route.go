// SPDX-License-Identifier: Apache-2.0

package route

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/alertmanager/alert"
	apiv2 "github.com/prometheus/alertmanager/api/v2"
	"github.com/prometheus/alertmanager/config"
	amreceiver "github.com/prometheus/alertmanager/config/receiver"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/eventrecorder"
	"github.com/prometheus/alertmanager/featurecontrol"
	"github.com/prometheus/alertmanager/inhibit"
	"github.com/prometheus/alertmanager/labelset"
	"github.com/prometheus/alertmanager/matcher/compat"
	"github.com/prometheus/alertmanager/nflog"
	"github.com/prometheus/alertmanager/nflog/nflogpb"
	amnotify "github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/provider/mem"
	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/alertmanager/timeinterval"
	"github.com/prometheus/client_golang/prometheus"
	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"tallyman"
	"tallyman/alert/book"
	"tallyman/alert/notify"
)

// Options of a router. Book and Log are needed.
type Options struct {
	// Book keeps the notification log, silences, acknowledgements and the state of
	// receivers. The router neither runs nor closes it.
	Book *book.Book
	// Lines are receivers, see alert/notify.
	Lines []string
	// File is a configuration in Alertmanager's own format; its routes come after the
	// lines.
	File string
	// QuietHours, as 22:00-07:00 in the host's zone, hold back all that is not
	// critical.
	QuietHours string
	// External is the address of the page, for links.
	External *url.URL
	Log      *slog.Logger

	// Times are those of the routes of lines; zero ones are the defaults.
	Times Times
	// Broker makes what sends to a broker of messages; nil for none.
	Broker func(o notify.BrokerOptions) (notify.Broker, error)
	// Dial and TLS are those of receivers, for tests.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	TLS  *tls.Config
}

// Times of the routes of lines.
type Times struct {
	GroupWait      time.Duration // before the first message of a group, 5 s
	GroupInterval  time.Duration // between messages of a group, 1 min
	Repeat         time.Duration // of the same message, 24 h
	RepeatCritical time.Duration // the same for severity critical, 4 h
	Tick           time.Duration // in which ends are looked for that were held back, 1 min
}

func (t Times) withDefaults() Times {
	for at, otherwise := range map[*time.Duration]time.Duration{
		&t.GroupWait: 5 * time.Second, &t.GroupInterval: time.Minute, &t.Repeat: 24 * time.Hour, &t.RepeatCritical: 4 * time.Hour, &t.Tick: time.Minute,
	} {
		if *at == 0 {
			*at = otherwise
		}
	}
	return t
}

// Notice is one alarm as it is now.
type Notice struct {
	// Labels identify it; Annotations are its texts: summary, advice, image, reason
	// (why it has ended) and id (by which it is acknowledged).
	Labels, Annotations map[string]string
	Started             time.Time
	// Ended is zero while it fires. It never ends by itself.
	Ended time.Time
	// Link leads to it.
	Link string
}

const (
	forgetEvery = 15 * time.Minute
	maxEarly    = 10_000 // alarms that are put before Run
)

// entry is one receiver: a line, or an integration of the file.
type entry struct {
	name     string
	receiver *notify.Receiver
	forward  *notify.Forward
	fromFile bool
}

// Router tells receivers of alarms.
type Router struct {
	o        Options
	times    Times
	settle   time.Duration
	registry *prometheus.Registry
	conf     *config.Config
	shown    *config.Config // what API v2 tells
	route    *dispatch.Route
	template *template.Template
	entries  []*entry
	known    map[string]bool // names of receivers
	log      *nflog.Log
	silences *silence.Silences
	silencer *silence.Silencer
	recorder eventrecorder.Recorder

	integrations map[string][]amnotify.Integration
	intervals    *timeinterval.Intervener
	pipeline     *amnotify.PipelineBuilder
	metrics      *dispatch.DispatcherMetrics

	mu           sync.Mutex
	alerts       *mem.Alerts // nil before Run and after it
	dispatcher   *dispatch.Dispatcher
	inhibitor    *inhibit.Inhibitor
	early        map[model.Fingerprint]*alert.Alert
	ids          map[model.Fingerprint]string // of what fires
	acknowledged map[string]time.Time
	api          *apiv2.API

	tries  sync.Mutex      // held while tries are settled
	trying map[string]bool // those under way, by their keys
}

// compatible settles how matchers are read, which Alertmanager keeps for the process.
var compatible = sync.OnceFunc(func() { compat.InitFromFlags(slog.New(slog.DiscardHandler), featurecontrol.NoopFlags{}) })

// New reads everything and starts nothing. An error names receivers by their number, and
// says what to do.
func New(o Options) (*Router, error) {
	compatible()
	if o.External == nil {
		o.External = &url.URL{}
	}
	targets, err := parse(o.Lines)
	if err != nil {
		return nil, err
	}
	called, err := names(o.Book, targets)
	if err != nil {
		return nil, err
	}
	r := &Router{
		o: o, times: o.Times.withDefaults(), registry: prometheus.NewRegistry(), recorder: eventrecorder.NopRecorder(),
		known: map[string]bool{}, integrations: map[string][]amnotify.Integration{nobody: {}},
		trying: map[string]bool{}, early: map[model.Fingerprint]*alert.Alert{}, ids: map[model.Fingerprint]string{}, acknowledged: map[string]time.Time{},
	}
	r.settle = 2*r.times.GroupInterval + 2*r.times.GroupWait
	var routed []string
	for i, t := range targets {
		if !t.IsForward() {
			routed = append(routed, called[i])
		}
	}
	if r.conf, err = generate(o, routed); err != nil {
		return nil, err
	}
	r.route = dispatch.NewRoute(r.conf.Route, nil)
	if r.template, err = template.FromGlobs(r.conf.Templates, notify.Templates); err != nil {
		return nil, fmt.Errorf("read the templates of Alertmanager's configuration: %w", err)
	}
	r.template.ExternalURL = o.External
	if err := r.makeReceivers(targets, called); err != nil {
		return nil, err
	}
	r.shown = shown(r.conf, routed)
	intervals := map[string][]timeinterval.TimeInterval{}
	for _, t := range r.conf.MuteTimeIntervals {
		intervals[t.Name] = t.TimeIntervals
	}
	for _, t := range r.conf.TimeIntervals {
		intervals[t.Name] = t.TimeIntervals
	}
	r.intervals = timeinterval.NewIntervener(intervals)
	longest := time.Duration(0)
	r.route.Walk(func(one *dispatch.Route) { longest = max(longest, one.RouteOpts.RepeatInterval) })
	if r.log, err = newLog(o.Book, max(leastRetention, 2*longest), o.Log, r.registry); err != nil {
		return nil, err
	}
	if r.silences, err = newSilences(o.Book, o.Log, r.registry); err != nil {
		return nil, err
	}
	r.silencer = silence.NewSilencer(r.silences, o.Log, r.recorder)
	r.pipeline = amnotify.NewPipelineBuilder(r.registry, featurecontrol.NoopFlags{}, r.recorder)
	r.metrics = dispatch.NewDispatcherMetrics(false, r.registry, featurecontrol.NoopFlags{})
	for id, at := range o.Book.All(book.Acknowledged) {
		t, _ := time.Parse(time.RFC3339, string(at)) // the time is for people
		r.acknowledged[id] = t
	}
	for _, n := range r.ended() {
		if a, err := toAlert(n); err == nil {
			r.early[a.Fingerprint()] = a
		}
	}
	return r, nil
}

// makeReceivers makes those of the lines and of the file.
func (r *Router) makeReceivers(targets []*notify.Target, called []string) error {
	build := func(name, part, kind string) notify.Build {
		key := statePut + name + part
		return notify.Build{
			// Alertmanager's tries of before have ended by then.
			Settle: max(r.times.GroupInterval, amnotify.MinTimeout) + 2*r.times.GroupWait, Probe: 2 * max(r.times.GroupInterval, amnotify.MinTimeout),
			Name: name, Label: labelOf(len(r.entries), kind), Template: r.template, Log: r.o.Log.With("receiver", name), Acknowledged: r.Acknowledged, Broker: r.o.Broker, Dial: r.o.Dial, TLS: r.o.TLS,
			Kept: r.o.Book.Get(book.Receivers, key),
			Keep: func(state []byte) { _ = r.o.Book.Put(book.Receivers, key, state) }, // the book counts what fails
		}
	}
	kept := map[string]bool{saltKey: true}
	for i, t := range targets {
		e := &entry{name: called[i]}
		if t.IsForward() {
			e.forward = notify.NewForward(t, build(called[i], "", t.Kind))
		} else {
			var err error
			if e.receiver, err = t.Build(build(called[i], "", t.Kind)); err != nil {
				return fmt.Errorf("receiver %d: %w", i+1, err)
			}
			r.integrations[called[i]] = []amnotify.Integration{r.integration(e.receiver, t.Kind, 0, called[i])}
		}
		r.known[called[i]] = true
		kept[statePut+called[i]] = true
		r.entries = append(r.entries, e)
	}
	for _, c := range r.conf.Receivers {
		if r.known[c.Name] || c.Name == nobody {
			continue
		}
		scrub := notify.NewScrubber(secretsOf(c)...)
		made, err := amreceiver.BuildReceiverIntegrations(c, r.template, scrub.Logger(r.o.Log), promconfig.WithDialContextFunc(r.dial()))
		if err != nil {
			return fmt.Errorf("make the receiver %q of Alertmanager's configuration: %w", c.Name, scrub.Error(err))
		}
		r.integrations[c.Name] = []amnotify.Integration{}
		r.known[c.Name] = true
		for _, in := range made {
			part := "/" + in.String()
			w := notify.Wrap(in, scrub, build(c.Name, part, in.Name()))
			kept[statePut+c.Name+part] = true
			r.integrations[c.Name] = append(r.integrations[c.Name], r.integration(w, in.Name(), in.Index(), c.Name))
			r.entries = append(r.entries, &entry{name: c.Name, receiver: w, fromFile: true})
		}
	}
	for key := range r.o.Book.All(book.Receivers) {
		if strings.HasPrefix(key, statePut) && !kept[key] {
			_ = r.o.Book.Delete(book.Receivers, key) // the book counts what fails
		}
	}
	return nil
}

// labelOf is what own numbers call the receiver with an index.
func labelOf(i int, kind string) string { return fmt.Sprintf("%d %s", i+1, kind) }

// integration is a receiver as the pipeline has it.
func (r *Router) integration(w *notify.Receiver, name string, index int, receiver string) amnotify.Integration {
	a := attempt{w, r, &nflogpb.Receiver{GroupName: receiver, Integration: name, Idx: uint32(index)}}
	return amnotify.NewIntegration(a, a, name, index, receiver)
}

func (r *Router) dial() promconfig.DialContextFunc {
	if r.o.Dial != nil {
		return r.o.Dial
	}
	return notify.Dial
}

// shown is the configuration for API v2, in which receivers of lines have a name only.
func shown(c *config.Config, lines []string) *config.Config {
	out := *c
	out.Receivers = slices.Clone(c.Receivers)
	for i, one := range out.Receivers {
		if slices.Contains(lines, one.Name) {
			out.Receivers[i] = config.Receiver{Name: one.Name}
		}
	}
	return &out
}

// Run tells receivers until ctx ends. What was put before is there when it begins. It
// runs once.
func (r *Router) Run(ctx context.Context) error {
	// The order is that of app/reloader.go: alerts, inhibitor, then the dispatcher.
	alerts, err := mem.NewAlerts(context.WithoutCancel(ctx), forgetEvery, 0, r.silencer, r.o.Log, r.recorder, r.registry, featurecontrol.NoopFlags{})
	if err != nil {
		return fmt.Errorf("make the store of alerts: %w", err)
	}
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.alerts, r.dispatcher = nil, nil
		alerts.Close()
	}()
	r.mu.Lock()
	fires := map[uint64]bool{}
	for _, a := range r.early {
		fires[hashOf(a.Labels)] = a.EndsAt.IsZero()
	}
	r.settleTries(func(hash uint64) bool { return !fires[hash] })
	err = alerts.Put(ctx, slices.Collect(maps.Values(r.early))...)
	r.early = nil
	r.alerts = alerts
	r.mu.Unlock()
	if err != nil {
		return fmt.Errorf("put the first alerts: %w", err)
	}
	inhibitor := inhibit.NewInhibitor(alerts, r.conf.InhibitRules, r.o.Log, r.recorder)
	pipeline := r.pipeline.New(r.integrations, func() time.Duration { return 0 }, inhibitor, r.silencer, r.intervals, r.log, nil)
	sends := &gate{stage: pipeline}
	dispatcher := dispatch.NewDispatcher(alerts, r.route, sends, r.intervals, func(d time.Duration) time.Duration { return max(d, amnotify.MinTimeout) },
		30*time.Second, nil, r.o.Log, r.recorder, r.metrics, r.template)
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(inhibitor.Run)
	defer inhibitor.Stop()
	inhibitor.WaitForLoading()
	running.Go(func() { dispatcher.Run(time.Now()) })
	defer sends.close() // Stop does not wait for groups that are being sent
	defer dispatcher.Stop()
	dispatcher.WaitForLoading()
	r.mu.Lock()
	r.dispatcher, r.inhibitor = dispatcher, inhibitor
	r.mu.Unlock()
	for _, e := range r.entries {
		run := func(ctx context.Context) error { return e.forward.Run(ctx) }
		if e.receiver != nil {
			run = e.receiver.Run
		}
		running.Go(func() {
			if err := run(ctx); err != nil {
				r.o.Log.Warn("a receiver stopped", "receiver", e.name, "err", err)
			}
		})
	}
	tick, forget := time.NewTicker(r.times.Tick), time.NewTicker(forgetEvery)
	defer tick.Stop()
	defer forget.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			r.tellEnds(ctx)
		case <-forget.C:
			r.forget()
		}
	}
}

// gate waits for what is being sent when the router stops, as until then it is noted in
// the book.
type gate struct {
	stage amnotify.Stage

	mu     sync.Mutex
	closed bool
	busy   sync.WaitGroup
}

// Exec implements Alertmanager's notify.Stage.
func (g *gate) Exec(ctx context.Context, l *slog.Logger, alerts ...*alert.Alert) (context.Context, []*alert.Alert, error) {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return ctx, nil, context.Canceled
	}
	g.busy.Add(1)
	g.mu.Unlock()
	defer g.busy.Done()
	return g.stage.Exec(ctx, l, alerts...)
}

func (g *gate) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.busy.Wait()
}

// tellEnds puts what has ended again, as long as somebody thinks that it fires: while it
// was silenced, or in quiet hours, Alertmanager has forgotten it. What is still in a group,
// as its receiver fails, is tried there.
func (r *Router) tellEnds(ctx context.Context) {
	ends := r.ended()
	if len(ends) == 0 {
		return
	}
	over := map[uint64]bool{}
	for _, n := range ends {
		over[hashOf(labelSet(n.Labels))] = true
	}
	r.settleTries(func(hash uint64) bool { return over[hash] })
	_, grouped, err := r.dispatcher.Groups(ctx, func(*dispatch.Route) bool { return true },
		func(*alert.Alert, time.Time) (alert.AlertStatus, bool) { return alert.AlertStatus{}, true })
	if err != nil {
		return // it stops
	}
	for _, n := range ends {
		a, err := toAlert(n)
		if err != nil {
			continue
		}
		r.mu.Lock()
		_, fires := r.ids[a.Fingerprint()]
		if _, waits := grouped[a.Fingerprint()]; !fires && !waits {
			err = r.alerts.Put(ctx, a)
		}
		r.mu.Unlock()
		if err != nil {
			r.o.Log.Warn("the end of an alarm was not told", "err", err)
		}
	}
}

// labelSet makes labels that Alertmanager takes: without empty ones, and in UTF-8.
func labelSet(m map[string]string) model.LabelSet {
	out := model.LabelSet{}
	for k, v := range m {
		if k = strings.ToValidUTF8(k, "\ufffd"); k != "" && v != "" {
			out[model.LabelName(k)] = model.LabelValue(strings.ToValidUTF8(v, "\ufffd"))
		}
	}
	return out
}

func toAlert(n Notice) (*alert.Alert, error) {
	now := time.Now()
	a := model.Alert{Labels: labelSet(n.Labels), Annotations: labelSet(n.Annotations), StartsAt: n.Started, EndsAt: n.Ended, GeneratorURL: n.Link}
	if a.StartsAt.IsZero() {
		a.StartsAt = now
	}
	if !a.EndsAt.IsZero() {
		if a.EndsAt.After(now) {
			a.EndsAt = now
		}
		if a.EndsAt.Before(a.StartsAt) {
			a.StartsAt = a.EndsAt
		}
	}
	if err := alert.Validate(&a); err != nil {
		return nil, fmt.Errorf("an alarm cannot be sent: %w", err)
	}
	return alert.New(a, now, false), nil
}

// Put takes alarms as they are now. An error names what is wrong with some; the others
// are taken.
func (r *Router) Put(ctx context.Context, notices ...Notice) error {
	var alerts []*alert.Alert
	var errs []error
	for _, n := range notices {
		a, err := toAlert(n)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if n.Ended.IsZero() {
			errs = append(errs, r.o.Book.Delete(book.Notified, endedKey+a.Fingerprint().String()))
		} else {
			r.keepEnded(n, a.Labels)
		}
		alerts = append(alerts, a)
	}
	r.mu.Lock()
	for i, a := range alerts {
		fp := a.Fingerprint()
		if !a.EndsAt.IsZero() {
			if id := r.ids[fp]; id != "" {
				delete(r.acknowledged, id)
				errs = append(errs, r.o.Book.Delete(book.Acknowledged, id))
			}
			delete(r.ids, fp)
		} else {
			r.ids[fp] = string(a.Annotations["id"])
			alerts[i] = r.after(a)
		}
	}
	switch {
	case r.alerts != nil:
		errs = append(errs, r.alerts.Put(ctx, alerts...))
	case r.early == nil:
		errs = append(errs, errors.New("the router has stopped"))
	case len(r.early)+len(alerts) > maxEarly:
		errs = append(errs, fmt.Errorf("more than %d alarms before the start", maxEarly))
	default:
		for _, a := range alerts {
			r.early[a.Fingerprint()] = a
		}
	}
	starting := r.alerts == nil
	r.mu.Unlock()
	var told map[string]map[uint64]bool // at the start: what the process before has told
	if starting {
		told = r.toldBy()
	}
	for _, a := range alerts {
		r.noteMissed(a, told)
	}
	for _, e := range r.entries {
		if e.forward != nil {
			e.forward.Update(slices.DeleteFunc(slices.Clone(alerts), func(a *alert.Alert) bool { return a.Labels["severity"] == "info" })...)
		}
	}
	return errors.Join(errs...)
}

// noteMissed has the receivers of an alarm note that it fires, or that it has ended, for
// the digest of those that are away. What was told, by receiver, is not missed.
func (r *Router) noteMissed(a *alert.Alert, told map[string]map[uint64]bool) {
	fires := a.EndsAt.IsZero()
	silenced := !fires && len(r.silencedBy(a.Labels)) > 0
	for _, one := range r.route.Match(a.Labels) {
		name := one.RouteOpts.Receiver
		muted := silenced
		if !fires && !muted {
			muted, _, _ = r.intervals.Mutes(one.RouteOpts.MuteTimeIntervals, time.Now()) // New has read them
		}
		for _, e := range r.entries {
			switch {
			case e.name != name || e.receiver == nil:
			case !fires:
				e.receiver.Ends(a, muted)
			case !told[name][hashOf(a.Labels)]:
				e.receiver.Fires(a)
			}
		}
	}
}

// after moves the start of an alarm behind its own end of before: Alertmanager would
// merge the two, and it would not fire.
func (r *Router) after(a *alert.Alert) *alert.Alert {
	if r.alerts == nil {
		return a
	}
	old, err := r.alerts.Get(a.Fingerprint())
	if err != nil || old.EndsAt.IsZero() || !a.StartsAt.After(old.StartsAt) || !a.StartsAt.Before(old.EndsAt) {
		return a
	}
	moved := a.Alert
	moved.StartsAt = old.EndsAt
	return alert.New(moved, a.UpdatedAt, false)
}

// Acknowledge says that somebody knows of an alarm, by its annotation id, or takes that
// back. Until it ends it is not repeated.
func (r *Router) Acknowledge(id string, on bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !on {
		delete(r.acknowledged, id)
		if err := r.o.Book.Delete(book.Acknowledged, id); err != nil {
			return fmt.Errorf("take back an acknowledgement: %w", err)
		}
		return nil
	}
	if id == "" || !slices.Contains(slices.Collect(maps.Values(r.ids)), id) {
		return errors.New("no alarm with this id fires; it may have ended")
	}
	r.acknowledged[id] = time.Now()
	if err := r.o.Book.Put(book.Acknowledged, id, []byte(time.Now().UTC().Format(time.RFC3339))); err != nil {
		return fmt.Errorf("acknowledge an alarm: %w", err)
	}
	return nil
}

// Acknowledged reports whether somebody has said that they know of an alarm.
func (r *Router) Acknowledged(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.acknowledged[id]
	return ok
}

// Receiver is one that is told. Nothing in it is secret.
type Receiver struct {
	Number int    `json:"number"` // from 1, in the order of the lines
	Name   string `json:"name"`
	Kind   string `json:"kind"`
	Host   string `json:"host,omitempty"`
	// File is set for one of Alertmanager's configuration.
	File         bool      `json:"file,omitempty"`
	LastSuccess  time.Time `json:"lastSuccess,omitzero"`
	LastError    string    `json:"lastError,omitempty"`
	FailingSince time.Time `json:"failingSince,omitzero"`
	Sent         uint64    `json:"sent"`
	Failed       uint64    `json:"failed"`
	Folded       uint64    `json:"folded"`
	Waiting      int       `json:"waiting"`
	Missed       int       `json:"missed"` // alarms that came and went while it was away
}

// Receivers are the lines, and after them those of the file.
func (r *Router) Receivers() (out []Receiver) {
	for i, e := range r.entries {
		t, s := e.state()
		out = append(out, Receiver{
			Number: i + 1, Name: e.name, Kind: t.Kind, Host: t.Host, File: e.fromFile, LastSuccess: s.LastSuccess, LastError: s.LastError,
			FailingSince: s.FailingSince, Sent: s.Sent, Failed: s.Failed, Folded: s.Folded, Waiting: s.Waiting, Missed: s.Missed,
		})
	}
	return out
}

func (e *entry) state() (*notify.Target, notify.State) {
	if e.forward != nil {
		return e.forward.Target(), e.forward.State()
	}
	return e.receiver.Target(), e.receiver.State()
}

// Test sends a marked message to the receiver with a number, and gives its answer without
// secrets.
func (r *Router) Test(ctx context.Context, n int) (answer string, err error) {
	if n < 1 || n > len(r.entries) {
		return "", fmt.Errorf("there is no receiver %d; there are %d", n, len(r.entries))
	}
	if e := r.entries[n-1]; e.forward != nil {
		answer, err = e.forward.Test(ctx)
	} else {
		answer, err = e.receiver.Test(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("receiver %d: %w", n, err)
	}
	return answer, nil
}

// The numbers of receivers, by name.
var (
	sentTotal   = &tallyman.Desc{Name: "tallyman_notifications_sent_total", Type: tallyman.Counter, Help: "Notifications that a receiver took"}
	failedTotal = &tallyman.Desc{Name: "tallyman_notifications_failed_total", Type: tallyman.Counter, Help: "Tries to send a notification that failed"}
	foldedTotal = &tallyman.Desc{Name: "tallyman_notifications_folded_total", Type: tallyman.Counter, Help: "Alarms that were put into a folded message, as there were too many"}
	failing     = &tallyman.Desc{Name: "tallyman_notifications_failing", Type: tallyman.Gauge, Help: "1 when the last notification to a receiver failed"}
)

// SelfMetrics are the numbers of receivers.
func (r *Router) SelfMetrics() []tallyman.SelfMetric {
	var out []tallyman.SelfMetric
	for i, e := range r.entries {
		t, _ := e.state()
		by := []tallyman.Label{{Name: "receiver", Value: labelOf(i, t.Kind)}}
		read := func(of func(notify.State) float64) func() float64 {
			return func() float64 {
				_, s := e.state()
				return of(s)
			}
		}
		out = append(out,
			tallyman.SelfMetric{Desc: sentTotal, Labels: by, Read: read(func(s notify.State) float64 { return float64(s.Sent) })},
			tallyman.SelfMetric{Desc: failedTotal, Labels: by, Read: read(func(s notify.State) float64 { return float64(s.Failed) })},
			tallyman.SelfMetric{Desc: foldedTotal, Labels: by, Read: read(func(s notify.State) float64 { return float64(s.Folded) })},
			tallyman.SelfMetric{Desc: failing, Labels: by, Read: read(func(s notify.State) float64 {
				if s.FailingSince.IsZero() {
					return 0
				}
				return 1
			})})
	}
	return out
}

// maxBody is how long a request of API v2 is at most, in bytes.
const maxBody = 1 << 20

// APIv2 serves Alertmanager's API under /api/v2/. It is made when it is first asked, as
// it takes half a second and 4 MB.
func (r *Router) APIv2() http.Handler {
	return http.MaxBytesHandler(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		api, err := r.makeAPI()
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		api.Handler.ServeHTTP(w, q)
	}), maxBody)
}

func (r *Router) makeAPI() (*apiv2.API, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dispatcher == nil {
		return nil, errors.New("alarms are not sent now; try again in a moment")
	}
	if r.api != nil {
		return r.api, nil
	}
	api, err := apiv2.NewAPI(r.alerts, r.dispatcher.Groups, r.silences, nil, r.o.Log, r.registry)
	if err != nil {
		return nil, fmt.Errorf("make Alertmanager's API: %w", err)
	}
	inhibitor := r.inhibitor
	api.Update(r.shown, func(ctx context.Context, set labelset.LabelSet) {
		inhibitor.Mutes(ctx, set)
		r.silencer.Mutes(ctx, set)
	})
	r.api = api
	return api, nil
}
