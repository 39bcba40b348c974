// SPDX-License-Identifier: Apache-2.0

package torture

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// event is an event as the API gives it.
type event struct {
	ID, Action, Actor string
	Inferred          bool
	Attributes        map[string]string
}

// deaths are the recorded deaths of a container.
func deaths(t *testing.T, p *testkit.Program, id string) []event {
	t.Helper()
	return eventsOf(t, p, id, "die")
}

func eventsOf(t *testing.T, p *testkit.Program, id, action string) []event {
	t.Helper()
	var a struct{ Events []event }
	p.JSON("/api/tallyman/v1/events?limit=1000&container="+id+"&action="+action, &a)
	return a.Events
}

// inventoried waits until the first inventory ever, with a container, is on the disk.
func inventoried(t *testing.T, data, id string) {
	t.Helper()
	testkit.Eventually(t, time.Minute, "the first inventory ever is the ground on the disk", func() error {
		text, err := os.ReadFile(filepath.Join(data, "inventory.json"))
		if err != nil {
			return err
		}
		if !bytes.Contains(text, []byte(`"listed":`)) || !bytes.Contains(text, []byte(id)) {
			return fmt.Errorf("%d bytes, no inventory with the container", len(text))
		}
		return nil
	})
}

// inventory is the state of each container that exists, by id, as tallyman has
// it.
func inventory(p *testkit.Program) map[string]string {
	var a struct{ Containers []struct{ ID, State string } }
	p.JSON("/api/tallyman/v1/containers", &a)
	out := map[string]string{}
	for _, c := range a.Containers {
		if c.State != "gone" {
			out[c.ID] = c.State
		}
	}
	return out
}

// listed is the same as docker ps -a has it.
func listed(d *testkit.Docker) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(d.Cmd("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.State}}")) {
		if f := strings.Fields(line); len(f) == 2 {
			out[f[0]] = f[1]
		}
	}
	return out
}

// sameInventory waits until tallyman and the engine agree.
func sameInventory(t *testing.T, d *testkit.Docker, p *testkit.Program) {
	t.Helper()
	testkit.Eventually(t, 75*time.Second, "the inventory is that of docker ps -a", func() error {
		want, got := listed(d), inventory(p)
		if maps.Equal(want, got) {
			return nil
		}
		return fmt.Errorf("the engine has %d containers, tallyman %d: %s", len(want), len(got), differences(want, got))
	})
}

func differences(want, got map[string]string) string {
	var out []string
	for id, s := range want {
		if got[id] != s {
			out = append(out, fmt.Sprintf("%.12s is %s, known as %q", id, s, got[id]))
		}
	}
	for id, s := range got {
		if want[id] == "" {
			out = append(out, fmt.Sprintf("%.12s is not there, known as %s", id, s))
		}
	}
	slices.Sort(out)
	return strings.Join(out[:min(len(out), 6)], "; ")
}

// witness reads the engine's events beside tallyman, for the truth.
type witness struct {
	mu   sync.Mutex
	died map[string]int
}

func newWitness(t *testing.T, d *testkit.Docker) *witness {
	t.Helper()
	w := &witness{died: map[string]int{}}
	cmd := d.Command("events", "--since", "0s", "--filter", "label="+d.Label, "--filter", "event=die", "--format", "{{json .}}")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for s := bufio.NewScanner(out); s.Scan(); {
			var e struct{ ID string }
			if json.Unmarshal(s.Bytes(), &e) == nil {
				w.mu.Lock()
				w.died[e.ID]++
				w.mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		_ = cmd.Wait()
	})
	return w
}

func (w *witness) deaths() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.died)
}

// churn makes containers come, die, be restarted and go until it is stopped.
func churn(d *testkit.Docker) (stop func()) {
	end := make(chan struct{})
	var wg sync.WaitGroup
	for n := range 2 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-end:
					return
				default:
				}
				// What fails fails because the engine is away; the next one will do.
				id, err := d.May("run", "-d", "--label", d.Label, "--stop-signal", "9", testkit.Image, "sh", "-c", fmt.Sprintf("sleep 0.%d; exit %d", i%4, i%5))
				if err != nil {
					time.Sleep(200 * time.Millisecond)
					continue
				}
				switch (i + n) % 4 {
				case 0:
					_, _ = d.May("rm", "-f", id)
				case 1:
					_, _ = d.May("restart", "-t", "0", id)
				case 2:
					_, _ = d.May("wait", id)
					_, _ = d.May("rm", id)
				}
			}
		})
	}
	return func() {
		close(end)
		wg.Wait()
	}
}

// stored are the times of all samples of a series, in milliseconds.
func stored(p *testkit.Program, selector string) []int64 {
	var a struct {
		Data struct{ Result []struct{ Values [][]any } }
	}
	p.JSON("/api/v1/query?query="+url.QueryEscape(selector+"[10m]"), &a)
	var out []int64
	for _, r := range a.Data.Result {
		for _, v := range r.Values {
			out = append(out, int64(v[0].(float64)*1000+0.5))
		}
	}
	return out
}

// kill -9 of tallyman while containers churn: the inventory is right, each
// death is recorded once, and no sample that was seen is missing.
func TestKillTallyman(t *testing.T) {
	t.Parallel()
	e := testkit.NewEngine(t) // of its own: an engine remembers 256 events, of whosever containers
	d := e.Docker
	steady := d.Start([]string{"--name", d.Name("steady")}, "sleep", "3600")
	looping := d.Start([]string{"--name", d.Name("looping"), "--restart", "always"}, "sh", "-c", "sleep 0.7; exit 3")
	w := newWitness(t, d)
	data := testkit.DataDir(t)
	p := testkit.StartProgram(t, data, "--docker-host", e.Socket, "--interval", "1s")
	// What one of the two has not seen is none of this test's business. They are
	// compared when nothing is under way: it dies every second at most.
	before := 0
	testkit.Eventually(t, 30*time.Second, "a moment without a death", func() error {
		seen, told := w.deaths()[looping], len(deaths(t, p, looping))
		time.Sleep(400 * time.Millisecond)
		if now := len(deaths(t, p, looping)); told == 0 || now != told || w.deaths()[looping] != seen {
			return fmt.Errorf("%d deaths seen, %d told, then %d and %d", seen, told, w.deaths()[looping], now)
		}
		before = seen - told
		return nil
	})
	stop := churn(d)
	seen, times := map[int64]bool{}, times(5, 20)
	selector := fmt.Sprintf("container_memory_usage_bytes{id=%q}", "/docker/"+steady)
	for range times {
		time.Sleep(time.Duration(300+rand.IntN(1700)) * time.Millisecond)
		for _, at := range stored(p, selector) {
			seen[at] = true
		}
		p.Kill()
		time.Sleep(time.Duration(rand.IntN(1500)) * time.Millisecond)
		p = testkit.StartProgram(t, data, "--docker-host", e.Socket, "--interval", "1s")
	}
	stop()
	testkit.Eventually(t, 30*time.Second, "it is restarted no more", func() error {
		out, err := d.May("update", "--restart", "no", looping) // refused between its end and its next start
		if err != nil {
			return errors.New(out)
		}
		return nil
	})
	d.Cmd("stop", "-t", "0", looping)
	sameInventory(t, d, p)

	var missing []int64
	now := map[int64]bool{}
	for _, at := range stored(p, selector) {
		now[at] = true
	}
	for at := range seen {
		if !now[at] {
			missing = append(missing, at)
		}
	}
	if len(missing) > 0 || len(seen) < times {
		t.Errorf("%d of %d samples that had been seen are missing", len(missing), len(seen))
	}

	truth := w.deaths()
	total, recorded, inferred := 0, 0, 0
	testkit.Eventually(t, 75*time.Second, "each death is recorded once", func() error {
		total, recorded, inferred = 0, 0, 0
		var wrong []string
		for id, n := range truth {
			got := deaths(t, p, id)
			total += n
			recorded += len(got)
			for _, e := range got {
				if e.Inferred {
					inferred++
				}
			}
			if id == looping {
				n -= before
			}
			if len(got) != n {
				wrong = append(wrong, fmt.Sprintf("%.12s died %d times, %d deaths are recorded", id, n, len(got)))
			}
		}
		if len(wrong) > 0 {
			return fmt.Errorf("%d of %d containers: %s", len(wrong), len(truth), strings.Join(wrong[:min(len(wrong), 5)], "; "))
		}
		return nil
	})
	t.Logf("%d kills; %d containers died %d times, %d deaths recorded, %d of them inferred; %d samples seen before a kill, all there", times, len(truth), total, recorded, inferred, len(seen))
}

// kill -9 of dockerd while containers churn. Without live-restore its successor
// kills the containers that it finds; nobody tells of that.
func TestKillDockerd(t *testing.T) {
	t.Parallel()
	e := testkit.NewEngine(t)
	d := e.Docker
	var ones []string
	for i := range 3 {
		ones = append(ones, d.Start([]string{"--name", d.Name(fmt.Sprint("one", i)), "--stop-signal", "9"}, "sleep", "3600"))
	}
	always := d.Start([]string{"--name", d.Name("always"), "--restart", "always", "--stop-signal", "9"}, "sleep", "3600")
	p := testkit.StartProgram(t, testkit.DataDir(t), "--docker-host", e.Socket, "--interval", "1s")
	sameInventory(t, d, p)
	stop := churn(d)
	times := times(5, 20)
	for range times {
		time.Sleep(time.Duration(300+rand.IntN(1200)) * time.Millisecond)
		e.Kill()
		time.Sleep(time.Duration(rand.IntN(700)) * time.Millisecond)
		e.Run()
		for _, id := range ones {
			d.Cmd("start", id)
		}
	}
	stop()
	sameInventory(t, d, p)
	total, inferred := 0, 0
	testkit.Eventually(t, 75*time.Second, "each death is recorded once", func() error {
		total, inferred = 0, 0
		for _, id := range append(slices.Clone(ones), always) {
			got := deaths(t, p, id)
			if len(got) != times {
				return fmt.Errorf("%.12s died %d times, %d deaths are recorded", id, times, len(got))
			}
			total += len(got)
			for _, e := range got {
				if e.Inferred {
					inferred++
				}
			}
		}
		return nil
	})
	ids := map[string]bool{}
	var all struct{ Events []event }
	p.JSON("/api/tallyman/v1/events?limit=5000", &all)
	for _, e := range all.Events {
		if ids[e.ID] {
			t.Errorf("the event %s is there twice", e.ID)
		}
		ids[e.ID] = true
	}
	down := 0
	for _, e := range all.Events {
		if e.Action == "down" {
			down++
		}
	}
	t.Logf("%d kills; %d deaths of 4 containers recorded, %d of them inferred; the engine was seen down %d times", times, total, inferred, down)
}

// Several restarts while nobody watches: how many there were is known from the
// engine's count.
func TestRestartsWhileNobodyWatches(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	data := testkit.DataDir(t)
	// It runs until it is told to go, then it goes soon each time.
	id := d.Start([]string{"--name", d.Name("crash"), "--restart", "on-failure:5"}, "sh", "-c", "while [ ! -e /go ]; do sleep 0.1; done; sleep 0.2; exit 9")
	p := testkit.StartProgram(t, data)
	inventoried(t, data, id)
	p.Kill()
	d.Cmd("exec", id, "sh", "-c", ": >/go")
	testkit.Eventually(t, 100*time.Second, "it has died six times", func() error {
		if s := d.Cmd("inspect", "-f", "{{.RestartCount}} {{.State.Status}}", id); s != "5 exited" {
			return fmt.Errorf("%s", s)
		}
		return nil
	})
	// The engine has forgotten what happened: it remembers 256 events.
	cycles(t, d, 150)
	p = testkit.StartProgram(t, data)
	testkit.Eventually(t, 30*time.Second, "six deaths are recorded", func() error {
		got := deaths(t, p, id)
		if len(got) != 6 {
			return fmt.Errorf("%d: %+v", len(got), got)
		}
		for _, e := range got {
			if !e.Inferred {
				return fmt.Errorf("%+v is not marked as inferred", e)
			}
		}
		return nil
	})
}
