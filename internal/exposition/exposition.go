// SPDX-License-Identifier: Apache-2.0

// Package exposition reads metrics in the text formats of Prometheus and OpenMetrics.
package exposition

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/model/value"

	"tallyman"
)

// Accept is what a scrape says it understands.
const Accept = "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"

// ErrOther is the error of a text that is none of metrics.
var ErrOther = errors.New("not the text of metrics")

// Sink takes what a text holds. tallyman.ServiceSink is one.
type Sink interface {
	// Desc is the description of a metric that the text names.
	Desc(name string, typ tallyman.MetricType, help string) *tallyman.Desc
	// Add takes a value; labels are names and values in turn, and belong to the caller.
	Add(d *tallyman.Desc, v float64, labels ...string)
}

// Reader says how metrics of a text are taken. Its zero value takes all as they are.
type Reader struct {
	// Keep reports whether a metric of a name is wanted; nil wants all.
	Keep func(name string) bool
	// Rename gives a metric another name; nil leaves all.
	Rename func(name string) string
}

// Parse gives the samples of a text to s and returns how many the text has. Histograms and
// summaries stay as their series; times that stand beside a value are left out. A text that
// breaks off gives an error, after what stands before.
func (e Reader) Parse(text []byte, contentType string, s Sink) (samples int, err error) {
	media, _, err := mime.ParseMediaType(contentType)
	switch {
	case err == nil && (media == "text/html" || media == "application/json" || strings.HasSuffix(media, "/protobuf")):
		return 0, fmt.Errorf("it answers with %s: %w", media, ErrOther)
	case contentType == "" && strings.HasPrefix(strings.TrimSpace(string(text[:min(len(text), 64)])), "<"):
		return 0, fmt.Errorf("it answers with a page: %w", ErrOther)
	}
	p, err := textparse.New(text, contentType, labels.NewSymbolTable(), textparse.ParserOptions{FallbackContentType: "text/plain", IgnoreNativeHistograms: true})
	if p == nil {
		return 0, err
	}
	type family struct {
		typ  model.MetricType
		help string
	}
	families := map[string]family{}
	var set labels.Labels
	var pairs []string
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return samples, nil
		}
		if err != nil {
			return samples, err
		}
		switch entry {
		case textparse.EntryType:
			name, typ := p.Type()
			f := families[string(name)]
			f.typ = typ
			families[string(name)] = f
		case textparse.EntryHelp:
			name, help := p.Help()
			f := families[string(name)]
			f.help = string(help)
			families[string(name)] = f
		case textparse.EntrySeries:
			_, _, v := p.Series()
			p.Labels(&set)
			name := set.Get(model.MetricNameLabel)
			if value.IsStaleNaN(v) {
				continue
			}
			samples++
			f, typ := families[name], tallyman.Untyped
			switch f.typ {
			case model.MetricTypeCounter:
				typ = tallyman.Counter
			case model.MetricTypeGauge, model.MetricTypeInfo, model.MetricTypeStateset:
				typ = tallyman.Gauge
			default:
				// A part of a histogram or a summary, or OpenMetrics' name of a counter.
				for _, suffix := range []string{"_total", "_bucket", "_count", "_sum", "_created", "_info"} {
					base, ok := strings.CutSuffix(name, suffix)
					if parent, known := families[base]; ok && known {
						f = parent
						switch {
						case suffix == "_created" || suffix == "_info" || parent.typ == model.MetricTypeGaugeHistogram:
							typ = tallyman.Gauge
						case parent.typ == model.MetricTypeUnknown:
						default:
							typ = tallyman.Counter
						}
						break
					}
				}
				if f.typ == model.MetricTypeSummary && typ == tallyman.Untyped {
					typ = tallyman.Gauge // a quantile
				}
			}
			if e.Keep != nil && !e.Keep(name) {
				continue
			}
			if e.Rename != nil {
				name = e.Rename(name)
			}
			pairs = pairs[:0]
			set.Range(func(l labels.Label) {
				if l.Name != model.MetricNameLabel {
					pairs = append(pairs, l.Name, l.Value)
				}
			})
			s.Add(s.Desc(name, typ, strings.TrimSuffix(f.help, ".")), v, pairs...)
		}
	}
}
