// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"tallyman/forward/forwardtest"
	"tallyman/internal/testkit"
)

// ledger counts how often each line came, and by how many ids.
type ledger struct {
	mu    sync.Mutex
	times map[string]int
	ids   map[string]string // the line of an id
	wrong []string
}

func newLedger() *ledger { return &ledger{times: map[string]int{}, ids: map[string]string{}} }

func (l *ledger) came(line, id string) (before bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times[line]++
	was, before := l.ids[id]
	if before && was != line {
		l.wrong = append(l.wrong, fmt.Sprintf("%s is %q and %q", id, was, line))
	}
	l.ids[id] = line
	return before
}

func (l *ledger) counts() (lines, repeats int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.times {
		repeats += n - 1
	}
	return len(l.times), repeats
}

// Lines go through a tallyman that is killed again and again, to a receiver of JSON, to what
// answers as an Elasticsearch does, and to a syslog server: each line arrives everywhere, and
// what comes twice has the same id.
func TestForwardRecords(t *testing.T) {
	t.Parallel()
	job := fmt.Sprintf("ledger-%d", time.Now().UnixNano())
	objects, documents, messages := newLedger(), newLedger(), newLedger()
	g := &way{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /lines", func(_ http.ResponseWriter, r *http.Request) {
		for in := bufio.NewScanner(r.Body); in.Scan(); {
			var one struct{ Message, ID string }
			if err := json.Unmarshal(in.Bytes(), &one); err != nil {
				t.Errorf("%v in %s", err, in.Text())
			}
			objects.came(one.Message, one.ID)
		}
	})
	mux.HandleFunc("POST /logs-tallyman-default/_bulk", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			body, err = forwardtest.Unpack(r.Header, body)
		}
		if err != nil {
			t.Error(err)
		}
		var items []string
		bad := false
		for in := bufio.NewScanner(bytes.NewReader(body)); in.Scan(); {
			var action struct {
				Create struct {
					ID string `json:"_id"`
				}
			}
			var one struct{ Message string }
			if err := json.Unmarshal(in.Bytes(), &action); err != nil || !in.Scan() || json.Unmarshal(in.Bytes(), &one) != nil {
				t.Errorf("no bulk: %v in %s", err, in.Text())
			}
			status := http.StatusCreated
			if documents.came(one.Message, action.Create.ID) {
				status, bad = http.StatusConflict, true
			}
			items = append(items, fmt.Sprintf(`{"create":{"status":%d}}`, status))
		}
		fmt.Fprintf(w, `{"errors":%v,"items":[%s]}`, bad, strings.Join(items, ","))
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch g.mode.Load() {
		case closed:
			panic(http.ErrAbortHandler)
		case forgetful: // what is taken is not answered
			mux.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		mux.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = quietLog
	defer server.Close()
	address := serveSyslog(t, messages)

	data := testkit.DataDir(t)
	only := fmt.Sprintf("only: ['{job=\"%s\"}']", job)
	start := func() *testkit.Program {
		return testkit.StartProgram(t, data, "--set", "include=name:there-is-none-of-that-name", "--set", "logs.push=true", "--set", "logs.journal.units=none",
			"--set", fmt.Sprintf("forward.to=[{http: '%s/lines', name: objects, %s}, {elasticsearch: '%s', name: documents, %s}, {syslog: 'tcp://%s', name: messages, %s}]", server.URL, only, server.URL, only, address, only))
	}
	p := start()
	testkit.Eventually(t, time.Minute, "the destinations are known", func() error {
		if n := len(p.Query("tallyman_forward_up")); n < 3 {
			return fmt.Errorf("%d are", n)
		}
		return nil
	})
	sent, kills := 0, 3
	if testing.Short() {
		kills = 2
	}
	for i := range kills {
		for j := range 5 {
			g.mode.Store([]int32{open, closed, forgetful}[(i+j)%3])
			pushLines(t, p, job, &sent, 30)
		}
		p.Kill()
		p = start()
	}
	g.mode.Store(open)
	for name, l := range map[string]*ledger{"objects": objects, "documents": documents, "messages": messages} {
		testkit.Eventually(t, time.Minute, "all lines are there", func() error {
			if n, _ := l.counts(); n != sent {
				return fmt.Errorf("%s has %d, want %d", name, n, sent)
			}
			return nil
		})
		_, repeats := l.counts()
		t.Logf("%s: %d lines over %d kills, none lost, %d came twice, with %d ids", name, sent, kills, repeats, len(l.ids))
		if len(l.wrong) > 0 || name != "messages" && len(l.ids) != sent {
			t.Errorf("%s: %d ids, want %d: %v", name, len(l.ids), sent, l.wrong)
		}
	}
	testkit.Eventually(t, time.Minute, "what was read is sent", func() error {
		read, sent, waits := sum(t, p, "tallyman_forward_read_total"), sum(t, p, "tallyman_forward_sent_total"), sum(t, p, "tallyman_forward_in_flight")
		if read != sent || waits != 0 {
			return fmt.Errorf("%v were read, %v are sent, %v under way", read, sent, waits)
		}
		return nil
	})
	for _, name := range []string{"tallyman_forward_dropped_total", "tallyman_forward_refused_total", "tallyman_forward_positions_lost_total"} {
		if n := sum(t, p, name); n != 0 {
			t.Errorf("%s is %v", name, n)
		}
	}
}

// serveSyslog takes messages with their length before them.
func serveSyslog(t *testing.T, to *ledger) (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				for r := bufio.NewReader(c); ; {
					var n int
					if _, err := fmt.Fscanf(r, "%d ", &n); err != nil {
						return
					}
					b := make([]byte, n)
					if _, err := io.ReadFull(r, b); err != nil {
						return
					}
					_, line, _ := strings.Cut(string(b), "] ")
					to.came(line, line)
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return l.Addr().String()
}
