// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// module is a module of packages that are thrown away, each with one test file.
func module(t *testing.T, tests map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module thrown\n\ngo 1.26\n")
	for name, body := range tests {
		write(name+"/x_test.go", "package x\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\nvar _ = os.Remove\n\n"+body)
	}
	return dir
}

// runIt runs the packages of a module, and gives the end and what was printed.
func runIt(t *testing.T, dir string, recorded map[string]int) (summary, string) {
	t.Helper()
	var out strings.Builder
	rep := newReport(&out, recorded)
	run(t.Context(), []job{{name: "thrown", lane: "a", dir: dir, packages: []string{"./..."}, flags: []string{"-count=1"}}}, rep)
	s := rep.finish(time.Second, false)
	return s, out.String()
}

func want(t *testing.T, s summary, out string, good bool, passed, failed, flaky, skipped int, parts ...string) {
	t.Helper()
	if s.good != good || s.passed != passed || s.failed != failed || s.flaky != flaky || s.skipped != skipped {
		t.Errorf("good %v, %d passed, %d failed, %d flaky, %d skipped; want %v, %d, %d, %d, %d", s.good, s.passed, s.failed, s.flaky, s.skipped, good, passed, failed, flaky, skipped)
	}
	for _, p := range parts {
		if !strings.Contains(out, p) {
			t.Errorf("it does not say %q", p)
		}
	}
	if t.Failed() {
		t.Logf("it says\n%s", out)
	}
}

// fails while the file is there, which it removes.
func once(name, file string) string {
	return fmt.Sprintf("func %s(t *testing.T) {\n\tif os.Remove(%q) == nil {\n\t\tt.Fatal(\"the first time it fails\")\n\t}\n}\n", name, file)
}

func TestGoodAndSkipped(t *testing.T) {
	s, out := runIt(t, module(t, map[string]string{
		"a": "func TestA(t *testing.T) { t.Run(\"part\", func(t *testing.T) {}) }\n",
		"b": "func TestB(t *testing.T) { t.Skip(\"no engine\") }\n",
	}), nil)
	want(t, s, out, true, 2, 0, 0, 1, "skipped: thrown/b TestB: x_test.go:10: no engine", "2 passed, 0 failed, 0 flaky, 1 skipped")
}

// A test that fails once is named, and the run is good.
func TestFlaky(t *testing.T) {
	file := filepath.Join(t.TempDir(), "once")
	tests := map[string]string{"a": "func TestA(t *testing.T) {}\n" + once("TestOnce", file)}
	for _, c := range []struct {
		recorded map[string]int
		good     bool
		says     string
	}{
		{nil, true, "FLAKY thrown/a TestOnce\n"},
		{map[string]int{"TestOnce": 1}, true, "FLAKY thrown/a TestOnce\n"},
		{map[string]int{"TestOnce": 2}, false, "thrown/a TestOnce was flaky 2 times before"},
		{map[string]int{"TestA": 1}, true, "FLAKY thrown/a TestOnce\n"},
	} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s, out := runIt(t, module(t, tests), c.recorded)
		want(t, s, out, c.good, 1, 0, 1, 0, c.says, "the first time it fails", "1 passed, 0 failed, 1 flaky")
		if end := out[strings.LastIndex(out, "\nFLAKY "):]; !strings.Contains(end, "the first time it fails") {
			t.Errorf("the end has not what it said first:\n%s", end)
		}
	}
}

func TestTooManyFlaky(t *testing.T) {
	dir := t.TempDir()
	var body strings.Builder
	for i := range 4 {
		file := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		body.WriteString(once(fmt.Sprint("TestOnce", i), file))
	}
	s, out := runIt(t, module(t, map[string]string{"a": body.String()}), nil)
	want(t, s, out, false, 0, 0, 4, 0, "4 tests are flaky")
}

// A test that fails always is named at the end, with its last lines.
func TestFailed(t *testing.T) {
	s, out := runIt(t, module(t, map[string]string{
		"a": "func TestAlways(t *testing.T) {\n\tfor i := range 40 {\n\t\tt.Log(\"line\", i)\n\t}\n\tt.Run(\"part\", func(t *testing.T) { t.Error(\"never good\") })\n}\nfunc TestB(t *testing.T) {}\n",
	}), nil)
	want(t, s, out, false, 1, 2, 0, 0, "1 passed, 2 failed, 0 flaky")
	end := out[strings.LastIndex(out, "FAIL  thrown/a TestAlways"):]
	if n := strings.Count(end, "\n    "); n != lastLines || !strings.Contains(end, "line 39") || strings.Contains(end, "line 5\n") {
		t.Errorf("the end has %d lines of it:\n%s", n, end)
	}
}

// A process that dies takes tests with it that have not run.
func TestDied(t *testing.T) {
	file := filepath.Join(t.TempDir(), "once")
	body := fmt.Sprintf("func TestDies(t *testing.T) {\n\tif os.Remove(%q) == nil {\n\t\tos.Exit(3)\n\t}\n}\nfunc TestLater(t *testing.T) {}\n", file)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, out := runIt(t, module(t, map[string]string{"a": body}), nil)
	want(t, s, out, true, 1, 0, 1, 0, "FLAKY thrown/a TestDies")

	s, out = runIt(t, module(t, map[string]string{"a": "func TestDies(t *testing.T) { panic(\"oh\") }\n"}), nil)
	want(t, s, out, false, 0, 1, 0, 0, "FAIL  thrown/a TestDies", "panic: oh")
}

// A package can fail without a test.
func TestPackageFails(t *testing.T) {
	s, out := runIt(t, module(t, map[string]string{
		"a": "func TestMain(m *testing.M) {\n\tm.Run()\n\tprintln(\"it leaks\")\n\tos.Exit(1)\n}\nfunc TestA(t *testing.T) {}\n",
	}), nil)
	want(t, s, out, false, 1, 1, 0, 0, "FAIL  thrown/a\n", "it leaks")
	s, out = runIt(t, module(t, map[string]string{"a": "func TestA(t *testing.T) { no }\n", "b": "func TestB(t *testing.T) {}\n"}), nil)
	want(t, s, out, false, 1, 1, 0, 0, "FAIL  thrown/a (not run again: it cannot be built)", "undefined: no")
	s, out = runIt(t, filepath.Join(t.TempDir(), "not there"), nil)
	want(t, s, out, false, 0, 1, 0, 0, "FAIL  thrown (not run again: no test has run)")
}

func TestCommands(t *testing.T) {
	file := filepath.Join(t.TempDir(), "once")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	rep := newReport(&out, nil)
	run(t.Context(), []job{
		{name: "good", lane: "a", argv: []string{"true"}},
		{name: "once", lane: "b", argv: []string{"sh", "-c", "! rm " + file}},
		{name: "bad", argv: []string{"sh", "-c", "echo what is wrong; exit 1"}, gentle: true},
	}, rep)
	s := rep.finish(time.Second, false)
	want(t, s, out.String(), false, 1, 1, 1, 0, "FLAKY once", "FAIL  bad\n    what is wrong\n")
}

// Who ends the run ends what it started, also what went into a session of its
// own and has no mark.
func TestEndOfTheRun(t *testing.T) {
	dir := t.TempDir()
	script := `setsid sh -c 'env -i sleep 300 & echo $! >unmarked; echo $$ >session; wait' & echo $! >child; wait`
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out strings.Builder
	rep := newReport(&out, nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(ctx, []job{{name: "long", lane: "a", dir: dir, argv: []string{"sh", "-c", script}}, {name: "later", argv: []string{"touch", dir + "/later"}}}, rep)
	}()
	var pids []int
	for _, name := range []string{"child", "session", "unmarked"} {
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
			text, _ := os.ReadFile(filepath.Join(dir, name))
			if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
				pids = append(pids, pid)
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("no %s", name)
			}
		}
	}
	cancel()
	<-done
	for _, pid := range pids {
		if state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(state), ") Z ") {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Errorf("the process %d lives on: %s", pid, state)
		}
	}
	if _, err := os.Stat(dir + "/later"); err == nil {
		t.Error("jobs went on")
	}
	if s := rep.finish(time.Second, true); s.good {
		t.Error("a run that was ended is good")
	}
}

func TestLastTest(t *testing.T) {
	name := filepath.Join(t.TempDir(), "bin", "last-test")
	if err := (summary{good: true, passed: 7, flaky: 1, skipped: 2, took: 90 * time.Second}).write(name, "abc", "clean"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(name)
	if want := "commit: abc\ntree: clean\nresult: passed\npassed: 7\nfailed: 0\nflaky: 1\nskipped: 2\nseconds: 90\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestSeen(t *testing.T) {
	got := seen("| test | date | found |\n|---|---|---|\n| `TestA` | 2026-11-28 | slow |\n| `TestB` | 2026-11-27 | - |\n| `TestA` | 2026-11-29 | again |\n")
	if got["TestA"] != 2 || got["TestB"] != 1 || len(got) != 2 {
		t.Errorf("got %v", got)
	}
}

// The plan names tests that there are, each for one lane.
func TestNamedTestsExist(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	for _, suite := range []string{"torture", "integration", "e2e"} {
		files, err := filepath.Glob(filepath.Join(root, "test", suite, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("the files of %s: %q %v", suite, files, err)
		}
		there := map[string]bool{}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range function.FindAllSubmatch(text, -1) {
				there[string(m[1])] = true
			}
		}
		for _, name := range slices.Concat(slices.Collect(maps.Keys(alone[suite])), waiting[suite]) {
			if !there[name] {
				t.Errorf("%s has no %s", suite, name)
			}
			delete(there, name)
		}
	}
}
