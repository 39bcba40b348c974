// SPDX-License-Identifier: Apache-2.0

package loki

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protowire"

	"tallyman"
	"tallyman/forward/forwardtest"
	"tallyman/forward/send"
	"tallyman/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// entry is one of a push, taken apart by another parser.
type entry struct {
	stream, line string
	time         int64
	meta         []string
}

// fields calls f for each field of a message.
func fields(b []byte, f func(n protowire.Number, v uint64, b []byte) error) error {
	for len(b) > 0 {
		n, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return protowire.ParseError(size)
		}
		b = b[size:]
		var v uint64
		var text []byte
		switch typ {
		case protowire.VarintType:
			v, size = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			text, size = protowire.ConsumeBytes(b)
		default:
			return fmt.Errorf("type %v", typ)
		}
		if size < 0 {
			return protowire.ParseError(size)
		}
		b = b[size:]
		if err := f(n, v, text); err != nil {
			return err
		}
	}
	return nil
}

func decode(body []byte) (out []entry, err error) {
	plain, err := s2.Decode(nil, body)
	if err != nil {
		return nil, err
	}
	err = fields(plain, func(_ protowire.Number, _ uint64, b []byte) error {
		stream := ""
		return fields(b, func(n protowire.Number, _ uint64, b []byte) error {
			if n == 1 {
				stream = string(b)
				return nil
			}
			e := entry{stream: stream}
			err := fields(b, func(n protowire.Number, _ uint64, b []byte) error {
				switch n {
				case 1:
					return fields(b, func(n protowire.Number, v uint64, _ []byte) error {
						if n == 1 {
							e.time += int64(v) * 1e9
						} else {
							e.time += int64(v)
						}
						return nil
					})
				case 2:
					e.line = string(b)
				case 3:
					var pair [2]string
					err := fields(b, func(n protowire.Number, _ uint64, b []byte) error { pair[n-1] = string(b); return nil })
					e.meta = append(e.meta, pair[0]+"="+pair[1])
					return err
				}
				return nil
			})
			out = append(out, e)
			return err
		})
	})
	return out, err
}

func decodeLines(r *http.Request, body []byte) (lines []string, err error) {
	if r.Header.Get("Content-Type") != "application/x-protobuf" || r.Method != http.MethodPost {
		return nil, errors.New("wrong header")
	}
	entries, err := decode(body)
	for _, e := range entries {
		lines = append(lines, e.line)
	}
	return lines, err
}

func mustNew(t *testing.T, o Options, url string) *Sender {
	t.Helper()
	c, err := send.New(send.Options{URL: secret.Text(url)})
	if err != nil {
		t.Fatal(err)
	}
	o.Name, o.Client = forwardtest.Name, c
	o.Every, o.again = time.Millisecond, time.Hour
	if o.patience == 0 {
		o.patience = time.Nanosecond
	}
	o.Line = send.LineOptions{Least: time.Millisecond, Hold: time.Millisecond}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func counts(s *Sender) forwardtest.Counts {
	now := s.Stats()
	read, _, _ := s.ledger.Counts()
	return forwardtest.Counts{Read: read, Sent: now.Sent, Refused: now.Refused, Dropped: now.Dropped}
}

// refusedFor is how much was refused for a reason.
func refusedFor(s *Sender, reason string) uint64 {
	_, _, refused := s.ledger.Counts()
	return refused[reason]
}

func TestContract(t *testing.T) {
	forwardtest.TestRecords(t, forwardtest.Forwarder{
		Decode: decodeLines,
		New: func(t *testing.T, url string, log tallyman.RecordLog) (func(context.Context) error, func() forwardtest.Counts) {
			s := mustNew(t, Options{RecordOptions: send.RecordOptions{Log: log}}, url)
			return s.Run, func() forwardtest.Counts { return counts(s) }
		},
	})
}

func streamWith(pairs ...string) *tallyman.Stream {
	st := &tallyman.Stream{}
	for i := 0; i < len(pairs); i += 2 {
		st.Labels = append(st.Labels, tallyman.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return st
}

func TestPush(t *testing.T) {
	s := mustNew(t, Options{Host: "h", External: []tallyman.Label{{Name: "dc", Value: "fra"}}}, "http://127.0.0.1:1")
	now := time.Now().UnixNano()
	long := strings.Repeat("ü", mostLine)
	items, _ := s.Items([]tallyman.StreamRecords{
		{Stream: streamWith("dc", "x", "host", "web-1", "image", "nginx", "level", "error", "name", "a\"b\xff", "source", "container", "stream", "stderr"), Records: []tallyman.Record{
			{Time: 1_700_000_000_000_000_001, Line: []byte("one"), Meta: []tallyman.Label{{Name: "id", Value: "7"}, {Name: "level", Value: "other"}}},
			{Time: -1, Line: nil},
			{Time: now + int64(time.Hour), Line: []byte(long)},
		}},
		{Stream: streamWith("0 jöb.x", "cron", "zone", "1"), Records: []tallyman.Record{{Time: 5, Line: []byte("pushed\xff")}}},
	})
	notAhead(items)
	got, err := decode(s.request(items).Body)
	if err != nil || len(got) != 4 {
		t.Fatalf("got %d entries, %v", len(got), err)
	}
	const first = `{dc="fra", host="web-1", name="a\"b` + "\ufffd" + `", source="container", stream="stderr"}`
	for i, want := range []entry{
		{first, "one", 1_700_000_000_000_000_001, []string{"image=nginx", "level=error", "id=7"}},
		{first, "", -1, []string{"image=nginx", "level=error"}},
		{first, got[2].line, got[2].time, []string{"image=nginx", "level=error"}},
		{`{_0_j_b_x="cron", dc="fra", host="h", zone="1"}`, "pushed\xff", 5, nil},
	} {
		if i == 0 {
			want.meta = []string{"dc=x", "image=nginx", "level=error", "id=7"}
		}
		g := got[i]
		g.meta = slices.DeleteFunc(g.meta, func(m string) bool { return m == "dc=x" })
		want.meta = slices.DeleteFunc(want.meta, func(m string) bool { return m == "dc=x" })
		if g.stream != want.stream || g.line != want.line || g.time != want.time || !slices.Equal(g.meta, want.meta) {
			t.Errorf("entry %d is\n%+v, want\n%+v", i, g, want)
		}
	}
	if l := got[2].line; len(l) > mostLine || !strings.HasSuffix(l, "ü… [cut by tallyman]") {
		t.Errorf("a long line has %d bytes and ends in %q", len(l), l[len(l)-30:])
	}
	if d := time.Duration(got[2].time - now); d > 6*time.Minute {
		t.Errorf("a time is %v ahead", d)
	}
}

func TestRefusals(t *testing.T) {
	items := make([]item, 10)
	for i := range items {
		items[i].Time = int64(time.Duration(i) * time.Hour)
	}
	for _, c := range []struct {
		body, reason string
		n            int
	}{
		{"entry with timestamp 2026-11-28 10:00:00 +0000 UTC ignored, reason: 'entry too far behind, entry timestamp is: …, oldest acceptable timestamp is: …',\nuser 'fake', total ignored: 3 out of 10 for stream: {name=\"web\"}", tooOld, 3},
		{"entry for stream '{name=\"web\"}' has timestamp too old: 1970-01-01T00:00:00Z, oldest acceptable timestamp is: 1970-01-01T04:00:00Z", tooOld, 4},
		{"Max entry size '262144' bytes exceeded for stream '{name=\"web\"}' while adding an entry with length '300000' bytes", lineTooLong, 10},
		{"entry for stream '{}' has timestamp too new: 2036", tooNew, 10},
		{"Maximum active stream limit exceeded when trying to create stream {}, reduce the number of active streams", streamLimit, 10},
		{"entry for stream '{}' has 16 label names; limit 15", badLabels, 10},
		{"total ignored: 99 out of 5", send.Otherwise, 10},
		{"\xff", send.Otherwise, 10},
	} {
		if got := reasons.Of([]byte(c.body), send.Otherwise); got != c.reason {
			t.Errorf("%s: got %s, want %s", c.body, got, c.reason)
		}
		if got := refusedOf([]byte(c.body), items); got != c.n {
			t.Errorf("%s: got %d, want %d", c.body, got, c.n)
		}
	}
}

// Streams that Loki has no room for are refused and counted; those that it has pass, and
// wait for nobody.
func TestStreamLimit(t *testing.T) {
	log := forwardtest.NewLog()
	if err := log.CommitMark(forwardtest.Name, 0); err != nil {
		t.Fatal(err)
	}
	full := func(lines []string) bool {
		return slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "new") })
	}
	server := forwardtest.NewServer(t, decodeLines, forwardtest.Unless(full, func(w http.ResponseWriter, _ []string) bool {
		http.Error(w, "Maximum active stream limit exceeded when trying to create stream {}", http.StatusTooManyRequests)
		return false
	}))
	put := func(name string, i int) {
		log.Append(streamWith("name", name, "source", "container"), tallyman.Record{Time: int64(i), Line: fmt.Appendf(nil, "%s %d", name, i)})
	}
	for i := range 10 {
		put([]string{"old", "new"}[i%2], i)
	}
	s := mustNew(t, Options{RecordOptions: send.RecordOptions{Log: log}}, server.URL)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	read := func(n uint64) {
		for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			if now := counts(s); now.Sent+now.Refused == n {
				return
			} else if time.Now().After(end) {
				t.Fatalf("got %+v", now)
			}
		}
	}
	read(10)
	before := len(server.Requests())
	for i := range 10 {
		put([]string{"old", "new"}[i%2], 10+i)
	}
	read(20)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if now := counts(s); now.Sent != 10 || refusedFor(s, streamLimit) != 10 || len(server.Lines()) != 10 {
		t.Errorf("got %+v, and %d lines", now, len(server.Lines()))
	}
	if more := len(server.Requests()) - before; more > 10 {
		t.Errorf("a stream without room made %d requests more", more)
	}
}

// When a request is more than Loki ever takes at once, smaller ones go.
func TestRateLimit(t *testing.T) {
	log := forwardtest.NewLog()
	if err := log.CommitMark(forwardtest.Name, 0); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		log.Append(streamWith("name", "web", "source", "container"), tallyman.Record{Time: int64(i), Line: fmt.Appendf(nil, "%d", i)})
	}
	many := func(lines []string) bool { return len(lines) > 1 }
	server := forwardtest.NewServer(t, decodeLines, forwardtest.Unless(many, func(w http.ResponseWriter, _ []string) bool {
		http.Error(w, "ingestion rate limit exceeded for user fake (limit: 1 bytes/sec)", http.StatusTooManyRequests)
		return false
	}))
	s := mustNew(t, Options{RecordOptions: send.RecordOptions{Log: log}}, server.URL)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	for end := time.Now().Add(time.Minute); counts(s).Sent < 4 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := server.Lines(); !slices.Equal(got, []string{"0", "1", "2", "3"}) || counts(s).Refused != 0 {
		t.Errorf("got %v, %+v", got, counts(s))
	}
}

// FuzzRefusals gives any words: nothing panics, and no more is refused than was sent.
func FuzzRefusals(f *testing.F) {
	f.Add([]byte("total ignored: 3 out of 10 for stream: {}"), 10)
	f.Add([]byte("has timestamp too old: x, oldest acceptable timestamp is: 2026-11-28T10:00:00Z"), 3)
	f.Add([]byte("Maximum active stream limit exceeded"), 1)
	f.Fuzz(func(t *testing.T, body []byte, n int) {
		items := make([]item, max(1, min(n, 100)))
		if got := refusedOf(body, items); got < 1 || got > len(items) {
			t.Fatalf("%d of %d are refused", got, len(items))
		}
	})
}

// FuzzPush encodes any record; another parser reads the same.
func FuzzPush(f *testing.F) {
	f.Add("name", "web", []byte("line"), int64(1), "id", "7")
	f.Add("0 ä", "\xff\"", []byte{}, int64(-1), "", "")
	client, err := send.New(send.Options{URL: "https://h"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name, value string, line []byte, at int64, meta, of string) {
		if name == "" || at > time.Now().UnixNano() {
			return
		}
		s, err := New(Options{Client: client, Host: "h"})
		if err != nil {
			t.Fatal(err)
		}
		items, _ := s.Items([]tallyman.StreamRecords{{Stream: streamWith(name, value), Records: []tallyman.Record{
			{Time: at, Line: line, Meta: []tallyman.Label{{Name: meta, Value: of}}}, {Time: at, Line: line}}}})
		got, err := decode(s.request(items).Body)
		if err != nil || len(got) != 2 || got[0].time != at || len(line) <= mostLine && got[0].line != string(line) || got[1].stream != got[0].stream || len(got[1].meta) != 0 {
			t.Fatalf("got %+v %v", got, err)
		}
	})
}

// BenchmarkPush encodes 1 MiB of text.
func BenchmarkPush(b *testing.B) {
	c, err := send.New(send.Options{URL: "https://h"})
	if err != nil {
		b.Fatal(err)
	}
	s, err := New(Options{Client: c})
	if err != nil {
		b.Fatal(err)
	}
	g := tallyman.StreamRecords{Stream: streamWith("host", "h", "image", "nginx", "name", "web", "source", "container")}
	meta := []tallyman.Label{{Name: "container_id", Value: strings.Repeat("c0ffee", 10)}}
	for i := range 7000 {
		g.Records = append(g.Records, tallyman.Record{Time: int64(i) * 1e6, Meta: meta,
			Line: fmt.Appendf(nil, `10.0.%d.%d - - "GET /api/v1/orders/%d HTTP/1.1" 200 %d "-" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36" rid=%x`, i%7, i%251, i, i*31, uint32(i)*2654435761)})
	}
	b.ReportAllocs()
	for b.Loop() {
		items, n := s.Items([]tallyman.StreamRecords{g})
		b.SetBytes(int64(n))
		s.request(items)
	}
}
