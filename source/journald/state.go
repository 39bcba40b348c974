// SPDX-License-Identifier: Apache-2.0

package journald

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyman"
	"tallyman/internal/loglevel"
	"tallyman/internal/logrule"
	"tallyman/internal/logstream"
	"tallyman/internal/logtail"
)

const (
	// mostPending is how many lines and entries may be incomplete at once; the
	// oldest is given out then.
	mostPending = 64
	// mostLogs is how many logs are remembered.
	mostLogs = 4096
	// patience is how long the pieces of a line wait for its end.
	patience = 30 * time.Second
)

// state is how far the journal was read. It is a reader of the batch.
type state struct {
	s       *Source
	last    string // cursor of the last entry
	pending []*log // that are incomplete, by where they begin
	logs    map[string]*log

	// After a start, what was stored is passed over: all up to last but what
	// is in again, from the cursor there on.
	behind bool
	again  map[string]string
	other  bool // the position is of another selection of entries
	first  bool // the next entry is the first one of a command
}

var _ logtail.Reader = (*state)(nil)

// log is the lines of one unit, or of one output of one container. Places in it are
// cursors.
type log struct {
	key   string // u, o or e and the unit or container
	c     *tallyman.Container
	out   logtail.Output[string]
	never bool   // nothing of it may be stored
	late  bool   // it was incomplete at the last start and was come to again
	level string // of the present entry, empty to find it in the text

	when time.Time // when the last piece of an open line came
	// pieceID is what all pieces of the open line have, empty where the engine does
	// not say.
	pieceID string
	// since is where what is incomplete begins, empty when nothing is.
	since string
}

// Position is the last cursor, the selection, and where what is incomplete begins.
func (st *state) Position() tallyman.Position {
	text := fmt.Sprintf("1 %s %x", st.last, st.s.asked())
	for _, l := range st.pending {
		text += " " + l.key + "=" + l.since
	}
	for _, k := range st.waiting() {
		text += " " + k + "=" + st.again[k]
	}
	return tallyman.Position{Key: key, Value: text}
}

// waiting are the logs that were incomplete and were not come to again.
func (st *state) waiting() (keys []string) {
	for k := range st.again {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// load takes the stored position, with nothing in memory.
func (st *state) load() {
	st.pending, st.logs = nil, map[string]*log{}
	text, ok := st.s.o.Records.Position(key)
	f := strings.Fields(text)
	if !ok || len(f) < 3 || f[0] != "1" {
		return
	}
	asked, err := strconv.ParseUint(f[2], 16, 32)
	if err != nil {
		return
	}
	st.last, st.other = f[1], uint32(asked) != st.s.asked()
	st.behind, st.again = true, map[string]string{}
	for _, p := range f[3:] {
		if k, c, ok := strings.Cut(p, "="); ok {
			st.again[k] = c
		}
	}
}

// from is the cursor to read from: the earliest that is needed.
func (st *state) from() string {
	from := st.last
	for _, c := range st.again {
		if earlier(c, from) {
			from = c
		}
	}
	return from
}

// earlier compares the sequence numbers of two cursors of one journal, or else
// their times.
func earlier(a, b string) bool {
	part := func(c, name string) string {
		for _, p := range strings.Split(c, ";") {
			if v, ok := strings.CutPrefix(p, name+"="); ok {
				return v
			}
		}
		return ""
	}
	name := "t"
	if part(a, "s") == part(b, "s") {
		name = "i"
	}
	x, err1 := strconv.ParseUint(part(a, name), 16, 64)
	y, err2 := strconv.ParseUint(part(b, name), 16, 64)
	return err1 == nil && err2 == nil && x < y
}

// take takes an entry.
func (st *state) take(e *entry, w whose) {
	at := string(e.values[cursor])
	if st.first {
		st.first = false
		if from := st.from(); from != "" && at != from {
			// What was read last is not there any more; all of this is new.
			st.behind, st.again = false, nil
			if !st.other {
				st.missing()
			}
		} else if from != "" && !st.behind && at == st.last {
			return // the command was run again, and this was taken
		}
	}
	l := st.log(e, w)
	if st.behind {
		if l != nil && st.again[l.key] == at {
			delete(st.again, l.key)
			l.late = true // from here on nothing of it was stored
		}
		if at == st.last {
			st.behind, st.again = false, nil
		}
		if l == nil || !l.late {
			return
		}
	} else {
		st.last = at
	}
	st.s.batch.Touch(st)
	if l != nil {
		st.line(l, e, at)
	}
}

// log is the log that an entry belongs to, nil for one that is not wanted.
func (st *state) log(e *entry, w whose) *log {
	if w.id == "" {
		return st.unit(e)
	}
	if w.skip {
		return nil
	}
	stderr := string(e.values[priority]) == "3"
	k := "o" + w.id
	if stderr {
		k = "e" + w.id
	}
	l := st.logs[k]
	if l != nil && (l.c == w.c || logstream.Same(l.c, w.c)) {
		l.c = w.c
		return l.ifAllowed()
	}
	if l == nil {
		l = st.remember(k)
	}
	st.end(l) // under the name that it had
	l.c, l.out.Stderr, l.out.Streams, l.out.Rule, l.never = w.c, stderr, logstream.For(w.c), nil, false
	if st.s.o.Rules != nil {
		r, err := st.s.o.Rules(w.c)
		if l.never = errors.Is(err, logrule.ErrRedact); r.Lines() {
			l.out.Rule = r
		}
	}
	return l.ifAllowed()
}

func (l *log) ifAllowed() *log {
	if l.never {
		return nil
	}
	return l
}

// unit is the log of a unit or of the kernel.
func (st *state) unit(e *entry) *log {
	name := e.text(systemdUnit)
	switch {
	case string(e.values[transport]) == kernel:
		if st.s.kernel.has(e) {
			return nil
		}
		name = kernel
	case string(e.values[pid]) == "1" && len(e.values[unit]) > 0: // systemd's words about it
		name = e.text(unit)
	case name == "":
		name = e.text(identifier)
	}
	if name == "" || !st.s.unitWanted(name) || strings.ContainsAny(name, " \n") {
		return nil
	}
	l := st.logs["u"+name]
	if l == nil {
		l = st.remember("u" + name)
		l.out.Streams = logstream.From(nil, st.s.o.Host, "journal", tallyman.Label{Name: "unit", Value: name})
		if st.s.o.Unit != nil {
			if r := st.s.o.Unit(name); r.Lines() {
				l.out.Rule = r
			}
		}
	}
	l.level = ""
	if string(e.values[transport]) != "stdout" || loglevel.Of(e.values[message]) == loglevel.Unknown {
		l.level = loglevel.Priority(e.values[priority])
	}
	return l
}

// remember makes a log.
func (st *state) remember(k string) *log {
	if len(st.logs) >= mostLogs {
		for k, l := range st.logs {
			if l.since == "" {
				delete(st.logs, k)
			}
		}
	}
	l := &log{key: k, out: logtail.Output[string]{Batch: st.s.batch, Counts: &st.s.counts, Of: st}}
	st.logs[k] = l
	return l
}

// line takes the line, or the piece of one, that an entry has.
func (st *state) line(l *log, e *entry, at string) {
	more := bytes.Equal(e.values[partial], []byte("true"))
	if l.out.Open() != nil && l.pieceID != e.text(partialID) {
		st.whole(l, l.out.End()) // its end never came: the container has stopped, and runs again
	}
	if l.out.Open() == nil {
		l.pieceID = e.text(partialID)
	}
	p := logtail.Line[string]{Text: e.values[message], Lost: e.lost, Time: e.time(), Level: l.level, At: at}
	l.when = time.Now()
	st.whole(l, l.out.Piece(&p, more))
}

// whole takes one whole line of a log, nil when there is none, and puts the log where
// it belongs among those that are incomplete.
func (st *state) whole(l *log, line *logtail.Line[string]) {
	if line != nil {
		if l.c != nil {
			line.Text = logstream.Text(l.c, line.Text)
		}
		l.out.Line(line, l.when)
	}
	st.settle(l)
}

// settle puts a log among the incomplete ones, by where they begin, or takes it away.
func (st *state) settle(l *log) {
	since, _ := l.out.Begin()
	if since == l.since {
		return
	}
	if l.since != "" {
		st.pending = slices.DeleteFunc(st.pending, func(p *log) bool { return p == l })
	}
	if l.since = since; since != "" {
		st.pending = append(st.pending, l)
	}
	if len(st.pending) > mostPending {
		st.end(st.pending[0])
	}
}

// end gives out what there is of a log.
func (st *state) end(l *log) {
	st.whole(l, l.out.End())
	l.out.EndEntry()
	st.settle(l)
}

// waitAnew counts the waiting of incomplete entries from now.
func (st *state) waitAnew(now time.Time) {
	for _, l := range st.pending {
		l.out.WaitAnew(now)
	}
}

// endOld gives out what has waited long enough.
func (st *state) endOld(now time.Time) {
	for _, l := range slices.Clone(st.pending) {
		switch {
		case l.out.Open() == nil:
			l.out.EndOld(now)
			st.settle(l)
		case now.Sub(l.when) > patience:
			st.end(l)
		}
	}
}

// missing says that the journal was rotated beyond the position.
func (st *state) missing() {
	g := logtail.Gap{Text: "the journal was rotated beyond what was read last; lines may be missing here"}
	st.s.counts.Gap(g)
	st.s.batch.Gap(g, logstream.From(nil, st.s.o.Host, "journal"), time.Now())
}
