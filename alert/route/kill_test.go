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
		if i%4 == 0 { // it ends while nobody runs
			kill = run("-" + a)
			eventually(t, "the end of "+a, func() bool { return s.count("resolved "+a) > 0 })
			kill()
			continue
		}
		kill = sync.OnceFunc(run(a, marker))
		eventually(t, "the marker", func() bool { return s.count("firing "+marker) > 0 })
		if i%2 == 0 {
			eventually(t, "the second send of "+a, func() bool { return s.count("firing "+a) == 2 })
		}
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
	if twice < 2 {
		t.Errorf("%d were told twice, want those that were killed before the answer and went on", twice)
	}
	t.Logf("8 alarms, 22 kills: %d told twice", twice)
}
