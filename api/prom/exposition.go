// SPDX-License-Identifier: Apache-2.0

package prom

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"tallyman"
)

// exposition renders the latest readings. Their order, families by name and
// metrics by labels, is found once for each generation of series; a scrape writes
// family after family, so that it takes the memory of one.
type exposition struct {
	mu         sync.Mutex
	generation uint64
	families   []family // not changed once made
	scratch    sync.Pool
}

type family struct {
	desc *tallyman.Desc
	from []int // the reading of each metric
}

// scratch is what one scrape needs; it is used again.
type scratch struct {
	readings []tallyman.Reading
	family   dto.MetricFamily
	metrics  []*metric
}

// metric is one line and what it points to.
type metric struct {
	dto     dto.Metric
	labels  []*dto.LabelPair
	gauge   dto.Gauge
	counter dto.Counter
	untyped dto.Untyped
}

// metrics answers GET /metrics with a round of this moment, so that a scrape
// interval that differs from tallyman's does not spoil rates. Values carry no
// timestamps, as in any exporter.
func (a *API) metrics(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), freshWithin)
	defer cancel()
	_ = a.o.CollectNow(ctx) // else the latest round has to do
	format := expfmt.NegotiateAccept(r.Header, expfmt.DefaultOpenMetricsAcceptedFormats()...)
	if format.FormatType() != expfmt.TypeOpenMetrics {
		format = expfmt.NewFormat(expfmt.TypeTextPlain)
	}
	w.Header().Set("Content-Type", string(format))
	b := bufio.NewWriterSize(w, 32<<10)
	err := a.exposition.render(b, a.o.Readings, format)
	if err == nil {
		err = b.Flush()
	}
	if err != nil {
		if r.Context().Err() == nil {
			a.o.Log.Error("cannot render /metrics", "err", err)
		}
		panic(http.ErrAbortHandler) // half of it is not to be taken for the whole
	}
}

func (e *exposition) render(w io.Writer, src tallyman.Readings, format expfmt.Format) error {
	s, _ := e.scratch.Get().(*scratch)
	if s == nil {
		s = &scratch{}
	}
	defer e.scratch.Put(s)
	enc := expfmt.NewEncoder(w, format)
	open := format.FormatType() == expfmt.TypeOpenMetrics
	families := e.latest(s, src)
	for i := range families {
		if err := enc.Encode(s.fill(&families[i], open)); err != nil {
			return err
		}
	}
	if c, ok := enc.(expfmt.Closer); ok {
		return c.Close()
	}
	return nil
}

// latest takes the readings into s, and gives their order.
func (e *exposition) latest(s *scratch, src tallyman.Readings) []family {
	e.mu.Lock()
	defer e.mu.Unlock()
	var generation uint64
	s.readings, generation = src.Latest(s.readings[:0])
	if generation != e.generation || e.families == nil {
		e.families, e.generation = layOut(s.readings), generation
	}
	return e.families
}

// layOut groups readings by family and sorts families by name, metrics by labels.
func layOut(readings []tallyman.Reading) []family {
	at := map[*tallyman.Desc]int{}
	families := []family{}
	for i := range readings {
		d := readings[i].Series.Desc
		n, ok := at[d]
		if !ok {
			n = len(families)
			at[d] = n
			families = append(families, family{desc: d})
		}
		families[n].from = append(families[n].from, i)
	}
	slices.SortFunc(families, func(a, b family) int { return cmp.Compare(a.desc.Name, b.desc.Name) })
	for _, f := range families {
		slices.SortFunc(f.from, func(a, b int) int { return compareLabels(readings[a].Series.Labels, readings[b].Series.Labels) })
	}
	return families
}

func compareLabels(a, b []tallyman.Label) int {
	return slices.CompareFunc(a, b, func(x, y tallyman.Label) int {
		return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.Value, y.Value))
	})
}

// fill makes the family of f in s, which is good until the next. In OpenMetrics a
// counter's name must end in _total; one that does not (cAdvisor's
// container_memory_failcnt) is exposed as unknown there, because the encoder
// would change its name.
func (s *scratch) fill(f *family, open bool) *dto.MetricFamily {
	typ := dto.MetricType_UNTYPED
	switch {
	case f.desc.Type == tallyman.Gauge:
		typ = dto.MetricType_GAUGE
	case f.desc.Type == tallyman.Counter && (!open || strings.HasSuffix(f.desc.Name, "_total")):
		typ = dto.MetricType_COUNTER
	}
	out := &s.family
	out.Name, out.Help, out.Type, out.Metric = &f.desc.Name, &f.desc.Help, &typ, out.Metric[:0]
	for n, i := range f.from {
		if n == len(s.metrics) {
			s.metrics = append(s.metrics, &metric{})
		}
		m, r := s.metrics[n], &s.readings[i]
		m.dto.Label = m.dto.Label[:0]
		for k := range r.Series.Labels {
			l := &r.Series.Labels[k]
			if l.Value == "" {
				continue
			}
			at := len(m.dto.Label)
			if at == len(m.labels) {
				m.labels = append(m.labels, &dto.LabelPair{})
			}
			m.labels[at].Name, m.labels[at].Value = &l.Name, &l.Value
			m.dto.Label = append(m.dto.Label, m.labels[at])
		}
		m.dto.Gauge, m.dto.Counter, m.dto.Untyped = nil, nil, nil
		switch typ {
		case dto.MetricType_GAUGE:
			m.gauge.Value, m.dto.Gauge = &r.Value, &m.gauge
		case dto.MetricType_COUNTER:
			m.counter.Value, m.dto.Counter = &r.Value, &m.counter
		default:
			m.untyped.Value, m.dto.Untyped = &r.Value, &m.untyped
		}
		out.Metric = append(out.Metric, &m.dto)
	}
	return out
}
