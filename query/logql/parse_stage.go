// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"slices"
	"strings"
)

var stageWords = []string{"json", "logfmt", "pattern", "regexp", "unpack", "line_format", "label_format", "drop", "keep", "decolorize", "unwrap"}

// stages reads a pipeline up to its end, or to unwrap.
func (p *parser) stages() ([]Stage, error) {
	var out []Stage
	for {
		t := p.peek()
		if t.kind != tokenSign {
			return out, nil
		}
		var s Stage
		var err error
		switch t.text {
		case "|=", "|~", "|>", "!~", "!>":
			s, err = p.lineFilter()
		case "!=":
			if p.ahead(1).kind != tokenString && !p.isIP(1) {
				return out, nil
			}
			s, err = p.lineFilter()
		case "|":
			if p.ahead(1).word == "unwrap" && !isComparison(p.ahead(2)) {
				return out, nil
			}
			p.next()
			s, err = p.stage()
		default:
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
}

func (p *parser) lineFilter() (Stage, error) {
	op := p.next()
	f := &LineFilter{Op: op.text}
	for {
		v := p.peek()
		value := LineValue{IP: p.isIP(0)}
		var err error
		if value.IP {
			if f.Op != "|=" && f.Op != "!=" {
				return nil, p.wrong("ip() goes with |= and != only, not with %s", f.Op)
			}
			value.Text, err = p.address()
		} else {
			value.Text, err = p.expectKind(tokenString, "a string")
		}
		if err != nil {
			return nil, err
		}
		test, err := f.test(value)
		if err != nil {
			return nil, at(p.query, v.offset, "%v", err)
		}
		f.Values, f.tests = append(f.Values, value), append(f.tests, test)
		if !p.is("or") || p.ahead(1).kind != tokenString && !p.isIP(1) {
			return f, nil
		}
		p.next()
	}
}

// isIP reports whether the token n places further begins ip("…").
func (p *parser) isIP(n int) bool {
	return p.ahead(n).kind == tokenName && p.ahead(n).word == "ip" && p.ahead(n+1).text == "(" && p.ahead(n+1).kind == tokenSign
}

// address reads ip("…").
func (p *parser) address() (string, error) {
	p.at += 2
	text := p.peek()
	s, err := p.expectKind(tokenString, "an address, a network or a range of addresses in quotes")
	if err != nil {
		return "", err
	}
	if _, err := parseAddresses(s); err != nil {
		return "", at(p.query, text.offset, "%v", err)
	}
	return s, p.expect(")")
}

// isComparison tells a label filter whose label has the name of a stage.
func isComparison(t token) bool {
	return t.kind == tokenSign && slices.Contains([]string{"=", "!=", "=~", "!~", "==", ">", ">=", "<", "<="}, t.text)
}

// aloneBeforeFilter tells | json != "x", a stage without anything and a line
// filter, from a label filter whose label is called json.
func (p *parser) aloneBeforeFilter() bool {
	op := p.ahead(1).text
	return slices.Contains([]string{"json", "logfmt", "unpack", "decolorize"}, p.peek().word) && (op == "!=" || op == "!~") && (p.ahead(2).kind == tokenString || p.isIP(2))
}

// stage reads what follows a |.
func (p *parser) stage() (Stage, error) {
	word := p.peek()
	if word.kind != tokenName || !slices.Contains(stageWords, word.word) || isComparison(p.ahead(1)) && !p.aloneBeforeFilter() {
		return p.labelFilter()
	}
	p.next()
	switch word.word {
	case "json", "logfmt":
		return p.fields(word)
	case "pattern", "regexp":
		return p.expressionStage(word)
	case "unpack":
		return &Parser{Kind: "unpack"}, nil
	case "line_format":
		text := p.peek()
		s, err := p.expectKind(tokenString, "a template")
		if err != nil {
			return nil, err
		}
		if _, err := newTemplate(s); err != nil {
			return nil, at(p.query, text.offset, "%v", err)
		}
		return &LineFormat{s}, nil
	case "label_format":
		return p.labelFormat()
	case "drop", "keep":
		return p.choice(word.word == "keep")
	default:
		return &Decolorize{}, nil
	}
}

// fields reads the flags and expressions of json and logfmt.
func (p *parser) fields(word token) (Stage, error) {
	s := &Parser{Kind: word.word}
	for p.peek().kind == tokenFlag {
		flag := p.peek()
		switch {
		case word.word == "logfmt" && flag.text == "--strict":
			s.Strict = true
		case word.word == "logfmt" && flag.text == "--keep-empty":
			s.KeepEmpty = true
		default:
			return nil, p.wrong("%s has no flag %s", word.word, flag.text)
		}
		p.next()
	}
	for p.peek().kind == tokenName {
		f := Field{Label: p.next().text}
		f.Path = f.Label
		if p.accept("=") {
			path := p.peek()
			var err error
			if f.Path, err = p.expectKind(tokenString, "a string"); err != nil {
				return nil, err
			}
			if word.word == "json" {
				if _, err := parsePath(f.Path); err != nil {
					return nil, at(p.query, path.offset, "%v", err)
				}
			}
		}
		s.Fields = append(s.Fields, f)
		if !p.accept(",") {
			break
		}
		if p.peek().kind != tokenName {
			return nil, p.wrong("unexpected %s, expected the name of a label", p.peek().describe())
		}
	}
	return s, nil
}

// expressionStage reads pattern "…" and regexp "…".
func (p *parser) expressionStage(word token) (Stage, error) {
	text := p.peek()
	s := &Parser{Kind: word.word}
	var err error
	if s.Expression, err = p.expectKind(tokenString, "an expression"); err != nil {
		return nil, err
	}
	if word.word == "pattern" {
		_, err = parsePattern(s.Expression, true)
	} else {
		s.re, err = namedRegexp(s.Expression)
	}
	if err != nil {
		return nil, at(p.query, text.offset, "%v", err)
	}
	return s, nil
}

func (p *parser) labelFormat() (Stage, error) {
	s := &LabelFormat{}
	for {
		name := p.peek()
		label, err := p.expectKind(tokenName, "the name of a label")
		if err != nil {
			return nil, err
		}
		if label == errorLabel {
			return nil, at(p.query, name.offset, "%s cannot be formatted", label)
		}
		if slices.ContainsFunc(s.Formats, func(f Format) bool { return f.Label == label }) {
			return nil, at(p.query, name.offset, "the label %q is formatted twice in one stage", label)
		}
		if err := p.expect("="); err != nil {
			return nil, err
		}
		f := Format{Label: label}
		v := p.peek()
		switch v.kind {
		case tokenString:
			f.Template = true
			if _, err := newTemplate(v.text); err != nil {
				return nil, at(p.query, v.offset, "%v", err)
			}
		case tokenName:
		default:
			return nil, p.wrong("unexpected %s, expected a label or a template", v.describe())
		}
		f.Value = p.next().text
		s.Formats = append(s.Formats, f)
		if !p.accept(",") {
			return s, nil
		}
	}
}

func (p *parser) choice(keep bool) (Stage, error) {
	s := &Choice{Keep: keep}
	for {
		name, err := p.expectKind(tokenName, "the name of a label")
		if err != nil {
			return nil, err
		}
		c := Choose{Name: name}
		if slices.Contains(matchSigns[:], p.peek().text) && p.peek().kind == tokenSign {
			m, err := p.matcher(name)
			if err != nil {
				return nil, err
			}
			c.Matcher = &m
		}
		s.Names = append(s.Names, c)
		if !p.accept(",") {
			return s, nil
		}
	}
}

// unwrap reads what follows | unwrap, with the filters behind it.
func (p *parser) unwrap() (*Unwrap, error) {
	name, err := p.expectKind(tokenName, "the name of a label")
	if err != nil {
		return nil, err
	}
	u := &Unwrap{Label: name}
	if p.accept("(") {
		u.Convert = strings.ToLower(name)
		if !slices.Contains([]string{"bytes", "duration", "duration_seconds"}, u.Convert) {
			return nil, p.wrong("unwrap has no conversion %q; there are bytes, duration and duration_seconds", name)
		}
		if u.Label, err = p.expectKind(tokenName, "the name of a label"); err != nil {
			return nil, err
		}
		if err := p.expect(")"); err != nil {
			return nil, err
		}
	}
	for p.accept("|") {
		f, err := p.labelFilter()
		if err != nil {
			return nil, err
		}
		u.Filters = append(u.Filters, f)
	}
	return u, nil
}

// labelFilter reads comparisons with and, or, commas and brackets between
// them; or binds least.
func (p *parser) labelFilter() (LabelFilter, error) {
	done, err := p.deeper()
	if err != nil {
		return nil, err
	}
	defer done()
	left, err := p.filterTerm()
	if err != nil {
		return nil, err
	}
	for p.accept("or") {
		right, err := p.filterTerm()
		if err != nil {
			return nil, err
		}
		left = &BinaryFilter{Or: true, Left: left, Right: right}
	}
	return left, nil
}

func (p *parser) filterTerm() (LabelFilter, error) {
	left, err := p.filterUnit()
	if err != nil {
		return nil, err
	}
	for {
		// Two filters side by side are both to hold, as with a comma.
		beside := p.peek().kind == tokenName && isComparison(p.ahead(1))
		if !p.accept("and") && !p.accept(",") && !beside {
			return left, nil
		}
		right, err := p.filterUnit()
		if err != nil {
			return nil, err
		}
		left = &BinaryFilter{Left: left, Right: right}
	}
}

func (p *parser) filterUnit() (LabelFilter, error) {
	if p.accept("(") {
		f, err := p.labelFilter()
		if err != nil {
			return nil, err
		}
		return f, p.expect(")")
	}
	name := p.peek()
	if name.kind != tokenName {
		return nil, p.wrong("unexpected %s, expected a stage or a label filter", name.describe())
	}
	if op := p.ahead(1); !isComparison(op) {
		return nil, p.wrong("there is no stage %q%s", name.text, suggest(name.word, stageWords))
	}
	p.next()
	if p.ahead(1).kind == tokenString {
		if p.is("==") {
			return nil, p.wrong("a text is compared with =, not with ==")
		}
		m, err := p.matcher(name.text)
		if err != nil {
			return nil, err
		}
		return &StringFilter{m}, nil
	}
	return p.numberFilter(name.text)
}

func (p *parser) numberFilter(label string) (LabelFilter, error) {
	op := p.next()
	f := &NumberFilter{Label: label, Op: op.text}
	if f.Op == "=" {
		f.Op = "=="
	}
	if p.isIP(0) {
		if op.text != "=" && op.text != "!=" {
			return nil, p.wrong("ip() goes with = and != only, not with %s", op.text)
		}
		text, err := p.address()
		return &AddressFilter{Label: label, Not: op.text == "!=", Text: text}, err
	}
	if strings.Contains(f.Op, "~") {
		return nil, p.wrong("unexpected %s, expected a string", p.peek().describe())
	}
	neg := p.accept("-")
	if !neg {
		p.accept("+")
	}
	t := p.peek()
	if t.kind != tokenNumber {
		return nil, p.wrong("unexpected %s, expected a string, a number, a duration or a size", t.describe())
	}
	var ok bool
	if f.Value, ok = parseNumber(t.text); !ok {
		if d, isDuration := ParseDuration(t.text); isDuration {
			f.Kind, f.Value, ok = Duration, float64(d), true
		} else if f.Value, ok = parseBytes(t.text); ok {
			f.Kind = Bytes
		}
	}
	if !ok {
		return nil, p.wrong("%q is neither a number nor a duration nor a size", t.text)
	}
	p.next()
	if neg {
		f.Value = -f.Value
	}
	return f, nil
}
