// SPDX-License-Identifier: Apache-2.0

package prom

import (
	"bytes"
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"tallyman"
)

// exposition renders the latest readings. Families and labels are laid out
// once for each generation of series, in a stable order; a scrape fills in the
// values.
type exposition struct {
	mu         sync.Mutex
	generation uint64
	readings   []tallyman.Reading
	families   []family
}

type family struct {
	desc *tallyman.Desc
	dto  *dto.MetricFamily
	from []int // the reading of each metric
}

// metrics answers GET /metrics with a round of this moment, so that a scrape
// interval that differs from tallyman's does not spoil rates. Values carry no
// timestamps, as in any exporter.
func (a *API) metrics(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), freshWithin)
	defer cancel()
	_ = a.o.Fresh(ctx) // else the latest round has to do
	format := expfmt.NegotiateIncludingOpenMetrics(r.Header)
	if format.FormatType() != expfmt.TypeOpenMetrics {
		format = expfmt.NewFormat(expfmt.TypeTextPlain)
	}
	text, err := a.exposition.render(a.o.Readings, format)
	if err != nil {
		a.o.Log.Error("cannot render /metrics", "err", err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", string(format))
	_, _ = w.Write(text)
}

func (e *exposition) render(src tallyman.Readings, format expfmt.Format) ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var generation uint64
	e.readings, generation = src.Latest(e.readings[:0])
	if generation != e.generation || e.families == nil {
		e.families, e.generation = layOut(e.readings), generation
	}
	var b bytes.Buffer
	enc := expfmt.NewEncoder(&b, format)
	open := format.FormatType() == expfmt.TypeOpenMetrics
	for i := range e.families {
		f := &e.families[i]
		f.fill(e.readings, open)
		if err := enc.Encode(f.dto); err != nil {
			return nil, err
		}
	}
	if c, ok := enc.(expfmt.Closer); ok {
		if err := c.Close(); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
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
			families = append(families, family{desc: d, dto: &dto.MetricFamily{Name: &d.Name, Help: &d.Help}})
		}
		families[n].from = append(families[n].from, i)
	}
	slices.SortFunc(families, func(a, b family) int { return cmp.Compare(a.desc.Name, b.desc.Name) })
	for n := range families {
		f := &families[n]
		slices.SortFunc(f.from, func(a, b int) int { return compareLabels(readings[a].Series.Labels, readings[b].Series.Labels) })
		for _, i := range f.from {
			m := &dto.Metric{}
			for _, l := range readings[i].Series.Labels {
				if l.Value != "" {
					m.Label = append(m.Label, &dto.LabelPair{Name: &l.Name, Value: &l.Value})
				}
			}
			f.dto.Metric = append(f.dto.Metric, m)
		}
	}
	return families
}

func compareLabels(a, b []tallyman.Label) int {
	return slices.CompareFunc(a, b, func(x, y tallyman.Label) int {
		return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.Value, y.Value))
	})
}

// fill sets type and values. In OpenMetrics a counter's name must end in
// _total; one that does not (cAdvisor's container_memory_failcnt) is exposed as
// unknown there, because the encoder would change its name.
func (f *family) fill(readings []tallyman.Reading, open bool) {
	typ := dto.MetricType_UNTYPED
	switch {
	case f.desc.Type == tallyman.Gauge:
		typ = dto.MetricType_GAUGE
	case f.desc.Type == tallyman.Counter && (!open || strings.HasSuffix(f.desc.Name, "_total")):
		typ = dto.MetricType_COUNTER
	}
	f.dto.Type = &typ
	for n, i := range f.from {
		m, v := f.dto.Metric[n], &readings[i].Value
		m.Gauge, m.Counter, m.Untyped = nil, nil, nil
		switch typ {
		case dto.MetricType_GAUGE:
			m.Gauge = &dto.Gauge{Value: v}
		case dto.MetricType_COUNTER:
			m.Counter = &dto.Counter{Value: v}
		default:
			m.Untyped = &dto.Untyped{Value: v}
		}
	}
}
