// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// More streams than there is room for, from pushes and from the names of
// containers: known and new containers lose no line, all are found by their names,
// and what happened is said.
func TestNoLogIsLostAtTheStreamLimit(t *testing.T) {
	d := testkit.NewDocker(t)
	file := filepath.Join(t.TempDir(), "tallyman.yaml")
	const room = 20
	if err := os.WriteFile(file, fmt.Appendf(nil, "logs: {push: true}\nlimits: {streams: {containers: %d, events: %d}}\n", room, room), 0o600); err != nil {
		t.Fatal(err)
	}
	p := testkit.StartProgram(t, testkit.DataDir(t), "--config", file)
	write := func(id string, n int) {
		t.Helper()
		d.Cmd("exec", id, "sh", "-c", fmt.Sprintf("seq %d > /proc/1/fd/1", n))
	}
	known := d.Start(nil, "sleep", "600")
	write(known, 10)
	sequence(t, p, known, 10)

	const pushed, each = 21_000, 1000
	for at := 0; at < pushed; at += each {
		push(t, p, at, at+each)
	}
	const lives, lines = 40, 10
	mark := d.Name("job")
	var wg sync.WaitGroup
	gate := make(chan bool, 4)
	for i := range lives {
		gate <- true
		wg.Go(func() {
			defer func() { <-gate }()
			d.Cmd("run", "--rm", "--network", "none", "--label", d.Label, "--name", fmt.Sprint(mark, "-", i), testkit.Image, "sh", "-c", fmt.Sprintf("for i in 1 2 3 4 5 6 7 8 9 10; do echo %s line $i; done", mark))
		})
	}
	wg.Wait()
	fresh := d.Start([]string{"--name", d.Name("fresh")}, "sleep", "600")
	write(known, 500)
	write(fresh, 100)

	for query, want := range map[string]int{
		`{app=~"app-.*"}`: pushed, `{app="app-20999"}`: 1, `{overflow="streams"} | app="app-20999"`: 1,
		`{source="container"} |= "` + mark + `"`:               lives * lines,
		`{source="container", name=~"` + mark + `-.+"}`:        lives * lines,
		`{name="` + mark + `-39", source="container"}`:         lines,
		`{source="container"} | name="` + mark + `-39"`:        lines,
		`{name="` + d.Name("fresh") + `", source="container"}`: 100,
		selector(known): 510,
		selector(fresh): 100,
		`{source="event", name="` + mark + `-39"} |= "die"`: 1,
	} {
		testkit.Eventually(t, 60*time.Second, query, func() error {
			if got := p.Count(query); got != want {
				return fmt.Errorf("%d lines, want %d", got, want)
			}
			return nil
		})
	}
	resident := p.One(`process_resident_memory_bytes{job="tallyman"}`)
	t.Logf("%.0f MiB resident with %d pushed streams and %d containers", resident[0].Value/(1<<20), pushed, lives+2)

	var report struct {
		Features []struct{ ID, State, Reason, Unlock string }
	}
	p.JSON("/api/tallyman/v1/doctor", &report)
	for _, f := range report.Features {
		if f.ID != "storage/streams" {
			continue
		}
		if f.State != "partly" || !strings.Contains(f.Reason, "4000 streams of pushes") || !strings.Contains(f.Reason, fmt.Sprint(room, " streams of containers")) || f.Unlock != "limits.streams.containers: 80" {
			t.Errorf("the doctor says %+v", f)
		}
		return
	}
	t.Errorf("the doctor says nothing of streams: %+v", report)
}

// push sends a line of each of the streams from and so on.
func push(t *testing.T, p *testkit.Program, from, to int) {
	t.Helper()
	type stream struct {
		Stream map[string]string `json:"stream"`
		Values [][2]string       `json:"values"`
	}
	var streams []stream
	for i := from; i < to; i++ {
		streams = append(streams, stream{map[string]string{"app": fmt.Sprint("app-", i)}, [][2]string{{fmt.Sprint(time.Now().UnixNano()), fmt.Sprint("pushed ", i)}}})
	}
	body, err := json.Marshal(map[string]any{"streams": streams})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, p.URL+"/loki/api/v1/push", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+p.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("push: %s", resp.Status)
	}
}
