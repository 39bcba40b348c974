// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tallyman"
)

func TestParsePressure(t *testing.T) {
	f := func(text string, wantSome, wantFull uint64, wantKnown int) {
		t.Helper()
		some, full, known := parsePressure([]byte(text))
		if some != wantSome || full != wantFull || known != wantKnown {
			t.Errorf("parsePressure(%q) = %d, %d, %b; want %d, %d, %b", text, some, full, known, wantSome, wantFull, wantKnown)
		}
	}
	const some, full = "some avg10=1.50 avg60=0.00 avg300=0.00 total=12\n", "full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"
	f(some+full, 12, 7, someKnown|fullKnown)
	f(full+some, 12, 7, someKnown|fullKnown)
	f(some, 12, 0, someKnown) // cpu.pressure before Linux 5.13
	f("", 0, 0, 0)
	f("some avg10=0.00 total=5", 0, 0, 0) // cut off
	f("some total=5x\nsome total=\nother total=5\nsome  total=18446744073709551616\n", 0, 0, 0)
}

// copied is a source over a copy of a recorded tree that change may change.
func copied(t *testing.T, name string, h hierarchy, change func(dir string)) *Source {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", name))); err != nil {
		t.Fatal(err)
	}
	change(dir)
	h.root = filepath.Join(dir, "cgroup")
	s := newSource(h, tallyman.SourceOptions{Log: slog.New(slog.DiscardHandler), Proc: filepath.Join(dir, "proc")})
	t.Cleanup(func() { s.Close() })
	if err := s.Attach(target(4242)); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPressureIsAbsentWithItsReason(t *testing.T) {
	scope := "cgroup/system.slice/docker-" + fixtureID + ".scope/"
	each := func(do func(name string) error) func(string) {
		return func(dir string) {
			for _, name := range []string{"cpu", "memory", "io"} {
				if err := do(filepath.Join(dir, scope, name+".pressure")); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	empty := func(name string) error { return os.WriteFile(name, nil, 0o600) }
	for name, s := range map[string]*Source{
		"psi=1":                              copied(t, "v2", hierarchy{unified: true}, each(os.Remove)),
		" psi=1":                             copied(t, "v2", hierarchy{unified: true}, each(empty)),
		"systemd.unified_cgroup_hierarchy=1": copied(t, "hybrid", hierarchy{}, func(string) {}),
	} {
		for key, v := range collect(t, s) {
			if strings.HasPrefix(key, "container_pressure_") {
				t.Errorf("%s: %s = %v, want it absent", name, key, v)
			}
		}
		n := 0
		for _, a := range s.Absences(target(4242)) {
			if a.What == "pressure" && strings.HasSuffix(a.Unlock, strings.TrimSpace(name)) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("Absences = %+v, want one of pressure with %s", s.Absences(target(4242)), name)
		}
	}
}

func TestPressureOfAnOldKernelHasNoFullForTheCPU(t *testing.T) {
	s := copied(t, "v2", hierarchy{unified: true}, func(dir string) {
		name := filepath.Join(dir, "cgroup/system.slice/docker-"+fixtureID+".scope/cpu.pressure")
		if err := os.WriteFile(name, []byte("some avg10=0.00 avg60=0.00 avg300=0.00 total=3000000\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	got := collect(t, s)
	if v := got["container_pressure_cpu_waiting_seconds_total"]; v != 3 {
		t.Errorf("waiting = %v, want 3", v)
	}
	if v, ok := got["container_pressure_cpu_stalled_seconds_total"]; ok {
		t.Errorf("stalled = %v, want it absent", v)
	}
	for _, a := range s.Absences(target(4242)) {
		t.Errorf("absent: %+v", a)
	}
}

func FuzzParsePressure(f *testing.F) {
	f.Add([]byte("some avg10=0.00 avg60=0.00 avg300=0.00 total=27047\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=25132\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		some, full, known := parsePressure(text)
		if some != 0 && known&someKnown == 0 || full != 0 && known&fullKnown == 0 {
			t.Errorf("parsePressure(%q) = %d, %d, %b: a value that is not known", text, some, full, known)
		}
	})
}
