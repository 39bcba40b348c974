// SPDX-License-Identifier: Apache-2.0

package loki

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyman/internal/httpx"
	"tallyman/internal/logpattern"
	"tallyman/query/logql"
)

// patternsAnswer is the answer of patterns.
type patternsAnswer struct {
	Status string         `json:"status"`
	Data   []patternFound `json:"data"`
}

type patternFound struct {
	Pattern string `json:"pattern"`
	Level   string `json:"level"`
	// Samples are [seconds, lines].
	Samples [][2]int64 `json:"samples"`
}

const (
	patternStep    = 10 * time.Second // the shortest
	maxPatternStep = 11_000           // steps of one answer
)

// patternOf is a pattern of lines of one level.
type patternOf struct {
	pattern *logpattern.Pattern
	level   string
}

// patterns tells the kinds of lines of a log query and how many there are of each,
// by time.
func (a *API) patterns(w http.ResponseWriter, r *http.Request) error {
	e, err := logql.Parse(r.FormValue("query"))
	if err != nil {
		return err
	}
	l, ok := e.(*logql.Log)
	if !ok {
		return badRequest("patterns are found in a log query, this is a metric query")
	}
	p := logql.Params{}
	if p.Start, p.End, err = span(r, defaultSince); err != nil {
		return err
	}
	wide, err := step(r, p.Start, p.End)
	if err != nil {
		return err
	}
	wide = max(wide, patternStep)
	if (p.End-p.Start)/int64(wide) > maxPatternStep {
		return badRequest("there would be more than " + strconv.Itoa(maxPatternStep) + " samples; ask for a longer step")
	}
	most, err := limit(r, "limit", defaultLimit)
	if err != nil {
		return err
	}
	set := logpattern.New()
	found := map[patternOf]map[int64]int64{}
	err = a.o.Engine.Walk(r.Context(), l, p, func(at int64, line []byte, labels *logql.LabelSet) bool {
		pattern := set.Add(string(line))
		if pattern == nil {
			return true
		}
		key := patternOf{pattern, detectLevel(labels.Stream, labels.Meta, line)}
		samples := found[key]
		if samples == nil {
			samples = map[int64]int64{}
			found[key] = samples
		}
		samples[at-at%int64(wide)]++
		return true
	})
	if err != nil {
		return err
	}
	httpx.WriteJSON(w, patternsAnswer{"success", patternsOf(found, most)})
	return nil
}

// patternsOf are the patterns that most lines have, the most frequent first.
func patternsOf(found map[patternOf]map[int64]int64, most int) []patternFound {
	type counted struct {
		patternFound
		lines int64
	}
	var list []counted
	for key, samples := range found {
		one := counted{patternFound{Pattern: key.pattern.String(), Level: key.level}, 0}
		for _, t := range slices.Sorted(maps.Keys(samples)) {
			one.Samples = append(one.Samples, [2]int64{t / int64(time.Second), samples[t]})
			one.lines += samples[t]
		}
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b counted) int {
		if a.lines != b.lines {
			return cmp.Compare(b.lines, a.lines)
		}
		return strings.Compare(a.Pattern+"\x00"+a.Level, b.Pattern+"\x00"+b.Level)
	})
	out := []patternFound{}
	for _, one := range list[:min(len(list), most)] {
		out = append(out, one.patternFound)
	}
	return out
}
