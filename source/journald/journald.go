// SPDX-License-Identifier: Apache-2.0

// Package journald reads systemd's journal: the lines of units such as
// docker.service and containerd.service, those of the kernel, and those of
// containers with the log driver journald, as the logs of these containers.
//
// # How it is read
//
// The journal's files are read without systemd (internal/journal), and followed through
// inotify, rotation and deletion. Where they are in a form that is not known yet, or cannot
// be read at all, the command journalctl is run, which prints the journal in its export
// format and follows it; the option Via says so in any case. A command that ends is run
// again, after a second at first and after a minute at last. It ends with tallyman, also
// when that is killed. Both have the same cursors, so one goes on where the other was.
//
// Where there is no journal, the kernel's messages come from /dev/kmsg, as long as none
// appears. What cannot be read is absent with its reason.
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
// Of /dev/kmsg the position is the boot and the number of the last message; a line says
// where the kernel has overwritten some. When the way changes between the journal and
// /dev/kmsg, messages that came in the other way before are left out by their time since
// the boot.
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
	"tallyman/internal/journal"
	"tallyman/internal/logrule"
	"tallyman/internal/logtail"
)

// The ways to read a journal.
const (
	Auto       = "auto"
	Files      = "files"
	Journalctl = "journalctl"
)

// Options of a source. Records, Host, Units, Container and Log are needed.
type Options struct {
	// Via is how the journal is read, empty for Auto: its files are, where that is
	// possible, else by journalctl.
	Via string `yaml:"via" doc:"How the journal is read: files, journalctl (the command), or auto for the files and, where they cannot be read, the command."`

	Records tallyman.RecordIntake
	// Host is the name of this machine.
	Host string
	// Units are those whose lines are kept, "kernel" for the kernel's; * for all.
	Units []string
	// Folders have the journal's files, or folders of machines with them. Machine is the
	// one whose folders are read, zero for all.
	Folders []string
	Machine journal.ID
	// Directory of the journal's files for journalctl, empty for where it looks.
	Directory string
	// Kmsg is the device of the kernel's messages, empty for none; Proc is where the host's
	// /proc is.
	Kmsg, Proc string
	// Command is journalctl, empty for the one in the path.
	Command string
	// Container is what is known of a container. With elsewhere its lines come
	// in another way; with known false they wait.
	Container func(id string) (c *tallyman.Container, elsewhere, known bool)
	// Image is set when tallyman runs in one, from where its host's journal may not be
	// reached.
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
	// kernel are the messages of /dev/kmsg.
	kernel *messages
	// silent is since when there is no journalctl, zero while one gives entries:
	// what is incomplete waits for the next one to go on.
	silent time.Time

	absent atomic.Pointer[tallyman.Absence]
	active atomic.Bool
	way    atomic.Int32
	files  atomic.Pointer[journal.Reader] // for its counts
}

// New makes a source; Run reads.
func New(o Options) *Source {
	s := &Source{o: o, batch: logtail.NewBatch(o.Records)}
	s.state = state{s: s, logs: map[string]*log{}}
	s.kernel = newMessages(s)
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

// hasCommand reports whether there is a journalctl.
func (s *Source) hasCommand() bool {
	_, err := exec.LookPath("journalctl")
	return err == nil
}

// unitWanted reports whether the lines of a unit are wanted.
func (s *Source) unitWanted(name string) bool {
	return slices.Contains(s.o.Units, name) || slices.Contains(s.o.Units, "*")
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
		s.lack(tallyman.None, "There is no command journalctl to read its journal with.", "")
	}
	return command
}

// byCommand runs journalctl again and again until ctx ends.
func (s *Source) byCommand(ctx context.Context, command string) {
	s.way.Store(wayCommand)
	defer s.way.Store(wayNone)
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
}

// endOld gives out what has waited long enough.
func (s *Source) endOld(now time.Time) {
	if s.silent.IsZero() || now.Sub(s.silent) > silence {
		s.state.endOld(now)
	}
	s.kernel.out.EndOld(now)
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

// begin prepares for entries from the cursor on that it gives.
func (s *Source) begin(ctx context.Context) (from string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.first = true
	if s.state.behind { // what came before did not come so far
		if err := s.batch.Commit(ctx); err != nil {
			return "", err
		}
		s.state.load()
	}
	return s.state.from(), nil
}

// follow runs journalctl once and reads until it ends.
func (s *Source) follow(ctx context.Context, command string) error {
	// The kernel ends the command when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	from, err := s.begin(ctx)
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
		if err := s.one(ctx, &e); err != nil {
			return err
		}
	}
}

// one takes one entry.
func (s *Source) one(ctx context.Context, e *entry) (err error) {
	if !s.active.Load() { // there was no journal before
		s.absent.Store(nil)
		s.active.Store(true)
	}
	wait := s.known(ctx, e)
	s.mu.Lock()
	s.heard()
	s.state.take(e, wait)
	if s.batch.Bytes >= logtail.CommitAt {
		err = s.batch.Commit(ctx)
	}
	s.mu.Unlock()
	return cmp.Or(err, ctx.Err())
}

// heard notes that entries are coming.
func (s *Source) heard() {
	if !s.silent.IsZero() {
		s.silent = time.Time{}
		s.state.waitAnew(time.Now())
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
