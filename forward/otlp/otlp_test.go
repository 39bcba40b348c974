// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.uber.org/goleak"

	"tallyman"
	"tallyman/forward/forwardtest"
	"tallyman/forward/send"
	"tallyman/forward/spool"
	"tallyman/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func unpack(h http.Header, body []byte) ([]byte, error) {
	if got := h.Get("Content-Type"); got != "application/x-protobuf" {
		return nil, fmt.Errorf("the content is %s", got)
	}
	return forwardtest.Unpack(h, body)
}

func decodeLogs(h http.Header, body []byte) (plog.Logs, error) {
	r := plogotlp.NewExportRequest()
	b, err := unpack(h, body)
	if err == nil {
		err = r.UnmarshalProto(b)
	}
	return r.Logs(), err
}

func decodeMetrics(h http.Header, body []byte) (pmetric.Metrics, error) {
	r := pmetricotlp.NewExportRequest()
	b, err := unpack(h, body)
	if err == nil {
		err = r.UnmarshalProto(b)
	}
	return r.Metrics(), err
}

func lines(r *http.Request, body []byte) (out []string, err error) {
	all, err := decodeLogs(r.Header, body)
	for i := range all.ResourceLogs().Len() {
		records := all.ResourceLogs().At(i).ScopeLogs().At(0).LogRecords()
		for j := range records.Len() {
			out = append(out, records.At(j).Body().Str())
		}
	}
	return out, err
}

func sampleLines(r *http.Request, body []byte) (out []string, err error) {
	all, err := decodeMetrics(r.Header, body)
	for i := range all.ResourceMetrics().Len() {
		list := all.ResourceMetrics().At(i).ScopeMetrics().At(0).Metrics()
		for j := range list.Len() {
			if m := list.At(j); m.Type() == pmetric.MetricTypeSum {
				for k := range m.Sum().DataPoints().Len() {
					p := m.Sum().DataPoints().At(k)
					n, _ := p.Attributes().Get("n")
					out = append(out, forwardtest.SampleLine(n.Str(), int64(p.Timestamp()/1e6), p.DoubleValue()))
				}
			}
		}
	}
	return out, err
}

func options(t testing.TB, url string) Options {
	t.Helper()
	c, err := send.New(send.Options{URL: secret.Text(url)})
	if err != nil {
		t.Fatal(err)
	}
	return Options{Client: c, Host: "h", patience: time.Nanosecond}
}

var quick = send.LineOptions{Least: time.Millisecond, Hold: time.Millisecond}

func newMetrics(t testing.TB, o Options, r *spool.Reader) *send.SampleForwarder[series] {
	t.Helper()
	f, err := NewMetrics(o, send.SampleOptions{Name: forwardtest.Name, Reader: r, Gather: time.Millisecond, Line: quick})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestLogsContract(t *testing.T) {
	forwardtest.TestRecords(t, forwardtest.Forwarder{Decode: lines, Halves: true,
		New: func(t *testing.T, url string, log tallyman.RecordLog) (func(context.Context) error, func() forwardtest.Counts) {
			f := NewLogs(options(t, url), send.RecordOptions{Name: forwardtest.Name, Log: log, Every: time.Millisecond, Line: quick})
			return f.Run, func() forwardtest.Counts {
				read, _, _ := f.Counts()
				now := f.Stats()
				return forwardtest.Counts{Read: read, Sent: now.Sent, Refused: now.Refused, Dropped: now.Dropped}
			}
		}})
}

func TestMetricsContract(t *testing.T) {
	forwardtest.TestSamples(t, forwardtest.SampleForwarder{Decode: sampleLines, Halves: true,
		New: func(t *testing.T, url string, r *spool.Reader) (func(context.Context) error, func() forwardtest.Counts) {
			f := newMetrics(t, options(t, url), r)
			return f.Run, func() forwardtest.Counts {
				read, sent, _ := f.Counts()
				return forwardtest.Counts{Read: read, Sent: sent, Refused: f.Stats().Refused}
			}
		}})
}

func streamWith(pairs ...string) *tallyman.Stream {
	st := &tallyman.Stream{}
	for i := 0; i < len(pairs); i += 2 {
		st.Labels = append(st.Labels, tallyman.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return st
}

// A record has its resource, its severity and an id, whatever is in it.
func TestLogs(t *testing.T) {
	o := options(t, "http://127.0.0.1:1")
	o.External = []tallyman.Label{{Name: "dc", Value: "fra"}}
	f := &logs{opt: &o, id: "5f0c"}
	to, _ := f.Stream(streamWith("host", "web-1", "image", "reg:5000/shop/api:1.2", "level", "error", "name", "api-1\xff", "source", "container", "stream", "stderr", "workload", "shop/api/1"))
	r := f.Request([]item{
		{To: to, Number: 7, Time: 1_700_000_000_000_000_001, Line: []byte("one\n\x00\xff"), Meta: []tallyman.Label{{Name: "container_id", Value: "c0ffee"}, {Name: "source", Value: "other"}, {Name: "x\xff", Value: "1"}}},
		{To: to, Time: -1},
	})
	all, err := decodeLogs(r.Header, r.Body)
	if err != nil || all.LogRecordCount() != 2 {
		t.Fatalf("%d, %v", all.LogRecordCount(), err)
	}
	one := all.ResourceLogs().At(0)
	for key, want := range map[string]string{"host.name": "web-1", "container.name": "api-1\ufffd", "container.image.name": "reg:5000/shop/api", "container.image.tags": `["1.2"]`,
		"container.runtime.name": "docker", "service.namespace": "shop", "service.name": "api", "service.instance.id": "shop/api/1", "dc": "fra"} {
		if v, _ := one.Resource().Attributes().Get(key); v.AsString() != want {
			t.Errorf("%s is %q, want %q", key, v.AsString(), want)
		}
	}
	record := one.ScopeLogs().At(0).LogRecords().At(0)
	for key, want := range map[string]string{"log.iostream": "stderr", "source": "container", "container_id": "c0ffee", "x\ufffd": "1", "log.record.uid": fmt.Sprintf("5f0c-7-%x", 1_700_000_000_000_000_001)} {
		if v, _ := record.Attributes().Get(key); v.AsString() != want {
			t.Errorf("%s is %q, want %q", key, v.AsString(), want)
		}
	}
	if record.Attributes().Len() != 5 || record.Body().Str() != "one\n\x00\ufffd" || record.Timestamp() != 1_700_000_000_000_000_001 || record.ObservedTimestamp() == 0 || record.SeverityNumber() != plog.SeverityNumberError || record.SeverityText() != "error" {
		t.Errorf("%v %q %v", record.Attributes().AsRaw(), record.Body().Str(), record.SeverityNumber())
	}
}

// Counters are sums with a start that is never later than the point, gauges are gauges, and a
// series that has ended has no value.
func TestMetrics(t *testing.T) {
	o := options(t, "http://127.0.0.1:1")
	f := &metrics{opt: &o}
	id := strings.Repeat("c0ffee00", 8)
	l := []tallyman.Label{{Name: "host", Value: "web-1"}, {Name: "id", Value: "/docker/" + id}, {Name: "image", Value: "nginx"}, {Name: "n", Value: "1"}, {Name: "name", Value: "web"}}
	counter := f.Series(&spool.Series{Name: "a_total", Help: "Help", Unit: "bytes", Type: tallyman.Counter, Labels: l})
	started := f.Series(&spool.Series{Name: "a_total", Unit: "bytes", Type: tallyman.Counter, Start: 50, Labels: l[:3]})
	gauge := f.Series(&spool.Series{Name: "b", Type: tallyman.Gauge, Labels: l})
	at := func(s *series, t int64, v float64) point { return point{Series: s, Time: t, Value: v} }
	stale := math.Float64frombits(0x7ff0000000000002)
	r := f.Request([]point{at(counter, 100, 5), at(gauge, 100, 1.5), at(started, 100, 9), at(counter, 200, 7), at(counter, 300, 1), at(gauge, 300, stale), at(started, 40, 1)})
	all, err := decodeMetrics(r.Header, r.Body)
	if err != nil || all.ResourceMetrics().Len() != 2 || all.DataPointCount() != 7 {
		t.Fatalf("%d resources, %d points, %v", all.ResourceMetrics().Len(), all.DataPointCount(), err)
	}
	var got []string
	for i := range 2 {
		one := all.ResourceMetrics().At(i)
		if v, _ := one.Resource().Attributes().Get("container.id"); v.Str() != id {
			t.Errorf("the container is %q", v.Str())
		}
		for j := range one.ScopeMetrics().At(0).Metrics().Len() {
			m := one.ScopeMetrics().At(0).Metrics().At(j)
			var points pmetric.NumberDataPointSlice
			if m.Type() == pmetric.MetricTypeSum {
				points = m.Sum().DataPoints()
				if !m.Sum().IsMonotonic() || m.Sum().AggregationTemporality() != pmetric.AggregationTemporalityCumulative {
					t.Errorf("%s is no counter", m.Name())
				}
			} else {
				points = m.Gauge().DataPoints()
			}
			for k := range points.Len() {
				p := points.At(k)
				got = append(got, fmt.Sprint(m.Name(), " ", m.Unit(), " ", p.Attributes().Len(), " ", uint64(p.StartTimestamp())/1e6, " ", uint64(p.Timestamp())/1e6, " ", p.DoubleValue(), " ", p.Flags().NoRecordedValue()))
			}
		}
	}
	want := []string{"a_total By 0 50 100 9 false", "a_total By 0 40 40 1 false", "a_total By 1 100 100 5 false", "a_total By 1 100 200 7 false", "a_total By 1 200 300 1 false", "b 1 1 0 100 1.5 false", "b 1 1 0 300 0 true"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What an answer says is rejected is counted.
func TestPartialSuccess(t *testing.T) {
	o := options(t, "http://127.0.0.1:1")
	answer := pmetricotlp.NewExportResponse()
	answer.PartialSuccess().SetRejectedDataPoints(3)
	answer.PartialSuccess().SetErrorMessage("too old")
	body, err := answer.MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	f := &metrics{opt: &o}
	for _, c := range []struct {
		body   string
		points int
		want   int
	}{{string(body), 5, 3}, {string(body), 2, 2}, {"", 5, 0}, {"{}", 5, 0}, {"\xff\xff", 5, 0}} {
		if out := f.Outcome(&send.Answer{Body: []byte(c.body)}, make([]point, c.points)); out.Refused != c.want || (c.want > 0) != (out.Reason == "too_old") {
			t.Errorf("%q: %+v, want %d", c.body, out, c.want)
		}
	}
}

// FuzzOutcome gives any answer: nothing panics, and no more is refused than was sent.
func FuzzOutcome(f *testing.F) {
	f.Add([]byte("\x0a\x02\x08\x05"), 3)
	f.Fuzz(func(t *testing.T, body []byte, n int) {
		o := options(t, "http://127.0.0.1:1")
		items := make([]item, max(1, min(n, 100)))
		if out := (&logs{opt: &o}).Outcome(&send.Answer{Body: body}, items); out.Refused < 0 || out.Refused > len(items) {
			t.Fatalf("%+v of %d", out, len(items))
		}
	})
}

func BenchmarkMetrics(b *testing.B) {
	o := options(b, "http://127.0.0.1:1")
	f := &metrics{opt: &o}
	var points []point
	for i := range 6000 {
		s := &spool.Series{Name: fmt.Sprintf("container_metric_%d_total", i%60), Help: "Help of it", Type: tallyman.Counter}
		for _, l := range []string{"host", "id", "image", "instance", "job", "name", "workload"} {
			s.Labels = append(s.Labels, tallyman.Label{Name: l, Value: fmt.Sprintf("%s-of-container-%040d", l, i/60)})
		}
		points = append(points, point{Series: f.Series(s), Time: 1000, Value: float64(i * 12345)})
	}
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		for i := range points {
			points[i].Time += 10_000
		}
		n += len(f.Request(points).Body)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(points)), "ns/sample")
	b.ReportMetric(float64(n)/float64(b.N*len(points)), "B/sample")
}
