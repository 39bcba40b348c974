// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"errors"
	"fmt"
	"strings"
	"text/template"
	"text/template/parse"
)

// Bounds of what a template may do for one line.
const (
	maxFormatted = 256 << 10
	maxTurns     = 10_000
)

var errTurns = fmt.Errorf("the template takes more than %d turns", maxTurns)
var errLong = fmt.Errorf("the template makes more than %d bytes", maxFormatted)

// lineTemplate is a template of line_format or label_format. It belongs to one
// pipeline. One that only joins texts and labels is computed without
// text/template.
type lineTemplate struct {
	pieces []piece // when it is simple
	t      *template.Template
	// fields are the labels that it reads; all is set when it may read any.
	fields []string
	all    bool
	values map[string]string
	line   *line
	turns  int
	out    bounded
	cache  regexps
}

// piece is a text, or the value of a label, or the line.
type piece struct {
	text, label string
	line        bool
}

// bounded is a buffer that refuses to grow without end.
type bounded struct{ b []byte }

func (w *bounded) Write(p []byte) (int, error) {
	if len(w.b)+len(p) > maxFormatted {
		return 0, errLong
	}
	w.b = append(w.b, p...)
	return len(p), nil
}

func newTemplate(text string) (*lineTemplate, error) {
	t := &lineTemplate{}
	if isPlain(text) {
		t.pieces = []piece{{text: text}}
		return t, nil
	}
	parsed, err := template.New("line").Option("missingkey=zero").Funcs(t.functions()).Parse(text)
	if err != nil {
		return nil, bad("the template is wrong: %s", strings.TrimPrefix(err.Error(), "template: "))
	}
	t.t = parsed
	if parsed.Tree == nil {
		return nil, bad("the template has no text")
	}
	if t.pieces = simple(parsed.Tree.Root); t.pieces != nil {
		return t, nil
	}
	tick := template.Must(template.New("tick").Funcs(t.functions()).Parse("{{" + tickName + "}}")).Tree.Root.Nodes[0]
	for _, one := range parsed.Templates() {
		if one.Tree == nil {
			continue
		}
		t.visit(one.Tree.Root, tick)
		one.Tree.Root.Nodes = append([]parse.Node{tick.Copy()}, one.Tree.Root.Nodes...)
	}
	t.values = map[string]string{}
	return t, nil
}

// tickName is a function that counts, at the beginning of every turn of a range
// and of every template.
const tickName = "tallyman_turn"

// simple are the pieces of a template that has nothing but texts, {{.label}}
// and {{__line__}}; nil of any other.
func simple(root *parse.ListNode) []piece {
	out := []piece{}
	for _, n := range root.Nodes {
		switch n := n.(type) {
		case *parse.TextNode:
			out = append(out, piece{text: string(n.Text)})
		case *parse.ActionNode:
			if len(n.Pipe.Decl) > 0 || len(n.Pipe.Cmds) != 1 || len(n.Pipe.Cmds[0].Args) != 1 {
				return nil
			}
			switch arg := n.Pipe.Cmds[0].Args[0].(type) {
			case *parse.FieldNode:
				if len(arg.Ident) != 1 {
					return nil
				}
				out = append(out, piece{label: arg.Ident[0]})
			case *parse.IdentifierNode:
				if arg.Ident != "__line__" {
					return nil
				}
				out = append(out, piece{line: true})
			default:
				return nil
			}
		default:
			return nil
		}
	}
	return out
}

// visit finds the labels that a template reads and makes its loops count.
func (t *lineTemplate) visit(n parse.Node, tick parse.Node) {
	list := func(l *parse.ListNode) {
		if l != nil {
			for _, n := range l.Nodes {
				t.visit(n, tick)
			}
		}
	}
	pipe := func(p *parse.PipeNode) {
		if p == nil {
			return
		}
		for _, c := range p.Cmds {
			for _, a := range c.Args {
				t.visit(a, tick)
			}
		}
	}
	branch := func(b *parse.BranchNode) {
		pipe(b.Pipe)
		list(b.List)
		list(b.ElseList)
	}
	switch n := n.(type) {
	case *parse.ListNode:
		list(n)
	case *parse.ActionNode:
		pipe(n.Pipe)
	case *parse.PipeNode:
		pipe(n)
	case *parse.FieldNode:
		t.fields = append(t.fields, n.Ident[0])
	case *parse.DotNode, *parse.VariableNode, *parse.ChainNode:
		t.all = true
	case *parse.IfNode:
		branch(&n.BranchNode)
	case *parse.WithNode:
		branch(&n.BranchNode)
	case *parse.TemplateNode:
		pipe(n.Pipe)
		t.all = true
	case *parse.RangeNode:
		branch(&n.BranchNode)
		n.List.Nodes = append([]parse.Node{tick.Copy()}, n.List.Nodes...)
	}
}

// append adds what the template makes of a line.
func (t *lineTemplate) append(b []byte, l *line) ([]byte, error) {
	if t.pieces != nil {
		for _, p := range t.pieces {
			switch {
			case p.line:
				b = append(b, l.text...)
			case p.label != "":
				v, _ := l.get(p.label)
				b = append(b, v...)
			default:
				b = append(b, p.text...)
			}
		}
		return b, nil
	}
	t.line, t.turns = l, 0
	clear(t.values)
	if t.all {
		l.each(func(name, value string, _ origin) { t.values[name] = value })
		for _, name := range []string{errorLabel, detailsLabel} {
			if v, ok := l.get(name); ok {
				t.values[name] = v
			}
		}
	} else {
		for _, name := range t.fields {
			if v, ok := l.get(name); ok {
				t.values[name] = v
			}
		}
	}
	t.out.b = b
	err := t.run()
	return t.out.b, err
}

func (t *lineTemplate) run() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the template failed: %v", r) // a function of text/template or of ours met what it cannot take
		}
	}()
	err = t.t.Execute(&t.out, t.values)
	var exec template.ExecError
	if errors.As(err, &exec) {
		return exec.Err
	}
	return err
}

// turn counts.
func (t *lineTemplate) turn() (string, error) {
	if t.turns++; t.turns > maxTurns {
		return "", errTurns
	}
	return "", nil
}
