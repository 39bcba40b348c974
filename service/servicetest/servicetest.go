// SPDX-License-Identifier: Apache-2.0

// Package servicetest holds the contract of service plugins, which each of them runs
// against itself, and a container for their unit tests that is none.
package servicetest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"tallyman"
)

// Inside is a container that exists in a test alone: files, variables and facts are what
// the test sets, and connections go to Dial.
type Inside struct {
	C     tallyman.Container
	F     tallyman.ServiceFacts
	Files map[string]string // by absolute path
	Env   map[string]string
	// Dial is asked for connections; nil is the machine's own network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Run is asked for commands.
	Run func(ctx context.Context, argv []string, o tallyman.ExecOptions) (tallyman.ExecResult, error)

	mu     sync.Mutex
	dialed []string
}

var _ tallyman.Inside = (*Inside)(nil)

// Container implements tallyman.Inside.
func (i *Inside) Container() *tallyman.Container { return &i.C }

// Facts implements tallyman.Inside.
func (i *Inside) Facts() *tallyman.ServiceFacts { return &i.F }

// Processes implements tallyman.Inside.
func (i *Inside) Processes() []tallyman.ServiceProcess { return i.F.Processes }

// DialContext notes the address and connects.
func (i *Inside) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	i.mu.Lock()
	i.dialed = append(i.dialed, network+" "+address)
	i.mu.Unlock()
	if i.Dial != nil {
		return i.Dial(ctx, network, address)
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

// Dialed are the connections that were asked for, as "tcp 127.0.0.1:6379".
func (i *Inside) Dialed() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.dialed)
}

func (i *Inside) files() fstest.MapFS {
	m := fstest.MapFS{}
	for name, text := range i.Files {
		m[strings.TrimPrefix(path.Clean(name), "/")] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	return m
}

// ReadFile implements tallyman.Inside.
func (i *Inside) ReadFile(name string) ([]byte, error) {
	b, err := i.files().ReadFile(strings.TrimPrefix(path.Clean(name), "/"))
	if len(b) > 256<<10 {
		return nil, fmt.Errorf("%s: %w", name, tallyman.ErrLimit)
	}
	return b, err
}

// Stat implements tallyman.Inside.
func (i *Inside) Stat(name string) (fs.FileInfo, error) {
	return i.files().Stat(strings.TrimPrefix(path.Clean(name), "/"))
}

// Glob implements tallyman.Inside.
func (i *Inside) Glob(pattern string) (out []string) {
	for name := range i.Files {
		if ok, err := path.Match(pattern, name); err == nil && ok {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Getenv implements tallyman.Inside.
func (i *Inside) Getenv(name string) (string, bool) {
	if v, ok := i.Env[name]; ok {
		return v, true
	}
	if file, ok := i.Env[name+"_FILE"]; ok {
		b, err := i.ReadFile(file)
		return strings.TrimSuffix(string(b), "\n"), err == nil
	}
	return "", false
}

// Exec implements tallyman.Inside.
func (i *Inside) Exec(ctx context.Context, argv []string, o tallyman.ExecOptions) (tallyman.ExecResult, error) {
	if i.Run == nil {
		return tallyman.ExecResult{}, errors.New("the test has no commands")
	}
	return i.Run(ctx, argv, o)
}

// Sink keeps what a scrape gives.
type Sink struct {
	// Values are by series, as `name{label="value"}` with the labels sorted.
	Values map[string]float64
	// Types are by the metric's name.
	Types map[string]tallyman.MetricType
	// Events are "action key=value …".
	Events []string
	descs  map[string]*tallyman.Desc
}

// NewSink makes an empty one.
func NewSink() *Sink {
	return &Sink{Values: map[string]float64{}, Types: map[string]tallyman.MetricType{}, descs: map[string]*tallyman.Desc{}}
}

var _ tallyman.ServiceSink = (*Sink)(nil)

// Add implements tallyman.ServiceSink.
func (s *Sink) Add(d *tallyman.Desc, v float64, labels ...string) {
	var l []tallyman.Label
	for i := 0; i+1 < len(labels); i += 2 {
		l = append(l, tallyman.Label{Name: labels[i], Value: labels[i+1]})
	}
	tallyman.SortLabels(l)
	name := d.Name
	if len(l) > 0 {
		var parts []string
		for _, one := range l {
			parts = append(parts, fmt.Sprintf("%s=%q", one.Name, one.Value))
		}
		name += "{" + strings.Join(parts, ",") + "}"
	}
	if _, ok := s.Values[name]; !ok {
		s.Values[name] = v
	}
	s.Types[d.Name] = d.Type
}

// Desc implements tallyman.ServiceSink.
func (s *Sink) Desc(name string, typ tallyman.MetricType, help string) *tallyman.Desc {
	if s.descs[name] == nil {
		s.descs[name] = &tallyman.Desc{Name: name, Type: typ, Help: help}
	}
	return s.descs[name]
}

// Event implements tallyman.ServiceSink.
func (s *Sink) Event(typ, action string, _ time.Time, attributes map[string]string) {
	text := typ + " " + action
	for _, k := range slices.Sorted(maps.Keys(attributes)) {
		text += " " + k + "=" + attributes[k]
	}
	s.Events = append(s.Events, text)
}

// Config makes a configuration of keys and values in turns.
func Config(pairs ...string) tallyman.ServiceConfig {
	m := map[string][]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i]] = append(m[pairs[i]], pairs[i+1])
	}
	return tallyman.NewServiceConfig(m)
}

var (
	kindName = regexp.MustCompile(`^[A-Z][A-Z0-9]*$`)
	keyName  = regexp.MustCompile(`^[A-Z][A-Z0-9 ]*$`)
)

// Run checks what every plugin promises, whatever it asks. config is one that Open takes.
func Run(t *testing.T, k tallyman.ServiceKind, config tallyman.ServiceConfig) {
	t.Run("its description is whole", func(t *testing.T) {
		for _, name := range append([]string{k.Name}, k.Aliases...) {
			if !kindName.MatchString(name) {
				t.Errorf("the name %q is not of capitals", name)
			}
		}
		if k.Summary == "" || k.Every < 5*time.Second || k.Where == nil || k.Open == nil {
			t.Error("summary, interval of 5 s or more, Where and Open are needed")
		}
		if k.Docs.Detect == "" || k.Docs.Free == "" || k.Docs.Example == "" {
			t.Error("the documents need Detect, Free and Example")
		}
		seen := map[string]bool{}
		for _, key := range append(tallyman.ServiceKeys(), k.Keys...) {
			if !keyName.MatchString(key.Name) || key.Help == "" || strings.HasSuffix(key.Help, ".") || key.Type == "" || seen[key.Name] {
				t.Errorf("the key %+v lacks something, or stands twice", key)
			}
			seen[key.Name] = true
		}
		names := map[string]bool{}
		for _, d := range k.Metrics {
			if d.Name == "" || d.Help == "" || names[d.Name] {
				t.Errorf("the metric %+v lacks something, or stands twice", d)
			}
			names[d.Name] = true
		}
		for _, c := range k.Charts {
			for _, l := range c.Lines {
				if c.Title == "" || l.Name == "" || l.Metric == nil {
					t.Errorf("the chart %+v lacks something", c)
				}
			}
		}
	})
	t.Run("looking and opening dial nowhere", func(t *testing.T) {
		in := &Inside{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }}
		if k.Find != nil {
			if found := k.Find(in); len(found) > 0 {
				t.Errorf("an empty container has %v", found)
			}
		}
		s, err := k.Open(in, config)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if got := in.Dialed(); len(got) > 0 {
			t.Errorf("dialed %v", got)
		}
		if k.Where(config) == "" {
			t.Error("it does not say what it asks")
		}
	})
	t.Run("what does not answer is said, and in time", func(t *testing.T) {
		in := &Inside{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, Run: func(ctx context.Context, _ []string, _ tallyman.ExecOptions) (tallyman.ExecResult, error) {
			<-ctx.Done()
			return tallyman.ExecResult{}, ctx.Err()
		}}
		s, err := k.Open(in, config)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- s.Scrape(ctx, NewSink()) }()
		select {
		case <-done: // a check gives its failure as a value
		case <-time.After(30 * time.Second):
			t.Fatal("it goes on after its time")
		}
	})
}
