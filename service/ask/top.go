// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
)

// MaxRows is how many objects of one sort an instance tells of one by one: queues,
// databases, tables.
const MaxRows = 200

// Other stands in the labels of the row that sums what is beyond MaxRows.
const Other = "__other__"

// Row is an object of a service, of which there can be many.
type Row struct {
	// Labels are the values that tell it from the others.
	Labels []string
	// Values are its numbers; NaN is one that the service does not give.
	Values []float64
	// Size decides who is told of: the largest are.
	Size float64
}

// Top keeps the n largest rows, and puts one row behind them that sums the rest. The
// rows must have the same shape. It sorts them in place. Where the sizes go up and down a
// [Ranking] is needed: other rows would stand in front with each scrape.
func Top(rows []Row, n int) []Row {
	if len(rows) <= n {
		return rows
	}
	slices.SortFunc(rows, larger)
	return sumBehind(rows, n)
}

func larger(a, b Row) int {
	if c := cmp.Compare(b.Size, a.Size); c != 0 {
		return c
	}
	return slices.Compare(a.Labels, b.Labels)
}

// sumBehind puts one row in place of those from n on.
func sumBehind(rows []Row, n int) []Row {
	rest := Row{Labels: make([]string, len(rows[0].Labels)), Values: make([]float64, len(rows[0].Values))}
	for i := range rest.Labels {
		rest.Labels[i] = Other
	}
	for i := range rest.Values {
		rest.Values[i] = math.NaN()
		for _, r := range rows[n:] {
			if v := r.Values[i]; !math.IsNaN(v) {
				if math.IsNaN(rest.Values[i]) {
					rest.Values[i] = 0
				}
				rest.Values[i] += v
			}
		}
	}
	return append(rows[:n:n], rest)
}

// Ranking keeps the largest rows over scrapes, for objects whose sizes go up and down,
// such as queues. Who is told of one by one gives way only to what is more than twice as
// large. At most as many as there are places come in an hour: each newcomer is a set of new
// series, of which an instance may make only so many. The zero value is ready; it
// belongs to one goroutine.
type Ranking struct {
	held  map[string]bool // by the labels, joined
	spare float64         // how many may change places now
	at    time.Time
}

// Top is as the function of that name.
func (k *Ranking) Top(rows []Row, n int) []Row {
	now := time.Now()
	k.spare = min(float64(n), k.spare+now.Sub(k.at).Hours()*float64(n)) // of the first time it is full
	k.at = now
	if len(rows) <= n {
		k.held = nil
		return rows
	}
	slices.SortFunc(rows, larger)
	key := func(r Row) string { return strings.Join(r.Labels, "\xff") }
	var in, out []Row
	for _, r := range rows {
		if k.held[key(r)] {
			in = append(in, r)
		} else {
			out = append(out, r)
		}
	}
	// The places of those that have gone, or all at first.
	free := n - len(in)
	if k.held != nil {
		free = min(free, int(k.spare))
		k.spare -= float64(free)
	}
	in, out = append(in, out[:free]...), out[free:]
	slices.SortFunc(in, larger)
	for at, last := 0, len(in)-1; at < len(out) && last >= 0 && k.spare >= 1 && out[at].Size > 2*in[last].Size; at, last = at+1, last-1 {
		in[last], out[at] = out[at], in[last]
		k.spare--
	}
	slices.SortFunc(in, larger)
	k.held = make(map[string]bool, len(in))
	for _, r := range in {
		k.held[key(r)] = true
	}
	return sumBehind(append(in, out...), len(in))
}
