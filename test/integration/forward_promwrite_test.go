// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/prompb"

	"tallyman/internal/testkit"
)

// startPrometheus starts Debian's, which takes remote write 1.0.
func startPrometheus(t *testing.T) (base *url.URL) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte("global: {scrape_interval: 1h}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	address := testkit.FreeAddress(t)
	testkit.StartServer(t, "prometheus", "install Debian's package of that name",
		"--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--web.enable-remote-write-receiver")
	base = &url.URL{Scheme: "http", Host: address}
	testkit.Eventually(t, time.Minute, "Prometheus is ready", func() error {
		r, err := http.Get(base.String() + "/-/ready")
		if err != nil {
			return err
		}
		defer r.Body.Close()
		if r.StatusCode != http.StatusOK {
			return fmt.Errorf("it answers %d", r.StatusCode)
		}
		return nil
	})
	return base
}

// ticksOf are the times of the samples of a series that are stored.
func ticksOf(t *testing.T, get func(path string) string, series string) (at []int64) {
	t.Helper()
	var answer struct {
		Data struct {
			Result []struct{ Values [][2]any }
		}
	}
	text := get("/api/v1/query?" + url.Values{"query": {series + "[1h]"}}.Encode())
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	for _, r := range answer.Data.Result {
		for _, v := range r.Values {
			at = append(at, int64(v[0].(float64)*1000+0.5))
		}
	}
	slices.Sort(at)
	return at
}

// Samples go through a tallyman that is killed while the receiver is away, to a real
// Prometheus: each tick that tallyman has is there, and at most a second of them was sent
// twice.
func TestForwardToPrometheus(t *testing.T) {
	t.Parallel()
	base := startPrometheus(t)
	g := &way{to: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(base) }, ErrorLog: quietLog}}
	var mu sync.Mutex
	taken := map[int64]int{} // how often a tick of the series was answered with 2xx
	const name = "tallyman_series"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		g.ServeHTTP(w, r)
		if r.Header.Get("X-Prometheus-Remote-Write-Version") != "0.1.0" || g.mode.Load() != open {
			return
		}
		var m prompb.WriteRequest
		plain, err := s2.Decode(nil, body)
		if err == nil {
			err = m.Unmarshal(plain)
		}
		if err != nil {
			t.Errorf("a request cannot be read: %v", err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, s := range m.Timeseries {
			if s.Labels[0].Value == name {
				for _, p := range s.Samples {
					taken[p.Timestamp]++
				}
			}
		}
	}))
	server.Config.ErrorLog = quietLog
	defer server.Close()
	data := testkit.DataDir(t)
	start := func() *testkit.Program {
		return testkit.StartProgram(t, data, "--set", "include=name:there-is-none-of-that-name", "--set", "interval=1s", "--set", "logs.journal.units=none",
			"--set", fmt.Sprintf("forward.to=[{remote_write: '%s/api/v1/write', name: ledger}, {remote_write: 'http://127.0.0.1:1/x', name: dead}]", server.URL))
	}
	there := func() []int64 {
		return ticksOf(t, func(path string) string {
			r, err := http.Get(base.String() + path)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			text, err := io.ReadAll(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}, name)
	}
	p := start()
	here := func() []int64 {
		return ticksOf(t, func(path string) string {
			status, text := p.Get(path)
			if status != http.StatusOK {
				t.Fatalf("%d %s", status, text)
			}
			return text
		}, name)
	}
	testkit.Eventually(t, time.Minute, "the first samples are there", func() error {
		if len(there()) == 0 {
			return fmt.Errorf("there are none")
		}
		return nil
	})
	kills := 3
	if testing.Short() {
		kills = 2
	}
	var killed []int64
	for i := range kills {
		if i%2 == 0 {
			g.mode.Store([]int32{closed, unwell}[i/2%2])
		}
		n := len(here())
		testkit.Eventually(t, time.Minute, "there are more ticks", func() error {
			if now := len(here()); now < n+4 {
				return fmt.Errorf("%d", now-n)
			}
			return nil
		})
		p.Kill()
		killed = append(killed, time.Now().UnixMilli())
		p = start()
		if i%2 == 1 {
			g.mode.Store(open)
		}
	}
	g.mode.Store(open)
	n := len(here())
	testkit.Eventually(t, time.Minute, "there are more ticks", func() error {
		if now := len(here()); now < n+3 {
			return fmt.Errorf("%d", now-n)
		}
		return nil
	})
	want := here()
	var got []int64
	testkit.Eventually(t, 2*time.Minute, "the last tick is there", func() error {
		if got = there(); len(got) == 0 || got[len(got)-1] < want[len(want)-1] {
			return fmt.Errorf("it is not")
		}
		return nil
	})
	lost, cut := 0, 0
	for _, at := range want {
		if _, ok := slices.BinarySearch(got, at); ok {
			continue
		}
		// A tick is put into both stores at once; a kill may come between.
		if i, _ := slices.BinarySearch(killed, at); i < len(killed) && killed[i]-at < 2500 {
			cut++
			continue
		}
		lost++
		t.Errorf("the tick of %v is lost", time.UnixMilli(at).UTC())
	}
	mu.Lock()
	repeats := 0
	for _, n := range taken {
		repeats += n - 1
	}
	mu.Unlock()
	t.Logf("%d ticks over %d kills: %d lost, %d cut off by a kill, %d sent twice", len(want), kills, lost, cut, repeats)
	if cut > kills || repeats > 2*kills {
		t.Errorf("%d were cut off and %d sent twice, in %d kills", cut, repeats, kills)
	}
	for _, name := range []string{"tallyman_forward_dropped_total", "tallyman_forward_refused_total"} {
		if n := sum(t, p, name, `what="samples"`); n != 0 {
			t.Errorf("%s is %v", name, n)
		}
	}
	status, text := p.Get("/api/tallyman/v1/doctor")
	if status != http.StatusOK || !strings.Contains(text, "Metrics to ledger") || !strings.Contains(text, "127.0.0.1:1: dial tcp") {
		t.Errorf("the doctor knows nothing of it: %d %s", status, text)
	}
}
