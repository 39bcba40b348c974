// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"slices"
	"strconv"
	"time"

	"tallyman"
	"tallyman/internal/nearest"
)

// Bounds of a query's text.
const (
	maxQuery = 128 << 10
	maxDepth = 100
)

// parser walks over the tokens of a query.
type parser struct {
	query  string
	tokens []token
	at     int
	depth  int
}

// Parse reads a query.
func Parse(query string) (Expr, error) {
	p, err := newParser(query)
	if err != nil {
		return nil, err
	}
	if p.peek().kind == tokenEnd {
		return nil, p.wrong("the query is empty; begin with a selector such as {name=\"web\"}")
	}
	e, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != tokenEnd {
		return nil, p.wrong("unexpected %s", t.describe())
	}
	return e, nil
}

// ParseSelector reads a selector alone: {a="b"}. Empty is everything.
func ParseSelector(selector string) ([]tallyman.Matcher, error) {
	p, err := newParser(selector)
	if err != nil {
		return nil, err
	}
	if p.peek().kind == tokenEnd {
		return nil, nil
	}
	m, err := p.selector(false)
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != tokenEnd {
		return nil, p.wrong("unexpected %s after the selector", t.describe())
	}
	return m, nil
}

func newParser(query string) (*parser, error) {
	if len(query) > maxQuery {
		return nil, bad("the query has %d bytes, at most %d are taken", len(query), maxQuery)
	}
	tokens, err := lex(query)
	if err != nil {
		return nil, err
	}
	return &parser{query: query, tokens: tokens}, nil
}

func (p *parser) peek() token { return p.tokens[p.at] }

// ahead is the token n places further.
func (p *parser) ahead(n int) token { return p.tokens[min(p.at+n, len(p.tokens)-1)] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != tokenEnd {
		p.at++
	}
	return t
}

// is reports whether the next token is this sign or word.
func (p *parser) is(text string) bool {
	t := p.peek()
	return (t.kind == tokenSign || t.kind == tokenName) && t.word == text
}

// accept takes the sign or word if it is next.
func (p *parser) accept(text string) bool {
	if p.is(text) {
		p.at++
		return true
	}
	return false
}

func (p *parser) expect(text string) error {
	if !p.accept(text) {
		return p.wrong("unexpected %s, expected %q", p.peek().describe(), text)
	}
	return nil
}

func (p *parser) expectKind(kind tokenKind, what string) (string, error) {
	t := p.peek()
	if t.kind != kind {
		return "", p.wrong("unexpected %s, expected %s", t.describe(), what)
	}
	return p.next().text, nil
}

// wrong makes an error at the next token.
func (p *parser) wrong(format string, args ...any) error {
	return at(p.query, p.peek().offset, format, args...)
}

// deeper guards against queries that are nested without end.
func (p *parser) deeper() (func(), error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.wrong("the query is nested deeper than %d", maxDepth)
	}
	return func() { p.depth-- }, nil
}

// log reads a selector with its pipeline.
func (p *parser) log() (Expr, error) {
	m, err := p.selector(true)
	if err != nil {
		return nil, err
	}
	l := &Log{Matchers: m}
	if l.Stages, err = p.stages(); err != nil {
		return nil, err
	}
	if p.is("|") && p.ahead(1).word == "unwrap" {
		return nil, p.wrong("unwrap stands in a range aggregation only: sum_over_time({…} | unwrap <label> [5m])")
	}
	return l, nil
}

// selector reads {a="b", c=~"d"}. One that could be empty is an error if
// narrow: it would read everything.
func (p *parser) selector(narrow bool) ([]tallyman.Matcher, error) {
	start := p.peek()
	if err := p.expect("{"); err != nil {
		return nil, err
	}
	var out []tallyman.Matcher
	for !p.accept("}") {
		if len(out) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
		}
		name, err := p.expectKind(tokenName, "the name of a label")
		if err != nil {
			return nil, err
		}
		m, err := p.matcher(name)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	if narrow && !slices.ContainsFunc(out, func(m tallyman.Matcher) bool { return !m.Matches("") }) {
		return nil, at(p.query, start.offset, "a selector needs one matcher that does not fit an absent label, such as name=\"web\" or name=~\".+\"")
	}
	return out, nil
}

// matcher reads the operator and the string of a matcher.
func (p *parser) matcher(name string) (m tallyman.Matcher, err error) {
	op := p.peek()
	i := slices.Index(matchSigns[:], op.text)
	if op.kind != tokenSign || i < 0 {
		return m, p.wrong("unexpected %s, expected one of = != =~ !~", op.describe())
	}
	p.next()
	value := p.peek()
	s, err := p.expectKind(tokenString, "a string")
	if err != nil {
		return m, err
	}
	if m, err = tallyman.NewMatcher(tallyman.MatchType(i), name, s); err != nil {
		return m, at(p.query, value.offset, "%v", err)
	}
	return m, nil
}

// suggest names the nearest of the words that are near.
func suggest(word string, lists ...[]string) string {
	best := nearest.Within(word, 3, lists...)
	if best == "" {
		return ""
	}
	return "; is it " + strconv.Quote(best) + "?"
}

func durationOf(v float64) time.Duration { return time.Duration(v) }
