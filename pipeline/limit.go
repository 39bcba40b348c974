// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"slices"

	"tallyman"
)

// Limits bound the series that are known at a time; 0 means no limit.
type Limits struct {
	// Series is of all, PerTarget of one host, container or service.
	Series, PerTarget int
}

// The bounds of one series. Names and values are in bytes.
const (
	maxLabels = 30
	maxName   = 256
	maxValue  = 1 << 10
)

// fate is what becomes of the samples of a series.
type fate uint8

const (
	kept fate = iota
	overSeries
	overLabels
	fates // how many there are
)

// limiter takes the samples of series that are too many out of batches. Series
// that are known stay, new ones are refused while the limit is reached; one
// that goes makes room. tallyman's own series are counted and never refused:
// they tell of the others.
//
// What was decided holds for as long as the series of a batch are those of the
// batch before, so that a steady state costs one comparison of pointers.
type limiter struct {
	limits Limits
	last   []*tallyman.Series // of the last batch, before anything was taken out
	fate   []fate             // as last
	count  [fates]int         // of last
	full   *tallyman.Target   // whose series were refused first
	places *places            // for the parts until the next round; nil until there is one
}

// places are who has one: the series of the last round that were kept, and those that
// came in a part since.
type places struct {
	fate map[*tallyman.Series]fate // of each series of both
	of   map[source]int            // how many are kept
	all  int
}

// source is what makes two targets the same one: a restart or a change of
// limits makes a new target of the same container.
type source struct {
	kind tallyman.TargetKind
	id   string
}

func sourceOf(s *tallyman.Series) source { return source{s.Target.Kind, s.Target.ID} }

// look decides over the series of b and reports whether that is news.
func (l *limiter) look(b *tallyman.Batch) (changed bool) {
	same := len(l.last) == len(b.Samples)
	for i := 0; same && i < len(l.last); i++ {
		same = l.last[i] == b.Samples[i].Series
	}
	if same {
		return false
	}
	l.decide(b.Samples)
	return true
}

func (l *limiter) decide(samples []tallyman.Sample) {
	known := make(map[*tallyman.Series]bool, len(l.last))
	before := map[source]int{}
	for i, s := range l.last {
		if l.fate[i] == kept {
			known[s] = true
			before[sourceOf(s)]++
		}
	}
	all, of := 0, map[source]int{}
	l.last, l.fate, l.full, l.places = l.last[:0], make([]fate, len(samples)), nil, nil
	keep := func(i int, s *tallyman.Series) {
		all++
		of[sourceOf(s)]++
		l.fate[i] = kept
	}
	// Those that are known first, then new ones in the place of as many of the
	// same target, so that a restart does not cost a container its place.
	for i := range samples {
		s := samples[i].Series
		l.last = append(l.last, s)
		l.fate[i] = fates
		switch {
		case known[s] || s.Target.Kind == tallyman.SelfTarget:
			keep(i, s)
		case !fits(s):
			l.fate[i] = overLabels
		}
	}
	for _, again := range [...]bool{true, false} {
		for i, s := range l.last {
			if l.fate[i] != fates || again && of[sourceOf(s)] >= before[sourceOf(s)] {
				continue
			}
			if within(all, l.limits.Series) && within(of[sourceOf(s)], l.limits.PerTarget) {
				keep(i, s)
				continue
			}
			l.fate[i] = overSeries
			if l.full == nil {
				l.full = s.Target
			}
		}
	}
	l.count = [fates]int{}
	for _, f := range l.fate {
		l.count[f]++
	}
}

// within reports whether there is room for one more.
func within(n, limit int) bool { return limit <= 0 || n < limit }

// fits reports whether the labels of a series are within bounds.
func fits(s *tallyman.Series) bool {
	if len(s.Labels) > maxLabels || len(s.Desc.Name) > maxName {
		return false
	}
	for _, one := range s.Labels {
		if len(one.Name) > maxName || len(one.Value) > maxValue {
			return false
		}
	}
	return true
}

// takePart takes what is refused out of a part of a round and counts it. What the last
// round decided holds, and so does what a part before decided over a series that no round
// had yet; the next round decides anew.
func (l *limiter) takePart(b *tallyman.Batch) (count [fates]int) {
	if l.places == nil {
		l.places = l.placesOfRound()
	}
	b.Samples = slices.DeleteFunc(b.Samples, func(s tallyman.Sample) bool {
		f := l.places.decide(s.Series, l.limits)
		count[f]++
		return f != kept
	})
	return count
}

func (l *limiter) placesOfRound() *places {
	p := &places{make(map[*tallyman.Series]fate, len(l.last)), map[source]int{}, 0}
	for i, s := range l.last {
		p.add(s, l.fate[i])
	}
	return p
}

func (p *places) add(s *tallyman.Series, f fate) {
	p.fate[s] = f
	if f == kept {
		p.all++
		p.of[sourceOf(s)]++
	}
}

func (p *places) decide(s *tallyman.Series, limits Limits) fate {
	f, known := p.fate[s]
	if known {
		return f
	}
	switch {
	case !fits(s):
		f = overLabels
	case !within(p.all, limits.Series) || !within(p.of[sourceOf(s)], limits.PerTarget):
		f = overSeries
	}
	p.add(s, f)
	return f
}

// take takes what is refused out of b, whose series are those of the last look.
func (l *limiter) take(b *tallyman.Batch) {
	if l.count[kept] == len(b.Samples) {
		return
	}
	n := 0
	for i, one := range b.Samples {
		if l.fate[i] == kept {
			b.Samples[n] = one
			n++
		}
	}
	b.Samples = b.Samples[:n]
}
