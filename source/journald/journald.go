// SPDX-License-Identifier: Apache-2.0

// Package journald reads systemd's journal: the lines of units such as
// docker.service and containerd.service, those of the kernel, and those of
// containers with the log driver journald, as the logs of these containers.
//
// It runs the command journalctl, which prints the journal in its export format
// and follows it: the files' own format is systemd's, and the library for it
// would need C. Where there is no such command, or no journal, all of this is
// absent with its reason. A command that ends is run again, after a second at
// first and after a minute at last. It ends with tallyman, also when that is
// killed.
//
// # What is promised
//
// Every line is stored once and in order. The position is the cursor of the last
// entry, and for each line or entry that is not complete the cursor of its
// beginning: after a crash those are read once more, and nothing else. Where the
// journal was rotated beyond the position a line says so. When the store takes
// nothing, nothing is read: the journal is the buffer.
//
// At the first start the last [firstLines] entries are read.
//
// # Records
//
// Of units: host, source="journal", unit ("kernel" for the kernel), level (the
// entry's priority, but for what a program only printed: the level in its
// text). Of containers: as source/containerlog makes them. An entry counts as a
// container's only if a dockerd or conmon of root has written it: anybody may
// write entries with such fields.
//
// The pieces of a long line, of 16 KiB each, are put together, up to 256 KiB.
package journald

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"tallyman"
	"tallyman/internal/logrule"
	"tallyman/internal/logtail"
)

// Options of a source. All fields but Directory, Command, Image, Unit and Rules
// are needed.
type Options struct {
	Records tallyman.RecordIntake
	// Host is the name of this machine.
	Host string
	// Units are those whose lines are kept, "kernel" for the kernel's; * for all.
	Units []string
	// Directory of the journal's files, empty for where journalctl looks.
	Directory string
	// Command is journalctl, empty for the one in the path.
	Command string
	// Container is what is known of a container. With elsewhere its lines come
	// in another way; with known false they wait.
	Container func(id string) (c *tallyman.Container, elsewhere, known bool)
	// Image is set when tallyman runs in one, which may lack the command and the
	// journal that its host has.
	Image bool
	// Unit and Rules say what is asked for the lines of units and containers.
	Unit  func(name string) *logrule.Rule
	Rules func(c *tallyman.Container) (*logrule.Rule, error)
	Log   *slog.Logger
}

const (
	key = "journald"
	// firstLines is how many entries are read at the first start.
	firstLines = 10_000
	// silence is for how long what is incomplete waits for a journalctl.
	silence = 30 * time.Second
	// gather is how long lines wait for others before they are stored.
	gather = 250 * time.Millisecond
	// waitKnown is how long lines of a container wait until it is known.
	waitKnown          = 20 * time.Second
	retryMin, retryMax = time.Second, time.Minute
	kernel             = "kernel"
)

// Source reads the journal.
type Source struct {
	o      Options
	counts logtail.Counts
	starts atomic.Uint64
	ended  atomic.Uint64

	mu    sync.Mutex // of all below
	batch *logtail.Batch
	state state
	// silent is since when there is no journalctl, zero while one gives entries:
	// what is incomplete waits for the next one to go on.
	silent time.Time

	absent atomic.Pointer[tallyman.Absence]
	active atomic.Bool
}

// New makes a source; Run reads.
func New(o Options) *Source {
	s := &Source{o: o, batch: logtail.NewBatch(o.Records)}
	s.state = state{s: s, logs: map[string]*log{}}
	s.lack(tallyman.Later, "It was not looked at yet.", "")
	return s
}

func (s *Source) lack(code tallyman.AbsenceCode, reason, unlock string) {
	s.absent.Store(&tallyman.Absence{Code: code, What: "journal", Reason: reason, Unlock: unlock})
	s.active.Store(false)
}

// Absences say why the journal cannot be read.
func (s *Source) Absences(of tallyman.TargetKey) []tallyman.Absence {
	if a := s.absent.Load(); a != nil && of.Kind == tallyman.HostTarget {
		return []tallyman.Absence{*a}
	}
	return nil
}

// Active reports whether the journal is being read.
func (s *Source) Active() bool { return s.active.Load() }

// SelfMetrics are the source's own numbers.
func (s *Source) SelfMetrics() []tallyman.SelfMetric {
	return append(s.counts.SelfMetrics("tallyman_journal", "the journal"),
		logtail.CounterOf("tallyman_journal_starts_total", "", "Times that journalctl was run", &s.starts),
		logtail.CounterOf("tallyman_journal_ends_total", "", "Times that journalctl ended by itself", &s.ended))
}

// command is journalctl, empty where there is none; why is noted then.
func (s *Source) command() string {
	if s.o.Command != "" {
		return s.o.Command
	}
	command, err := exec.LookPath("journalctl")
	switch {
	case err == nil:
	case s.o.Image:
		s.lack(tallyman.Lacking, "The image that tallyman runs in has no command journalctl.", "run tallyman on the host, or put it into an image with journalctl")
	default:
		s.lack(tallyman.None, "It has no journal: there is no command journalctl.", "")
	}
	return command
}

// Look finds out whether the journal could be read, and reads nothing.
func (s *Source) Look(context.Context) error {
	_ = s.command()
	return nil
}

// Run reads until ctx ends.
func (s *Source) Run(ctx context.Context) error {
	command := s.command()
	if command == "" {
		return nil
	}
	s.state.load()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer s.batch.Gather(ctx, gather, &s.mu, s.endOld, cancel)()
	retry := retryMin
	for ctx.Err() == nil {
		began := time.Now()
		err := s.follow(ctx, command)
		if ctx.Err() != nil {
			break
		}
		s.mu.Lock()
		if s.silent.IsZero() {
			s.silent = time.Now()
		}
		s.mu.Unlock()
		s.ended.Add(1)
		s.counts.Errors.Add(1)
		s.lack(tallyman.Lacking, fmt.Sprintf("journalctl has ended: %v. It is tried again.", err), "")
		s.o.Log.Warn("journalctl has ended; it is run again", "err", err, "in", retry)
		if time.Since(began) > retryMax {
			retry = retryMin
		}
		select {
		case <-ctx.Done():
		case <-time.After(retry):
		}
		retry = min(2*retry, retryMax)
	}
	return nil
}

// endOld gives out what has waited long enough.
func (s *Source) endOld(now time.Time) {
	if s.silent.IsZero() || now.Sub(s.silent) > silence {
		s.state.endOld(now)
	}
}

// arguments ask for the wanted entries, from a cursor on.
func (s *Source) arguments(from string) []string {
	args := []string{"--output=export", "--follow", "--output-fields=" + strings.Join(names[message:], ",")}
	if s.o.Directory != "" {
		args = append(args, "--directory="+s.o.Directory)
	}
	if from != "" {
		args = append(args, "--no-tail", "--cursor="+from)
	} else {
		args = append(args, fmt.Sprintf("--lines=%d", firstLines))
	}
	return append(args, s.matches()...)
}

// matches select the wanted entries; none selects all.
func (s *Source) matches() (m []string) {
	if slices.Contains(s.o.Units, "*") {
		return nil
	}
	for _, u := range s.o.Units {
		if u == kernel {
			m = append(m, "+", "_TRANSPORT=kernel")
		} else {
			m = append(m, "+", "_SYSTEMD_UNIT="+u, "+", "UNIT="+u, "_PID=1")
		}
	}
	m = append(m, "+", "_COMM=dockerd", "_UID=0", "+", "_COMM=conmon", "_UID=0")
	return m[1:]
}

// asked tells one set of wanted entries from another.
func (s *Source) asked() uint32 {
	return crc32.ChecksumIEEE([]byte(strings.Join(s.matches(), "\n")))
}

// follow runs journalctl once and reads until it ends.
func (s *Source) follow(ctx context.Context, command string) error {
	// The kernel ends the command when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s.mu.Lock()
	s.state.first = true
	var err error
	if s.state.behind { // the last one did not come so far
		err = s.batch.Commit(ctx)
		s.state.load()
	}
	from := s.state.from()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, command, s.arguments(from)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/bin:/bin"}
	said := &lastWords{said: func(text string) {
		if strings.Contains(text, "No journal files") || strings.Contains(text, "Failed to open") {
			if s.o.Image {
				s.lack(tallyman.Lacking, "journalctl finds no journal here.", "-v /var/log/journal:/host/var/log/journal:ro")
			} else {
				s.lack(tallyman.None, "It has no journal that journalctl finds.", "")
			}
		}
	}}
	cmd.Stderr = said
	cmd.WaitDelay = time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.starts.Add(1)
	s.absent.Store(nil)
	s.active.Store(true)
	err = s.read(ctx, &reader{bufio.NewReaderSize(out, 64<<10)})
	stop()
	_ = out.Close()
	if bad := cmd.Wait(); errors.Is(err, io.EOF) {
		err = errors.Join(bad, errors.New(said.String()))
	}
	return err
}

// read takes entries until there are no more.
func (s *Source) read(ctx context.Context, r *reader) error {
	var e entry
	for {
		if err := r.next(&e); err != nil {
			return err
		}
		if !s.active.Load() { // there was no journal before
			s.absent.Store(nil)
			s.active.Store(true)
		}
		wait := s.known(ctx, &e)
		s.mu.Lock()
		if !s.silent.IsZero() {
			s.silent = time.Time{}
			s.state.waitAnew(time.Now())
		}
		s.state.take(&e, wait)
		var err error
		if s.batch.Bytes >= logtail.CommitAt {
			err = s.batch.Commit(ctx)
		}
		s.mu.Unlock()
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return err
		}
	}
}

var validID = regexp.MustCompile(`^[0-9a-f]{64}$`)

// container is the id of the container whose line an entry is, empty for others.
func (e *entry) container() string {
	if len(e.values[containerID]) == 0 || string(e.values[uid]) != "0" {
		return ""
	}
	if c := string(e.values[comm]); c != "dockerd" && c != "conmon" || !validID.Match(e.values[containerID]) {
		return ""
	}
	return string(e.values[containerID])
}

// whose is to whom an entry belongs.
type whose struct {
	id   string
	c    *tallyman.Container
	skip bool
}

// known waits until it is known whose line an entry is.
func (s *Source) known(ctx context.Context, e *entry) (w whose) {
	if w.id = e.container(); w.id == "" {
		return w
	}
	for deadline := time.Now().Add(waitKnown); ; {
		c, elsewhere, known := s.o.Container(w.id)
		if known || time.Now().After(deadline) || ctx.Err() != nil {
			if c == nil { // it has gone: the journal knows its name
				c = &tallyman.Container{ID: w.id, Host: s.o.Host, Name: e.text(containerName), Image: e.text(imageName)}
				c.Workload.Key = c.Name
			}
			w.c, w.skip = c, elsewhere
			return w
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// lastWords keeps the end of what the command complains about.
type lastWords struct {
	mu   sync.Mutex
	text []byte
	said func(string)
}

func (l *lastWords) Write(b []byte) (int, error) {
	l.mu.Lock()
	l.text = append(l.text, b...)
	l.text = l.text[max(len(l.text)-1024, 0):]
	text := string(l.text)
	l.mu.Unlock()
	l.said(text)
	return len(b), nil
}

func (l *lastWords) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.text) == 0 {
		return "it says nothing"
	}
	return strings.TrimSpace(string(l.text))
}
