// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	"tallyman"
	"tallyman/forward/send"
	"tallyman/forward/spool"
)

// series is one as it goes out.
type series struct {
	*resource
	name, help, unit string
	counter          bool
	attributes       pcommon.Map
	begun            int64   // since when a counter counts, Unix milliseconds
	last             float64 // value of the newest point,
	lastTime         int64   // and its time, 0 before the first
}

type point = send.Point[series]

// metrics is a send.SampleFormat.
type metrics struct {
	opt   *Options
	pack  send.Gzip
	order []int // of points
}

// NewMetrics makes a forwarder of samples; its client posts to …/v1/metrics. It connects to
// nobody.
func NewMetrics(o Options, samples send.SampleOptions) (*send.SampleForwarder[series], error) {
	return send.NewSampleForwarder(samples, o.post(), &metrics{opt: &o})
}

// units are those of UCUM.
var units = map[string]string{"": "1", "bytes": "By", "seconds": "s", "ratio": "1", "celsius": "Cel", "volts": "V", "amperes": "A", "watts": "W", "joules": "J", "hertz": "Hz", "meters": "m", "grams": "g"}

// Series implements send.SampleFormat.
func (f *metrics) Series(s *spool.Series) *series {
	out := &series{resource: f.opt.resourceOf(s.Labels), name: clean(s.Name), help: clean(s.Help), unit: clean(s.Unit), counter: s.Type == tallyman.Counter, attributes: pcommon.NewMap(), begun: s.Start}
	if u, ok := units[s.Unit]; ok {
		out.unit = u
	}
	putLabels(out.attributes, s.Labels, f.opt.Points)
	return out
}

// Forget implements send.SampleFormat.
func (f *metrics) Forget() {}

// since is since when a counter counts at a point, never later than it. It is called for each
// point in the order of times, and more often for those that are sent again.
func (s *series) since(p *point) int64 {
	switch {
	case s.lastTime == 0 && (s.begun <= 0 || s.begun > p.Time):
		s.begun = p.Time
	case s.lastTime != 0 && p.Time > s.lastTime && p.Value < s.last:
		s.begun = s.lastTime
	}
	if p.Time >= s.lastTime {
		s.last, s.lastTime = p.Value, p.Time
	}
	return min(s.begun, p.Time)
}

// Request implements send.SampleFormat. Points are put together by resource and metric.
func (f *metrics) Request(points []point) send.Request {
	out := pmetric.NewMetrics()
	f.order = f.order[:0]
	for i := range points {
		f.order = append(f.order, i)
	}
	slices.SortStableFunc(f.order, func(a, b int) int {
		x, y := points[a].Series, points[b].Series
		return cmp.Or(strings.Compare(x.key, y.key), strings.Compare(x.name, y.name))
	})
	var before *series
	var scope pmetric.ScopeMetrics
	var data pmetric.NumberDataPointSlice
	for _, i := range f.order {
		p := &points[i]
		s := p.Series
		if before == nil || before.key != s.key {
			one := out.ResourceMetrics().AppendEmpty()
			s.resource.attributes.CopyTo(one.Resource().Attributes())
			scope = one.ScopeMetrics().AppendEmpty()
			scope.Scope().SetName("tallyman")
			before = nil
		}
		if before == nil || before.name != s.name {
			m := scope.Metrics().AppendEmpty()
			m.SetName(s.name)
			m.SetDescription(s.help)
			m.SetUnit(s.unit)
			if s.counter {
				sum := m.SetEmptySum()
				sum.SetIsMonotonic(true)
				sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
				data = sum.DataPoints()
			} else {
				data = m.SetEmptyGauge().DataPoints()
			}
		}
		before = s
		d := data.AppendEmpty()
		s.attributes.CopyTo(d.Attributes())
		d.SetTimestamp(pcommon.Timestamp(max(0, p.Time) * 1e6))
		if math.IsNaN(p.Value) {
			d.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
			continue
		}
		d.SetDoubleValue(p.Value)
		if s.counter {
			d.SetStartTimestamp(pcommon.Timestamp(max(0, s.since(p)) * 1e6))
		}
	}
	body, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(out)
	return packed(&f.pack, body, err)
}

// Outcome implements send.SampleFormat.
func (f *metrics) Outcome(a *send.Answer, points []point) send.Outcome[point] {
	answer := pmetricotlp.NewExportResponse()
	if a.Verdict == send.Done && answer.UnmarshalProto(a.Body) == nil {
		p := answer.PartialSuccess()
		return rejected[point](f.opt, p.RejectedDataPoints(), p.ErrorMessage(), len(points))
	}
	return refusedAll(a, points)
}
