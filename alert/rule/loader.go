// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"go.yaml.in/yaml/v3"
)

// The names under which the default rules are loaded. No file is called so.
const (
	builtinPromQL = "tallyman"
	builtinLogQL  = "tallyman (LogQL)"
	// lokiFile marks a file of Loki's ruler, whose groups all hold LogQL.
	lokiFile = "logql:"
	// mark begins an expression in LogQL, so that whoever reads it sees which language
	// it is in. It is a comment in both.
	mark = "# LogQL\n"
)

// maxFile is the longest file of rules in bytes.
const maxFile = 4 << 20

// loader implements rules.GroupLoader: it takes default rules and files, in either
// language.
type loader struct {
	promql, logql rulefmt.RuleGroups
	parser        parser.Parser
	check         func(logql string) error
	log           *slog.Logger
}

var _ rules.GroupLoader = (*loader)(nil)

// logExpr is an expression in LogQL where an expression is wanted.
type logExpr struct {
	*parser.StringLiteral
	text string
}

// String is the expression as it is shown and asked.
func (e *logExpr) String() string { return mark + e.text }

// Pretty is the same.
func (e *logExpr) Pretty(int) string { return e.String() }

// Load reads the groups of a file.
func (l *loader) Load(name string, ignoreUnknown bool, scheme model.ValidationScheme) (*rulefmt.RuleGroups, []error) {
	switch name {
	case builtinPromQL:
		return &l.promql, nil
	case builtinLogQL:
		return marked(l.logql), nil
	}
	path, loki := strings.CutPrefix(name, lokiFile)
	text, err := ReadFile(path)
	if err != nil {
		return nil, []error{err}
	}
	groups, errs := l.parse(text, loki, ignoreUnknown, scheme)
	for i, err := range errs {
		errs[i] = fmt.Errorf("%s: %w", path, err)
	}
	return groups, errs
}

// ReadFile reads a file of rules or of tests, of at most maxFile bytes.
func ReadFile(name string) ([]byte, error) {
	st, err := os.Stat(name)
	if err == nil && st.Size() > maxFile {
		err = fmt.Errorf("%s: %d bytes are more than the %d that a file of rules may have", name, st.Size(), maxFile)
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(name)
}

// parse takes the key type out of the groups, and has Prometheus' own reader read the
// rest. Of groups in LogQL it sees an expression that it knows.
func (l *loader) parse(text []byte, loki, ignoreUnknown bool, scheme model.ValidationScheme) (*rulefmt.RuleGroups, []error) {
	var file yaml.Node
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, []error{err}
	}
	logGroups := map[string]bool{}
	exprs := map[string]string{} // by group and number
	if err := each(&file, func(group *yaml.Node) error {
		name, language := "", "promql"
		if loki {
			language = "logql"
		}
		for i := 0; i+1 < len(group.Content); i += 2 {
			switch key, value := group.Content[i], group.Content[i+1]; key.Value {
			case "name":
				name = value.Value
			case "type":
				language = value.Value
				group.Content = append(group.Content[:i], group.Content[i+2:]...)
				i -= 2
			}
		}
		switch language {
		case "promql", "prometheus":
			return nil
		case "logql", "loki":
		default:
			return fmt.Errorf("group %q: the type %q is not known; write promql or logql", name, language)
		}
		logGroups[name] = true
		n := 0
		return eachRule(group, func(expr *yaml.Node) error {
			if err := l.check(expr.Value); err != nil {
				return fmt.Errorf("group %q: %w", name, err)
			}
			exprs[fmt.Sprint(name, "\n", n)] = expr.Value
			expr.Value, expr.Tag, expr.Style = "vector(0)", "!!str", 0
			n++
			return nil
		})
	}); err != nil {
		return nil, []error{err}
	}
	var b bytes.Buffer
	if err := yaml.NewEncoder(&b).Encode(&file); err != nil {
		return nil, []error{err}
	}
	groups, errs := rulefmt.Parse(b.Bytes(), ignoreUnknown, scheme, l.parser, l.log)
	if len(errs) > 0 || len(logGroups) == 0 {
		return groups, errs
	}
	for i := range groups.Groups {
		g := &groups.Groups[i]
		for n := range g.Rules {
			if logGroups[g.Name] {
				g.Rules[n].Expr = mark + exprs[fmt.Sprint(g.Name, "\n", n)]
			}
		}
	}
	return groups, nil
}

// each calls f for every group of a file.
func each(file *yaml.Node, f func(group *yaml.Node) error) error {
	if len(file.Content) == 0 || file.Content[0].Kind != yaml.MappingNode {
		return nil // Prometheus' reader says what is wrong
	}
	top := file.Content[0].Content
	for i := 0; i+1 < len(top); i += 2 {
		if top[i].Value != "groups" || top[i+1].Kind != yaml.SequenceNode {
			continue
		}
		for _, group := range top[i+1].Content {
			if group.Kind == yaml.MappingNode {
				if err := f(group); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// eachRule calls f for the expression of every rule of a group.
func eachRule(group *yaml.Node, f func(expr *yaml.Node) error) error {
	for i := 0; i+1 < len(group.Content); i += 2 {
		if group.Content[i].Value != "rules" {
			continue
		}
		for _, rule := range group.Content[i+1].Content {
			for j := 0; j+1 < len(rule.Content); j += 2 {
				if rule.Content[j].Value == "expr" {
					if err := f(rule.Content[j+1]); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// marked are groups whose expressions all are in LogQL.
func marked(in rulefmt.RuleGroups) *rulefmt.RuleGroups {
	out := rulefmt.RuleGroups{}
	for _, g := range in.Groups {
		rules := make([]rulefmt.Rule, len(g.Rules))
		for i, r := range g.Rules {
			r.Expr = mark + r.Expr
			rules[i] = r
		}
		g.Rules = rules
		out.Groups = append(out.Groups, g)
	}
	return &out
}

// Parse makes an expression of a text, in the language that it is marked with.
func (l *loader) Parse(text string) (parser.Expr, error) {
	if logql, ok := strings.CutPrefix(text, mark); ok {
		return &logExpr{&parser.StringLiteral{Val: logql}, logql}, nil
	}
	return l.parser.ParseExpr(text)
}

// Show writes rules as a file that people and promtool read.
func Show(groups rulefmt.RuleGroups) ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	err := e.Encode(groups)
	return b.Bytes(), err
}

// independent implements rules.RuleDependencyController: rules of a group are evaluated
// one after the other, whatever language they are in.
type independent struct{}

func (independent) AnalyseRules([]rules.Rule) {}
