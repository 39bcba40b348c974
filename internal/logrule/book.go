// SPDX-License-Identifier: Apache-2.0

package logrule

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"tallyman"
)

// Matched is a rule with whom it is for.
type Matched struct {
	Rule *Rule
	// Container and Unit report whether it is for a container or for a unit of
	// the journal; nil for none.
	Container func(*tallyman.Container) bool
	Unit      func(string) bool
}

// Book has all rules.
type Book struct {
	rules  []Matched
	counts *counts
}

// NewBook makes a book of rules, which then count together.
func NewBook(rules []Matched) *Book {
	b := &Book{counts: &counts{}}
	for _, m := range rules {
		m.Rule = b.Own(m.Rule)
		b.rules = append(b.rules, m)
	}
	return b
}

// SelfMetrics is a rule that counts with the others of the book.
func (b *Book) Own(r *Rule) *Rule {
	if r == nil {
		return nil
	}
	n := *r
	n.counts = b.counts
	return &n
}

// Container is the rule for a container, of its labels and of the book, nil for
// none. With an error in its labels the rest is followed, but for an error that
// is ErrRedact: then nothing of the log may be stored.
func (b *Book) Container(c *tallyman.Container) (*Rule, error) {
	var r *Rule
	var err error
	if text, bad := Of(c.Labels); bad != nil || len(text.Files)+len(text.Redact) > 0 || text.Start != "" || text.Level != "" {
		r, err = Compile(text)
		r = b.Own(r)
		err = errors.Join(bad, err)
	}
	for _, m := range b.rules {
		if m.Container != nil && m.Container(c) {
			r = r.with(m.Rule)
		}
	}
	return r, err
}

// Fault is what a person is told of an error in the labels of a container.
func Fault(err error) tallyman.Absence {
	what := "Part of what its labels ask for its log cannot be followed"
	if errors.Is(err, ErrRedact) {
		what = "It asks that something is taken out of its log, in words that cannot be followed; nothing of it is kept until they are mended"
	}
	return tallyman.Absence{What: "log rule", Reason: what + ": " + strings.ReplaceAll(err.Error(), "\n", "; ") + "."}
}

// Unit is the rule for a unit of the journal, nil for none.
func (b *Book) Unit(name string) (r *Rule) {
	for _, m := range b.rules {
		if m.Unit != nil && m.Unit(name) {
			r = r.with(m.Rule)
		}
	}
	return r
}

// Metrics are what all rules together did.
func (b *Book) Metrics() []tallyman.SelfMetric {
	return []tallyman.SelfMetric{
		{Desc: redactions, Read: func() float64 { return float64(b.counts.redactions.Load()) }},
		{Desc: joined, Read: func() float64 { return float64(b.counts.joined.Load()) }},
	}
}

var (
	redactions = &tallyman.Desc{Name: "tallyman_log_redactions_total", Type: tallyman.Counter, Help: "Pieces taken out of log lines by the redactions that rules and labels ask for"}
	joined     = &tallyman.Desc{Name: "tallyman_log_joined_lines_total", Type: tallyman.Counter, Help: "Log lines that became part of the entry before them, as rules and labels ask for"}
)

// label is the key of the labels that are read, and what the others begin with.
const label = "tallyman.logs"

// Of reads the labels of a container.
func Of(labels map[string]string) (t Text, err error) {
	var keys []string
	for k := range labels {
		if k == label || strings.HasPrefix(k, label+".") {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		v := strings.TrimSpace(labels[k])
		switch word := strings.TrimPrefix(k, label); {
		case v == "":
		case word == "":
			t.Files = Words(v)
		case word == ".start":
			t.Start = v
		case word == ".level":
			t.Level = v
		case word == ".redact", strings.HasPrefix(word, ".redact."):
			t.Redact = append(t.Redact, v)
		default:
			err = errors.Join(err, fmt.Errorf("there is no label %s; did you mean %s, %s.start, %s.level or %s.redact?", k, label, label, label, label))
		}
	}
	return t, err
}
