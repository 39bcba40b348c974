// SPDX-License-Identifier: Apache-2.0

package loki

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyman/internal/httpx"
	"tallyman/query/logql"
)

// detectedLabels is the answer of detected_labels.
type detectedLabels struct {
	Labels []detectedLabel `json:"detectedLabels"`
}

type detectedLabel struct {
	Label       string `json:"label"`
	Cardinality int    `json:"cardinality"`
}

func (a *API) detectedLabels(w http.ResponseWriter, r *http.Request) error {
	streams, err := a.selected(r)
	if err != nil {
		return err
	}
	values := map[string]map[string]bool{}
	for _, s := range streams {
		for _, l := range s.Labels {
			if values[l.Name] == nil {
				values[l.Name] = map[string]bool{}
			}
			values[l.Name][l.Value] = true
		}
	}
	out := detectedLabels{[]detectedLabel{}}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		out.Labels = append(out.Labels, detectedLabel{name, len(values[name])})
	}
	httpx.WriteJSON(w, out)
	return nil
}

// detectedFields is the answer of detected_fields.
type detectedFields struct {
	Fields []detectedField `json:"fields"`
	Limit  int             `json:"limit"`
}

type detectedField struct {
	Label       string   `json:"label"`
	Type        string   `json:"type"`
	Cardinality int      `json:"cardinality"`
	Parsers     []string `json:"parsers"`
	JSONPath    []string `json:"jsonPath,omitempty"`
}

// maxDetected is how many lines are looked at.
const maxDetected = 5000

func (a *API) detectedFields(w http.ResponseWriter, r *http.Request) error {
	d, most, err := a.detect(r)
	if err != nil {
		return err
	}
	httpx.WriteJSON(w, detectedFields{d.fields(most), most})
	return nil
}

// fieldValues is the answer of detected_field/{name}/values.
type fieldValues struct {
	Values []string `json:"values"`
	Limit  int      `json:"limit"`
}

func (a *API) detectedValues(w http.ResponseWriter, r *http.Request) error {
	d, most, err := a.detect(r)
	if err != nil {
		return err
	}
	values := []string{}
	if f := d.found[r.PathValue("name")]; f != nil {
		values = slices.AppendSeq(values, maps.Keys(f.values))
		slices.Sort(values)
	}
	httpx.WriteJSON(w, fieldValues{values[:min(len(values), most)], most})
	return nil
}

// detect looks at the newest lines of a query; most is how many things are wanted
// of what it finds.
func (a *API) detect(r *http.Request) (d detection, most int, err error) {
	e, err := logql.Parse(r.FormValue("query"))
	if err != nil {
		return d, 0, err
	}
	if _, ok := e.(*logql.Log); !ok {
		return d, 0, badRequest("fields are found in a log query, this is a metric query")
	}
	p := logql.Params{Backward: true}
	if p.Start, p.End, err = span(r, defaultSince); err != nil {
		return d, 0, err
	}
	if p.Limit, err = limit(r, "line_limit", 1000); err != nil {
		return d, 0, err
	}
	p.Limit = min(p.Limit, maxDetected, a.o.Engine.Options().MaxEntries)
	if most, err = limit(r, "limit", 1000); err != nil {
		return d, 0, err
	}
	result, err := a.o.Engine.Evaluate(r.Context(), e, p)
	if err != nil {
		return d, 0, err
	}
	d = detection{map[string]*found{}}
	for i := range result.Entries {
		d.line(&result.Entries[i])
	}
	return d, most, nil
}

// found is what is known of a field.
type found struct {
	values  map[string]bool
	kinds   map[string]bool
	parsers map[string]bool
	path    []string
}

// detection looks at lines.
type detection struct{ found map[string]*found }

func (d *detection) add(name, value, parser string, path []string) {
	f := d.found[name]
	if f == nil {
		f = &found{map[string]bool{}, map[string]bool{}, map[string]bool{}, path}
		d.found[name] = f
	}
	f.values[value] = true
	f.kinds[kindOf(value)] = true
	if parser != "" {
		f.parsers[parser] = true
	}
}

// line looks at one line: its metadata, what the query has parsed, and what a
// JSON or logfmt parser finds.
func (d *detection) line(e *logql.Entry) {
	for _, l := range e.Labels.Meta {
		d.add(l.Name, l.Value, "", nil)
	}
	for _, l := range e.Labels.Parsed {
		if !strings.HasPrefix(l.Name, "__error") {
			d.add(l.Name, l.Value, "", nil)
		}
	}
	for _, f := range logql.Detect(e.Labels.Stream, e.Line) {
		d.add(f.Name, f.Value, f.Parser, f.Path)
	}
}

func (d *detection) fields(most int) []detectedField {
	out := []detectedField{}
	for _, name := range slices.Sorted(maps.Keys(d.found)) {
		if len(out) == most {
			break
		}
		f := d.found[name]
		one := detectedField{Label: name, Type: "string", Cardinality: len(f.values), JSONPath: f.path}
		if len(f.kinds) == 1 {
			for k := range f.kinds {
				one.Type = k
			}
		} else if len(f.kinds) == 2 && f.kinds["int"] && f.kinds["float"] {
			one.Type = "float"
		}
		if len(f.parsers) > 0 {
			one.Parsers = slices.Sorted(maps.Keys(f.parsers))
		}
		out = append(out, one)
	}
	return out
}

// kindOf is the type of a value.
func kindOf(s string) string {
	if _, err := strconv.ParseInt(s, 10, 64); err == nil {
		return "int"
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return "float"
	}
	if s == "true" || s == "false" {
		return "boolean"
	}
	if _, err := time.ParseDuration(s); err == nil {
		return "duration"
	}
	if logql.IsSize(s) {
		return "bytes"
	}
	return "string"
}
