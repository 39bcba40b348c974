// SPDX-License-Identifier: Apache-2.0

package metric

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/value"

	"tallyman"
)

// What others send is stored sample by sample: late ones within the window, stale markers
// and repeats are taken, the rest is marked with its reason and holds nobody up; a store
// that was opened anew knows the series again.
func TestAppendRemote(t *testing.T) {
	s, _ := openMending(t) // with a window of three hours
	series := func(name, host string) *tallyman.RemoteSeries {
		return &tallyman.RemoteSeries{Labels: []tallyman.Label{{Name: "__name__", Value: name}, {Name: "host", Value: host}}}
	}
	a, b := series("a", "web-1"), series("b", "web-1")
	now := time.Now().UnixMilli()
	f := func(what string, want []string, samples ...tallyman.RemoteSample) {
		t.Helper()
		if err := s.AppendRemote(samples); err != nil {
			t.Fatal(what, err)
		}
		var got []string
		for _, one := range samples {
			got = append(got, one.Refused)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: refused %q, want %q", what, got, want)
		}
	}
	f("two series", []string{"", ""}, tallyman.RemoteSample{Series: a, Time: now, Value: 1}, tallyman.RemoteSample{Series: b, Time: now, Value: 2})
	f("the same again", []string{"", ""}, tallyman.RemoteSample{Series: a, Time: now, Value: 1}, tallyman.RemoteSample{Series: b, Time: now, Value: 2})
	f("another value, a late one, one that is too late, the next", []string{"other_value", "", "too_old", ""},
		tallyman.RemoteSample{Series: a, Time: now, Value: 7}, tallyman.RemoteSample{Series: a, Time: now - 60_000, Value: 0.5},
		tallyman.RemoteSample{Series: a, Time: now - 4*3600_000, Value: 9}, tallyman.RemoteSample{Series: a, Time: now + 1000, Value: 3})
	f("the late one again, and the end", []string{"", ""}, tallyman.RemoteSample{Series: a, Time: now - 60_000, Value: 0.5},
		tallyman.RemoteSample{Series: b, Time: now + 1000, Value: math.Float64frombits(value.StaleNaN)})
	if got := valuesOf(s, "a"); !slices.Equal(got, []float64{0.5, 1, 3}) {
		t.Errorf("of a there is %v; want 0.5, 1, 3", got)
	}
	if err := s.Forget(time.UnixMilli(now - 1000)); err != nil {
		t.Fatal(err)
	}
	f("after the future was set aside", []string{"", ""}, tallyman.RemoteSample{Series: b, Time: now, Value: 4}, tallyman.RemoteSample{Series: a, Time: now, Value: 5})
	for name, want := range map[string][]float64{"a": {5}, "b": {4}} {
		if got := valuesOf(s, name); !slices.Equal(got, want) {
			t.Errorf("of %s there is %v; want %v", name, got, want)
		}
	}
}
