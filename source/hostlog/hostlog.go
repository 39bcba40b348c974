// SPDX-License-Identifier: Apache-2.0

// Package hostlog reads plain text files: those of the host that the
// configuration names (logs.files), and those inside of containers that write
// their logs to files, named by their label tallyman.logs or by a rule
// (logs.rules).
//
// # What is promised
//
// Every line that a file has while tallyman runs, or that it still has when
// tallyman comes back, is stored once and in order: the position commits in the
// same write as the lines. Files are held open, so that what was renamed or
// removed is read to its end. What was rotated while nobody looked is found
// again by its content: the checksums of its beginning and of what stood before
// the position, under any name that a rotation gives, compressed with gzip too.
// A file that was copied and emptied in place is read on in its copy. Where
// nothing is found a line says so at that place.
//
//	read = stored + dropped{reason} + in flight
//
// A line is what ends with a line feed; the last one of a file that was rotated
// away or removed needs none. What is beyond 256 KiB of a line is left out and
// counted in its metadata. Everything else stays as it was written.
//
// A file that was there before tallyman is read from its last bytes on
// (Options.Backlog), in a container with what it has rotated away since it was
// started; one that comes later from its beginning. What a program
// still writes into a file three seconds after it was renamed is read only if
// the new name is one of the wanted ones.
//
// # Files of strangers
//
// Only regular files are opened, never waiting (package fsx). On the host no
// link is followed but in the folder that the pattern names in full; inside of a
// container links lead to where they lead in that container, and nowhere else.
// Compressed files, and file.log.1 beside file.log, are not logs of their own.
// At most [mostFiles] files of a pattern or a container are followed; what is
// beyond is absent with the reason.
//
// # Records
//
// Stream labels: host, source="file", filename, level (found in the text), of a
// file in a container its name, workload and image too. Metadata: container_id.
// The time of a line is when its file was last written to, at the moment of
// reading: some milliseconds behind the line, or the time of the last line for
// what was there before. Lines that are read at once are a nanosecond apart, in
// their order.
//
// # Concurrency
//
// One goroutine does all of it. A quiet file costs one look in ten seconds;
// inotify tells when it is written to.
package hostlog

import (
	"context"
	"errors"
	"log/slog"
	"path"
	"sync"
	"time"

	"tallyman"
	"tallyman/internal/fsx"
	"tallyman/internal/logrule"
	"tallyman/internal/logtail"
	"tallyman/internal/nsx"
)

// Options of a tailer. All fields but Files, Rules and Backlog are needed.
type Options struct {
	Records tallyman.RecordIntake
	// Host is the name of this machine.
	Host string
	// Files are those of the host. A file that fits several patterns is read
	// once, as the first of them says.
	Files []Files
	// Root is the directory below which a folder of the host is found from here,
	// empty when it is not.
	Root func(folder string) string
	// Proc is the host's /proc.
	Proc string
	// Local reports whether the containers of an engine are of this machine.
	Local func(engine string) bool
	// Rules say which files inside of a container are logs, and what is asked
	// for their lines; nil for none.
	Rules func(c *tallyman.Container) (*logrule.Rule, error)
	// Backlog is how many bytes of a file are read that was there before
	// tallyman, 0 for 64 MiB.
	Backlog int64
	Log     *slog.Logger
}

// Files are the files of the host that fit a pattern.
type Files struct {
	Pattern string // absolute
	Rule    *logrule.Rule
}

const (
	// mostFiles is how many files of one pattern of the host, or of one
	// container, are followed.
	mostFiles = 128
	// mostEntries is how many entries of folders are looked at for them.
	mostEntries = 20_000
	// bufferSize is what a file may take in one turn.
	bufferSize = 256 << 10
	// defaultBacklog is in bytes.
	defaultBacklog = 64 << 20
	keyPrefix      = "hostlog/"
)

// Tailer implements tallyman.ContainerObserver.
type Tailer struct {
	o    Options
	tail *logtail.Tail[*follower] // by the key of their position
	// linger is how long a file must be quiet that was renamed: its writer may
	// not have opened the new one yet.
	linger time.Duration

	places  []*place                  // those of the host first, as they are written
	inside  map[string]*place         // by container
	folders map[int32]map[*place]bool // by watch

	mu     sync.Mutex
	absent map[string][]tallyman.Absence // by container, and "" for the host
}

var _ tallyman.ContainerObserver = (*Tailer)(nil)

// New makes a tailer; Run reads.
func New(o Options) *Tailer {
	if o.Backlog <= 0 {
		o.Backlog = defaultBacklog
	}
	t := &Tailer{o: o, linger: 3 * time.Second, inside: map[string]*place{}, folders: map[int32]map[*place]bool{}, absent: map[string][]tallyman.Absence{}}
	t.tail = logtail.NewTail[*follower](logtail.Source{Learn: t.learn, Saw: t.saw, Close: t.close, Log: o.Log}, o.Records, &logtail.Counts{}, bufferSize)
	for _, f := range o.Files {
		t.places = append(t.places, &place{t: t, patterns: []string{path.Clean(f.Pattern)}, rule: f.Rule, files: map[string]*follower{}, watches: map[string]int32{}})
	}
	return t
}

// ObserveContainer notes a container.
func (t *Tailer) ObserveContainer(c *tallyman.Container) { t.tail.Note(c) }

// Absences say which files of a container, or of the host, cannot be read.
func (t *Tailer) Absences(of tallyman.TargetKey) []tallyman.Absence {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch of.Kind {
	case tallyman.ContainerTarget:
		return t.absent[of.ID]
	case tallyman.HostTarget:
		return t.absent[""]
	}
	return nil
}

// SelfMetrics are the tailer's own numbers.
func (t *Tailer) SelfMetrics() []tallyman.SelfMetric { return metrics(t.tail.Counts) }

func metrics(n *logtail.Counts) []tallyman.SelfMetric {
	return n.SelfMetrics("tallyman_file_log", "plain files")
}

// Run follows the files until ctx ends.
func (t *Tailer) Run(ctx context.Context) error { return t.tail.Run(ctx) }

func (t *Tailer) close() {
	for _, p := range t.places {
		p.close()
	}
}

// saw takes up what inotify has seen in a folder.
func (t *Tailer) saw(e logtail.Seen) {
	for p := range t.folders[e.Watch] {
		p.woken()
	}
}

// learn takes up what discovery has noted, and looks where there may be new files.
func (t *Tailer) learn() (next time.Time) {
	for _, c := range t.tail.Noted() {
		t.container(c)
	}
	for _, p := range t.places {
		if !p.due.After(t.tail.Now) {
			p.lookTogether()
		}
	}
	next = t.tail.Now.Add(time.Hour)
	var host []tallyman.Absence
	for _, p := range t.places {
		if p.container == nil && p.absent.Reason != "" {
			host = append(host, p.absent)
		}
		next = logtail.Earlier(next, p.due)
	}
	t.lack("", host...)
	return next
}

// container takes what is known of a container: its files are read while it
// lives, and when it has stopped those that are open to their end.
func (t *Tailer) container(c *tallyman.Container) {
	p := t.inside[c.ID]
	if p != nil && (c.Disabled || !c.Alive() || c.Pid != p.container.Pid) {
		p.end(c.State == tallyman.Gone)
		p.leave()
		delete(t.inside, c.ID)
		p = nil
	}
	if c.State == tallyman.Gone {
		for _, f := range t.o.Records.Positions(keyPrefix + c.ID + "/") {
			t.tail.Batch.Forget(f.Key)
		}
		t.lack(c.ID)
	}
	if p != nil || c.Disabled || !c.Alive() || t.o.Rules == nil || !t.o.Local(c.Engine) {
		return
	}
	rule, err := t.o.Rules(c)
	if rule == nil || len(rule.Files) == 0 || errors.Is(err, logrule.ErrRedact) {
		return // what is wrong with its labels is said where its log is
	}
	p = &place{t: t, container: c, patterns: rule.Files, rule: rule, files: map[string]*follower{}, watches: map[string]int32{}}
	t.places, t.inside[c.ID] = append(t.places, p), p
}

// lack notes what is absent of a container, or of the host.
func (t *Tailer) lack(id string, absent ...tallyman.Absence) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(absent) == 0 {
		delete(t.absent, id)
		return
	}
	t.absent[id] = absent
}

// errors of opening files that need a right, as what is absent.
func absence(err error) tallyman.Absence {
	a := tallyman.Absence{What: "log files", Reason: "Its files cannot be opened: " + err.Error() + "."}
	switch {
	case errors.Is(err, nsx.ErrPtrace):
		a.Unlock = "--cap-add SYS_PTRACE"
	case errors.Is(err, fsx.ErrOld):
		a.Unlock = "Linux 5.6"
	case errors.Is(err, errRight):
		a.Unlock = "--cap-add DAC_READ_SEARCH"
	}
	return a
}
