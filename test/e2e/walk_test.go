// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// Longer than any walk may take.
const walkMost = 5 * time.Minute

// ready says why no walk can be done here.
var ready = sync.OnceValue(func() string {
	if os.Getenv("TEST_UI") == "" || os.Getenv("TEST_TALLYMAN_BINARY") == "" {
		return "the program has no page in it (make e2e builds one that has, and sets TEST_TALLYMAN_BINARY and TEST_UI)"
	}
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			return "no " + name
		}
	}
	if browser() == "" {
		return "no chromium"
	}
	if !installed() {
		if out, err := testkit.Run(2*time.Minute, nil, "npm", "ci", "--no-audit", "--no-fund"); err != nil {
			return "npm ci: " + out
		}
	}
	return ""
})

// browser is the path of Chromium. Without its windows, which no walk looks at, it
// has half the work.
func browser() string {
	for _, name := range []string{"chromium-headless-shell", "chromium"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// installed reports whether node_modules is as new as the lock file.
func installed() bool {
	lock, err := os.Stat("package-lock.json")
	if err != nil {
		return false
	}
	have, err := os.Stat("node_modules/.package-lock.json")
	return err == nil && !have.ModTime().Before(lock.ModTime())
}

// needBrowser says what is missing when no walk can be done.
func needBrowser(t testing.TB) {
	t.Helper()
	if reason := ready(); reason != "" {
		testkit.Missing(t, "no walk in the browser: %s", reason)
	}
}

// action does what a walk asks for.
type action func(args []string) (string, error)

// given is what a walk is told: the program's addresses and more.
func given(p *testkit.Program, more map[string]any) map[string]any {
	m := map[string]any{"url": p.URL, "link": p.Link, "token": p.Token, "host": hostOf(p)}
	maps.Copy(m, more)
	return m
}

func hostOf(p *testkit.Program) string {
	var a struct{ Hosts []struct{ Host string } }
	p.JSON("/api/tallyman/v1/servers", &a)
	if len(a.Hosts) == 0 {
		return ""
	}
	return a.Hosts[0].Host
}

// walk runs a script under walk/ to its end and fails the test with its output
// when it fails.
func walk(t testing.TB, script string, given map[string]any, actions map[string]action) {
	t.Helper()
	shots, err := filepath.Abs("shots")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(shots, 0o755); err != nil {
		t.Fatal(err)
	}
	told, err := json.Marshal(maps.Collect(func(yield func(string, any) bool) {
		_ = yield("chromium", browser()) && yield("shots", shots)
		maps.All(given)(yield)
	}))
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(context.Background(), walkMost)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", filepath.Join("walk", script))
	cmd.Env = append(os.Environ(), "E2E="+string(told))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}

	var said strings.Builder
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	checks := 0
	for lines.Scan() {
		line := lines.Text()
		if asked, ok := strings.CutPrefix(line, "ask "); ok {
			if _, err := in.Write(append(answer(asked, actions), '\n')); err != nil {
				t.Errorf("answer %s: %v", asked, err)
			}
			continue
		}
		if strings.HasPrefix(line, "ok ") {
			checks++
		}
		fmt.Fprintln(&said, line)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("walk/%s: %v after %s\n%s%s", script, err, time.Since(start).Round(time.Millisecond), &said, &stderr)
	}
	t.Logf("walk/%s: %d checks in %s\n%s", script, checks, time.Since(start).Round(time.Millisecond), &said)
}

// answer does what a walk asks for and says what came of it, as JSON.
func answer(asked string, actions map[string]action) []byte {
	var a struct {
		Verb string
		Args []string
	}
	var out string
	err := json.Unmarshal([]byte(asked), &a)
	if err == nil {
		if run := actions[a.Verb]; run != nil {
			out, err = run(a.Args)
		} else {
			err = fmt.Errorf("the test cannot do that")
		}
	}
	said := map[string]string{"out": out}
	if err != nil {
		said["error"] = fmt.Sprintf("%v %s", err, out)
	}
	b, _ := json.Marshal(said) // strings only
	return b
}
