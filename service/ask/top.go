// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"cmp"
	"math"
	"slices"
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
// rows must have the same shape. It sorts them in place.
func Top(rows []Row, n int) []Row {
	if len(rows) <= n {
		return rows
	}
	slices.SortFunc(rows, func(a, b Row) int {
		if c := cmp.Compare(b.Size, a.Size); c != 0 {
			return c
		}
		return slices.Compare(a.Labels, b.Labels)
	})
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
