// SPDX-License-Identifier: Apache-2.0

package httpjson

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tallyman"
	"tallyman/forward/forwardtest"
	"tallyman/forward/send"
	"tallyman/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// decode gives the objects of a request, with the id of the line before in a bulk.
func decode(f Format, r *http.Request, body []byte) (out []map[string]string, err error) {
	if body, err = forwardtest.Unpack(r.Header, body); err != nil {
		return nil, err
	}
	want := map[Format]string{Lines: "application/x-ndjson", Bulk: "application/x-ndjson", Array: "application/json"}[f]
	if got := r.Header.Get("Content-Type"); got != want {
		return nil, fmt.Errorf("the content is %s", got)
	}
	if f == Array {
		return out, json.Unmarshal(body, &out)
	}
	id := ""
	for i, line := range bytes.Split(bytes.TrimSuffix(body, []byte("\n")), []byte("\n")) {
		if f == Bulk && i%2 == 0 {
			var action struct {
				Create *struct {
					ID string `json:"_id"`
				}
			}
			if err := json.Unmarshal(line, &action); err != nil || action.Create == nil {
				return nil, fmt.Errorf("%s is no action: %w", line, err)
			}
			id = action.Create.ID
			continue
		}
		one := map[string]string{}
		if err := json.Unmarshal(line, &one); err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		if f == Bulk {
			one["id"] = id
		}
		out = append(out, one)
	}
	return out, nil
}

func linesOf(f Format) func(*http.Request, []byte) ([]string, error) {
	return func(r *http.Request, body []byte) (lines []string, err error) {
		all, err := decode(f, r, body)
		for _, one := range all {
			lines = append(lines, one["message"])
		}
		return lines, err
	}
}

func mustNew(t testing.TB, o Options, url string) *send.RecordForwarder[stream] {
	t.Helper()
	on := send.Options{URL: secret.Text(url)}
	if o.Format == Bulk {
		on = BulkOptions(on)
	}
	c, err := send.New(on)
	if err != nil {
		t.Fatal(err)
	}
	o.Name, o.Client, o.ID, o.Every, o.patience = forwardtest.Name, c, "5f0c", time.Millisecond, time.Nanosecond
	o.Line = send.LineOptions{Least: time.Millisecond, Hold: time.Millisecond}
	return New(o)
}

func counts(s *send.RecordForwarder[stream]) forwardtest.Counts {
	now := s.Stats()
	read, _, _ := s.Counts()
	return forwardtest.Counts{Read: read, Sent: now.Sent, Refused: now.Refused, Dropped: now.Dropped}
}

func TestContract(t *testing.T) {
	for name, f := range map[string]Format{"lines": Lines, "array": Array, "bulk": Bulk} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forwardtest.TestRecords(t, forwardtest.Forwarder{
				Decode: linesOf(f),
				New: func(t *testing.T, url string, log tallyman.RecordLog) (func(context.Context) error, func() forwardtest.Counts) {
					s := mustNew(t, Options{RecordOptions: send.RecordOptions{Log: log}, Format: f, Gzip: f != Lines}, url)
					return s.Run, func() forwardtest.Counts { return counts(s) }
				},
			})
		})
	}
}

// Whatever is in a record, it is one object of texts, and the text comes back.
func TestObjects(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	st := &tallyman.Stream{Labels: []tallyman.Label{{Name: "id", Value: "c0ffee"}, {Name: "name", Value: "a\"b\\\xff"}, {Name: "team.name", Value: "ü"}}}
	records := []tallyman.Record{
		{Time: 1_700_000_000_000_000_001, Line: []byte("one\ntwo\r\x00\x1b[31m\u2028 </script>"), Meta: []tallyman.Label{{Name: "message", Value: "m"}, {Name: "name", Value: "other"}, {Name: "x", Value: "1"}, {Name: "x", Value: "2"}}},
		{Time: -1, Line: []byte("\xff\xfe bad \xc3")},
		{Line: []byte(long)},
		{},
	}
	for name, f := range map[string]Format{"lines": Lines, "array": Array, "bulk": Bulk} {
		t.Run(name, func(t *testing.T) {
			s := mustNew(t, Options{Format: f, Gzip: true, External: []tallyman.Label{{Name: "dc", Value: "fra"}, {Name: "name", Value: "no"}}}, "http://127.0.0.1:1")
			items, _ := s.Items([]tallyman.StreamRecords{{Stream: st, Records: records, Numbers: []uint64{7, 8, 9, 9}}})
			r := s.Request(items)
			got, err := decode(f, &http.Request{Header: r.Header}, r.Body)
			if err != nil || len(got) != 4 {
				t.Fatalf("%d objects, %v", len(got), err)
			}
			team := "team.name"
			if f == Bulk {
				team = "team_name"
			}
			for key, want := range map[string]string{"@timestamp": "2023-11-14T22:13:20.000000001Z", "message": "one\ntwo\r\x00\x1b[31m\u2028 </script>", "id": fmt.Sprintf("5f0c-7-%x", records[0].Time),
				"name": "a\"b\\\ufffd", team: "ü", "label_id": "c0ffee", "label_message": "m", "x": "1", "dc": "fra"} {
				if got[0][key] != want {
					t.Errorf("%s is %q, want %q", key, got[0][key], want)
				}
			}
			if len(got[0]) != 9 || got[1]["message"] != "\ufffd\ufffd bad \ufffd" || got[2]["message"] != long || got[3]["message"] != "" || got[3]["id"] != "" {
				t.Errorf("got %d fields, %q, %d bytes, %v", len(got[0]), got[1]["message"], len(got[2]["message"]), got[3])
			}
		})
	}
}

// bulkServer answers for each line with a status; taken once is 409 from then on.
func bulkServer(t *testing.T, status func(line string, n int) int) (*forwardtest.Server, map[string]int) {
	tries := map[string]int{}
	return forwardtest.NewServer(t, linesOf(Bulk), func(w http.ResponseWriter, lines []string) bool {
		var items []string
		bad := false
		for _, l := range lines {
			tries[l]++
			code := status(l, tries[l])
			bad = bad || code/100 != 2
			items = append(items, fmt.Sprintf(`{"create":{"status":%d,"error":{"type":"document_parsing_exception","reason":"no %s"}}}`, code, l))
		}
		fmt.Fprintf(w, `{"errors":%v,"items":[%s]}`, bad, strings.Join(items, ","))
		return true
	}), tries
}

// Each object of a bulk has an answer of its own.
func TestBulk(t *testing.T) {
	server, tries := bulkServer(t, func(line string, n int) int {
		switch {
		case line == "bad":
			return 400
		case line == "poison":
			return 500
		case line == "there":
			return 409
		case line == "later" && n < 3:
			return 429
		}
		return 201
	})
	log := forwardtest.NewLog()
	if err := log.CommitMark(forwardtest.Name, 0); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"one", "bad", "there", "later", "poison", "two"} {
		log.Append(&tallyman.Stream{Labels: []tallyman.Label{{Name: "name", Value: "web"}}}, tallyman.Record{Time: 1, Line: []byte(line)})
	}
	s := mustNew(t, Options{RecordOptions: send.RecordOptions{Log: log}, Format: Bulk}, server.URL)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if mark, _ := log.Mark(forwardtest.Name); mark == 6 {
			break
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	_, _, refused := s.Counts()
	if now := counts(s); now != (forwardtest.Counts{Read: 6, Sent: 4, Refused: 2}) || refused["mapping"] != 1 || refused[send.ServerError] != 1 || tries["later"] != 3 || tries["bad"] != 1 || tries["one"] != 1 {
		t.Errorf("it counts %+v, %v; tries %v", now, refused, tries)
	}
}

// What is no answer of a bulk API holds everything, and what is too short for its request is asked again.
func TestBulkAnswers(t *testing.T) {
	s := mustNew(t, Options{Format: Bulk}, "http://127.0.0.1:1")
	items := make([]item, 2)
	for body, want := range map[string]int{``: 0, `{"errors":false}`: 0, `{"errors":true,"items":[{"create":{"status":201}}]}`: 1, `{"errors":true,"items":[{},{}]}`: 0} {
		if out := s.Outcome(&send.Answer{Body: []byte(body)}, items); len(out.Again) != want || out.Refused != 0 {
			t.Errorf("%s: got %+v", body, out)
		}
	}
	for _, bad := range []string{"<html>", "{}", `{"errors":1}`, "[]"} {
		if _, err := parseBulk([]byte(bad)); err == nil {
			t.Errorf("%s is an answer", bad)
		}
	}
	server := forwardtest.NewServer(t, linesOf(Bulk), func(w http.ResponseWriter, _ []string) bool {
		fmt.Fprint(w, "<html>hello")
		return true
	})
	c, err := send.New(BulkOptions(send.Options{URL: secret.Text(server.URL)}))
	if err != nil {
		t.Fatal(err)
	}
	if a := c.Post(t.Context(), s.Request([]item{send.OwnItem(s, "h", "n", "line")})); a.Verdict != send.Hold || !strings.Contains(a.Err.Error(), "no answer of a bulk API") {
		t.Errorf("got %v, %v", a.Verdict, a.Err)
	}
	c.Close()
}

// FuzzOutcome gives any answer: nothing panics, and no more is counted than was sent.
func FuzzOutcome(f *testing.F) {
	f.Add([]byte(`{"errors":true,"items":[{"create":{"status":400,"error":{}}},{"create":{"status":429}}]}`), 3)
	f.Fuzz(func(t *testing.T, body []byte, n int) {
		s := mustNew(t, Options{Format: Bulk}, "http://127.0.0.1:1")
		items := make([]item, max(1, min(n, 100)))
		if out := s.Outcome(&send.Answer{Body: body}, items); out.Refused+len(out.Again) > len(items) {
			t.Fatalf("%+v of %d", out, len(items))
		}
	})
}

// FuzzText encodes any text; the standard library reads the same.
func FuzzText(f *testing.F) {
	f.Add("a\"\\\n\x00\xff\u2028ü")
	f.Fuzz(func(t *testing.T, text string) {
		var got string
		if err := json.Unmarshal(appendText(nil, text), &got); err != nil || got != strings.ToValidUTF8(text, "\ufffd") && !slices.Equal([]rune(got), []rune(text)) {
			t.Fatalf("%q became %q: %v", text, got, errors.Unwrap(err))
		}
	})
}

func BenchmarkRequest(b *testing.B) {
	s := mustNew(b, Options{Format: Bulk, Gzip: true}, "http://127.0.0.1:1")
	g := tallyman.StreamRecords{Stream: &tallyman.Stream{Labels: []tallyman.Label{{Name: "host", Value: "h"}, {Name: "name", Value: "web"}}}}
	for i := range 7000 {
		g.Records = append(g.Records, tallyman.Record{Time: int64(i) * 1e6, Line: fmt.Appendf(nil, `10.0.%d.%d - - "GET /api/v1/orders/%d HTTP/1.1" 200 %d "-" "Mozilla/5.0" rid=%x`, i%7, i%251, i, i*31, uint32(i)*2654435761)})
	}
	b.ReportAllocs()
	for b.Loop() {
		items, n := s.Items([]tallyman.StreamRecords{g})
		b.SetBytes(int64(n))
		s.Request(items)
	}
}
