// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// required are the texts that every line holds, byte for byte, that the
// expression fits. They let a store leave out chunks and spare the expression
// most lines.
func required(expression string) []string {
	re, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return nil
	}
	var out []string
	walkRequired(re.Simplify(), &out)
	return out
}

func walkRequired(re *syntax.Regexp, out *[]string) {
	switch re.Op {
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase == 0 && !broken(re.Rune) {
			*out = append(*out, string(re.Rune))
		}
	case syntax.OpCapture, syntax.OpPlus:
		walkRequired(re.Sub[0], out)
	case syntax.OpRepeat:
		if re.Min > 0 {
			walkRequired(re.Sub[0], out)
		}
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			walkRequired(sub, out)
		}
	}
}

// broken reports whether a text has the rune that stands for bytes which are no UTF-8, so
// that an expression also finds it where the bytes are others.
func broken(text []rune) bool { return slices.Contains(text, utf8.RuneError) }

// alternatives are the texts of an expression that is nothing but a choice of
// texts: error|warn. fold says that the case does not matter.
func alternatives(re *syntax.Regexp) (texts []string, fold, ok bool) {
	for re.Op == syntax.OpCapture {
		re = re.Sub[0]
	}
	list := []*syntax.Regexp{re}
	if re.Op == syntax.OpAlternate {
		list = re.Sub
	}
	for i, sub := range list {
		for sub.Op == syntax.OpCapture {
			sub = sub.Sub[0]
		}
		folds := sub.Flags&syntax.FoldCase != 0
		if sub.Op != syntax.OpLiteral || broken(sub.Rune) || i > 0 && folds != fold {
			return nil, false, false
		}
		fold = folds
		s := string(sub.Rune)
		if fold && plain(s) != s {
			return nil, false, false
		}
		texts = append(texts, s)
	}
	return texts, fold, true
}

// plain is the longest part of a text in which each letter has two cases and no more:
// beyond ASCII there are others, and U+212A and U+017F fold to k and s.
func plain(s string) (longest string) {
	for part := range strings.FieldsFuncSeq(s, func(r rune) bool { return r >= 0x80 || strings.ContainsRune("kKsS", r) }) {
		if len(part) > len(longest) {
			longest = part
		}
	}
	return longest
}

// choice is texts of which a line that an expression fits holds one at least.
type choice struct {
	texts []string
	fold  bool // their case does not matter
}

// mostChoices are looked for before an expression is: each is a search of its own.
const mostChoices = 8

// worth is how much a choice spares: the length of its shortest text, 0 for none.
func (c choice) worth() int {
	if len(c.texts) == 0 {
		return 0
	}
	least := len(c.texts[0])
	for _, s := range c.texts {
		least = min(least, len(s))
	}
	return least
}

// chosen is the choice of an expression that spares most.
func chosen(re *syntax.Regexp) (best choice) {
	switch re.Op {
	case syntax.OpLiteral:
		if broken(re.Rune) {
			return choice{}
		}
		best = choice{[]string{string(re.Rune)}, re.Flags&syntax.FoldCase != 0}
	case syntax.OpCapture, syntax.OpPlus:
		return chosen(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return chosen(re.Sub[0])
		}
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			if c := chosen(sub); c.worth() > best.worth() {
				best = c
			}
		}
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			c := chosen(sub)
			best.texts, best.fold = append(best.texts, c.texts...), best.fold || c.fold
			if c.worth() == 0 || len(best.texts) > mostChoices {
				return choice{}
			}
		}
	}
	if best.fold {
		for i, s := range best.texts {
			best.texts[i] = plain(s)
		}
	}
	if best.worth() == 0 {
		return choice{}
	}
	return best
}

// trimmed is an expression that fits the same lines, anywhere in them, without what begins
// or ends it and may as well fit nothing: .*error.* is error.
func trimmed(re *syntax.Regexp) *syntax.Regexp { return trimEdge(trimEdge(re, false), true) }

func trimEdge(re *syntax.Regexp, right bool) *syntax.Regexp {
	switch re.Op {
	case syntax.OpStar, syntax.OpQuest:
		return &syntax.Regexp{Op: syntax.OpEmptyMatch}
	case syntax.OpPlus, syntax.OpCapture:
		return trimEdge(re.Sub[0], right)
	case syntax.OpConcat:
		subs := slices.Clone(re.Sub)
		for len(subs) > 0 {
			at := 0
			if right {
				at = len(subs) - 1
			}
			if subs[at] = trimEdge(subs[at], right); subs[at].Op != syntax.OpEmptyMatch {
				break
			}
			subs = slices.Delete(subs, at, at+1)
		}
		switch len(subs) {
		case 0:
			return &syntax.Regexp{Op: syntax.OpEmptyMatch}
		case 1:
			return subs[0]
		}
		return &syntax.Regexp{Op: syntax.OpConcat, Sub: subs}
	}
	return re
}

// literals are the texts that every line holds which passes the pipeline.
// Filters count until a stage writes the line anew.
func literals(stages []Stage) []string {
	var out []string
	for _, s := range stages {
		switch s := s.(type) {
		case *LineFilter:
			if len(s.Values) != 1 || s.Values[0].IP {
				continue
			}
			switch s.Op {
			case "|=":
				out = append(out, s.Values[0].Text)
			case "|~":
				out = append(out, required(s.Values[0].Text)...)
			case "|>":
				parts, _ := parsePattern(s.Values[0].Text, false) // it is parsed
				for _, p := range parts {
					out = append(out, string(p.literal))
				}
			}
		case *LineFormat, *Decolorize:
			return tidy(out)
		case *Parser:
			if s.Kind == "unpack" {
				return tidy(out)
			}
		}
	}
	return tidy(out)
}

func tidy(list []string) []string {
	list = slices.DeleteFunc(list, func(s string) bool { return s == "" })
	slices.Sort(list)
	return slices.Compact(list)
}
