// SPDX-License-Identifier: Apache-2.0

package logql_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"tallyman"
)

// corpusStart is when the lines begin; they go on for half an hour.
var corpusStart = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

const corpusLength = 30 * time.Minute

// corpusRecords are the lines, the same each time.
func corpusRecords() []tallyman.StreamRecords {
	r := rand.New(rand.NewPCG(1, 2))
	stream := func(pairs ...string) *tallyman.Stream {
		s := &tallyman.Stream{}
		for i := 0; i < len(pairs); i += 2 {
			s.Labels = append(s.Labels, tallyman.Label{Name: pairs[i], Value: pairs[i+1]})
		}
		return s
	}
	fill := func(s *tallyman.Stream, every time.Duration, line func(i int) (string, []tallyman.Label)) tallyman.StreamRecords {
		out := tallyman.StreamRecords{Stream: s}
		i := 0
		for at := time.Duration(0); at < corpusLength; at += every {
			text, meta := line(i)
			out.Records = append(out.Records, tallyman.Record{Time: corpusStart.Add(at).UnixNano(), Line: []byte(text), Meta: meta})
			i++
		}
		return out
	}
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	meta := func(pairs ...string) (out []tallyman.Label) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, tallyman.Label{Name: pairs[i], Value: pairs[i+1]})
		}
		return out
	}
	web := fill(stream("app", "web", "env", "prod"), 50*time.Second, func(i int) (string, []tallyman.Label) {
		text := fmt.Sprintf(`10.0.0.%d - - [20/Nov/2026:10:%02d:00 +0000] "%s /%s HTTP/1.1" %s %d "-" "curl/7.%d"`,
			r.IntN(9), i, pick("GET", "POST", "PUT"), pick("", "api/users", "login", "static/app.js"), pick("200", "200", "404", "500", "302"), r.IntN(9000), r.IntN(80))
		return text, meta("detected_level", pick("info", "warn", "error"), "trace_id", strconv.Itoa(100+r.IntN(3)))
	})
	odd := []string{
		`{"level":"info","msg":"a \"quoted\" text","n":{"deep":{"er":1.5}},"list":[1,2,{"x":"y"}],"none":null,"empty":"","app":"other"}`,
		`{"level":"warn","msg":"tab\tand é","bad-key":"dash","1st":"digit","a.b":"dot","":"no name","ok":true,"no":false}`,
		`{"level":"error","msg":"broken"`,
		`not json at all`,
		`{"level":"error","msg":"later broken","n":{"deep":1},"x":}`,
		`[1,2,3]`,
		`"just a string"`,
		`{}`,
		``,
		`  {"level":"info","msg":"spaces around"}  `,
		`{"status":"503","latency":"1m3s","size":"12KB","pod":"from-line","trace_id":"line"}`,
		`{"level":"info","level":"twice","msg":"é\n\\ \/"}`,
		`{"level":"info","msg":"trailing"} and more`,
		`{"servers":[{"name":"a","port":80},{"name":"b"}],"request":{"headers":{"X-Id":"42"},"ids":[7,8,9]},"n":-12.5e2}`,
	}
	jsonAt := 0
	js := fill(stream("app", "api", "env", "prod", "level", "mixed"), 40*time.Second, func(i int) (string, []tallyman.Label) {
		m := meta("pod", pick("pod-1", "pod-2"))
		if i%5 == 4 {
			m = meta("env", "from-meta", "pod", "pod-3", "status", "meta")
		}
		if i%3 == 2 {
			jsonAt++
			return odd[(jsonAt-1)%len(odd)], m
		}
		return fmt.Sprintf(`{"level":%q,"status":%s,"latency":"%dms","size":"%dKB","path":"/v1/%s","user":{"id":%d,"name":%q},"msg":"request done"}`,
			pick("info", "info", "warn", "error"), pick("200", "201", "404", "500"), r.IntN(900), r.IntN(64), pick("a", "b"), r.IntN(5), pick("ann", "bob")), m
	})
	oddLogfmt := []string{
		`level=warn msg="quoted \"inner\" text" key`,
		`level=error msg="no end`,
		`level=error =x a="b"c d=e`,
		`plain words only`,
		`level=info empty= quotedempty="" x=1=2 y=3`,
		`a-b=1 c.d=2 3e=4 level=info app=mine level=again`,
		`msg="tab\tnew\nline é" took=1.5s size=3MiB`,
		`took=abc size=def value=ghi`,
	}
	oddAt := 0
	logfmt := fill(stream("app", "api", "env", "dev"), 45*time.Second, func(i int) (string, []tallyman.Label) {
		if i%4 == 3 {
			oddAt++
			return oddLogfmt[(oddAt-1)%len(oddLogfmt)], nil
		}
		return fmt.Sprintf(`level=%s msg="handled request" path=/v2/%s took=%dms size=%dkB status=%s value=%d.%d caller=file.go:%d`,
			pick("info", "debug", "error"), pick("x", "y", "z"), r.IntN(2000), r.IntN(100), pick("200", "404", "500"), r.IntN(100), r.IntN(10), r.IntN(50)), nil
	})
	plain := []string{
		"\x1b[31merror\x1b[0m: disk \x1b[1;32msda\x1b[0m is full",
		"ERROR connection refused to 10.1.2.3:5432 after 3 tries",
		"checkpoint complete: wrote 12 buffers (0.1%); 0 WAL file(s) added",
		"Ünïcode líne with ☃ and 日本語",
		"duration: 12.5 ms statement: SELECT * FROM users WHERE id = 7",
		"duration: 3.25 ms statement: INSERT INTO events VALUES (1, 'a|b')",
		"warning: long line " + strings.Repeat("x", 60),
		"Error mixed Case ERROR error",
		"   leading and trailing   ",
		"a=b {curly} [square] <angle> (round) \\back\\ `tick`",
	}
	db := fill(stream("app", "db", "env", "prod"), 30*time.Second, func(i int) (string, []tallyman.Label) {
		if i%2 == 0 {
			return plain[i/2%len(plain)], nil
		}
		return plain[i%len(plain)] + " #" + strconv.Itoa(i), meta("seq", strconv.Itoa(i))
	})
	pack := fill(stream("app", "pack"), 3*time.Minute, func(i int) (string, []tallyman.Label) {
		return []string{
			`{"container":"c1","pod":"p1","_entry":"the original line"}`, `{"_entry":"level=info x=1","n":5,"app":"inner"}`, `{"container":"c2"}`, `no json`, `{"_entry":"{\"a\":\"b\"}","q":"r"}`,
		}[i%5], nil
	})
	total := 0
	counter := fill(stream("app", "counter", "env", "dev"), 20*time.Second, func(i int) (string, []tallyman.Label) {
		total += r.IntN(50)
		if i == 40 {
			total = 5
		}
		return fmt.Sprintf("requests=%d temp=%.2f", total, 20+10*math.Sin(float64(i)/5)), nil
	})
	edges := []string{
		`v=Inf n=1 took=5s size=5MB ip=10.1.2.3`,
		`v=2 n=2 took=1m size=500KB ip=192.168.4.5 to=10.0.0.0/8`,
		`{"amount":500,"v":"3"`,
		`v=-Inf n=3 amount=700 empty= quoted=""`,
		``,
		`amount=496 v=abc n=x took=soon size=big ip=nowhere "`,
		`v=NaN n=4 amount=100 ip=2001:db8::1`,
		`{"a":{"b":1},"amount":497,"ip":"10.1.2.4","list":[1,"two"],"took":"250ms"}`,
		`from 10.1.9.9 to [2001:db8::2]:443, not 10.1.999.1 or 1.2.3`,
		`v=1e3 n=0x10 amount=1_000 took=1.5h size=1,000KB ip=10.1.2.3:80`,
		`{"a":"x","a.b":"dot","a_b":"line","amount":"498"} tail`,
		`v=+5 n=-0 amount=.5 ip=::ffff:10.1.2.3`,
		`{"a":"cut off`,
		`{"b":1,"a":}`,
		`{"a":tru,"b":2}`,
		`{"a" "x","b":3}`,
		`{"b":4,"a":{"c":1`,
		`{"b":"x,"a":"y"}`,
		`{"a":[1,2,"b":5}`,
		`{"a":1}{"b":6}`,
		`[{"a":"in a list"}]`,
		`{a:1,"b":7}`,
	}
	edge := fill(stream("app", "edge", "env", "test"), time.Minute, func(i int) (string, []tallyman.Label) {
		return edges[i%len(edges)], meta("kind", strconv.Itoa(i%3), "addr", "10.9.0."+strconv.Itoa(i%4))
	})
	return []tallyman.StreamRecords{web, js, logfmt, db, pack, counter, edge}
}
