// SPDX-License-Identifier: Apache-2.0

package services

import (
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyman"
)

// The metrics of every instance.
var (
	pluginUp       = &tallyman.Desc{Name: "plugin_up", Type: tallyman.Gauge, Help: "1 while the service answers its plugin"}
	pluginDuration = &tallyman.Desc{Name: "plugin_scrape_duration_seconds", Type: tallyman.Gauge, Unit: "seconds", Help: "Time that the last scrape took"}
	pluginErrors   = &tallyman.Desc{Name: "plugin_scrape_errors_total", Type: tallyman.Counter, Help: "Scrapes that failed, by reason: dial, auth, timeout, parse, permission, limit or config"}
	pluginSeries   = &tallyman.Desc{Name: "plugin_series", Type: tallyman.Gauge, Help: "Series of the last scrape"}
	pluginDropped  = &tallyman.Desc{Name: "plugin_series_dropped_total", Type: tallyman.Counter, Help: "Series that were over a limit, each time they came"}
	pluginRefused  = &tallyman.Desc{Name: "plugin_login_refused", Type: tallyman.Gauge, Help: "1 while the service refuses the login of its plugin"}
	checkUp        = &tallyman.Desc{Name: "plugin_active_check_up", Type: tallyman.Gauge, Help: "1 when the service did what a client would ask for"}
	checkDuration  = &tallyman.Desc{Name: "plugin_active_check_duration_seconds", Type: tallyman.Gauge, Unit: "seconds", Help: "Time that the active check took"}

	pluginConfig = &tallyman.Desc{Name: "plugin_config_error", Type: tallyman.Gauge, Help: "1 while a label of a container, or a rule, cannot be followed"}

	table = []*tallyman.Desc{pluginConfig, pluginUp, pluginDuration, pluginErrors, pluginSeries, pluginDropped, pluginRefused, checkUp, checkDuration}
)

const (
	maxLabels = 24
	maxName   = 64   // bytes of a label's name
	maxValue  = 256  // bytes of a label's value
	maxFamily = 1000 // series of one metric
	maxEvents = 10   // of one scrape
)

// book takes what a scrape gives, and keeps the series of an instance.
type book struct {
	i      *instance
	target *tallyman.Target

	samples  []tallyman.Sample
	seen     map[string]*entry
	families map[*tallyman.Desc]int
	names    map[*tallyman.Desc]bool // those that the plugin has names for
	round    int
	typed    int // samples of metrics that the plugin has names for
	untyped  int
	dropped  int
	events   int

	droppedAll float64
	fresh      []time.Time // when series came, in the last hour
	// quarantined is until when it is left alone.
	quarantined time.Time
	key         []byte
}

type entry struct {
	series *tallyman.Series
	round  int
}

func newBook(i *instance, t *tallyman.Target) *book {
	b := &book{i: i, target: t, seen: map[string]*entry{}, families: map[*tallyman.Desc]int{}, names: map[*tallyman.Desc]bool{}}
	for _, d := range i.wish.Kind.Metrics {
		b.names[d] = true
	}
	return b
}

// begin starts a scrape.
func (b *book) begin() {
	b.samples = b.samples[:0]
	b.round++
	b.typed, b.untyped, b.dropped, b.events = 0, 0, 0, 0
	clear(b.families)
}

// end forgets the series that did not come.
func (b *book) end() {
	for k, e := range b.seen {
		if e.round != b.round {
			delete(b.seen, k)
		}
	}
}

var _ tallyman.ServiceSink = (*book)(nil)

// Desc implements tallyman.ServiceSink.
func (b *book) Desc(name string, typ tallyman.MetricType, help string) *tallyman.Desc {
	return b.i.s.o.Descs.Of(name, typ, help)
}

// Event implements tallyman.ServiceSink.
func (b *book) Event(typ, action string, at time.Time, attributes map[string]string) {
	if b.events++; b.events > maxEvents {
		return
	}
	a := map[string]string{"plugin": strings.ToLower(b.i.wish.Kind.Name), "instance": b.i.label}
	for k, v := range attributes {
		a[k] = cutValue(v)
	}
	e := event(b.i.view.Container(), action, at, a)
	e.Type = typ
	b.i.s.o.Emit(e)
}

// plain adds a value of the instance itself.
func (b *book) plain(d *tallyman.Desc, v float64, labels ...string) { b.add(d, v, true, labels) }

// Add implements tallyman.ServiceSink.
func (b *book) Add(d *tallyman.Desc, v float64, labels ...string) { b.add(d, v, false, labels) }

func (b *book) add(d *tallyman.Desc, v float64, own bool, labels []string) {
	key := append(b.key[:0], d.Name...)
	for _, l := range labels {
		key = append(append(key, 0xff), l...)
	}
	b.key = key
	e := b.seen[string(key)]
	if e != nil && e.round == b.round {
		return // the first stands
	}
	if !own {
		typed := b.names[d]
		switch {
		case b.families[d] >= maxFamily && typed, typed && b.typed >= b.i.s.o.Limits.Series:
			b.drop()
			return
		case typed:
			b.typed++
		default:
			if b.untyped++; b.untyped > b.i.s.o.Limits.Text {
				b.drop()
				return
			}
		}
		b.families[d]++
	}
	if e == nil {
		e = &entry{series: &tallyman.Series{Desc: d, Target: b.target, Labels: b.labels(d, labels)}}
		b.seen[string(key)] = e
		if !own {
			b.fresh = append(b.fresh, time.Now())
		}
	}
	e.round = b.round
	b.samples = append(b.samples, tallyman.Sample{Series: e.series, Value: v})
}

func (b *book) drop() {
	b.dropped++
	b.droppedAll++
	b.i.s.count.dropped.Add(1)
}

// over says whether a scrape was over a limit so that none of it counts: a part of a text
// misleads, unless it was asked for with KEEP.
func (b *book) over(w tallyman.ServiceWish) error {
	hourAgo := time.Now().Add(-time.Hour)
	b.fresh = slices.DeleteFunc(b.fresh, func(t time.Time) bool { return t.Before(hourAgo) })
	most := b.i.s.o.Limits.Series
	if b.untyped > 0 {
		most = b.i.s.o.Limits.Text
	}
	switch {
	case len(b.fresh) > 4*most:
		b.quarantined = time.Now().Add(quarantine)
		b.fresh = nil
		return tallyman.Faulty(tallyman.LimitFault, "Take what changes out of its labels.", "it has made more than %d new series in an hour, and is left alone for one", 4*most)
	case b.untyped > b.i.s.o.Limits.Text && !w.Config.Has("KEEP"):
		return tallyman.Faulty(tallyman.LimitFault, "Name the metrics that matter with KEEP, or raise plugins.series_per_text.",
			"it has %d series, and at most %d are taken", b.untyped, b.i.s.o.Limits.Text)
	}
	return nil
}

// labels are those of a series: the target's, and its own. Of a metric that the plugin has a
// name for the exporter's labels name and image stand in place of the container's; else one
// of the container's makes the other exported_….
func (b *book) labels(d *tallyman.Desc, pairs []string) []tallyman.Label {
	typed := b.names[d]
	out := slices.Clone(b.target.Labels)
	for i := 0; i+1 < len(pairs) && len(out) < maxLabels+len(b.target.Labels); i += 2 {
		name, value := validName(pairs[i]), cutValue(pairs[i+1])
		if value == "" {
			continue // as good as not there
		}
		at := slices.IndexFunc(out, func(l tallyman.Label) bool { return l.Name == name })
		switch clash := at >= 0 || name == "job" || name == "instance"; {
		case clash && typed && at >= 0 && (name == "name" || name == "image"):
			out[at].Value = value
			continue
		case clash:
			name = "exported_" + name
		}
		if !slices.ContainsFunc(out, func(l tallyman.Label) bool { return l.Name == name }) {
			out = append(out, tallyman.Label{Name: name, Value: value})
		}
	}
	tallyman.SortLabels(out)
	return out
}

// validName makes a label's name of what a service wrote.
func validName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, s)
	if s == "" || s[0] >= '0' && s[0] <= '9' || strings.HasPrefix(s, "__") && s != "__other__" {
		s = "label_" + strings.TrimLeft(s, "_")
	}
	return s[:min(len(s), maxName)]
}

// cutValue shortens a label's value; what was cut stands as a hash at its end, so that two
// do not become one.
func cutValue(s string) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= maxValue {
		return s
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(s))
	return strings.ToValidUTF8(s[:maxValue-9], "") + "~" + strconv.FormatUint(uint64(h.Sum32()), 16)
}
