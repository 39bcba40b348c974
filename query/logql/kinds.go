// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"tallyman/internal/logpattern"
)

// Span is a stretch of time in nanoseconds; Start belongs to it and End does not.
type Span struct{ Start, End int64 }

// KindsParams say which kinds of lines to find, and how much may be read for that.
type KindsParams struct {
	// Spans are looked at side by side.
	Spans []Span
	// Apart tells lines that are never of one kind; nil is none. What it returns is kept.
	Apart func(*LabelSet) string
	// MaxLines is how many lines of each span are read at most, MaxTime how long all of
	// it takes at most, MaxKinds how many kinds are told apart at most.
	MaxLines, MaxKinds int
	MaxTime            time.Duration
	// Columns is how many equal parts of a span are counted by themselves.
	Columns int
}

// LineKind are lines of one kind and of one level.
type LineKind struct {
	// Pattern is what they have in common, as |> takes it.
	Pattern, Level, Apart string
	// Counts are the lines that were read of each span, Columns the same by its parts.
	Counts  []int64
	Columns [][]int64
	// First is the time of the first of them that was read, Last of the last, Example the
	// text of the first, at most 2,000 bytes, and Labels those of its stream.
	First, Last int64
	Example     string
	Labels      Labels
}

// LineKinds are the kinds of lines of some spans.
type LineKinds struct {
	// Kinds are in the order of Apart and Pattern.
	Kinds []LineKind
	// Read is how many lines of each span were read, Covered the share of its time in which
	// they lie: less than 1 where not all were read.
	Read    []int64
	Covered []float64
	// Apart is how many lines were read that are of no kind, since there are too many.
	Apart int64
}

const (
	// kindSlices is how many parts of a span are read one after the other. Where not all
	// is read, it is the beginning of each.
	kindSlices = 32
	// kindPasses is how often what parts have left over is given to those with more lines.
	kindPasses  = 4
	exampleMost = 2000
)

// kindKey is a kind while lines are read.
type kindKey struct {
	pattern *logpattern.Pattern
	level   string
}

// Kinds finds the kinds of the lines that a log query gives. It reads no more than it may:
// of each span the beginnings of equal parts, so that what is left out is spread over it.
// Notes of tallyman that lines are missing are no lines.
func (e *Engine) Kinds(ctx context.Context, l *Log, p KindsParams) (*LineKinds, error) {
	limited, cancel := context.WithTimeout(ctx, p.MaxTime)
	defer cancel()
	k := &kinds{p: p, room: logpattern.NewRoom(p.MaxKinds), sets: map[string]*logpattern.Set{}, found: map[kindKey]*LineKind{},
		out: &LineKinds{Read: make([]int64, len(p.Spans)), Covered: make([]float64, len(p.Spans))}}
	parts := make([][]Span, len(p.Spans)) // that are to be read
	for of, span := range p.Spans {
		for i := range int64(kindSlices) {
			wide := (span.End - span.Start) / kindSlices
			part := Span{span.Start + wide*i, span.Start + wide*(i+1)}
			if i == kindSlices-1 {
				part.End = span.End
			}
			parts[of] = append(parts[of], part)
		}
	}
	for range kindPasses {
		left := make([][]Span, len(p.Spans))
		for i := range kindSlices {
			for of, span := range p.Spans { // the spans side by side: when the time is over, as much of each was read
				if i >= len(parts[of]) {
					continue
				}
				part := parts[of][i]
				most := (int64(p.MaxLines) - k.out.Read[of]) / int64(len(parts[of])-i)
				to, err := k.read(limited, e, l, of, part, most)
				if err != nil && limited.Err() != nil && ctx.Err() == nil {
					return k.done(), nil // what was read is told
				}
				if err != nil {
					return nil, err
				}
				k.out.Covered[of] += float64(to-part.Start) / float64(span.End-span.Start)
				if to < part.End {
					left[of] = append(left[of], Span{to, part.End})
				}
			}
		}
		parts = left
	}
	return k.done(), nil
}

// kinds is the reading under way.
type kinds struct {
	p     KindsParams
	room  *logpattern.Room
	sets  map[string]*logpattern.Set // by what keeps lines apart
	found map[kindKey]*LineKind
	out   *LineKinds
}

// read reads about so many lines of a part of a span, and tells until when it has read: what
// has one time is read together, unless it is as much again.
func (k *kinds) read(ctx context.Context, e *Engine, l *Log, of int, part Span, most int64) (to int64, err error) {
	if most <= 0 {
		return part.Start, nil
	}
	to = part.End
	n, last := int64(0), int64(-1)
	err = e.Walk(ctx, l, Params{Start: part.Start, End: part.End}, func(at int64, line []byte, labels *LabelSet) bool {
		if n >= most && (at != last || n >= 2*most) {
			to = max(at, last+1)
			return false
		}
		last = at
		if labels.Meta.Get("tallyman_gap") == "" {
			n++
			k.add(of, at, line, labels)
		}
		return true
	})
	return to, err
}

func (k *kinds) add(of int, at int64, line []byte, labels *LabelSet) {
	k.out.Read[of]++
	apart := ""
	if k.p.Apart != nil {
		apart = k.p.Apart(labels)
	}
	set := k.sets[apart]
	if set == nil {
		set = k.room.Set()
		k.sets[apart] = set
	}
	line = line[:min(len(line), exampleMost+1)]
	pattern := set.Add(string(line))
	if pattern == nil {
		k.out.Apart++
		return
	}
	key := kindKey{pattern, labels.All.Get("level")}
	f := k.found[key]
	if f == nil {
		f = &LineKind{Level: key.level, Apart: apart, Counts: make([]int64, len(k.p.Spans)), First: at, Last: at,
			Example: string(bytes.ToValidUTF8(line[:min(len(line), exampleMost)], []byte("\ufffd"))), Labels: slices.Clone(labels.Stream)}
		for range k.p.Spans {
			f.Columns = append(f.Columns, make([]int64, k.p.Columns))
		}
		k.found[key] = f
	}
	f.First, f.Last = min(f.First, at), max(f.Last, at)
	f.Counts[of]++
	if span := k.p.Spans[of]; k.p.Columns > 0 {
		f.Columns[of][min(int64(k.p.Columns)-1, (at-span.Start)/max(1, (span.End-span.Start)/int64(k.p.Columns)))]++
	}
}

// done puts together what came out the same.
func (k *kinds) done() *LineKinds {
	for of, c := range k.out.Covered { // the sum of many parts
		if c > 1-1e-9 {
			k.out.Covered[of] = 1
		}
	}
	type same struct{ apart, level, pattern string }
	by := map[same]int{}
	for key, f := range k.found {
		f.Pattern = key.pattern.String()
		s := same{f.Apart, f.Level, f.Pattern}
		i, ok := by[s]
		if !ok {
			by[s] = len(k.out.Kinds)
			k.out.Kinds = append(k.out.Kinds, *f)
			continue
		}
		o := &k.out.Kinds[i]
		for j, n := range f.Counts {
			o.Counts[j] += n
			for c, m := range f.Columns[j] {
				o.Columns[j][c] += m
			}
		}
		if f.First < o.First {
			o.First, o.Example, o.Labels = f.First, f.Example, f.Labels
		}
		o.Last = max(o.Last, f.Last)
	}
	slices.SortFunc(k.out.Kinds, func(a, b LineKind) int {
		return cmp.Or(strings.Compare(a.Apart, b.Apart), strings.Compare(a.Pattern, b.Pattern), strings.Compare(a.Level, b.Level))
	})
	return k.out
}

// Selecting is the stage that selects the lines of a pattern: |> with it or, where the
// pattern holds what |> would take for a name, |= with the longest text in it. Empty where
// there is no such text.
func Selecting(pattern string) string {
	if _, err := parsePattern(pattern, false); err == nil && pattern != "" {
		return "|> " + quote(pattern)
	}
	longest := ""
	for _, text := range strings.Split(pattern, logpattern.Any) {
		if len(text) > len(longest) {
			longest = text
		}
	}
	if longest == "" {
		return ""
	}
	return "|= " + quote(longest)
}
