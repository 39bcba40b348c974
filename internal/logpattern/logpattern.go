// SPDX-License-Identifier: Apache-2.0

// Package logpattern finds what lines have in common: lines of one kind become
// one pattern, in which <_> stands for what differs.
//
//	s := logpattern.New()
//	p := s.Add("GET /cart took 12ms")
//	s.Add("GET /checkout took 7ms") // p again, by now "GET /<_> took <_>"
//
// A line is cut into words and what stands between them. A word with a digit
// differs from the start. Lines with equally many words are of one kind when the
// first word and most of the others are the same. The number of patterns is
// bounded, and of a long line only the beginning counts; what goes beyond is of
// no pattern. A Set belongs to one goroutine.
package logpattern

import "strings"

// Bounds of a set.
const (
	mostPatterns = 300
	mostAlike    = 50 // of one length and first word
	mostTokens   = 120
	mostBytes    = 2000
)

// alike is how many of 10 words of a line are to be those of its pattern.
const alike = 6

// Any stands for what differs.
const Any = "<_>"

// Pattern is what lines have in common.
type Pattern struct {
	tokens []string // words and what stands between them, in turn
	more   bool     // something follows that was not looked at
}

// String is the pattern as |> takes it.
func (p *Pattern) String() string {
	var b strings.Builder
	any := false // whether the last that was written is one
	for _, t := range p.tokens {
		switch {
		case t == "":
		case t != Any:
			b.WriteString(t)
			any = false
		case !any: // two are one
			b.WriteString(Any)
			any = true
		}
	}
	if p.more && !any {
		b.WriteString(Any)
	}
	return b.String()
}

// Room bounds how many patterns some sets have together.
type Room struct{ left int }

// NewRoom is room for so many patterns.
func NewRoom(patterns int) *Room { return &Room{patterns} }

// Set makes a set that takes its patterns from the room. It belongs to the goroutine of
// all sets of the room.
func (r *Room) Set() *Set { return &Set{groups: map[group][]*Pattern{}, room: r} }

// Set are the patterns of some lines.
type Set struct {
	groups map[group][]*Pattern
	n      int
	room   *Room
	tokens []string
}

// group are patterns that can be the same.
type group struct {
	tokens int
	first  string
	more   bool
}

// New makes a set without patterns.
func New() *Set { return NewRoom(mostPatterns).Set() }

// Add is the pattern of a line, which is the same for lines of one kind; nil when
// there are too many. The line may change after the call.
func (s *Set) Add(line string) *Pattern {
	more := s.cut(line)
	g := group{tokens: len(s.tokens), more: more}
	for _, t := range s.tokens[:min(len(s.tokens), 2)] {
		if t != "" && t != Any {
			g.first = t
		}
	}
	list := s.groups[g]
	var best *Pattern
	most := -1
	for _, p := range list {
		if same, of := s.same(p); same*10 >= of*alike && same > most {
			best, most = p, same
		}
	}
	if best != nil {
		for i, t := range s.tokens {
			if best.tokens[i] != t {
				best.tokens[i] = Any
			}
		}
		return best
	}
	if s.n == mostPatterns || s.room.left == 0 || len(list) == mostAlike {
		return nil
	}
	s.n++
	s.room.left--
	p := &Pattern{make([]string, len(s.tokens)), more}
	for i, t := range s.tokens {
		p.tokens[i] = strings.Clone(t)
	}
	g.first = strings.Clone(g.first)
	s.groups[g] = append(list, p)
	return p
}

// same is how many words of the line are those of a pattern, of how many. What
// stands between words is to be the same always.
func (s *Set) same(p *Pattern) (same, of int) {
	for i, t := range s.tokens {
		if i%2 == 1 { // between
			if p.tokens[i] != t {
				return 0, 1
			}
			continue
		}
		if of++; p.tokens[i] == t || p.tokens[i] == Any {
			same++
		}
	}
	return same, of
}

// cut takes the line into words and what stands between; more is whether it goes
// on.
func (s *Set) cut(line string) (more bool) {
	if more = len(line) > mostBytes; more {
		line = line[:mostBytes]
	}
	s.tokens = s.tokens[:0]
	for line != "" {
		if len(s.tokens) >= mostTokens {
			return true
		}
		n, digit := 0, false
		for n < len(line) && isWord(line[n]) {
			digit = digit || line[n] >= '0' && line[n] <= '9'
			n++
		}
		word := line[:n]
		if digit {
			word = Any
		}
		line = line[n:]
		n = 0
		for n < len(line) && !isWord(line[n]) {
			n++
		}
		s.tokens = append(s.tokens, word, line[:n])
		line = line[n:]
	}
	return more
}

func isWord(c byte) bool {
	return c|0x20-'a' < 26 || c-'0' < 10 || c >= 0x80 || strings.IndexByte("_.-:+%", c) >= 0
}
