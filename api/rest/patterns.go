// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyman/internal/httpx"
	"tallyman/query/logql"
)

// Pattern is a kind of lines: what they have in common.
type Pattern struct {
	Pattern string `json:"pattern" doc:"<_> stands for what differs"`
	Level   string `json:"level,omitempty"`
	Lines   int64  `json:"lines" doc:"How many of the lines that were read are of it"`
	Example string `json:"example" doc:"The first of them that was read, its first 2,000 bytes"`
	First   int64  `json:"first" doc:"When that was"`
	Last    int64  `json:"last" doc:"When the last of them was"`
	Stage   string `json:"stage,omitempty" doc:"What selects them behind | decolorize in LogQL; absent where nothing can"`
}

// counted is a kind of lines with how many there are over time.
type countedPattern struct {
	Pattern
	Points []int64 `json:"points" doc:"How many in each step of the range"`
}

// patternsAnswer is the answer of /patterns.
type patternsAnswer struct {
	Start    int64            `json:"start"`
	End      int64            `json:"end"`
	Lines    int64            `json:"lines" doc:"How many lines were read"`
	Covered  float64          `json:"covered" doc:"The share of the range's time in which they lie: less than 1 where there are too many to read all"`
	Apart    int64            `json:"apart" doc:"How many of them are of no pattern, since there are too many"`
	Patterns []countedPattern `json:"patterns" doc:"The most frequent first"`
	Left     int              `json:"left" doc:"How many more there are"`
}

// foundPattern is a kind of lines that is in one range and not in the other.
type foundPattern struct {
	Pattern
	Source   string `json:"source" doc:"container, file or journal"`
	Host     string `json:"host"`
	Workload string `json:"workload,omitempty"`
	Name     string `json:"name,omitempty" doc:"Of the container"`
	Filename string `json:"filename,omitempty"`
	Unit     string `json:"unit,omitempty"`
	Query    string `json:"query" doc:"The LogQL that selects them"`
}

// changedLines is the answer of /changes/lines.
type changedLines struct {
	Before        int64          `json:"before" doc:"Where the range before starts, which ends where the range starts"`
	Start         int64          `json:"start" doc:"Where the range starts"`
	End           int64          `json:"end"`
	LinesBefore   int64          `json:"linesBefore" doc:"How many lines of the range before were read"`
	Lines         int64          `json:"lines" doc:"How many of the range"`
	CoveredBefore float64        `json:"coveredBefore" doc:"The share of the range before in which they lie: less than 1 where there are too many to read all"`
	Covered       float64        `json:"covered" doc:"The same of the range"`
	Apart         int64          `json:"apart" doc:"How many lines are of no pattern, since there are too many"`
	Unwatched     []string       `json:"unwatched,omitempty" doc:"Hosts that were not watched before: nothing of them can be called new"`
	New           []foundPattern `json:"new" doc:"Not in the range before; the gravest first, then the most frequent"`
	NewLeft       int            `json:"newLeft"`
	Gone          []foundPattern `json:"gone" doc:"No longer in the range"`
	GoneLeft      int            `json:"goneLeft"`
}

const (
	// patternLines and patternTime bound what one answer reads, changeLines the lines of each
	// of two ranges.
	patternLines = 200_000
	changeLines  = 100_000
	patternTime  = 8 * time.Second
	// patternKinds bounds the patterns of a query, changeKinds those of all containers.
	patternKinds = 300
	changeKinds  = 3000
	// patternColumns is how many points a pattern has.
	patternColumns = 48
	changedMost    = 30
	// expectedLeast is how many lines of a kind would have been read in the other range,
	// were it as frequent there, before it is missed: where not all was read.
	expectedLeast = 3
)

// logs is the engine over the lines that are kept.
func (s *Service) logs() (*logql.Engine, error) {
	if s.o.Logs == nil {
		return nil, &httpx.Error{Status: http.StatusNotFound, Code: "nologs", Message: "this tallyman keeps no logs", Next: "switch the setting keep.logs on"}
	}
	return s.o.Logs, nil
}

// asked turns what is wrong with a query into an answer that says so.
func asked(err error) error {
	var e *logql.Error
	if errors.As(err, &e) {
		return httpx.Bad("query", e.Error(), "")
	}
	return err
}

func patternOf(k *logql.LineKind, lines int64) Pattern {
	return Pattern{Pattern: k.Pattern, Level: k.Level, Lines: lines, Example: k.Example, First: k.First / 1e6, Last: k.Last / 1e6, Stage: logql.Selecting(k.Pattern)}
}

func (s *Service) patterns(w http.ResponseWriter, r *http.Request) error {
	engine, err := s.logs()
	if err != nil {
		return err
	}
	start, end, err := stretch(r)
	if err != nil {
		return err
	}
	if start.IsZero() || !end.After(start) {
		return httpx.Bad("start", "a start before the end is needed", "give start and end in milliseconds since 1970")
	}
	limit, err := httpx.Int(r, "limit", 100, 1, patternKinds)
	if err != nil {
		return err
	}
	expr, err := logql.Parse(r.FormValue("query"))
	if err != nil {
		return asked(err)
	}
	if _, ok := expr.(*logql.Log); !ok {
		return httpx.Bad("query", "this query gives numbers, and patterns are found in lines", "give a log query, as {source=\"container\"}")
	}
	// Colours are not what lines have in common. They go behind the stages that the query has.
	expr, err = logql.Parse(r.FormValue("query") + " | decolorize")
	if err != nil {
		return asked(err)
	}
	k, err := engine.Kinds(r.Context(), expr.(*logql.Log), logql.KindsParams{
		Spans: []logql.Span{{Start: start.UnixNano(), End: end.UnixNano()}}, MaxLines: patternLines, MaxKinds: patternKinds, MaxTime: patternTime, Columns: patternColumns,
	})
	if err != nil {
		return asked(err)
	}
	out := patternsAnswer{Start: start.UnixMilli(), End: end.UnixMilli(), Lines: k.Read[0], Covered: k.Covered[0], Apart: k.Apart, Patterns: []countedPattern{}}
	slices.SortStableFunc(k.Kinds, func(a, b logql.LineKind) int { return cmp.Compare(b.Counts[0], a.Counts[0]) })
	out.Left = max(0, len(k.Kinds)-limit)
	for i := range k.Kinds[:min(len(k.Kinds), limit)] {
		x := &k.Kinds[i]
		out.Patterns = append(out.Patterns, countedPattern{patternOf(x, x.Counts[0]), x.Columns[0]})
	}
	httpx.WriteJSON(w, out)
	return nil
}

// placeLabels tell where a line was written.
var placeLabels = []string{"source", "host", "workload", "filename", "unit"}

func (s *Service) changedLines(w http.ResponseWriter, r *http.Request) error {
	engine, err := s.logs()
	if err != nil {
		return err
	}
	before, start, end, err := compared(r)
	if err != nil {
		return err
	}
	limit, err := httpx.Int(r, "limit", changedMost, 1, 500)
	if err != nil {
		return err
	}
	host, workload := r.FormValue("host"), r.FormValue("workload")
	selector := `{source=~"container|file|journal"`
	if host != "" {
		selector += ", host=" + strconv.Quote(host)
	}
	if workload != "" {
		selector += ", workload=" + strconv.Quote(workload)
	}
	expr, err := logql.Parse(selector + "} | decolorize")
	if err != nil {
		return asked(err)
	}
	k, err := engine.Kinds(r.Context(), expr.(*logql.Log), logql.KindsParams{
		Spans:    []logql.Span{{Start: before.UnixNano(), End: start.UnixNano()}, {Start: start.UnixNano(), End: end.UnixNano()}},
		MaxLines: changeLines, MaxKinds: changeKinds, MaxTime: patternTime,
		Apart: func(l *logql.LabelSet) string {
			key := ""
			for _, name := range placeLabels {
				key += l.All.Get(name) + "\x00"
			}
			return key
		},
	})
	if err != nil {
		return asked(err)
	}
	out := changedLines{Before: before.UnixMilli(), Start: start.UnixMilli(), End: end.UnixMilli(), LinesBefore: k.Read[0], Lines: k.Read[1],
		CoveredBefore: k.Covered[0], Covered: k.Covered[1], Apart: k.Apart, New: []foundPattern{}, Gone: []foundPattern{}}
	late := map[string]bool{} // by host: it was watched from within the range on
	for i := range k.Kinds {
		x := &k.Kinds[i]
		one := foundOf(x)
		switch {
		case x.Counts[0] == 0 && missed(x.Counts[1], k.Covered[1], k.Covered[0]):
			is, known := late[one.Host]
			if !known {
				first, err := s.o.Query.First(r.Context(), one.Host, end)
				if err != nil {
					return err
				}
				is = first.After(start)
				late[one.Host] = is
				if is {
					out.Unwatched = append(out.Unwatched, one.Host)
				}
			}
			if !is {
				out.New = append(out.New, one)
			}
		case x.Counts[1] == 0 && missed(x.Counts[0], k.Covered[0], k.Covered[1]):
			out.Gone = append(out.Gone, one)
		}
	}
	for _, list := range []struct {
		of   *[]foundPattern
		left *int
	}{{&out.New, &out.NewLeft}, {&out.Gone, &out.GoneLeft}} {
		slices.SortStableFunc(*list.of, func(a, b foundPattern) int {
			return cmp.Or(cmp.Compare(gravity(b.Level), gravity(a.Level)), cmp.Compare(b.Lines, a.Lines))
		})
		*list.left = max(0, len(*list.of)-limit)
		*list.of = (*list.of)[:min(len(*list.of), limit)]
	}
	httpx.WriteJSON(w, out)
	return nil
}

// missed reports whether so many lines of one range, of which a share was read, would be
// missed in the other.
func missed(lines int64, covered, other float64) bool {
	if covered == 1 && other == 1 {
		return true
	}
	return covered > 0 && float64(lines)*other/covered >= expectedLeast
}

// gravity orders levels.
func gravity(level string) int {
	switch level {
	case "fatal", "critical":
		return 3
	case "error":
		return 2
	case "warn":
		return 1
	}
	return 0
}

func foundOf(k *logql.LineKind) foundPattern {
	out := foundPattern{Pattern: patternOf(k, k.Counts[0]+k.Counts[1]), Source: k.Labels.Get("source"), Host: k.Labels.Get("host"), Workload: k.Labels.Get("workload"),
		Name: k.Labels.Get("name"), Filename: k.Labels.Get("filename"), Unit: k.Labels.Get("unit")}
	var matchers []string
	for _, name := range placeLabels {
		if v := k.Labels.Get(name); v != "" {
			matchers = append(matchers, name+"="+strconv.Quote(v))
		}
	}
	out.Query = "{" + strings.Join(matchers, ", ") + "} | decolorize"
	if out.Stage != "" {
		out.Query += " " + out.Stage
	}
	return out
}
