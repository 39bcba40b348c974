// SPDX-License-Identifier: Apache-2.0

package receive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"tallyman"
	"tallyman/internal/httpx"
)

// kept is a store that keeps samples as "name{…} time value".
type kept struct {
	samples []string
	fail    error
	refuse  map[int64]string // by time
}

func (k *kept) AppendRemote(samples []tallyman.RemoteSample) error {
	if k.fail != nil {
		return k.fail
	}
	for i := range samples {
		one := &samples[i]
		if one.Refused = k.refuse[one.Time]; one.Refused != "" {
			continue
		}
		v := strconv.FormatFloat(one.Value, 'g', -1, 64)
		if isStale(one.Value) {
			v = "stale"
		}
		k.samples = append(k.samples, fmt.Sprintf("%s %d %s", text(one.Series.Labels), one.Time, v))
	}
	return nil
}

func text(labels []tallyman.Label) string {
	var b strings.Builder
	for _, l := range labels {
		fmt.Fprintf(&b, "%s=%s ", l.Name, l.Value)
	}
	return strings.TrimSpace(b.String())
}

// now is when the tests happen.
var now = time.UnixMilli(1_800_000_000_000)

func service(k *kept, change func(*Options)) *Service {
	o := Options{Host: "hub", Store: k, Log: slog.New(slog.DiscardHandler), now: func() time.Time { return now },
		Shows: func(metric string) bool {
			return metric == "container_cpu_usage_seconds_total" || metric == "node_load1"
		}}
	if change != nil {
		change(&o)
	}
	return New(o)
}

// of is a series of a request: its labels in turns, and its samples, times after now in
// milliseconds and values.
type of struct {
	labels  []string
	samples map[int64]float64
}

// request is a body of a version, made with Prometheus' own types.
func request(t testing.TB, version int, list ...of) []byte {
	t.Helper()
	var b []byte
	var err error
	times := func(one of) []int64 { return slices.Sorted(maps.Keys(one.samples)) }
	if version == 1 {
		var r prompb.WriteRequest
		for _, one := range list {
			var s prompb.TimeSeries
			for i := 0; i < len(one.labels); i += 2 {
				s.Labels = append(s.Labels, prompb.Label{Name: one.labels[i], Value: one.labels[i+1]})
			}
			for _, at := range times(one) {
				s.Samples = append(s.Samples, prompb.Sample{Timestamp: now.UnixMilli() + at, Value: one.samples[at]})
			}
			r.Timeseries = append(r.Timeseries, s)
		}
		b, err = r.Marshal()
	} else {
		var r writev2.Request
		table := writev2.NewSymbolTable()
		for _, one := range list {
			var s writev2.TimeSeries
			for _, text := range one.labels {
				s.LabelsRefs = append(s.LabelsRefs, table.Symbolize(text))
			}
			for _, at := range times(one) {
				s.Samples = append(s.Samples, writev2.Sample{Timestamp: now.UnixMilli() + at, Value: one.samples[at]})
			}
			r.Timeseries = append(r.Timeseries, s)
		}
		r.Symbols = table.Symbols()
		b, err = r.Marshal()
	}
	if err != nil {
		t.Fatal(err)
	}
	return s2.EncodeSnappy(nil, b)
}

var kinds = map[int]string{1: "application/x-protobuf", 2: "application/x-protobuf;proto=io.prometheus.write.v2.Request"}

// post sends a body as the agent of a host, and gives the status, how many were written, and
// the words.
func post(s *Service, host, kind string, body []byte) (status int, written, words string, h http.Header) {
	r := httptest.NewRequest(http.MethodPost, "/api/v1/write", bytes.NewReader(body))
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Content-Encoding", "snappy")
	w := httptest.NewRecorder()
	s.Routes()[0].Handler.ServeHTTP(w, httpx.WithWriter(r, httpx.Writer{ID: "1", Host: host}))
	return w.Code, w.Header().Get("X-Prometheus-Remote-Write-Samples-Written"), strings.TrimSpace(w.Body.String()), w.Header()
}

// What is good of a request arrives, in both versions, under the host of the token; the
// answer says how much is not, and why.
func TestWrite(t *testing.T) {
	cpu := func(host string) []string {
		l := []string{"__name__", "cpu", "id", "/docker/1"}
		if host != "" {
			l = []string{"__name__", "cpu", "host", host, "id", "/docker/1"}
		}
		return l
	}
	stale := math.Float64frombits(value.StaleNaN)
	many := []string{"__name__", "cpu"}
	for i := range maxLabels {
		many = append(many, fmt.Sprintf("a%02d", i), "x")
	}
	const mine = "__name__=cpu host=web-1 id=/docker/1 "
	at := func(ms int64) string { return strconv.FormatInt(now.UnixMilli()+ms, 10) }
	for _, c := range []struct {
		name   string
		send   []of
		status int
		want   []string
		words  string
		reason map[string]uint64
	}{
		{name: "good ones, with a host and without", send: []of{{cpu("web-1"), map[int64]float64{0: 1, 10: 2}}, {cpu(""), map[int64]float64{20: 3}}}, status: 204,
			want: []string{mine + at(0) + " 1", mine + at(10) + " 2", mine + at(20) + " 3"}},
		{name: "nothing", status: 204},
		{name: "a stale marker passes", send: []of{{cpu(""), map[int64]float64{0: stale}}}, status: 204, want: []string{mine + at(0) + " stale"}},
		{name: "a late one", send: []of{{cpu(""), map[int64]float64{-3600_000: 1}}}, status: 204, want: []string{mine + at(-3600_000) + " 1"}},
		{name: "another host's alone", send: []of{{cpu("db-1"), map[int64]float64{0: 1, 10: 1}}}, status: 403, words: `is of the host "db-1", and the token is for "web-1" alone`,
			reason: map[string]uint64{foreignHost: 2}},
		{name: "the hub's own host", send: []of{{cpu("hub"), map[int64]float64{0: 1}}}, status: 403, words: `is of the host "hub"`, reason: map[string]uint64{foreignHost: 1}},
		{name: "another host's among good ones", send: []of{{cpu("db-1"), map[int64]float64{0: 1}}, {cpu("web-1"), map[int64]float64{0: 1}}}, status: 400, want: []string{mine + at(0) + " 1"},
			words: "1 samples are stored, 1 refused (foreign_host 1)", reason: map[string]uint64{foreignHost: 1}},
		{name: "of the future, at its edge too", send: []of{{cpu(""), map[int64]float64{600_000: 1, 600_001: 2}}}, status: 400, want: []string{mine + at(600_000) + " 1"}, words: "too_new 1",
			reason: map[string]uint64{tooNew: 1}},
		{name: "what the store refuses", send: []of{{cpu(""), map[int64]float64{5: 1, 6: 2}}}, status: 400, want: []string{mine + at(6) + " 2"}, words: "too_old 1",
			reason: map[string]uint64{tallyman.RemoteTooOld: 1}},
		{name: "no name", send: []of{{[]string{"id", "1"}, map[int64]float64{0: 1}}}, status: 400, words: "has no name", reason: map[string]uint64{badLabels: 1}},
		{name: "a label twice", send: []of{{[]string{"__name__", "cpu", "a", "1", "a", "2"}, map[int64]float64{0: 1}}}, status: 400, words: `has the label "a" twice`, reason: map[string]uint64{badLabels: 1}},
		{name: "too many labels", send: []of{{many, map[int64]float64{0: 1}}}, status: 400, words: "at most 40", reason: map[string]uint64{badLabels: 1}},
		{name: "a long value", send: []of{{[]string{"__name__", "cpu", "a", strings.Repeat("x", maxValue+1)}, map[int64]float64{0: 1}}}, status: 400, words: "at most 256 and 4096", reason: map[string]uint64{badLabels: 1}},
		{name: "no UTF-8", send: []of{{[]string{"__name__", "cpu", "a", "\xff"}, map[int64]float64{0: 1}}}, status: 400, words: "not UTF-8", reason: map[string]uint64{badLabels: 1}},
	} {
		for version := 1; version <= 2; version++ {
			k := &kept{refuse: map[int64]string{now.UnixMilli() + 5: tallyman.RemoteTooOld}}
			s := service(k, nil)
			status, written, words, _ := post(s, "web-1", kinds[version], request(t, version, c.send...))
			if status != c.status || !slices.Equal(k.samples, c.want) || written != strconv.Itoa(len(c.want)) || !strings.Contains(words, c.words) {
				t.Errorf("%s, %d.0: %d, %s written, %q, kept %q; want %d, %q and %q", c.name, version, status, written, words, k.samples, c.status, c.words, c.want)
			}
			balanced(t, c.name, s, c.reason)
		}
	}
}

// balanced says that what was received is stored, refused or to come again.
func balanced(t *testing.T, name string, s *Service, reasons map[string]uint64) {
	t.Helper()
	sum := s.stored.Load() + s.failed.Load()
	for reason, n := range s.refused {
		sum += n.Load()
		if n.Load() != reasons[reason] {
			t.Errorf("%s: %d refused for %s, want %d", name, n.Load(), reason, reasons[reason])
		}
	}
	if sum != s.received.Load() {
		t.Errorf("%s: received %d, and %d stored, refused or again", name, s.received.Load(), sum)
	}
}

// Bodies that are none, too large, or packed too well are refused before they are unpacked.
func TestBadBodies(t *testing.T) {
	good := request(t, 2, of{[]string{"__name__", "cpu"}, map[int64]float64{0: 1}})
	bomb := binary.AppendUvarint(nil, maxUnpacked+1)
	wrong := s2.EncodeSnappy(nil, []byte{0x2a, 0x04, 0x0a, 0x02, 0x07, 0x08}) // refers to symbols that are not there
	for _, c := range []struct {
		name, kind string
		body       []byte
		status     int
	}{
		{"JSON", "application/json", good, 415},
		{"no type", "", good, 415},
		{"another message", "application/x-protobuf;proto=io.prometheus.write.v3.Request", good, 415},
		{"the older message by its name", "application/x-protobuf;proto=prometheus.WriteRequest", request(t, 1, of{[]string{"__name__", "cpu"}, map[int64]float64{0: 1}}), 204},
		{"no snappy", kinds[2], []byte("\xff\xff\xff\xff\xff\xff"), 400},
		{"a declared length over the bound", kinds[2], bomb, 413},
		{"too long as sent", kinds[2], make([]byte, maxPacked+1), 413},
		{"half a message", kinds[2], s2.EncodeSnappy(nil, []byte{0x2a, 0x7f, 1}), 400},
		{"symbols that are not there", kinds[2], wrong, 400},
	} {
		k := &kept{}
		if status, _, words, _ := post(service(k, nil), "web-1", c.kind, c.body); status != c.status {
			t.Errorf("%s: %d %s; want %d", c.name, status, words, c.status)
		}
	}
}

// A store that takes nothing makes the agent send all again, and all is counted so.
func TestStoreFails(t *testing.T) {
	k := &kept{fail: errors.New("the disk is full")}
	s := service(k, nil)
	body := request(t, 2, of{[]string{"__name__", "cpu"}, map[int64]float64{0: 1, 10: 2, 700_000: 3}})
	if status, _, words, _ := post(s, "web-1", kinds[2], body); status != 503 || !strings.Contains(words, "disk is full") {
		t.Errorf("got %d %s; want 503", status, words)
	}
	balanced(t, "failed", s, nil)
	k.fail = nil
	if status, written, _, _ := post(s, "web-1", kinds[2], body); status != 400 || written != "2" {
		t.Errorf("again: %d, %s written; want 400 and 2", status, written)
	}
	balanced(t, "again", s, map[string]uint64{tooNew: 1})
}

// The limits of an agent are its own: series, until some end, and bytes in a second.
func TestLimits(t *testing.T) {
	k := &kept{}
	at := now
	s := service(k, func(o *Options) {
		o.Limits = Limits{Series: 2, Bytes: 100}
		o.now = func() time.Time { return at }
	})
	one := func(name string, v float64) []byte {
		return request(t, 2, of{[]string{"__name__", name}, map[int64]float64{at.Sub(now).Milliseconds(): v}})
	}
	f := func(host, name string, v float64, status int, words string) {
		t.Helper()
		if got, _, said, _ := post(s, host, kinds[2], one(name, v)); got != status || !strings.Contains(said, words) {
			t.Errorf("%s of %s: %d %s; want %d %s", name, host, got, said, status, words)
		}
	}
	f("web-1", "a", 1, 204, "")
	f("web-1", "b", 1, 204, "")
	f("web-1", "c", 1, 400, "an agent may have 2 series")
	f("web-2", "c", 1, 204, "") // another agent's limit
	at = at.Add(time.Second)
	f("web-1", "a", math.Float64frombits(value.StaleNaN), 204, "")
	f("web-1", "c", 1, 204, "") // in the place of the one that has ended
	at = at.Add(time.Second)
	f("web-1", "d", 1, 400, "an agent may have 2 series")
	at = at.Add(idle + time.Minute)
	f("web-1", "d", 1, 204, "") // those that were idle are forgotten
	if n := s.series.Load(); n != 2 {
		t.Errorf("%d series are known, want d of web-1 and c of web-2", n)
	}
	for range 1000 {
		status, _, words, h := post(s, "web-1", kinds[2], one("d", 2))
		if status == 204 || status == 400 {
			continue
		}
		if status != 429 || h.Get("Retry-After") == "" || !strings.Contains(words, "100 bytes a second") {
			t.Fatalf("got %d %s, Retry-After %q; want 429", status, words, h.Get("Retry-After"))
		}
		f("web-2", "c", 2, 204, "")
		seconds, err := strconv.Atoi(h.Get("Retry-After"))
		if err != nil {
			t.Fatal(err)
		}
		at = at.Add(time.Duration(seconds) * time.Second)
		f("web-1", "d", 3, 204, "")
		s.Forget("web-1")
		s.Forget("web-2")
		if n := s.series.Load(); n != 0 {
			t.Errorf("%d series are known after all agents were forgotten", n)
		}
		return
	}
	t.Error("an agent may send what it likes")
}

// The hub's own host is nobody else's, also when a token says so.
func TestOwnHost(t *testing.T) {
	k := &kept{}
	s := service(k, nil)
	if status, _, words, _ := post(s, "hub", kinds[2], request(t, 2, of{[]string{"__name__", "cpu"}, map[int64]float64{0: 1}})); status != 403 || len(k.samples) > 0 {
		t.Errorf("got %d %s; want 403", status, words)
	}
}

// The latest values are those of what is shown, with the value before for rates, until their
// series end or the agent is silent.
func TestLatest(t *testing.T) {
	k := &kept{}
	at := now
	s := service(k, func(o *Options) { o.now = func() time.Time { return at } })
	id := strings.Repeat("a", 64)
	cpu := []string{"__name__", "container_cpu_usage_seconds_total", "host", "web-1", "id", "/docker/" + id, "job", "cadvisor"}
	load := []string{"__name__", "node_load1", "job", "node"}
	other := []string{"__name__", "node_load5", "job", "node"}
	send := func(list ...of) {
		t.Helper()
		if status, _, words, _ := post(s, "web-1", kinds[2], request(t, 2, list...)); status != 204 {
			t.Fatalf("%d %s", status, words)
		}
	}
	send(of{cpu, map[int64]float64{0: 10}}, of{load, map[int64]float64{0: 0.5}}, of{other, map[int64]float64{0: 1}})
	send(of{cpu, map[int64]float64{10_000: 15}})
	send(of{cpu, map[int64]float64{5_000: 12}}) // late: it is no news
	got, _ := s.Latest(nil)
	slices.SortFunc(got, func(a, b tallyman.Reading) int { return strings.Compare(a.Series.Desc.Name, b.Series.Desc.Name) })
	if len(got) != 2 || got[0].Value != 15 || got[0].Series.Target.ID != id || got[0].Series.Target.Kind != tallyman.ContainerTarget || got[1].Series.Target.Kind != tallyman.HostTarget || got[1].Series.Target.Instance != "web-1" {
		t.Fatalf("got %+v", got)
	}
	if rate, ok := got[0].Rate(); !ok || rate != 0.5 {
		t.Errorf("the rate is %v, %v; want 0.5", rate, ok)
	}
	send(of{cpu, map[int64]float64{20_000: math.Float64frombits(value.StaleNaN)}})
	if got, _ := s.Latest(nil); len(got) != 1 {
		t.Errorf("after its end there are %d readings, want 1", len(got))
	}
	at = at.Add(2 * time.Minute)
	if got, _ := s.Latest(nil); len(got) != 0 {
		t.Errorf("of a silent agent there are %d readings", len(got))
	}
}

// Records of too many streams and of the future are refused and counted; the rest is stored.
func TestTakeRecords(t *testing.T) {
	var stored []string
	fail := errors.New("full")
	told := 0
	s := service(&kept{}, func(o *Options) {
		o.Limits = Limits{Streams: 2}
		o.Stored = func(host string, b *tallyman.RecordBatch) { told++ }
		o.Records = func(b *tallyman.RecordBatch) error {
			if fail != nil {
				return fail
			}
			for _, st := range b.Streams {
				for _, r := range st.Records {
					stored = append(stored, st.Stream.Label("name")+" "+string(r.Line))
				}
			}
			return nil
		}
	})
	stream := map[string]*tallyman.Stream{}
	for _, name := range []string{"a", "b", "c"} {
		stream[name] = &tallyman.Stream{Labels: []tallyman.Label{{Name: "name", Value: name}}}
	}
	batch := func() *tallyman.RecordBatch {
		b := &tallyman.RecordBatch{}
		for _, name := range []string{"a", "b", "c"} {
			b.Streams = append(b.Streams, tallyman.StreamRecords{Stream: stream[name], Records: []tallyman.Record{
				{Time: now.UnixNano(), Line: []byte("now")}, {Time: now.Add(11 * time.Minute).UnixNano(), Line: []byte("then")}}})
		}
		return b
	}
	if _, _, err := s.TakeRecords(t.Context(), "web-1", batch()); !errors.Is(err, fail) || told != 0 || s.records.Load() != 0 {
		t.Errorf("got %v, told %d times; want that nothing happened", err, told)
	}
	fail = nil
	refused, why, err := s.TakeRecords(t.Context(), "web-1", batch())
	if err != nil || refused != 4 || !strings.Contains(why, "stream limit") || told != 1 || !slices.Equal(stored, []string{"a now", "b now"}) {
		t.Errorf("%d refused, %q, %v; stored %q", refused, why, err, stored)
	}
	// The same labels are the same stream, whoever made it.
	stream["a"] = &tallyman.Stream{Labels: []tallyman.Label{{Name: "name", Value: "a"}}}
	if refused, _, err := s.TakeRecords(t.Context(), "web-1", &tallyman.RecordBatch{Streams: []tallyman.StreamRecords{{Stream: stream["a"], Records: []tallyman.Record{{Time: now.UnixNano()}}}}}); err != nil || refused != 0 {
		t.Errorf("%d refused, %v; want none", refused, err)
	}
	s.RefuseRecords(3, 2, 1)
	sum := s.storedRecords.Load()
	want := map[string]uint64{manyStreams: 2, tooNew: 2, foreignHost: 3, audit: 2, badRecord: 1}
	for reason, n := range s.refusedOfRecords {
		sum += n.Load()
		if n.Load() != want[reason] {
			t.Errorf("%d refused for %s, want %d", n.Load(), reason, want[reason])
		}
	}
	if s.records.Load() != sum || sum != 13 {
		t.Errorf("received %d, stored or refused %d; want 13", s.records.Load(), sum)
	}
}

// Any body at all gets an answer.
func FuzzWrite(f *testing.F) {
	for version := 1; version <= 2; version++ {
		body, err := s2.Decode(nil, request(f, version, of{[]string{"__name__", "cpu", "host", "web-1"}, map[int64]float64{0: 1, 10: 2}}))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(version == 2, body)
	}
	f.Fuzz(func(t *testing.T, two bool, body []byte) {
		s, version := service(&kept{}, nil), 1
		if two {
			version = 2
		}
		out, err := s.take(s.agent("web-1"), body, version)
		if err == nil && uint64(out.stored+out.count) != s.received.Load() {
			t.Errorf("%d stored and %d refused of %d", out.stored, out.count, s.received.Load())
		}
	})
}
