// SPDX-License-Identifier: Apache-2.0

package syslog

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tallyman"
	"tallyman/forward/forwardtest"
	"tallyman/forward/send"
	"tallyman/internal/secret"
	"tallyman/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// readFrame reads a message with its length before it.
func readFrame(r *bufio.Reader) (string, error) {
	size, err := r.ReadString(' ')
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(size, " "))
	if err != nil {
		return "", fmt.Errorf("%q is no length", size)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", err
	}
	return string(b), nil
}

// form is RFC 5424's, without a byte order mark.
var form = regexp.MustCompile(`(?s)^<(\d{1,3})>1 (\S+) ([!-~]{1,255}) ([!-~]{1,48}) - ([!-~]{1,32}) (\[tallyman@32473(?: [!-~]{1,32}="(?:[^"\\\]]|\\["\\\]])*")*\]) (.*)$`)

// peer is a server that works badly as it is told.
type peer struct {
	address string
	l       net.Listener

	mu    sync.Mutex
	lines []string
	conns int
	after func(conn int) (messages int, how string) // what becomes of a connection
}

// newPeer makes one. how is: end, which ends the connection; hold, which reads no more; rude,
// which does not end its side.
func newPeer(t *testing.T, after func(conn int) (int, string)) *peer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{address: l.Addr().String(), l: l, after: after}
	var all sync.WaitGroup
	over := make(chan struct{})
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { p.serve(t, c, over) })
		}
	})
	t.Cleanup(func() {
		close(over)
		l.Close()
		all.Wait()
	})
	return p
}

func (p *peer) serve(t *testing.T, c net.Conn, over chan struct{}) {
	defer c.Close()
	p.mu.Lock()
	n, how := p.after(p.conns)
	p.conns++
	p.mu.Unlock()
	r := bufio.NewReader(c)
	defer func() {
		if tcp, ok := c.(*net.TCPConn); ok && r.Buffered() > 0 {
			_ = tcp.SetLinger(0) // it has not taken what it has read: no receipt
		}
	}()
	for ; n != 0; n-- {
		m, err := readFrame(r)
		if err == io.EOF && how == "rude" {
			<-over
			return
		}
		if err != nil {
			return
		}
		got := form.FindStringSubmatchIndex(m[:min(len(m), 500)]) // of all of a long one it takes its time
		if got == nil {
			t.Errorf("this is no message: %q", m)
			return
		}
		p.mu.Lock()
		p.lines = append(p.lines, m[got[14]:])
		p.mu.Unlock()
	}
	if how == "hold" {
		<-over
	}
}

func (p *peer) got() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines)
}

var web = &tallyman.Stream{Labels: []tallyman.Label{{Name: "name", Value: "web"}, {Name: "source", Value: "container"}}}

func line(i int) string { return fmt.Sprintf("line %05d", i) }

func mustNew(t testing.TB, o Options, url string) *Sender {
	t.Helper()
	o.Name, o.URL, o.Every, o.Host = forwardtest.Name, secret.Text(url), time.Millisecond, "h"
	o.Line = send.LineOptions{Least: time.Millisecond}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// start runs a sender until stop.
func start(t *testing.T, s *Sender) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func newLog(t *testing.T) *forwardtest.Log {
	log := forwardtest.NewLog()
	if err := log.CommitMark(forwardtest.Name, 0); err != nil {
		t.Fatal(err)
	}
	return log
}

// firsts are lines without repeats, in the order in which they came first.
func firsts(lines []string) (out []string) {
	seen := map[string]bool{}
	for _, l := range lines {
		if !seen[l] {
			seen[l] = true
			out = append(out, l)
		}
	}
	return out
}

// Whatever the server does, each record comes at least once, in order, and is counted once.
func TestPromise(t *testing.T) {
	const n = 60
	var want []string
	for i := range n {
		want = append(want, line(i))
	}
	for name, c := range map[string]struct {
		after   func(conn int) (int, string)
		timeout time.Duration
		most    int // lines, with repeats
		rude    bool
	}{
		"reads all":                        {after: func(int) (int, string) { return -1, "" }, most: n},
		"ends each connection":             {after: func(conn int) (int, string) { return []int{0, 1, 7, 20, -1}[min(conn, 4)], "end" }},
		"holds the first":                  {after: func(conn int) (int, string) { return []int{3, -1}[min(conn, 1)], "hold" }, timeout: 50 * time.Millisecond, rude: true},
		"never ends its side":              {after: func(int) (int, string) { return -1, "rude" }, rude: true},
		"ends connections at random times": {after: func(conn int) (int, string) { return []int{rand.IntN(n), -1}[conn/8%2], "end" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPeer(t, c.after)
			log := newLog(t)
			o := Options{RecordOptions: send.RecordOptions{Log: log}, Timeout: c.timeout, ending: time.Minute}
			if c.rude {
				o.ending, o.old = time.Millisecond, time.Millisecond
			}
			s := mustNew(t, o, "tcp://"+p.address)
			stop := start(t, s)
			for i := range n {
				log.Append(web, tallyman.Record{Time: time.Now().UnixNano(), Line: []byte(line(i) + strings.Repeat(" ", i%10/9*80_000))})
				if i%20 == 0 {
					log.Append(&tallyman.Stream{Labels: web.Labels}, tallyman.Record{Line: []byte(line(i))})
				}
			}
			testkit.Eventually(t, 20*time.Second, "all is confirmed", func() error {
				if mark, _ := log.Mark(forwardtest.Name); mark < n+3 {
					return fmt.Errorf("up to %d is", mark)
				}
				return nil
			})
			var got []string
			testkit.Eventually(t, 20*time.Second, "all came", func() error {
				got = got[:0]
				for _, l := range p.got() {
					got = append(got, strings.TrimRight(strings.TrimSuffix(l, "… [cut by tallyman]"), " "))
				}
				if one := firsts(got); !slices.Equal(one, want) {
					return fmt.Errorf("got %d lines, want %d: %v", len(one), n, one)
				}
				return nil
			})
			stop()
			read, sent, _ := s.ledger.Counts()
			if read < n+3 || !c.rude && (read != n+3 || sent != read) || c.most > 0 && len(got) != c.most+3 {
				t.Errorf("%d read, %d sent, %d lines came", read, sent, len(got))
			}
			if c.rude != s.never {
				t.Errorf("the server gives receipts: %v", !s.never)
			}
			// A restart goes on behind what was confirmed.
			before := len(p.got())
			if mark, _ := log.Mark(forwardtest.Name); !c.rude && mark == log.LastMark() {
				s = mustNew(t, o, "tcp://"+p.address)
				stop = start(t, s)
				log.Append(web, tallyman.Record{Line: []byte("after")})
				testkit.Eventually(t, 20*time.Second, "it comes", func() error {
					if now := p.got(); len(now) != before+1 || now[before] != "after" {
						return fmt.Errorf("%v came", now[before:])
					}
					return nil
				})
				stop()
			}
		})
	}
}

// A server that is away is said to be so, and found again.
func TestAway(t *testing.T) {
	address := testkit.FreeAddress(t)
	log := newLog(t)
	s := mustNew(t, Options{RecordOptions: send.RecordOptions{Log: log}}, "tcp://"+address)
	stop := start(t, s)
	log.Append(web, tallyman.Record{Line: []byte("x")})
	testkit.Eventually(t, 20*time.Second, "it is away", func() error {
		if st := s.Stats(); st.Up || !strings.Contains(st.Reason, "refused") {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
	if _, err := s.Send(t.Context(), "1"); err == nil {
		t.Error("a test went out to nobody")
	}
	stop()
	if mark, _ := log.Mark(forwardtest.Name); mark != 0 {
		t.Errorf("the mark is %d", mark)
	}
}

// What is in a record is in its message, whatever it is.
func TestMessages(t *testing.T) {
	for _, c := range []struct {
		labels, meta string
		line         string
		want         string
	}{
		{"host=a b,image=x\"]\\y,level=ERROR,name=wü,source=container,stream=stdout", "id=7,image=other,a b=c\nd,empty=", "one\ntwo\x00\xff",
			`<11>1 2023-11-14T22:13:20.000000Z a_b w_ - container [tallyman@32473 image="x\"\]\\y" level="ERROR" stream="stdout" id="7" a_b="c d"] one` + "\ntwo\x00\xff"},
		{"name=x", "", "", `<14>1 2023-11-14T22:13:20.000000Z h x - - [tallyman@32473] `},
		{"source=event,stream=stderr", "k=\xff", "e", `<11>1 2023-11-14T22:13:20.000000Z h - - event [tallyman@32473 stream="stderr" k="` + "\ufffd" + `"] e`},
		{"name=" + strings.Repeat("n", 60) + ",level=debug", "", "e", `<15>1 2023-11-14T22:13:20.000000Z h ` + strings.Repeat("n", 48) + ` - - [tallyman@32473 level="debug"] e`},
	} {
		parse := func(text string) (out []tallyman.Label) {
			for _, pair := range strings.Split(text, ",") {
				if name, value, ok := strings.Cut(pair, "="); ok {
					out = append(out, tallyman.Label{Name: name, Value: value})
				}
			}
			return out
		}
		i := item{To: streamOf(parse(c.labels), nil, "h"), Time: 1_700_000_000_000_000_001, Line: []byte(c.line), Meta: parse(c.meta)}
		frame, m := appendFrame(nil, nil, &i)
		if string(m) != c.want || string(frame) != fmt.Sprint(len(c.want))+" "+c.want || !form.Match(m) {
			t.Errorf("got\n%q, want\n%q", m, c.want)
		}
	}
}

func TestAddresses(t *testing.T) {
	for url, want := range map[string]string{"": "cannot be read", "udp://h:1": "tls://host:6514", "tcp://h": "plain: true", "tls://": "cannot be read"} {
		if _, err := New(Options{URL: secret.Text(url)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", url, err, want)
		}
	}
	for url, want := range map[string]string{"tls://logs": "logs:6514", "tcp://127.0.0.1": "127.0.0.1:514", "tls://[::1]:99": "[::1]:99"} {
		s, err := New(Options{URL: secret.Text(url)})
		if err != nil || s.Stats().Host != want {
			t.Errorf("%s: %v, want %s", url, err, want)
		}
	}
}

// FuzzMessage makes a message of anything: it has RFC 5424's form, and its text at the end.
func FuzzMessage(f *testing.F) {
	f.Add("name", "web", "id", "\"]\\\n\xff", []byte("line\n\x00"), int64(0))
	f.Fuzz(func(t *testing.T, name, value, meta, of string, text []byte, at int64) {
		i := item{To: streamOf([]tallyman.Label{{Name: name, Value: value}}, nil, "h"), Time: at, Line: text, Meta: []tallyman.Label{{Name: meta, Value: of}}}
		frame, m := appendFrame(nil, nil, &i)
		if got := form.FindSubmatch(m); got == nil || string(got[7]) != string(text) || string(frame) != fmt.Sprint(len(m))+" "+string(m) {
			t.Fatalf("%q", frame)
		}
	})
}
