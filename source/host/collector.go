// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"tallyman"
	"tallyman/internal/kread"
)

// collector is one part of what a host says, under the name that node_exporter has
// for it. A part that fails leaves out its own series, with its own reason.
type collector struct {
	// name is what the option off takes.
	name string
	// what is what it gives, in a person's words.
	what string
	// every is how old its values may become; 0 for a reading in each round.
	every time.Duration
	// aside is set for files that hardware answers for, or that may hang: they are read
	// in a goroutine, and a round waits for it no longer than for file systems.
	aside bool
	// descs are its metrics. Beside them it may give some that the kernel names.
	descs []*tallyman.Desc
	// open makes its reading, for one host.
	open func(*Source) reading
}

// reading adds what there is now to a sink. What it could not read is its error; what
// it added counts all the same.
type reading func(*sink) error

// lack is an error that is an absence: what is not there, and what would help.
type lack struct {
	code           tallyman.AbsenceCode
	reason, unlock string
}

func (l *lack) Error() string { return l.reason }

// none says that the host has no such thing.
func none(reason string) error { return &lack{tallyman.None, reason, ""} }

// missing makes none of an error that says that a file or folder is not there.
func missing(err error, reason string) error {
	if errors.Is(err, fs.ErrNotExist) {
		return none(reason)
	}
	return err
}

var errNoInit = &lack{tallyman.Lacking, "The host's first process cannot be seen from here.", "--pid=host"}

// maxSamples bounds what one collector gives.
const maxSamples = 10_000

// sink takes the samples of one reading. A series is interned by its description and
// labels. Rounds are mostly alike, so the series at the same place of the last reading
// is looked at first, and nothing is allocated when it is the same.
type sink struct {
	target  *tallyman.Target
	samples []tallyman.Sample
	slots   []*entry // of the last reading, and of this one up to samples
	known   map[string]*entry
	reading uint64
	key     []byte
	refused int // beyond maxSamples
}

// entry is a series with what it was made of.
type entry struct {
	desc    *tallyman.Desc
	pairs   []string
	series  *tallyman.Series
	reading uint64 // the last that gave it
}

func (e *entry) is(d *tallyman.Desc, pairs []string) bool {
	if e.desc != d || len(e.pairs) != len(pairs) {
		return false
	}
	for i := range pairs {
		if e.pairs[i] != pairs[i] {
			return false
		}
	}
	return true
}

// Add takes a value; pairs are names and values of labels in turn. Names and values
// belong to the caller. A series that comes twice counts once; an empty value is no label.
func (s *sink) Add(d *tallyman.Desc, v float64, pairs ...string) {
	at := len(s.samples)
	var e *entry
	switch {
	case at < len(s.slots) && s.slots[at].is(d, pairs):
		e = s.slots[at]
	case at >= maxSamples:
		s.refused++
		return
	default:
		e = s.find(d, pairs)
	}
	if e.reading == s.reading {
		return
	}
	e.reading = s.reading
	if at < len(s.slots) {
		s.slots[at] = e
	} else {
		s.slots = append(s.slots, e)
	}
	s.samples = append(s.samples, tallyman.Sample{Series: e.series, Value: v})
}

func (s *sink) find(d *tallyman.Desc, pairs []string) *entry {
	s.key = append(s.key[:0], d.Name...)
	for _, p := range pairs {
		s.key = append(append(s.key, 0), p...)
	}
	if e := s.known[string(s.key)]; e != nil && e.desc == d {
		return e
	}
	e := &entry{desc: d}
	var labels []tallyman.Label
	for i := 0; i+1 < len(pairs); i += 2 {
		name, value := strings.Clone(pairs[i]), strings.Clone(pairs[i+1])
		e.pairs = append(e.pairs, name, value)
		if value != "" {
			labels = append(labels, tallyman.Label{Name: name, Value: value})
		}
	}
	e.series = s.target.Series(d, labels...)
	if s.known == nil {
		s.known = map[string]*entry{}
	}
	s.known[string(s.key)] = e
	return e
}

// begin starts a reading.
func (s *sink) begin() {
	s.reading++
	s.samples, s.refused = s.samples[:0], 0
}

// back takes back what was added since there were n samples.
func (s *sink) back(n int) {
	for _, one := range s.slots[n:len(s.samples)] {
		one.reading = 0
	}
	s.samples = s.samples[:n]
}

// end forgets the series that have been gone for a while.
func (s *sink) end() {
	clear(s.slots[len(s.samples):])
	s.slots = s.slots[:len(s.samples)]
	if len(s.known) <= 2*len(s.slots)+64 {
		return
	}
	for k, e := range s.known {
		if e.reading != s.reading {
			delete(s.known, k)
		}
	}
}

// runner reads one collector of one host.
type runner struct {
	*collector
	read reading
	// in is written by the reading; out is what rounds get of it.
	in  sink
	out []tallyman.Sample
	err error
	// none is set when err says that the host has no such thing.
	none bool
	at   time.Time // of the last reading
	// Of a collector that is read aside: whether it is being read, since when, and
	// whether the round waits for it.
	busy, late, awaited bool
	done                chan error
	began               time.Time
}

// noneEvery is how often it is looked for what a host has not: hardware and modules of
// the kernel may come.
const noneEvery = time.Minute

// due reports whether it is time for a reading.
func (r *runner) due(now time.Time) bool {
	every := r.every
	if r.none {
		every = max(every, noneEvery)
	}
	// Rounds come some milliseconds early or late.
	return !r.busy && (r.at.IsZero() || now.Before(r.at) || now.Sub(r.at) >= every-every/20)
}

// run reads once. A parser that panics, on a file that nobody thought of, fails alone.
func (r *runner) run(s *Source) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if s.o.Log != nil {
				s.o.Log.Error("a collector panicked", "collector", r.name, "panic", p, "stack", string(debug.Stack()))
			}
			err = fmt.Errorf("its reader panicked, which is a fault of tallyman: %v", p)
		}
	}()
	r.in.begin()
	err = r.read(&r.in)
	r.in.end()
	if err == nil && r.in.refused > 0 {
		err = fmt.Errorf("%d more are left out; %d series are taken", r.in.refused, maxSamples)
	}
	return err
}

// take makes a reading that has ended what rounds get.
func (r *runner) take(err error) {
	l := (*lack)(nil)
	r.err, r.none = err, errors.As(err, &l) && l.code == tallyman.None
	r.out = append(r.out[:0], r.in.samples...)
	r.busy = false
}

// start begins what is due in this round.
func (h *host) start(s *Source, now time.Time) {
	for _, r := range h.runners {
		if r.busy {
			select {
			case err := <-r.done:
				r.late = now.Sub(r.began) > s.within
				r.take(err)
			default:
				// Old values are shown until the next would have been due.
				if now.Sub(r.began) > max(r.every, time.Second) {
					r.out = r.out[:0]
				}
			}
		}
		r.awaited = false
		if !r.due(now) {
			continue
		}
		r.at = now
		if !r.aside {
			r.take(r.run(s))
			continue
		}
		r.busy, r.began, r.awaited = true, now, !r.late
		s.running.Add(1)
		go func() {
			defer s.running.Done()
			r.done <- r.run(s)
		}()
	}
}

// wait waits for what was begun, all in all for as long as for one.
func (h *host) wait(s *Source) {
	var timer *time.Timer
	for _, r := range h.runners {
		if !r.awaited {
			continue
		}
		if timer == nil {
			timer = time.NewTimer(s.within)
			defer timer.Stop()
		}
		select {
		case err := <-r.done:
			r.take(err)
			continue
		default:
		}
		if r.late {
			continue
		}
		select {
		case err := <-r.done:
			r.take(err)
		case <-timer.C:
			for _, one := range h.runners {
				one.late = one.late || one.busy
			}
		}
	}
}

// absences says what the collectors lack.
func (h *host) absences(now time.Time) (a []tallyman.Absence) {
	for _, r := range h.runners {
		if r.busy && now.Sub(r.began) > max(r.every, time.Second) {
			a = append(a, tallyman.Absence{What: r.what, Reason: fmt.Sprintf("The kernel has not answered for %s.", now.Sub(r.began).Round(time.Second))})
			continue
		}
		if r.err == nil {
			continue
		}
		one := tallyman.Absence{What: r.what}
		if l := (*lack)(nil); errors.As(r.err, &l) {
			one.Code, one.Reason, one.Unlock = l.code, l.reason, l.unlock
		} else {
			one.Reason = "It cannot be read: " + r.err.Error() + "."
		}
		a = append(a, one)
	}
	return a
}

// file is a file of the kernel that is read again and again, and kept open.
type file struct {
	path string
	kept kread.File
}

// file keeps a file until the source is closed.
func (s *Source) file(path string) *file {
	f := &file{path: path}
	s.kept = append(s.kept, f)
	return f
}

// maxText bounds what is read of one file.
const maxText = 1 << 20

// read reads it whole into the buffer of its caller, and opens it when it is not open.
func (f *file) read(buf *[]byte) ([]byte, error) {
	if !f.kept.IsOpen() {
		var err error
		if f.kept, err = kread.OpenSlow(f.path); err != nil {
			return nil, err
		}
	}
	text := f.kept.ReadGrow(buf, maxText)
	if text == nil {
		f.kept.Close()
		return nil, &os.PathError{Op: "read", Path: f.path, Err: errors.New("nothing is in it")}
	}
	return text, nil
}

// buffer is a text's, for collectors that are read aside.
const buffer = 4096

// text reads a small file of /sys once; ok is false when there is none or when it
// cannot be read. Drivers answer some with errors that mean "not now".
func text(path string) (value string, ok bool) {
	f, err := kread.OpenSlow(path)
	if err != nil {
		return "", false
	}
	defer f.Close()
	return trimmed(f)
}

// textAt is text below an open directory.
func textAt(dir int, path string) (value string, ok bool) {
	f, err := kread.OpenSlowAt(dir, path)
	if err != nil {
		return "", false
	}
	defer f.Close()
	return trimmed(f)
}

func trimmed(f kread.File) (string, bool) {
	var buf [buffer]byte
	b, ok := f.ReadEmpty(buf[:])
	return strings.TrimSpace(strings.ToValidUTF8(string(b), "�")), ok
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
