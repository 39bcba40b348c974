// SPDX-License-Identifier: Apache-2.0

package logsize

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tallyman"
	"tallyman/source/sourcetest"
)

// engine keeps its containers below a folder.
type engine struct {
	tallyman.Engines
	root string
}

func (e engine) EngineState(string) (tallyman.EngineState, bool) {
	return tallyman.EngineState{EngineStatus: tallyman.EngineStatus{Root: e.root}}, true
}

var id = strings.Repeat("ab", 32)

// one looks once at a container of which there are these files below the engine's folder.
func one(t *testing.T, driver string, sizes map[string]int) (values []float64, absent []tallyman.Absence) {
	t.Helper()
	root := t.TempDir()
	for name, n := range sizes {
		name = filepath.Join(root, "containers", name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, make([]byte, n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Kind().Poll(tallyman.SourceOptions{Engines: engine{root: root}, Path: func(name string) string { return name }})
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Open(&tallyman.Target{Kind: tallyman.ContainerTarget, ID: id, Container: &tallyman.Container{ID: id, LogDriver: driver}})
	if err != nil {
		t.Fatal(err)
	}
	if a := p.Absences(); len(a) != 1 || a[0].Code != tallyman.Later {
		t.Errorf("before the first look: %+v, want that it comes later", a)
	}
	var b tallyman.Batch
	b.Reset(time.Now())
	if err := p.Poll(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	for _, s := range b.Samples {
		values = append(values, s.Value)
	}
	return values, p.Absences()
}

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		name, driver string
		sizes        map[string]int
		want         float64 // -1 for none
		code         tallyman.AbsenceCode
	}{
		{"json-file, with rotated ones", "json-file", map[string]int{id + "/" + id + "-json.log": 10, id + "/" + id + "-json.log.1": 20, id + "/" + id + "-json.log.2.gz": 3, id + "/config.v2.json": 1000, id + "/checkpoints/" + id + "-json.log": 1000}, 33, ""},
		{"local", "local", map[string]int{id + "/local-logs/container.log": 5, id + "/local-logs/container.log.1.gz": 6, id + "/hostname": 1000}, 11, ""},
		{"the copy of another driver's", "syslog", map[string]int{id + "/container-cached.log": 7, id + "/container-cached.log.1": 1}, 8, ""},
		{"empty", "json-file", map[string]int{id + "/" + id + "-json.log": 0}, 0, ""},
		{"no log", "none", map[string]int{id + "/hostname": 1}, -1, tallyman.None},
		{"a driver without files", "fluentd", map[string]int{id + "/hostname": 1}, -1, tallyman.None},
		{"the folder is another machine's", "json-file", map[string]int{"other/other-json.log": 1}, -1, tallyman.Elsewhere},
	} {
		values, absent := one(t, c.driver, c.sizes)
		switch {
		case c.want < 0:
			if len(values) != 0 || len(absent) != 1 || absent[0].Code != c.code || absent[0].Reason == "" {
				t.Errorf("%s: %v, %+v; want none and a reason", c.name, values, absent)
			}
		case len(values) != 1 || values[0] != c.want || len(absent) != 0:
			t.Errorf("%s: %v, %+v; want %v", c.name, values, absent, c.want)
		}
	}
}

func TestContract(t *testing.T) {
	sourcetest.RunPoller(t, Kind(), func(t *testing.T) (tallyman.Poller, []*tallyman.Target) {
		root := t.TempDir()
		var targets []*tallyman.Target
		for _, id := range []string{"a", "bb"} {
			dir := filepath.Join(root, "containers", id)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, id+"-json.log"), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
			targets = append(targets, sourcetest.Target(func(c *tallyman.Container) { c.ID, c.LogDriver = id, "json-file" }))
		}
		s, err := New(tallyman.SourceOptions{Engines: engine{root: root}, Path: func(name string) string { return name }})
		if err != nil {
			t.Fatal(err)
		}
		return s, targets
	})
}
