// SPDX-License-Identifier: Apache-2.0

package route

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tallyman/alert/book"
)

// childEnv is set in the process that TestKilled kills: directory, address, and the
// alarms that it puts, those that have ended with a minus.
const childEnv = "TEST_ROUTE_CHILD"

func TestMain(m *testing.M) {
	if what := os.Getenv(childEnv); what != "" {
		child(strings.Fields(what))
	}
	goleak.VerifyTestMain(m)
}

func child(what []string) {
	b, err := book.Open(what[0])
	if err != nil {
		panic(err)
	}
	r, err := New(Options{Book: b, Lines: []string{what[1]}, Times: fast, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	for _, name := range what[2:] {
		ends := strings.HasPrefix(name, "-")
		name = strings.TrimPrefix(name, "-")
		n := alarm(name, name, "critical")
		n.Started = time.Unix(1_800_000_000, 0) // the same in each process
		if ends {
			n.Ended = time.Now()
		}
		if err := r.Put(context.Background(), n); err != nil {
			panic(err)
		}
	}
	if err := r.Run(context.Background()); err != nil {
		panic(err)
	}
	os.Exit(0)
}

// noted is set when the file of a running process says that an alarm was told.
func noted(t *testing.T, dir, name string) bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "state.log"))
	if err != nil {
		t.Fatal(err)
	}
	there := t.TempDir()
	write(t, filepath.Join(there, "state.log"), string(text))
	b, err := book.Open(there)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	hash := hashOf(labelSet(alarm(name, name, "critical").Labels))
	for key, value := range b.All(book.Notified) {
		if e, err := decodeEntry(value); strings.HasPrefix(key, logKey) && err == nil && slices.Contains(e.Entry.FiringAlerts, hash) {
			return true
		}
	}
	return false
}

// Killed with -9 at the moment of sending, each alarm is told, and its end; told twice
// only if the answer had come and was not written, and then under the same name.
func TestKilled(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := newSink(t)
	dir := t.TempDir()
	run := func(names ...string) (kill func()) {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), childEnv+"="+dir+" "+s.URL+" "+strings.Join(names, " "))
		var said bytes.Buffer
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			if said.Len() > 0 {
				t.Errorf("a process with %v says %s", names, &said)
			}
		}
	}
	twice := 0
	for i := range 8 {
		a, marker := fmt.Sprint("A", i), fmt.Sprint("M", i)
		kill := sync.OnceFunc(run(a))
		if i%2 == 0 { // before the answer
			s.mu.Lock()
			s.during["firing "+a] = kill
			s.mu.Unlock()
		}
		eventually(t, "the first send of "+a, func() bool { return s.count("firing "+a) > 0 })
		time.Sleep(rand.N(3 * time.Millisecond)) // the moment of the kill
		kill()
		kill = sync.OnceFunc(run(a, marker))
		eventually(t, "the marker", func() bool { return s.count("firing "+marker) > 0 })
		// Was it killed before it could note the first, and the alarm ends before it is
		// told again, then nobody knows that the receiver has heard of it.
		eventually(t, "it is noted", func() bool { return noted(t, dir, a) })
		kill()
		kill = run("-"+a, "-"+marker)
		eventually(t, "the end", func() bool { return s.count("resolved "+a) > 0 })
		kill()
		if n := s.count("firing " + a); n > 2 {
			t.Errorf("%s was told %d times", a, n)
		} else if n == 2 {
			twice++
			if names := s.namesOf("firing " + a); len(names) != 1 {
				t.Errorf("%s was told twice, under the names %v", a, names)
			}
		}
	}
	if twice < 4 {
		t.Errorf("%d were told twice, want all that were killed before the answer", twice)
	}
	t.Logf("8 alarms, 24 kills: %d told twice", twice)
}
