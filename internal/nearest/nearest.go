// SPDX-License-Identifier: Apache-2.0

// Package nearest finds the word that somebody has meant.
//
//	nearest.Of("worklod", []string{"host", "workload"}) // workload
package nearest

// Of is the word with the fewest letters to change, leave out or put in, the first
// of several; empty when there is none.
func Of(word string, known ...[]string) string {
	best, _ := within(word, 1<<30, known)
	return best
}

// Within is Of when fewer than limit letters differ, else empty.
func Within(word string, limit int, known ...[]string) string {
	best, _ := within(word, limit, known)
	return best
}

func within(word string, limit int, known [][]string) (best string, least int) {
	least = limit
	for _, list := range known {
		for _, k := range list {
			if d := distance(word, k); d < least {
				best, least = k, d
			}
		}
	}
	return best, least
}

// most is how much of a word is looked at, in bytes.
const most = 256

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	a, b = a[:min(len(a), most)], b[:min(len(b), most)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
