// SPDX-License-Identifier: Apache-2.0

// Package enginemetrics passes on what a Docker engine measures of itself: how long its
// actions took, builds, events, health checks, its Go runtime. The series are the engine's
// own, unchanged, with job="docker".
//
// # Ways
//
// The engine gives the same page in three places. An address of the configuration
// (metrics-addr of the daemon, or a socket elsewhere) comes first. Then the socket
// metrics.sock that each dockerd listens on in its exec-root, beside docker.sock in the
// folder docker: root alone may read it. Then the sockets of managed plugins below
// docker/plugins, where `tallyman plugin` passes the page on. What worked is tried first
// the next time.
//
// # What is absent
//
// An engine over the network has no page without an address. A socket that cannot be seen
// from here, or read, is said with what would help. Podman has no such page.
package enginemetrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"tallyman"
	"tallyman/internal/exposition"
)

// Kind is the catalog's entry.
func Kind() tallyman.SourceKind {
	return tallyman.SourceKind{
		Name:    "enginemetrics",
		Summary: "What each Docker engine measures of itself, from its metrics socket, the managed plugin, or its metrics-addr",
		Targets: []tallyman.TargetKind{tallyman.EngineTarget},
		Metrics: []*tallyman.Desc{took, given},
		Passes:  true,
		Options: defaults,
		Poll:    New,
	}
}

var (
	took  = &tallyman.Desc{Name: "docker_metrics_scrape_duration_seconds", Type: tallyman.Gauge, Unit: "seconds", Help: "Time that the engine took for the page of its own metrics"}
	given = &tallyman.Desc{Name: "docker_metrics_scrape_samples", Type: tallyman.Gauge, Help: "Samples on the page of the engine's own metrics"}
)

var defaults = Options{Every: 15 * time.Second}

// Options are the source's own.
type Options struct {
	// Every is the time between two pages, 0 for none.
	Every time.Duration `yaml:"every" doc:"Time between two readings of an engine's own metrics, 1s or more; 0 for never."`
	// Addresses are where engines serve their metrics, as URL or engine=URL.
	Addresses []string `yaml:"addresses" doc:"Where an engine serves its metrics when it is not its socket: a URL, http://127.0.0.1:9323/metrics or unix:///run/docker/metrics.sock, with the engine's name and = before it when there are several."`
}

// Check finds what cannot be followed.
func (o Options) Check() error {
	if o.Every != 0 && o.Every < time.Second {
		return fmt.Errorf("every: %v is too little; write at least 1s, or 0 for never", o.Every)
	}
	for _, one := range o.Addresses {
		if _, address := split(one); !valid(address) {
			return fmt.Errorf("addresses: %q is no address; write http://127.0.0.1:9323/metrics, unix:///run/docker/metrics.sock, or name=http://…", one)
		}
	}
	return nil
}

// split takes the engine's name off an address, empty when there is none.
func split(one string) (engine, address string) {
	if name, rest, ok := strings.Cut(one, "="); ok && !strings.ContainsAny(name, ":/") {
		return name, rest
	}
	return "", one
}

func valid(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "unix" && strings.HasPrefix(u.Path, "/") || (u.Scheme == "http" || u.Scheme == "https") && u.Host != "")
}

const (
	maxPage   = 8 << 20
	maxSeries = 5000
	never     = 1 << 62 // a century
)

// Source implements tallyman.Poller.
type Source struct {
	o   tallyman.SourceOptions
	own Options
}

// New makes the source.
func New(o tallyman.SourceOptions) (tallyman.Poller, error) {
	s := &Source{o: o, own: tallyman.Own(o.Own, defaults)}
	if o.Engines == nil || o.Path == nil || o.Descs == nil {
		return nil, errors.New("nobody says where engines are")
	}
	return s, nil
}

// Plan asks each engine by itself.
func (s *Source) Plan() tallyman.PollPlan {
	if s.own.Every == 0 {
		return tallyman.PollPlan{Every: never, First: never}
	}
	return tallyman.PollPlan{Every: s.own.Every, Deadline: 10 * time.Second, Retry: s.own.Every, RetryMost: max(5*time.Minute, s.own.Every), Hold: 2, HoldLeast: 5 * time.Second, Parallel: 1}
}

// Close has nothing to close.
func (*Source) Close() error { return nil }

// page is that of one engine.
type page struct {
	s      *Source
	target *tallyman.Target
	way    string // the address that worked last
	client *http.Client
	took   *tallyman.Series
	given  *tallyman.Series
	series map[string]*entry
	round  int

	mu     sync.Mutex
	known  bool
	absent tallyman.Absence // when there is no page
}

type entry struct {
	series *tallyman.Series
	round  int
}

var (
	_ tallyman.Poller = (*Source)(nil)
	_ tallyman.Poll   = (*page)(nil)
)

// Open begins with an engine.
func (s *Source) Open(t *tallyman.Target) (tallyman.Poll, error) {
	return &page{s: s, target: t, took: t.Series(took), given: t.Series(given), series: map[string]*entry{}}, nil
}

// Close implements tallyman.Poll.
func (p *page) Close() { p.leave() }

func (p *page) leave() {
	if p.client != nil {
		p.client.CloseIdleConnections()
		p.client = nil
	}
}

// Absences implements tallyman.Poll.
func (p *page) Absences() []tallyman.Absence {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.s.own.Every == 0:
		return []tallyman.Absence{{What: what, Reason: "The setting sources.enginemetrics.every switches it off.", Unlock: "sources: {enginemetrics: {every: 15s}}"}}
	case p.absent.Reason != "":
		return []tallyman.Absence{p.absent}
	case !p.known:
		return []tallyman.Absence{{Code: tallyman.Later, What: what, Reason: "The engine was not asked yet."}}
	}
	return nil
}

const what = "the engine's own metrics"

// Poll reads the page.
func (p *page) Poll(ctx context.Context, b *tallyman.Batch) error {
	ways := p.ways()
	if at := slices.Index(ways, p.way); at > 0 {
		ways[0], ways[at] = ways[at], ways[0]
	}
	var err error
	for _, way := range ways {
		if way != p.way {
			p.leave()
			p.way = way
		}
		if err = p.read(ctx, way, b); err == nil {
			p.note(tallyman.Absence{})
			return nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	p.leave()
	p.way = ""
	p.note(p.lack(len(ways), err))
	if len(ways) == 0 {
		return errors.New("it has no page of metrics that is seen from here")
	}
	return err
}

func (p *page) note(a tallyman.Absence) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.absent = a
	p.known = p.known || a.Reason == ""
}

// ways are the addresses at which the page may be, the best one first.
func (p *page) ways() (list []string) {
	for _, one := range p.s.own.Addresses {
		if engine, address := split(one); engine == p.target.ID || engine == "" && !p.named() {
			list = append(list, address)
		}
	}
	if len(list) > 0 {
		return list // who has said where it is does not mean another one's
	}
	for _, dir := range p.dirs() {
		for _, pattern := range []string{"metrics.sock", "plugins/*/metrics.sock"} {
			found, _ := filepath.Glob(filepath.Join(dir, pattern)) // the pattern is right
			for _, name := range found[:min(len(found), 16)] {
				list = append(list, "unix://"+name)
			}
		}
	}
	return list
}

// named reports whether an address is for this engine by its name.
func (p *page) named() bool {
	return slices.ContainsFunc(p.s.own.Addresses, func(one string) bool { engine, _ := split(one); return engine == p.target.ID })
}

// dirs are where the exec-root of the engine may be found from here: beside its socket.
func (p *page) dirs() (list []string) {
	socket, ok := strings.CutPrefix(p.s.o.Engines.EngineAddress(p.target.ID), "unix://")
	if !ok {
		return nil
	}
	dirs := []string{filepath.Join(filepath.Dir(socket), "docker")}
	if rest, ok := strings.CutPrefix(dirs[0], "/var/run/"); ok {
		dirs = append(dirs, "/run/"+rest) // one is a link to the other, which a container may lack
	}
	for _, dir := range dirs {
		if at := p.s.o.Path(dir); at != "" {
			list = append(list, at)
		}
	}
	return list
}

// lack says why there is no page.
func (p *page) lack(ways int, err error) tallyman.Absence {
	a := tallyman.Absence{What: what}
	denied := errors.Is(err, os.ErrPermission)
	switch remote := p.s.o.Engines.EngineRemote(p.target.ID); {
	case ways == 0 && strings.HasSuffix(p.s.o.Engines.EngineAddress(p.target.ID), "/podman.sock"):
		a.Code, a.Reason = tallyman.None, "Podman measures nothing of itself."
	case remote && ways == 0:
		a.Reason, a.Unlock = "The engine is on another machine, and the address of its metrics is not set.", "dockerd --metrics-addr, and sources.enginemetrics.addresses: ["+p.target.ID+"=http://…:9323/metrics]"
	case ways == 0:
		a.Code = tallyman.Lacking
		a.Reason, a.Unlock = "The engine's metrics socket is not seen from here. The managed plugin gives them, too.", "-v /run/docker:/host/run/docker:ro"
	case denied:
		a.Reason, a.Unlock = "The engine's metrics socket belongs to root. The managed plugin gives them, too.", "run tallyman as root"
	default:
		a.Reason = "The page of the engine's metrics cannot be read: " + err.Error() + "."
	}
	return a
}

// read asks for the page at one address.
func (p *page) read(ctx context.Context, way string, b *tallyman.Batch) error {
	address := way
	if p.client == nil {
		t := &http.Transport{MaxIdleConns: 1, MaxConnsPerHost: 1, IdleConnTimeout: 2 * time.Minute, MaxResponseHeaderBytes: 64 << 10}
		if socket, ok := strings.CutPrefix(way, "unix://"); ok {
			t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", socket)
			}
		}
		p.client = &http.Client{Transport: t}
	}
	if strings.HasPrefix(way, "unix://") {
		address = "http://docker/metrics"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", exposition.Accept)
	begun := time.Now()
	answer, err := p.client.Do(r)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the made-up host
		}
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxPage+1))
	switch {
	case err != nil:
		return err
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("it answers %s", answer.Status)
	case len(text) > maxPage:
		return fmt.Errorf("it answers with more than %d MiB", maxPage>>20)
	}
	p.round++
	k := sink{p: p, key: make([]byte, 0, 256)}
	n, err := exposition.Reader{}.Parse(text, answer.Header.Get("Content-Type"), &k)
	if err != nil {
		return err
	}
	if len(k.samples) > maxSeries {
		return fmt.Errorf("it has %d series, and at most %d are taken", len(k.samples), maxSeries)
	}
	for name, e := range p.series {
		if e.round != p.round {
			delete(p.series, name)
		}
	}
	b.Samples = append(b.Samples, k.samples...)
	b.Add(p.took, time.Since(begun).Seconds())
	b.Add(p.given, float64(n))
	return nil
}

// sink interns the series of a page.
type sink struct {
	p       *page
	samples []tallyman.Sample
	key     []byte
}

// Desc implements exposition.Sink.
func (k *sink) Desc(name string, typ tallyman.MetricType, help string) *tallyman.Desc {
	return k.p.s.o.Descs.Of(name, typ, help)
}

// Add implements exposition.Sink.
func (k *sink) Add(d *tallyman.Desc, v float64, labels ...string) {
	if len(k.samples) > maxSeries {
		return
	}
	k.key = append(k.key[:0], d.Name...)
	for _, l := range labels {
		k.key = append(append(k.key, 0xff), l...)
	}
	e := k.p.series[string(k.key)]
	if e == nil {
		var own []tallyman.Label
		for i := 0; i+1 < len(labels); i += 2 {
			name := labels[i]
			if _, taken := tallyman.FindLabel(k.p.target.Labels, name); taken || name == "job" || name == "instance" {
				name = "exported_" + name
			}
			own = append(own, tallyman.Label{Name: strings.Clone(name), Value: strings.Clone(labels[i+1])})
		}
		e = &entry{series: k.p.target.Series(d, own...)}
		k.p.series[string(k.key)] = e
	}
	if e.round == k.p.round {
		return // the first stands
	}
	e.round = k.p.round
	k.samples = append(k.samples, tallyman.Sample{Series: e.series, Value: v})
}
