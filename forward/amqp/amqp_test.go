// SPDX-License-Identifier: Apache-2.0

package amqp

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"tallyman/forward/queue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var at = time.Date(2026, 11, 28, 15, 16, 21, 101e6, time.UTC)

// lines is a log that tests may read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newQueue(t *testing.T, n int) *queue.Queue {
	t.Helper()
	q, err := queue.Open(queue.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	fill(t, q, 0, n)
	return q
}

func fill(t *testing.T, q *queue.Queue, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if _, err := q.Append(queue.Message{ID: fmt.Sprint(i), Time: at, Body: fmt.Appendf(nil, "{%d}", i)}); err != nil {
			t.Fatal(err)
		}
	}
}

// start runs a publisher until the test ends, or stop is called.
func start(t *testing.T, o Options) (p *Publisher, log *lines, stop func()) {
	t.Helper()
	log = &lines{}
	o.Log = slog.New(slog.NewTextHandler(log, nil))
	o.least, o.mostly = time.Millisecond, 10*time.Millisecond
	if o.Exchange == "" {
		o.Exchange, o.RoutingKey = "alarms.exchange", "alarms"
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return p, log, stop
}

func numbers(n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprint(i))
	}
	return out
}

// last is the order in which messages were taken last: what a receiver goes by.
func last(ids []string) (out []string) {
	for i, id := range ids {
		if !slices.Contains(ids[i+1:], id) {
			out = append(out, id)
		}
	}
	return out
}

func TestMessagesAsTheyAreSent(t *testing.T) {
	b := newPeer(t, nil)
	q := newQueue(t, 0)
	p, _, _ := start(t, Options{URL: b.url("pass"), Queue: q, BrokerQueue: "alarms.queue"})
	eventually(t, "it is up", func() bool { return p.State().Up })
	if _, err := q.Append(queue.Message{ID: "a", Time: at, Flags: queue.Alignment, Body: []byte(`{"x":1}`)}); err != nil {
		t.Fatal(err)
	}
	fill(t, q, 0, 100)
	eventually(t, "all are confirmed", func() bool { return q.Stats().Sent == 101 })
	b.mu.Lock()
	defer b.mu.Unlock()
	want := published{exchange: "alarms.exchange", key: "alarms", id: "a", contentType: "application/json", mandatory: true, aligned: true, mode: 2, timestamp: uint64(at.Unix()), body: `{"x":1}`}
	if d := cmp.Diff(want, b.got[0], cmp.AllowUnexported(published{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if b.got[1].aligned || b.got[1].body != "{0}" {
		t.Errorf("the second: %+v", b.got[1])
	}
	// Durable is the second bit of what is declared.
	if want := []string{"exchange alarms.exchange direct 2", "queue alarms.queue 2", "bind alarms.queue alarms.exchange alarms"}; !slices.Equal(b.methods, want) {
		t.Errorf("declared %q, want %q", b.methods, want)
	}
}

// Whatever happens, all arrive, and last in their order.
func TestNothingIsLost(t *testing.T) {
	for name, decide := range map[string]func(n int, m published) verdict{
		"returned":                   func(n int, _ published) verdict { return map[bool]verdict{true: giveBack}[n < 20 || n == 70] },
		"nacked":                     func(n int, _ published) verdict { return map[bool]verdict{true: refuse}[n%17 == 3] },
		"cut":                        func(n int, _ published) verdict { return map[bool]verdict{true: cutOff}[n%23 == 5] },
		"cut before it is confirmed": func(n int, _ published) verdict { return []verdict{take, hang, cutOff}[min(2, max(0, n%40-29))] },
	} {
		t.Run(name, func(t *testing.T) {
			b := newPeer(t, decide)
			q := newQueue(t, 100)
			p, log, _ := start(t, Options{URL: b.url("pass"), Queue: q})
			eventually(t, "all are confirmed", func() bool { return q.Stats().Length == 0 })
			if got := last(b.ids()); !slices.Equal(got, numbers(100)) {
				t.Errorf("taken %v", b.ids())
			}
			s := q.Stats()
			if s.Sent != 100 || len(s.Dropped) > 0 || s.Repeated == 0 {
				t.Errorf("%+v", s)
			}
			eventually(t, "it is up", func() bool { return p.State().Up })
			if !strings.Contains(log.String(), "they wait on the disk") || !strings.Contains(log.String(), "takes messages again") {
				t.Errorf("the log: %s", log)
			}
			for _, m := range p.SelfMetrics("amqp")[1:] {
				if want := strings.HasPrefix(name, m.Labels[0].Value); (m.Read() > 0) != want {
					t.Errorf("%s: %v failures of the kind %s", name, m.Read(), m.Labels[0].Value)
				}
			}
		})
	}
}

// While no queue is bound one message is tried, not all that are there.
func TestUnroutableIsTriedOneByOne(t *testing.T) {
	b := newPeer(t, func(int, published) verdict { return giveBack })
	q := newQueue(t, 100)
	p, _, stop := start(t, Options{URL: b.url("pass"), Queue: q})
	eventually(t, "it was tried ten times", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.got) > 10 })
	if s := p.State(); s.Up || !strings.Contains(s.Reason, "no queue is bound") {
		t.Errorf("%+v", s)
	}
	stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.got {
		if m.id != "0" {
			t.Fatalf("%s was tried", m.id)
		}
	}
	if q.Stats().Length != 100 || b.connections != 1 {
		t.Errorf("%d are left, over %d connections", q.Stats().Length, b.connections)
	}
}

// At most 32 are under way, and what the broker has not spoken of comes again.
func TestWindow(t *testing.T) {
	var quiet bool // under the peer's lock
	b := newPeer(t, func(n int, _ published) verdict {
		if n > 1 && !quiet {
			return hang
		}
		return take
	})
	q := newQueue(t, 100)
	_, _, _ = start(t, Options{URL: b.url("pass"), Queue: q})
	count := func() int { b.mu.Lock(); defer b.mu.Unlock(); return len(b.got) }
	eventually(t, "the window is full", func() bool { return count() == 1+most })
	b.mu.Lock()
	quiet = true
	for c := range b.conns {
		_ = c.Close()
	}
	b.mu.Unlock()
	eventually(t, "all are confirmed", func() bool { return q.Stats().Length == 0 })
	if s := q.Stats(); s.Repeated != most {
		t.Errorf("%d came again, want the %d under way", s.Repeated, most)
	}
}

// A broker that is short of memory is not given more until it says so.
func TestBlocked(t *testing.T) {
	b := newPeer(t, nil)
	b.unblock = make(chan struct{})
	unblock := sync.OnceFunc(func() { close(b.unblock) })
	t.Cleanup(unblock)
	q := newQueue(t, 200)
	p, _, _ := start(t, Options{URL: b.url("pass"), Queue: q})
	eventually(t, "it is told", func() bool { return strings.Contains(p.State().Reason, "short of memory") })
	if n := q.Stats().Length; n == 0 {
		t.Error("all was sent meanwhile")
	}
	unblock()
	eventually(t, "all are confirmed, and it is up", func() bool { return q.Stats().Length == 0 && p.State().Up })
	if s := q.Stats(); s.Repeated != 0 {
		t.Errorf("%+v", s)
	}
}

// At the end what is under way is waited for; the next process has no repeats.
func TestTheEndWaits(t *testing.T) {
	b := newPeer(t, nil)
	q := newQueue(t, 1000)
	_, _, stop := start(t, Options{URL: b.url("pass"), Queue: q})
	eventually(t, "some are confirmed", func() bool { return q.Stats().Sent > 50 })
	stop()
	if got, sent := len(b.ids()), int(q.Stats().Sent); got != sent {
		t.Errorf("the broker took %d, %d are confirmed", got, sent)
	}
}

// A broker that accepts and says nothing holds up neither the end nor another try.
func TestASilentBroker(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, _, stop := start(t, Options{URL: "amqp://agent:pass@" + l.Addr().String(), Queue: newQueue(t, 1)})
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	before := time.Now()
	stop()
	if took := time.Since(before); took > dialWithin/2 {
		t.Errorf("the end took %s", took)
	}
}

// What the broker refuses says what to do; no secret of the address is told anywhere.
func TestRefusalsAndSecrets(t *testing.T) {
	const canary = "cAnArY%2F1"
	b := newPeer(t, nil)
	f := func(address, want string) {
		t.Helper()
		p, log, stop := start(t, Options{URL: address, Queue: newQueue(t, 1)})
		eventually(t, want, func() bool { return strings.Contains(p.State().Reason, want) })
		stop()
		for _, secret := range []string{canary, "cAnArY", "agent:"} {
			if text := log.String() + fmt.Sprint(p.State()); strings.Contains(text, secret) {
				t.Errorf("%q is told in %s", secret, text)
			}
		}
	}
	b.password = "other"
	f(b.url(canary), "refuses this user")
	b.password = ""
	b.declared = 406
	f(b.url(canary), "has other properties")
	b.declared = 403
	f(b.url(canary), "does not let this user declare")
	f(strings.Replace(b.url(canary), "amqp:", "amqps:", 1), "connect to the broker")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := l.Addr().String()
	l.Close()
	f("amqp://agent:"+canary+"@"+gone, "connection refused")
	for _, bad := range []string{"amqp://agent:" + canary + "@host:port", "http://agent:" + canary + "@host", "amqp://agent:cAnArY%zz@host", "cAnArY"} {
		if _, err := New(Options{URL: bad}); err == nil || strings.Contains(err.Error(), "cAnArY") || !strings.Contains(err.Error(), "amqps://") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
