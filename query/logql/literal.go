// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"regexp/syntax"
	"slices"
	"strings"
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
		if re.Flags&syntax.FoldCase == 0 {
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

// alternatives are the texts of an expression that is nothing but a choice of
// texts: error|warn. fold says that the case does not matter.
func alternatives(expression string) (texts []string, fold, ok bool) {
	re, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return nil, false, false
	}
	re = re.Simplify()
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
		if sub.Op != syntax.OpLiteral || i > 0 && folds != fold {
			return nil, false, false
		}
		fold = folds
		s := string(sub.Rune)
		if fold && strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) >= 0 {
			return nil, false, false
		}
		if fold && strings.ContainsAny(strings.ToLower(s), "ks") {
			// U+212A and U+017F fold to these two; the expression knows them.
			return nil, false, false
		}
		texts = append(texts, s)
	}
	return texts, fold, true
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
