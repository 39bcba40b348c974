// SPDX-License-Identifier: Apache-2.0

package exposition

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"tallyman"
	"tallyman/service/servicetest"
)

func TestParse(t *testing.T) {
	text := `# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{code="200",path="/a \"b\""} 5
requests_total{code="500"} 1 1700000000000
# TYPE temperature gauge
temperature -3.5
# TYPE latency_seconds histogram
latency_seconds_bucket{le="0.1"} 2
latency_seconds_bucket{le="+Inf"} 3
latency_seconds_sum 0.5
latency_seconds_count 3
# TYPE rpc_seconds summary
rpc_seconds{quantile="0.5"} 0.25
rpc_seconds_sum 4
rpc_seconds_count 9
plain 7
`
	s := servicetest.NewSink()
	n, err := Reader{}.Parse([]byte(text), "text/plain; version=0.0.4", s)
	if err != nil || n != 11 {
		t.Fatalf("%d samples, %v", n, err)
	}
	want := map[string]float64{
		`requests_total{code="200",path="/a \"b\""}`: 5, `requests_total{code="500"}`: 1, "temperature": -3.5,
		`latency_seconds_bucket{le="0.1"}`: 2, `latency_seconds_bucket{le="+Inf"}`: 3, "latency_seconds_sum": 0.5, "latency_seconds_count": 3,
		`rpc_seconds{quantile="0.5"}`: 0.25, "rpc_seconds_sum": 4, "rpc_seconds_count": 9, "plain": 7,
	}
	if d := cmp.Diff(want, s.Values); d != "" {
		t.Errorf("values (-want +got):\n%s", d)
	}
	types := map[string]tallyman.MetricType{"requests_total": tallyman.Counter, "temperature": tallyman.Gauge, "latency_seconds_bucket": tallyman.Counter,
		"latency_seconds_sum": tallyman.Counter, "latency_seconds_count": tallyman.Counter, "rpc_seconds": tallyman.Gauge,
		"rpc_seconds_sum": tallyman.Counter, "rpc_seconds_count": tallyman.Counter, "plain": tallyman.Untyped}
	if d := cmp.Diff(types, s.Types); d != "" {
		t.Errorf("types (-want +got):\n%s", d)
	}
}

func TestParseOpenMetrics(t *testing.T) {
	text := "# TYPE jobs counter\n# HELP jobs Jobs.\njobs_total 4\njobs_created 1.7e9\n# TYPE build info\nbuild_info{version=\"1\"} 1\n# EOF\n"
	s := servicetest.NewSink()
	if _, err := (Reader{}).Parse([]byte(text), "application/openmetrics-text; version=1.0.0; charset=utf-8", s); err != nil {
		t.Fatal(err)
	}
	want := map[string]tallyman.MetricType{"jobs_total": tallyman.Counter, "jobs_created": tallyman.Gauge, "build_info": tallyman.Gauge}
	if d := cmp.Diff(want, s.Types); d != "" {
		t.Errorf("types (-want +got):\n%s", d)
	}
}

func TestParseSomethingElse(t *testing.T) {
	for _, one := range []struct{ text, media string }{
		{"<html>hello</html>", "text/html"}, {"<!doctype html>", ""}, {`{"a":1}`, "application/json"}, {"requests_total{code=", "text/plain"},
	} {
		if _, err := (Reader{}).Parse([]byte(one.text), one.media, servicetest.NewSink()); err == nil {
			t.Errorf("%q of %q is taken", one.text, one.media)
		}
	}
}
