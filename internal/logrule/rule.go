// SPDX-License-Identifier: Apache-2.0

package logrule

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"tallyman/internal/loglevel"
	"tallyman/internal/redact"
)

// Bounds of what may be asked for.
const (
	maxPattern  = 512 // bytes
	maxRedact   = 16  // redactions of one log
	maxFiles    = 32  // paths of one log
	maxPath     = 1024
	secretsWord = "secrets"
)

// Bounds of an entry.
const (
	MaxLines = 1000
	MaxBytes = 256 << 10
	// Wait is how long an entry waits for its next line.
	Wait = time.Second
)

// Text is a rule as it is written.
type Text struct {
	Files        []string
	Start, Level string
	Redact       []string
}

// Rule is a rule that can be followed. A nil one asks for nothing.
type Rule struct {
	// Files are paths or patterns of files, each absolute and clean.
	Files []string

	start, level *regexp.Regexp
	redact       []*regexp.Regexp
	secrets      bool
	counts       *counts
}

// counts are kept for all rules together.
type counts struct{ redactions, joined atomic.Uint64 }

// ErrRedact says that a redaction cannot be followed.
var ErrRedact = errors.New("no redaction")

// Compile reads a rule. It is nil when nothing is asked for. Errors begin with
// the name of the setting; one of a redaction is ErrRedact.
func Compile(t Text) (*Rule, error) {
	r := &Rule{counts: &counts{}}
	var errs []error
	pattern := func(text string) (*regexp.Regexp, error) {
		if len(text) > maxPattern {
			return nil, fmt.Errorf("the pattern is longer than %d bytes; write two", maxPattern)
		}
		re, err := regexp.Compile(text)
		if err != nil {
			return nil, fmt.Errorf("%q is no pattern: %s; patterns are RE2, see github.com/google/re2/wiki/Syntax", text, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		}
		return re, nil
	}
	var err error
	for i, text := range t.Redact {
		if text == secretsWord {
			r.secrets = true
			continue
		}
		re, err := pattern(text)
		switch {
		case err == nil && re.MatchString(""):
			err = fmt.Errorf("%q matches a text of nothing, so it would be found between any two characters; write a pattern that needs at least one", text)
		case err == nil && i >= maxRedact:
			err = fmt.Errorf("there are more than %d; put some together with |", maxRedact)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("redact: %w%w", err, hidden{ErrRedact}))
			continue
		}
		r.redact = append(r.redact, re)
	}
	if t.Start != "" {
		if r.start, err = pattern(t.Start); err != nil {
			errs = append(errs, fmt.Errorf("start: %w", err))
		} else if r.start.MatchString("") {
			errs = append(errs, fmt.Errorf("start: %q matches every line; write what only the first line of an entry has, for example ^\\d{4}-", t.Start))
			r.start = nil
		}
	}
	if t.Level != "" {
		if r.level, err = pattern(t.Level); err != nil {
			errs = append(errs, fmt.Errorf("level: %w", err))
		} else if r.level.NumSubexp() == 0 {
			errs = append(errs, fmt.Errorf("level: %q has no group; write the level in parentheses, for example ^\\[(\\w+)\\]", t.Level))
			r.level = nil
		}
	}
	for i, f := range t.Files {
		if i >= maxFiles {
			errs = append(errs, fmt.Errorf("files: there are more than %d; use patterns", maxFiles))
			break
		}
		if err := CheckPath(f); err != nil {
			errs = append(errs, fmt.Errorf("files: %w", err))
			continue
		}
		r.Files = append(r.Files, path.Clean(f))
	}
	if !r.asks() {
		r = nil
	}
	return r, errors.Join(errs...)
}

// hidden makes an error findable without another word.
type hidden struct{ error }

func (hidden) Error() string   { return "" }
func (h hidden) Unwrap() error { return h.error }

// CheckPath says what is wrong with the path or pattern of a file.
func CheckPath(p string) error {
	switch _, err := path.Match(p, ""); {
	case len(p) > maxPath || strings.ContainsRune(p, 0):
		return fmt.Errorf("a path has at most %d bytes", maxPath)
	case !strings.HasPrefix(p, "/"):
		return fmt.Errorf("%q does not begin with a slash; write for example /var/log/app/*.log", p)
	case strings.Contains(p, "**"):
		return fmt.Errorf("%q has **, which is not known; write one * for each folder", p)
	case err != nil:
		return fmt.Errorf("%q is no pattern of a file: a [ has no ]", p)
	case strings.HasSuffix(p, "/"):
		return fmt.Errorf("%q is a folder; write for example %s*.log", p, p)
	}
	return nil
}

func (r *Rule) asks() bool {
	return len(r.Files) > 0 || r.start != nil || r.level != nil || len(r.redact) > 0 || r.secrets
}

// with is both rules together; what r has of start and level wins.
func (r *Rule) with(o *Rule) *Rule {
	if r == nil || o == nil {
		if r == nil {
			return o
		}
		return r
	}
	n := *r
	n.Files = append(n.Files[:len(n.Files):len(n.Files)], o.Files...)
	n.redact = append(n.redact[:len(n.redact):len(n.redact)], o.redact...)
	n.secrets = n.secrets || o.secrets
	if n.start == nil {
		n.start = o.start
	}
	if n.level == nil {
		n.level = o.level
	}
	return &n
}

// Lines reports whether anything is asked for lines.
func (r *Rule) Lines() bool {
	return r != nil && (r.start != nil || r.level != nil || len(r.redact) > 0 || r.secrets)
}

// Joins reports whether lines are put together.
func (r *Rule) Joins() bool { return r != nil && r.start != nil }

// Level is the level of a line, found as the rule says or else in its text.
func (r *Rule) Level(text []byte) string {
	if r != nil && r.level != nil {
		if m := r.level.FindSubmatch(text); m != nil {
			if level := loglevel.Word(m[1]); level != "" {
				return level
			}
		}
	}
	return loglevel.Of(text)
}

var mark = []byte(redact.Mark)

// Redact takes out of a line what is not to be stored. It gives the line itself
// when there is nothing.
func (r *Rule) Redact(text []byte) []byte {
	if r == nil {
		return text
	}
	for _, re := range r.redact {
		text = r.take(re, text)
	}
	if r.secrets {
		s := string(text)
		if clean := redact.Text(s); clean != s {
			r.counts.redactions.Add(uint64(max(strings.Count(clean, redact.Mark)-strings.Count(s, redact.Mark), 1)))
			text = []byte(clean)
		}
	}
	return text
}

func (r *Rule) take(re *regexp.Regexp, text []byte) []byte {
	found := re.FindAllSubmatchIndex(text, -1)
	if found == nil {
		return text
	}
	var out []byte
	done := 0
	for _, m := range found {
		if len(m) > 2 {
			m = m[2:]
		}
		for ; len(m) > 0; m = m[2:] {
			from, to := m[0], m[1]
			if from < done || from == to { // it did not take part, lies in one before, or is empty
				continue
			}
			out = append(append(out, text[done:from]...), mark...)
			done = to
			r.counts.redactions.Add(1)
		}
	}
	if done == 0 {
		return text
	}
	return append(out, text[done:]...)
}

// Entry is lines that become one record.
type Entry struct {
	Open bool
	Text []byte
	Time int64     // of its first line
	Lost int       // bytes of its lines that were left out
	Last time.Time // when its last line came
	n    int
}

// Ends reports whether e is over now that a line comes.
func (r *Rule) Ends(e *Entry, line []byte) bool {
	return e.Open && (!r.Joins() || e.n >= MaxLines || len(e.Text)+1+len(line) > MaxBytes || r.start.Match(line))
}

// Add adds a line to an entry, which begins with it when it is not open.
func (r *Rule) Add(e *Entry, time int64, line []byte, lost int, now time.Time) {
	if !e.Open {
		e.Open, e.Text, e.Time, e.Lost, e.n = true, e.Text[:0], time, 0, 0
	} else {
		e.Text = append(e.Text, '\n')
		r.counts.joined.Add(1)
	}
	e.Text = append(e.Text, line...)
	e.Lost += lost
	e.Last = now
	e.n++
}

// Take ends an entry and gives its text, which is valid until the next Add.
func (e *Entry) Take() []byte {
	text := e.Text
	e.Open = false
	if cap(e.Text) > 64<<10 {
		e.Text = nil
	}
	return text
}

// Old reports whether an entry has waited long enough.
func (e *Entry) Old(now time.Time) bool { return e.Open && now.Sub(e.Last) >= Wait }

// Words are the paths of a list with commas, semicolons or line feeds between.
func Words(text string) (out []string) {
	for _, w := range strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == ';' || c == '\n' }) {
		if w = strings.TrimSpace(w); w != "" {
			out = append(out, w)
		}
	}
	return out
}

// Fixed splits a pattern into the folder that is named in full, and the rest.
func Fixed(pattern string) (dir, rest string) {
	meta := strings.IndexAny(pattern, `*?[\`)
	if meta < 0 {
		meta = len(pattern)
	}
	at := strings.LastIndexByte(pattern[:meta], '/')
	return pattern[:max(at, 1)], pattern[at+1:]
}
