// SPDX-License-Identifier: Apache-2.0

package loki_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"tallyman"
)

// Loki's own client works. TEST_LOGCLI names its binary; it is run, not linked.
func TestLogcli(t *testing.T) {
	binary := os.Getenv("TEST_LOGCLI")
	if binary == "" {
		t.Skip("TEST_LOGCLI names no logcli")
	}
	f := newFixture(t)
	server := httptest.NewServer(f.mux)
	defer server.Close()
	run := func(args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, binary, append([]string{"--addr", server.URL, "--quiet", "--timezone=UTC"}, args...)...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("logcli %q: %v\n%s", args, err, stderr.String())
		}
		return string(out)
	}
	check := func(want []string, args ...string) {
		t.Helper()
		got := run(args...)
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("logcli %q lacks %q:\n%s", args, w, got)
			}
		}
	}
	from, to := "--from="+start.Format(time.RFC3339), "--to="+start.Add(time.Hour).Format(time.RFC3339)
	check([]string{"app\n", "env\n"}, "labels", from, to)
	check([]string{"db\nweb\n"}, "labels", "app", from, to)
	check([]string{`{app="db", env="prod"}`, `{app="web", env="dev"}`}, "series", from, to, `{app=~".+"}`)
	check([]string{"Total Streams:  3", "app         2"}, "series", "--analyze-labels", from, to, `{app=~".+"}`)
	check([]string{`2026-11-20T10:09:00Z`, `{"n":9,"level":"info","took":"9ms"}`}, "query", from, to, "--limit=3", `{app="db"} |= "info"`)
	check([]string{`"line":"{\"n\":0`}, "query", from, to, "--forward", "--limit=1", "-o", "jsonl", `{app="db"}`)
	if got := run("query", from, to, "--limit=9", "--batch=4", "-o", "raw", `{app="db"}`); strings.Count(got, "\n") != 9 {
		t.Errorf("in batches: %d lines, want 9:\n%s", strings.Count(got, "\n"), got)
	}
	check([]string{`"env": "prod"`, `"20"`}, "instant-query", "--now="+start.Add(time.Hour).Format(time.RFC3339), `sum by (env) (count_over_time({app=~".+"}[2h]))`)
	check([]string{`"env": "dev"`, `"values"`}, "query", from, to, "--step=300s", `sum by (env) (rate({app=~".+"}[5m]))`)
	check([]string{"bytes: 1.1kB", "entries: 30"}, "stats", from, to, `{app=~".+"}`)
	check([]string{`"app": "web"`, `"700"`}, "volume", from, to, `{app=~".+"}`)
	check([]string{`"app": "web"`}, "volume_range", from, to, "--step=10m", `{app=~".+"}`)
	check([]string{"took", "duration"}, "detected-fields", from, to, `{app="db"}`)

	t.Run("tail", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, binary, "--addr", server.URL, "--quiet", "query", "--tail", "-o", "raw", `{app="db"}`)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { cancel(); _ = cmd.Wait() }() // it never ends by itself
		go func() {
			for i := 0; ctx.Err() == nil; i++ {
				_ = f.AppendRecords(&tallyman.RecordBatch{Streams: []tallyman.StreamRecords{{ // a store in memory does not fail
					Stream: stream("app", "db", "env", "prod"), Records: []tallyman.Record{{Time: time.Now().UnixNano(), Line: fmt.Appendf(nil, "tick %d", i)}},
				}}})
				time.Sleep(100 * time.Millisecond)
			}
		}()
		var got strings.Builder
		buf := make([]byte, 4096)
		for strings.Count(got.String(), "tick ") < 10 {
			n, err := out.Read(buf)
			if err != nil {
				t.Fatalf("the tail ended: %v\n%s", err, got.String())
			}
			got.Write(buf[:n])
		}
		t.Logf("%s", got.String())
	})
}
