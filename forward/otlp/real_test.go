// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"tallyman"
	"tallyman/forward/forwardtest"
	"tallyman/forward/send"
	"tallyman/internal/testkit"
)

// A real collector takes both signals, and is killed and started again in between: its
// files have each record and each sample.
func TestRealCollector(t *testing.T) {
	program := os.Getenv("TEST_OTELCOL")
	if program == "" {
		t.Skip("TEST_OTELCOL names no OpenTelemetry collector; Debian has none")
	}
	dir, address := t.TempDir(), testkit.FreeAddress(t)
	config := filepath.Join(dir, "config.yaml")
	err := os.WriteFile(config, fmt.Appendf(nil, `
receivers: {otlp: {protocols: {http: {endpoint: "%s"}}}}
exporters:
  file/logs: {path: "%s/logs", flush_interval: 50ms, append: true}
  file/metrics: {path: "%s/metrics", flush_interval: 50ms, append: true}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    logs: {receivers: [otlp], exporters: [file/logs]}
    metrics: {receivers: [otlp], exporters: [file/metrics]}
`, address, dir, dir), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	start := func() *testkit.Server {
		return testkit.StartServer(t, program, "TEST_OTELCOL names it: it has the receiver otlp and the exporter file", "--config=file:"+config)
	}
	server := start()
	ctx, cancel := context.WithCancel(t.Context())
	log := forwardtest.NewLog()
	if err := log.CommitMark(forwardtest.Name, 0); err != nil {
		t.Fatal(err)
	}
	l := NewLogs(options(t, "http://"+address+"/v1/logs"), send.RecordOptions{Name: forwardtest.Name, ID: "5f0c", Log: log, Every: time.Millisecond, Line: quick})
	s, reader := forwardtest.NewSpool(t)
	m := newMetrics(t, options(t, "http://"+address+"/v1/metrics"), reader)
	done := make(chan error)
	for _, run := range []func(context.Context) error{l.Run, m.Run} {
		go func() { done <- run(ctx) }()
	}
	series := forwardtest.Host.Series(forwardtest.Desc, tallyman.Label{Name: "n", Value: "0"})
	begin := time.Now().UnixMilli()
	const n = 60
	for i := range n {
		log.Append(streamWith("name", "web", "source", "container"), tallyman.Record{Time: time.Now().UnixNano(), Line: fmt.Appendf(nil, "line %d \x00\xff", i)})
		b := &tallyman.Batch{Time: time.UnixMilli(begin + int64(i))}
		b.Add(series, float64(i))
		if _, err := s.AppendSamples(b); err != nil {
			t.Fatal(err)
		}
		if i == n/2 {
			testkit.Eventually(t, time.Minute, "the first half is taken", func() error {
				if mark, _ := log.Mark(forwardtest.Name); mark < n/2 || reader.Stats().Waiting > 0 {
					return fmt.Errorf("up to %d, %d samples wait: %+v", mark, reader.Stats().Waiting, l.Stats())
				}
				return nil
			})
			time.Sleep(200 * time.Millisecond) // the exporter writes what it has taken after 50 ms
			server.Kill()
			server = start()
		}
	}
	var records, samples []string
	testkit.Eventually(t, time.Minute, "all is in the files", func() error {
		records, samples = nil, nil
		each(t, filepath.Join(dir, "logs"), func(b []byte) error {
			all, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(b)
			for i := range all.ResourceLogs().Len() {
				list := all.ResourceLogs().At(i).ScopeLogs().At(0).LogRecords()
				for j := range list.Len() {
					records = append(records, list.At(j).Body().Str())
				}
			}
			return err
		})
		each(t, filepath.Join(dir, "metrics"), func(b []byte) error {
			all, err := (&pmetric.JSONUnmarshaler{}).UnmarshalMetrics(b)
			for i := range all.ResourceMetrics().Len() {
				points := all.ResourceMetrics().At(i).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints()
				for j := range points.Len() {
					samples = append(samples, fmt.Sprint(points.At(j).DoubleValue()))
				}
			}
			return err
		})
		if a, b := unique(records), unique(samples); a != n || b != n {
			return fmt.Errorf("%d records and %d samples, want %d", a, b, n)
		}
		return nil
	})
	cancel()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	_, sent, _ := l.Counts()
	t.Logf("%d records and %d samples, the collector killed once: %d and %d in its files", n, n, len(records), len(samples))
	if sent != n || l.Stats().Refused != 0 || m.Stats().Refused != 0 {
		t.Errorf("%d sent, %+v, %+v", sent, l.Stats(), m.Stats())
	}
}

func unique(list []string) int {
	return len(slices.Compact(slices.Sorted(slices.Values(list))))
}

// each calls f with the whole lines of a file.
func each(t *testing.T, name string, f func([]byte) error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return
	}
	b = b[:bytes.LastIndexByte(b, '\n')+1]
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		if err := f(lines.Bytes()); err != nil {
			t.Fatalf("%v in %s", err, lines.Text())
		}
	}
}
