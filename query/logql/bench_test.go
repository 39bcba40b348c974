// SPDX-License-Identifier: Apache-2.0

package logql_test

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"tallyman"
	"tallyman/query/logql"
)

// repeated is a store of one stream that gives the same records again and
// again, without any work of its own.
type repeated struct {
	tallyman.RecordReader
	stream  *tallyman.Stream
	records []tallyman.Record
	times   int
}

func (s *repeated) SelectRecords(context.Context, tallyman.RecordQuery) ([]tallyman.RecordCursor, error) {
	return []tallyman.RecordCursor{&repeatedCursor{s: s, left: s.times}}, nil
}

func (s *repeated) Streams(context.Context, []tallyman.Matcher, int64, int64) ([]*tallyman.Stream, error) {
	return []*tallyman.Stream{s.stream}, nil
}

type repeatedCursor struct {
	s    *repeated
	left int
	read int64
}

func (c *repeatedCursor) Stream() *tallyman.Stream { return c.s.stream }
func (c *repeatedCursor) Bound() (int64, bool)     { return c.s.records[0].Time, c.left > 0 }
func (c *repeatedCursor) Read() int64              { return c.read }
func (c *repeatedCursor) Close()                   {}
func (c *repeatedCursor) Next() ([]tallyman.Record, error) {
	if c.left == 0 {
		return nil, io.EOF
	}
	c.left--
	return c.s.records, nil
}

// BenchmarkPipeline measures metric queries over lines of about 200 bytes; an
// operation is one line.
func BenchmarkPipeline(b *testing.B) {
	const n = 1000
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	records := func(line func(i int) string) (out []tallyman.Record) {
		for i := range n {
			out = append(out, tallyman.Record{
				Time: start.Add(time.Duration(i) * time.Second).UnixNano(), Line: []byte(line(i)),
				Meta: []tallyman.Label{{Name: "container_id", Value: "0123456789ab"}, {Name: "detected_level", Value: "info"}},
			})
		}
		return out
	}
	levels := []string{"info", "warn", "error", "debug"}
	js := records(func(i int) string {
		return fmt.Sprintf(`{"level":%q,"time":"2026-01-01T00:00:%02dZ","status":%d,"latency":"%dms","path":"/api/v1/users/%d","user":{"id":%d,"name":"ann"},"msg":"request done with \"quotes\""}`, levels[i%4], i%60, 200+i%5*100, i, i%10, i)
	})
	fmtLines := records(func(i int) string {
		return fmt.Sprintf(`level=%s ts=2026-01-01T00:00:%02dZ status=%d latency=%dms path=/api/v1/users/%d user=%d caller=handler.go:%d msg="request done, as was expected of it"`, levels[i%4], i%60, 200+i%5*100, i, i%10, i, i%90)
	})
	access := records(func(i int) string {
		return fmt.Sprintf(`10.0.%d.%d - - [01/Jan/2026:00:00:%02d +0000] "GET /api/v1/users/%d HTTP/1.1" %d %d "https://example.com/" "Mozilla/5.0 (X11; Linux x86_64)"`, i%200, i%100, i%60, i%10, 200+i%5*100, i*7)
	})
	for _, c := range []struct {
		name, query string
		records     []tallyman.Record
	}{
		{"count", `sum(count_over_time({a="b"}[5m]))`, js},
		{"count-meta", `count_over_time({a="b"}[5m])`, js},
		{"contains", `sum(count_over_time({a="b"} |= "error" [5m]))`, js},
		{"regexp-filter", `sum(count_over_time({a="b"} |~ "users/[57]" [5m]))`, js},
		{"fold-filter", `sum(count_over_time({a="b"} |~ "(?i)error" [5m]))`, js},
		{"json", `sum by (level) (count_over_time({a="b"} | json | __error__="" [5m]))`, js},
		{"json-all", `count_over_time({a="b"} | json | drop time, latency, user_id, path, container_id [5m])`, js},
		{"json-path", `sum by (name) (count_over_time({a="b"} | json name="user.name" [5m]))`, js},
		{"logfmt", `sum by (level) (count_over_time({a="b"} | logfmt | status >= 400 [5m]))`, fmtLines},
		{"logfmt-unwrap", `max by (path) (max_over_time({a="b"} | logfmt | unwrap duration(latency) [5m]) by (path))`, fmtLines[:100]},
		{"pattern", `sum by (status) (count_over_time({a="b"} | pattern "<ip> - - [<_>] \"<method> <path> <_>\" <status> <_>" [5m]))`, access},
		{"regexp", `sum by (status) (count_over_time({a="b"} | regexp "\"(?P<method>\\w+) (?P<path>\\S+) [^\"]*\" (?P<status>\\d+)" [5m]))`, access},
		{"line_format", `sum(bytes_over_time({a="b"} | logfmt | line_format "{{.level}} {{.path}} {{.msg}}" [5m]))`, fmtLines},
		{"template", `sum(bytes_over_time({a="b"} | logfmt | line_format "{{.level | upper}} {{.path}}" [5m]))`, fmtLines},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := &repeated{stream: &tallyman.Stream{Labels: []tallyman.Label{{Name: "a", Value: "b"}, {Name: "name", Value: "web"}}}, records: c.records}
			e := logql.New(s, logql.Options{MaxBytes: 1 << 62, MaxSamples: 1 << 40, Timeout: time.Hour})
			s.times = b.N/len(c.records) + 1
			b.ReportAllocs()
			b.ResetTimer()
			if _, err := e.Query(context.Background(), logql.Params{Query: c.query, Start: start.UnixNano(), End: start.Add(n * time.Second).UnixNano(), Step: 30 * time.Second}); err != nil {
				b.Fatal(err)
			}
		})
	}
}
