// SPDX-License-Identifier: Apache-2.0

package torture

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// The control run for [TestAlarmsOverKills]: an Alertmanager as it comes, killed as often at
// random around its sends, while somebody tells it each second what fires, as Prometheus
// does. It says nothing of tallyman and fails of nothing that Alertmanager does; what it
// tells twice, and what it does not tell, is counted for the note beside our own table.
// TEST_ALERTMANAGER names its binary (Debian's package prometheus-alertmanager).
func TestStockAlertmanagerOverKills(t *testing.T) {
	binary := os.Getenv("TEST_ALERTMANAGER")
	if binary == "" {
		t.Skip("TEST_ALERTMANAGER names no binary; it is a control run, and proves nothing of tallyman")
	}
	t.Parallel()
	h := &hook{said: map[string][]delivery{}}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	dir := t.TempDir()
	config := filepath.Join(dir, "alertmanager.yaml")
	text := "route: {receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 4h}\nreceivers: [{name: hook, webhook_configs: [{url: '" + server.URL + "'}]}]\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := free.Addr().String()
	free.Close()
	start := func() *exec.Cmd {
		cmd := exec.Command(binary, "--config.file="+config, "--storage.path="+filepath.Join(dir, "data"), "--web.listen-address="+at, "--cluster.listen-address=")
		said := &lines{}
		cmd.Stderr = said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, 30*time.Second, "Alertmanager is ready", func() error {
			answer, err := http.Get("http://" + at + "/-/ready")
			if err != nil {
				return fmt.Errorf("%w: %s", err, tail(said.String()))
			}
			answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				return fmt.Errorf("%s", answer.Status)
			}
			return nil
		})
		return cmd
	}

	// The same alarms as in ours: they fire and clear by the clock, and one that stays.
	begin := time.Now().Truncate(time.Second)
	periods := []int64{16, 19, 23, 29}
	ctx, cancel := context.WithCancel(t.Context())
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				feed(at, begin, periods, now)
			}
		}
	}()
	defer func() { cancel(); <-fed }()

	cmd := start()
	testkit.Eventually(t, time.Minute, "what stays is told", func() error {
		if h.last("Steady") != "firing" {
			return fmt.Errorf("it is not")
		}
		return nil
	})
	often := times(8, 100)
	for range often {
		time.Sleep(rand.N(4 * time.Second)) // any moment
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if rand.IntN(3) == 0 {
			time.Sleep(rand.N(12 * time.Second))
		}
		cmd = start()
	}
	time.Sleep(10 * time.Second) // it is left alone, with time for all that it would tell
	cancel()
	<-fed
	_ = cmd.Process.Kill()
	_ = cmd.Wait()

	told, repeated, began := 0, 0, map[string]bool{}
	ended := map[string]bool{}
	for _, name := range []string{"Steady", "Square0", "Square1", "Square2", "Square3"} {
		var before delivery
		for _, d := range h.of(name) {
			told++
			if d.status == before.status && d.started.Equal(before.started) {
				repeated++
			}
			before = d
			key := fmt.Sprint(name, d.started.Unix())
			if d.status == "firing" {
				began[key] = true
			} else {
				ended[key] = true
			}
		}
	}
	open := 0 // told as firing, and never as ended, though it has
	for i, p := range periods {
		name := fmt.Sprint("Square", i)
		for key := range began {
			var s int64
			if n, _ := fmt.Sscanf(key, name+"%d", &s); n == 1 && !ended[key] && time.Now().Unix()-s > p+8 {
				open++
			}
		}
	}
	t.Logf("stock Alertmanager, %d kills in %v: %d told, %d of them again after a kill, %d told as firing whose end was never told; what stays was told %d times",
		often, time.Since(begin).Round(time.Second), told, repeated, open, len(h.of("Steady")))
}

// lines is what a process says, which is read while it runs.
type lines struct {
	mu   sync.Mutex
	text []byte
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	return len(b), nil
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// tail is the end of a text.
func tail(text string) string { return text[max(0, len(text)-500):] }

// feed tells Alertmanager what fires, and for a while what has ended.
func feed(at string, begin time.Time, periods []int64, now time.Time) {
	type one struct {
		Labels   map[string]string `json:"labels"`
		StartsAt time.Time         `json:"startsAt"`
		EndsAt   time.Time         `json:"endsAt"`
	}
	list := []one{{map[string]string{"alertname": "Steady"}, begin, now.Add(4 * time.Minute)}}
	for i, p := range periods {
		name := map[string]string{"alertname": fmt.Sprint("Square", i)}
		n := now.Unix() / p
		switch from := time.Unix(n*p, 0); {
		case n%2 == 1:
			list = append(list, one{name, from, now.Add(4 * time.Minute)})
		case !from.Add(-time.Duration(p) * time.Second).Before(begin):
			list = append(list, one{name, from.Add(-time.Duration(p) * time.Second), from})
		}
	}
	body, err := json.Marshal(list)
	if err != nil {
		return
	}
	client := &http.Client{Timeout: 500 * time.Millisecond}
	answer, err := client.Post("http://"+at+"/api/v2/alerts", "application/json", bytes.NewReader(body))
	if err == nil {
		answer.Body.Close()
	}
}
