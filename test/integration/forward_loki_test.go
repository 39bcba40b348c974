// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

var quietLog = log.New(io.Discard, "", 0)

// way is a way to a receiver that works badly as it is told.
type way struct {
	to   *httputil.ReverseProxy
	mode atomic.Int32
}

const (
	open      = iota
	closed    // no answer
	unwell    // 503
	crowded   // 429 with Retry-After
	forgetful // what is taken is not answered, each second time
	slow
	modes
)

func (g *way) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch g.mode.Load() {
	case closed:
		panic(http.ErrAbortHandler)
	case unwell:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case crowded:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case forgetful:
		if rand.IntN(2) == 0 {
			g.to.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
	case slow:
		time.Sleep(200 * time.Millisecond)
	}
	g.to.ServeHTTP(w, r)
}

// Lines go through a tallyman that is killed again and again, to a receiver that is away,
// unwell, crowded and slow by turns: each line that was acknowledged arrives, whatever
// becomes of another destination that is never there. The
// receiver is another tallyman, or with TEST_LOKI=http://… a Loki, where none is
// seen twice.
func TestForwardToLoki(t *testing.T) {
	t.Parallel()
	job := fmt.Sprintf("ledger-%d", time.Now().UnixNano())
	base, token := os.Getenv("TEST_LOKI"), ""
	none := "include=name:there-is-none-of-that-name"
	if base == "" {
		to := testkit.StartProgram(t, testkit.DataDir(t), "--set", none, "--set", "logs.push=true", "--set", "logs.journal.units=none")
		base, token = to.URL, to.Token
	}
	target, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	g := &way{to: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, ErrorLog: quietLog}}
	server := httptest.NewServer(g)
	server.Config.ErrorLog = quietLog
	defer server.Close()

	data := testkit.DataDir(t)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	forward := fmt.Sprintf("forward.to=[{loki: '%s/loki/api/v1/push', name: ledger, bearer_file: '%s', only: ['{job=\"%s\"}']}, {loki: 'http://127.0.0.1:1/loki/api/v1/push', name: dead}]", server.URL, file, job)
	start := func() *testkit.Program {
		return testkit.StartProgram(t, data, "--set", none, "--set", "logs.push=true", "--set", "logs.journal.units=none", "--set", forward)
	}
	p := start()
	begin := time.Now()
	sent, kills := 0, 8
	if testing.Short() {
		kills = 3
	}
	push := func(n int) { t.Helper(); pushLines(t, p, job, &sent, n) }
	testkit.Eventually(t, time.Minute, "the destination is known", func() error {
		if len(p.Query("tallyman_forward_up")) < 2 {
			return fmt.Errorf("no metric yet")
		}
		return nil
	})
	for i := range kills {
		for range 10 {
			g.mode.Store(int32(rand.IntN(modes)))
			push(1 + rand.IntN(40))
			time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)
		}
		p.Kill()
		if i%3 == 2 { // what was not sent is in chunks and the WAL by now, and stays
			g.mode.Store(closed)
		}
		p = start()
	}
	g.mode.Store(open)
	var lines []string
	testkit.Eventually(t, 2*time.Minute, "all lines are there", func() error {
		lines = linesOf(t, base, token, job, begin)
		if n := len(slices.Compact(slices.Sorted(slices.Values(lines)))); n != sent {
			return fmt.Errorf("%d are there, want %d", n, sent)
		}
		return nil
	})
	repeats := len(lines) - sent
	t.Logf("%d lines over %d kills, none lost, %d seen twice", sent, kills, repeats)
	if token == "" && repeats > 0 {
		t.Errorf("Loki shows %d lines twice", repeats)
	}
	for _, name := range []string{"tallyman_forward_dropped_total", "tallyman_forward_refused_total"} {
		if n := sum(t, p, name); n != 0 {
			t.Errorf("%s is %v", name, n)
		}
	}
	testkit.Eventually(t, time.Minute, "what was read is sent", func() error {
		read, sent, waits := sum(t, p, "tallyman_forward_read_total", `to="ledger"`), sum(t, p, "tallyman_forward_sent_total", `to="ledger"`), sum(t, p, "tallyman_forward_in_flight", `to="ledger"`)
		if read != sent || waits != 0 {
			return fmt.Errorf("%v were read, %v are sent, %v under way", read, sent, waits)
		}
		return nil
	})
	status, text := p.Get("/api/tallyman/v1/doctor")
	if status != http.StatusOK || !strings.Contains(text, "forward/ledger") || !strings.Contains(text, "127.0.0.1:1: dial tcp") {
		t.Errorf("the doctor knows nothing of it: %d %s", status, text)
	}
}

// pushLines pushes n lines, numbered from sent on.
func pushLines(t *testing.T, p *testkit.Program, job string, sent *int, n int) {
	t.Helper()
	var values [][]string
	for range n {
		values = append(values, []string{strconv.FormatInt(time.Now().UnixNano(), 10), fmt.Sprintf("line %06d", *sent)})
		*sent++
	}
	body, _ := json.Marshal(map[string]any{"streams": []any{map[string]any{"stream": map[string]string{"job": job, "level": []string{"info", "error"}[*sent%2]}, "values": values}}})
	req, err := http.NewRequest(http.MethodPost, p.URL+"/loki/api/v1/push", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+p.Token)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent {
		text, _ := io.ReadAll(answer.Body)
		t.Fatalf("%d %s", answer.StatusCode, text)
	}
}

// linesOf are the lines of a job that a receiver has.
func linesOf(t *testing.T, base, token, job string, from time.Time) (lines []string) {
	t.Helper()
	for at := from.UnixNano(); ; {
		q := url.Values{"query": {fmt.Sprintf("{job=%q}", job)}, "limit": {"1000"}, "direction": {"forward"}, "start": {strconv.FormatInt(at, 10)}, "end": {strconv.FormatInt(time.Now().Add(time.Minute).UnixNano(), 10)}}
		req, err := http.NewRequest(http.MethodGet, base+"/loki/api/v1/query_range?"+q.Encode(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			Data struct {
				Result []struct{ Values [][2]string }
			}
		}
		err = json.NewDecoder(resp.Body).Decode(&answer)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, r := range answer.Data.Result {
			for _, v := range r.Values {
				ns, _ := strconv.ParseInt(v[0], 10, 64)
				at = max(at, ns+1)
				lines = append(lines, v[1])
				n++
			}
		}
		if n < 1000 {
			return lines
		}
	}
}
