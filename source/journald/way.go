// SPDX-License-Identifier: Apache-2.0

package journald

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"tallyman"
	"tallyman/internal/journal"
	"tallyman/internal/logtail"
)

// The ways in which the journal is being read.
const (
	wayNone = iota
	wayFiles
	wayCommand
	wayKmsg
)

var (
	wayDesc     = &tallyman.Desc{Name: "tallyman_journal_way", Type: tallyman.Gauge, Help: "1 for the way in which the journal is being read: its files, the command journalctl, or kmsg for the kernel's messages alone"}
	filesDesc   = &tallyman.Desc{Name: "tallyman_journal_files", Type: tallyman.Gauge, Help: "Files of the journal that are open"}
	brokenDesc  = &tallyman.Desc{Name: "tallyman_journal_broken_total", Type: tallyman.Counter, Help: "Parts of the journal's files that were broken and left out"}
	refusedDesc = &tallyman.Desc{Name: "tallyman_journal_refused_files_total", Type: tallyman.Counter, Help: "Times that a file of the journal could not be read"}
)

// SelfMetrics are the source's own numbers.
func (s *Source) SelfMetrics() []tallyman.SelfMetric {
	m := append(s.counts.SelfMetrics("tallyman_journal", "the journal"),
		logtail.CounterOf("tallyman_journal_starts_total", "", "Times that journalctl was run", &s.starts),
		logtail.CounterOf("tallyman_journal_ends_total", "", "Times that journalctl ended by itself", &s.ended))
	for i, name := range []string{Files, Journalctl, "kmsg"} {
		m = append(m, tallyman.SelfMetric{Desc: wayDesc, Labels: []tallyman.Label{{Name: "way", Value: name}}, Read: func() float64 {
			if int(s.way.Load()) == i+wayFiles {
				return 1
			}
			return 0
		}})
	}
	of := func(d *tallyman.Desc, what func(*journal.Counts) float64) {
		m = append(m, tallyman.SelfMetric{Desc: d, Read: func() float64 {
			r := s.files.Load()
			if r == nil {
				return 0
			}
			c := r.Counts()
			return what(&c)
		}})
	}
	of(filesDesc, func(c *journal.Counts) float64 { return float64(c.Files) })
	of(brokenDesc, func(c *journal.Counts) float64 { return float64(c.Broken) })
	of(refusedDesc, func(c *journal.Counts) float64 { return float64(c.Refused) })
	return m
}

// Check finds a way that there is not.
func (o Options) Check() error {
	switch o.Via {
	case "", Auto, Files, Journalctl:
		return nil
	}
	return fmt.Errorf("via: %q is no way to read the journal; write %s, %s or %s", o.Via, Auto, Files, Journalctl)
}

// wants reports whether a way is allowed.
func (s *Source) wants(way string) bool { return s.o.Via == "" || s.o.Via == Auto || s.o.Via == way }

// open opens the files.
func (s *Source) open() (*journal.Reader, error) {
	matches, err := journal.ParseMatches(s.matches())
	if err != nil {
		return nil, err
	}
	return journal.Open(journal.Options{Folders: s.o.Folders, Machine: s.o.Machine, Matches: matches, Most: logtail.MaxLine,
		Keep: func(name []byte) int {
			if f := fieldOf(name); f < fields {
				return f.most()
			}
			return -1
		}})
}

// Look finds out whether the journal could be read, and reads nothing.
func (s *Source) Look(context.Context) error {
	if s.o.Command == "" && s.wants(Files) {
		if len(s.o.Folders) == 0 {
			s.noFiles(&journal.Counts{})
			return nil
		}
		r, err := s.open()
		if err != nil {
			return err
		}
		c := r.Counts()
		r.Close()
		if c.Found > 0 {
			s.absent.Store(nil)
			s.active.Store(true)
			return nil
		}
		if c.Refused == 0 || !s.wants(Journalctl) {
			s.noFiles(&c)
			return nil
		}
	}
	_ = s.command()
	return nil
}

// noFiles says why there is no file that can be read.
func (s *Source) noFiles(c *journal.Counts) {
	unlock, kmsg, unlockKmsg := "", "", ""
	if s.o.Image {
		unlock = "-v /var/log/journal:/host/var/log/journal:ro"
	}
	switch {
	case s.way.Load() == wayKmsg:
		kmsg = " The kernel's messages come from " + s.o.Kmsg + "."
	case s.kernel.why.Load() != nil:
		if kmsg = fmt.Sprintf(" Nor can the kernel's messages be read: %v.", *s.kernel.why.Load()); s.o.Image {
			unlockKmsg = "--device /dev/kmsg --cap-add SYSLOG"
		}
	}
	switch {
	case c.Refused > 0:
		s.lack(tallyman.Lacking, "The files of the journal cannot be read: "+c.Why+"."+kmsg, unlockKmsg)
	case len(s.o.Folders) == 0:
		s.lack(tallyman.Lacking, "The folders of the journal cannot be reached from here."+kmsg, unlock)
	default:
		s.lack(tallyman.None, "It has no journal: there is no file of one in "+strings.Join(s.o.Folders, " or ")+"."+kmsg, unlockKmsg)
	}
}

// errCommand says that journalctl may be able to read what cannot be read here.
var errCommand = errors.New("the files need journalctl")

// Run reads until ctx ends.
func (s *Source) Run(ctx context.Context) error {
	s.state.load()
	s.kernel.load()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer s.batch.Gather(ctx, gather, &s.mu, s.endOld, cancel)()
	if s.o.Command == "" && s.wants(Files) {
		if err := s.byFiles(ctx); !errors.Is(err, errCommand) {
			if ctx.Err() != nil {
				err = nil
			}
			return err
		}
		s.o.Log.Info("the journal's files cannot be read here; journalctl reads them", "err", s.files.Load().Counts().Why)
	}
	if command := s.command(); command != "" {
		s.byCommand(ctx, command)
	}
	return nil
}

// byFiles reads the files until ctx ends.
func (s *Source) byFiles(ctx context.Context) error {
	var r *journal.Reader
	if len(s.o.Folders) > 0 {
		var err error
		if r, err = s.open(); err != nil {
			return err
		}
		defer r.Close()
		s.files.Store(r)
	}
	defer s.way.Store(wayNone)
	endMessages := func() {}
	defer func() { endMessages() }()
	var in journal.Entry
	var e entry
	begun, alone := false, false
	for ctx.Err() == nil {
		var c journal.Counts
		if r != nil {
			c = r.Counts()
		}
		if (c.Later > 0 || c.Found == 0 && c.Refused > 0) && s.wants(Journalctl) && s.hasCommand() {
			return errCommand
		}
		if c.Found == 0 && !begun {
			if !alone {
				alone, endMessages = true, s.messages(ctx)
			}
			s.noFiles(&c)
			if r == nil {
				<-ctx.Done()
				return nil
			}
			r.Wait(ctx)
			continue
		}
		if !begun {
			endMessages()
			endMessages = func() {}
			s.way.Store(wayFiles)
			from, err := s.begin(ctx)
			if err != nil {
				return err
			}
			if at, err := journal.ParseCursor(from); err == nil {
				r.SeekCursor(at)
			} else {
				r.SeekTail(firstLines)
			}
			begun = true
		}
		switch {
		case c.Later > 0:
			s.lack(tallyman.Lacking, "Files of the journal are in a form that is not known: "+c.Why+".", "put journalctl beside tallyman")
		case c.Denied > 0:
			s.lack(tallyman.Lacking, "Files of the journal may not be read: "+c.Why+".", "run tallyman as root, or in the group systemd-journal")
		default:
			s.absent.Store(nil)
		}
		s.active.Store(true) // the others are read
		s.mu.Lock()
		s.heard()
		s.mu.Unlock()
		for r.Next(&in) {
			e.fill(&in)
			if err := s.one(ctx, &e); err != nil {
				return err
			}
		}
		r.Wait(ctx)
	}
	return nil
}

// fill takes the wanted fields of an entry of a file. They are valid as long as it is.
func (e *entry) fill(in *journal.Entry) {
	at, when := e.values[cursor], e.values[realtime]
	*e = entry{}
	e.values[cursor] = in.Append(at[:0])
	e.values[realtime] = strconv.AppendUint(when[:0], in.Realtime, 10)
	for i := range in.Fields {
		f := fieldOf(in.Fields[i].Name)
		if f == fields || f <= realtime || e.values[f] != nil {
			continue
		}
		if e.values[f] = in.Fields[i].Value; f == message {
			e.lost = in.Fields[i].Lost
		}
	}
}

// messages reads the kernel's messages beside, if they are wanted, until the function that
// it gives is called.
func (s *Source) messages(ctx context.Context) (end func()) {
	if s.o.Kmsg == "" || s.kernel.boot == "" || !s.unitWanted(kernel) {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	f, err := openKmsg(s.o.Kmsg)
	if err != nil {
		cancel()
		s.kernel.why.Store(&err)
		return func() {}
	}
	s.way.Store(wayKmsg)
	var wg sync.WaitGroup
	wg.Go(func() {
		s.kernel.run(ctx, f)
		s.way.CompareAndSwap(wayKmsg, wayNone)
	})
	return func() {
		cancel()
		wg.Wait()
	}
}
