// SPDX-License-Identifier: Apache-2.0

// Package containerlog reads the logs of containers from the files that the
// engine writes, without asking it: the formats of the drivers json-file and
// local, and the copy in that format that an engine from 20.10 on keeps beside
// other drivers. A log that has no file, or whose files cannot be reached, is
// absent with its reason.
//
// # What is promised
//
// Every line that is in a file while tallyman runs, or that still is when it
// comes back, is stored once and in order: the position in the file commits in
// the same write as the lines. Files are held open, so that what was rotated
// away or removed is read to its end; those that were rotated while nobody
// looked are found again by the checksum of their first entry, compressed or
// not. While the reader waits for a slow disk, new files are opened as they come
// (up to 16, and 256 MiB, of one log) and counted. Where rotation was faster all
// the same, or went on without it, a line says so at that place.
//
//	read = stored + dropped{reason} + in flight
//
// A line is what ends with a line feed. dockerd cuts longer ones into pieces of
// 16 KiB, which are put together again, up to 256 KiB; what is beyond is left
// out and counted in the line's metadata. Everything else stays as dockerd has
// written it: colours, binary, carriage returns but for the one that a terminal
// puts before each line feed. Of a damaged file every entry that is whole is read,
// and a line says at that place that something is damaged.
//
// # Records
//
// Stream labels: host, source="container", name, workload, image, stream
// (stdout, stderr), level (found in the text, see internal/loglevel). Metadata:
// container_id, and for lines of tallyman's own tallyman_gap.
//
// # When it reads
//
// One goroutine does all of it but one thing: the one that inotify wakes opens a
// new file at once, so that a rotation while the disk is slow takes nothing away.
// The reader is woken by inotify when a log that was quiet
// is written to, waits a moment so that many lines make one read, and reads on
// in a rhythm that follows the flow; a quiet log costs nothing. Each container
// gets one buffer a turn, so that one that floods delays others by little. When
// the store takes nothing, reading stops: the files are the buffer.
package containerlog

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"tallyman"
	"tallyman/internal/logrule"
	"tallyman/internal/logstream"
	"tallyman/internal/logtail"
)

// Options of a tailer. All fields but Backlog and Rules are needed.
type Options struct {
	Records tallyman.RecordIntake
	// Path is where a path of the host is found from here; empty when it is not.
	Path func(path string) string
	// Backlog is how many bytes of the log of a container are read that was
	// there before tallyman, 0 for 64 MiB.
	Backlog int64
	// Rules say what is asked for the lines of a container, nil for nothing. An
	// error is said; with logrule.ErrRedact nothing of the log is read.
	Rules func(c *tallyman.Container) (*logrule.Rule, error)
	Log   *slog.Logger
}

const (
	// defaultBacklog is in bytes.
	defaultBacklog = 64 << 20
	// bufferSize is what a container may take in one turn; it is larger than
	// the largest entry.
	bufferSize = 512 << 10
	// A log is held open until discovery tells whose it is. Where its folder is still
	// there, unknownFor is enough: it can be opened again. What the engine has removed
	// is held for removedFor, and up to unknownMost logs at a time.
	unknownFor  = 30 * time.Second
	removedFor  = 10 * time.Minute
	unknownMost = 256
)

// Tailer follows the logs of all containers of the engines on this machine. It
// implements tallyman.ContainerObserver and tallyman.EngineObserver.
type Tailer struct {
	o       Options
	tail    *logtail.Tail[*follower] // by container
	counts  counts
	scratch scratch
	catcher catcher
	folders map[int32]*follower // by watch
	roots   map[string]root     // by engine
	untold  int                 // followers whose container discovery has not told of

	mu      sync.Mutex
	engines []tallyman.EngineStatus
	absent  map[string]tallyman.Absence
	faults  map[string]tallyman.Absence // in what is asked for a log
	placed  map[string]bool             // whether a log has a file, by container
}

var (
	_ tallyman.ContainerObserver = (*Tailer)(nil)
	_ tallyman.EngineObserver    = (*Tailer)(nil)
)

// root is the folder of an engine's containers.
type root struct {
	dir   string
	watch int32
}

// New makes a tailer; Run reads.
func New(o Options) *Tailer {
	if o.Backlog <= 0 {
		o.Backlog = defaultBacklog
	}
	t := &Tailer{o: o, catcher: catcher{logs: map[int32]*catch{}}, folders: map[int32]*follower{}, roots: map[string]root{},
		absent: map[string]tallyman.Absence{}, faults: map[string]tallyman.Absence{}, placed: map[string]bool{}}
	t.tail = logtail.NewTail[*follower](logtail.Source{Learn: t.learn, Saw: t.saw, Close: t.close, Now: t.catcher.saw, Log: o.Log}, o.Records, &t.counts.Counts, bufferSize)
	return t
}

// ObserveContainer notes a container.
func (t *Tailer) ObserveContainer(c *tallyman.Container) { t.tail.Note(c) }

// ObserveEngine notes where an engine keeps its containers.
func (t *Tailer) ObserveEngine(e tallyman.EngineStatus) {
	t.mu.Lock()
	t.engines = append(t.engines, e)
	t.mu.Unlock()
	t.tail.Wake()
}

// Absences say why the log of a container cannot be read.
func (t *Tailer) Absences(of tallyman.TargetKey) []tallyman.Absence {
	if of.Kind != tallyman.ContainerTarget {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []tallyman.Absence
	for _, m := range []map[string]tallyman.Absence{t.absent, t.faults} {
		if a, ok := m[of.ID]; ok {
			out = append(out, a)
		}
	}
	return out
}

// Run follows the logs until ctx ends.
func (t *Tailer) Run(ctx context.Context) error { return t.tail.Run(ctx) }

// Look finds out where the logs are, until ctx ends, and reads none: Absences and
// LogAbsence tell of it.
func (t *Tailer) Look(ctx context.Context) error { return t.tail.Look(ctx) }

// close ends all following.
func (t *Tailer) close() {
	for _, c := range t.tail.Logs {
		t.unwatchFolder(c)
		c.close()
	}
}

var validID = regexp.MustCompile(`^[0-9a-f]{64}$`)

// learn takes up what discovery has noted.
func (t *Tailer) learn() (next time.Time) {
	t.mu.Lock()
	engines := t.engines
	t.engines = nil
	t.mu.Unlock()
	for _, e := range engines {
		t.engine(e)
	}
	for id, k := range t.tail.Noted() {
		t.container(id, k)
	}
	return time.Now().Add(time.Hour)
}

// engine takes the folder of an engine's containers.
func (t *Tailer) engine(e tallyman.EngineStatus) {
	if e.Root == "" {
		return
	}
	if _, known := t.roots[e.Name]; known {
		return
	}
	dir := t.o.Path(filepath.Join(e.Root, "containers"))
	if dir == "" {
		return
	}
	t.roots[e.Name] = root{dir, t.tail.Watch.Add(dir, logtail.WatchNew)}
	// Containers that came before their engine told where it keeps them.
	for _, c := range t.tail.Logs {
		if c.container != nil && c.container.Engine == e.Name && c.dir == "" {
			t.place(c, c.container)
			c.Due = time.Time{}
		}
	}
}

// container takes what is known of a container.
func (t *Tailer) container(id string, k *tallyman.Container) {
	c := t.tail.Logs[id]
	if k.Disabled {
		if c != nil {
			t.forget(c)
		}
		return
	}
	if c == nil {
		if k.State == tallyman.Gone {
			if _, ok := t.o.Records.Position(keyPrefix + id); ok {
				t.tail.Batch.Forget(keyPrefix + id)
			}
			t.forgetFault(id)
			return
		}
		c = t.follow(id)
	} else if c.container == nil && k.ImageID == "" && k.State != tallyman.Gone && t.tail.Now.Sub(c.since) < unknownFor {
		// Events alone tell of it, and not whether it has a terminal. Its inspection
		// does, and comes late where the engine is slow.
		c.heard = k
		return
	}
	if t.o.Rules != nil && k.State != tallyman.Gone && (c.container == nil || !logstream.Same(c.container, k) || !maps.Equal(c.container.Labels, k.Labels)) {
		if t.takeRule(c, k) != nil {
			t.forget(c) // nothing is read rather than what was to be taken out
			t.mu.Lock()
			t.placed[id] = true
			t.mu.Unlock()
			return
		}
	}
	if c.container == nil || c.dir == "" {
		t.place(c, k)
	}
	c.know(k)
}

// follow makes the follower of a container.
func (t *Tailer) follow(id string) *follower {
	c := &follower{t: t, id: id, since: time.Now()}
	for i := range c.out {
		c.out[i] = logtail.Output[place]{Batch: t.tail.Batch, Counts: t.tail.Counts, Of: c, Stderr: i == 1, Keep: 64 << 10}
	}
	t.tail.Logs[id] = c
	t.untold++
	return c
}

// takeRule finds out what is asked for the lines of a container. An error says that
// they may not be read.
func (t *Tailer) takeRule(c *follower, k *tallyman.Container) error {
	r, err := t.o.Rules(k)
	t.mu.Lock()
	delete(t.faults, c.id)
	if err != nil {
		t.faults[c.id] = logrule.Fault(err)
	}
	t.mu.Unlock()
	if errors.Is(err, logrule.ErrRedact) {
		return err
	}
	if !r.Lines() { // files inside of it are another's
		r = nil
	}
	for i := range c.out {
		if c.passed {
			c.out[i].EndEntry()
		}
		c.out[i].Rule = r
	}
	return nil
}

// place finds out where a container's log lies.
func (t *Tailer) place(c *follower, k *tallyman.Container) {
	absent := tallyman.Absence{What: "log"}
	r, ok := t.roots[k.Engine]
	if ok {
		// The folder of that name may be another machine's.
		_, err := os.Stat(filepath.Join(r.dir, c.id))
		ok = err == nil
	}
	switch {
	case !ok:
		absent.Code = tallyman.Elsewhere
		absent.Reason = "The folder in which the engine keeps its containers cannot be reached from here."
		absent.Unlock = "-v /var/lib/docker/containers:/host/var/lib/docker/containers:ro"
	default:
		base, dir, form, has := formatOf(filepath.Join(r.dir, c.id), c.id, k.LogDriver)
		if !has {
			absent.Code, absent.Reason = tallyman.None, "It has no log (driver none)."
			break
		}
		if _, err := os.Stat(filepath.Join(dir, base)); err != nil && k.LogDriver == "journald" {
			absent.Code = tallyman.Elsewhere
			absent.Reason = "Its lines are in the journal only (driver journald), which cannot be read here."
			absent.Unlock = "-v /var/log/journal:/host/var/log/journal:ro"
			break
		}
		if c.dirWatch == 0 || c.base != base || c.dir != dir {
			t.unwatchFolder(c)
			c.base, c.dir = base, dir
			t.watchFolder(c)
		}
		c.form = form
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.absent, c.id)
	if absent.Reason != "" {
		t.absent[c.id] = absent
	}
	t.placed[c.id] = absent.Reason == ""
}

// saw takes up what inotify has seen in a folder.
func (t *Tailer) saw(e logtail.Seen) {
	if c := t.folders[e.Watch]; c != nil {
		c.Due = time.Time{}
		return
	}
	for _, r := range t.roots {
		// The folder of a new container: its log is opened before discovery
		// knows it, in case it lives for milliseconds only.
		if r.watch == e.Watch && validID.MatchString(e.Name) && t.tail.Logs[e.Name] == nil {
			c := t.follow(e.Name)
			c.base, c.dir, c.form = e.Name+"-json.log", filepath.Join(r.dir, e.Name), jsonFile
			t.watchFolder(c)
		}
	}
}

// over ends the following of a container that has gone and was read to its end.
func (t *Tailer) over(ctx context.Context, c *follower) {
	if !c.opened {
		t.counts.missed.Add(1)
	}
	_ = t.tail.Batch.Commit(ctx) // its position goes only after its last lines
	t.tail.Batch.Forget(keyPrefix + c.id)
	t.forget(c)
	t.forgetFault(c.id)
}

// giveUp ends the following of a log that discovery did not tell of. What was lost
// by that is counted: the lines of one that has been removed.
func (t *Tailer) giveUp(c *follower) {
	if len(c.files) > 0 && !c.there() {
		t.counts.missed.Add(1)
		t.o.Log.Warn("a log was given up: the engine has removed it, and did not say whose it was", "container", c.id)
	}
	t.forget(c)
}

// forget ends the following of a container.
func (t *Tailer) forget(c *follower) {
	if c.container == nil {
		t.untold--
	}
	t.unwatchFolder(c)
	t.tail.Unwatch(c)
	c.close()
	delete(t.tail.Logs, c.id)
	t.tail.Batch.Untouch(c)
	t.mu.Lock()
	delete(t.absent, c.id)
	delete(t.placed, c.id)
	t.mu.Unlock()
}

// forgetFault forgets what was wrong with the rules of a container that has gone.
func (t *Tailer) forgetFault(id string) {
	t.mu.Lock()
	delete(t.faults, id)
	delete(t.placed, id)
	t.mu.Unlock()
}
