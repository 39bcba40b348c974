// SPDX-License-Identifier: Apache-2.0

package journald

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tallyman"
	"tallyman/internal/journal"
	"tallyman/internal/loglevel"
	"tallyman/internal/logstream"
	"tallyman/internal/logtail"
)

const (
	kmsgKey = key + "/kmsg"
	// kmsgSize is longer than any message that the kernel gives (8 KiB).
	kmsgSize = 16 << 10
	// settled is by how much the time may differ that is not set, in nanoseconds.
	settled = int64(time.Second)
)

// kmsgAt is a place among the messages of a boot: the number of one, and the time since the
// boot in microseconds before which all were taken.
type kmsgAt struct{ seqnum, since uint64 }

// messages are the kernel's, from its ring buffer. They are a reader of the batch; all but
// why is guarded by the source's lock.
type messages struct {
	s     *Source
	out   logtail.Output[kmsgAt]
	boot  string
	next  kmsgAt
	open  bool  // next is a place, behind which nothing was taken
	began int64 // see bootTime
	// why they cannot be read.
	why atomic.Pointer[error]
}

var _ logtail.Reader = (*messages)(nil)

func newMessages(s *Source) *messages {
	m := &messages{s: s}
	m.out = logtail.Output[kmsgAt]{Batch: s.batch, Counts: &s.counts, Of: m}
	return m
}

// Position implements logtail.Reader.
func (m *messages) Position() tallyman.Position {
	at, ok := m.out.Begin()
	if !ok {
		at = m.next
	}
	return tallyman.Position{Key: kmsgKey, Value: fmt.Sprintf("1 %s %d %d", m.boot, at.seqnum, at.since)}
}

// load takes the position: that of these messages, or where the journal was left in this
// boot.
func (m *messages) load() {
	s := m.s
	text, err := os.ReadFile(filepath.Join(cmp.Or(s.o.Proc, "/proc"), "sys/kernel/random/boot_id"))
	if err != nil {
		m.why.Store(&err)
		return
	}
	m.boot = strings.ReplaceAll(strings.TrimSpace(string(text)), "-", "")
	m.out.Streams = logstream.From(nil, s.o.Host, "journal", tallyman.Label{Name: "unit", Value: kernel})
	if s.o.Unit != nil {
		if r := s.o.Unit(kernel); r.Lines() {
			m.out.Rule = r
		}
	}
	stored, _ := s.o.Records.Position(kmsgKey)
	if f := strings.Fields(stored); len(f) == 4 && f[0] == "1" && f[1] == m.boot {
		n, err1 := strconv.ParseUint(f[2], 10, 64)
		since, err2 := strconv.ParseUint(f[3], 10, 64)
		m.next, m.open = kmsgAt{n, since}, err1 == nil && err2 == nil
	}
	if c, err := journal.ParseCursor(s.state.last); err == nil && c.Boot.String() == m.boot && c.Monotonic > m.next.since {
		m.next, m.open = kmsgAt{0, c.Monotonic}, false
	}
}

// has reports whether an entry of the journal is a message that was taken here.
func (m *messages) has(e *entry) bool {
	if !m.open || len(e.values[sourceTime]) == 0 {
		return false
	}
	at, err := strconv.ParseUint(string(e.values[sourceTime]), 10, 64)
	return err == nil && at < m.next.since && bytes.Contains(e.values[cursor], []byte(";b="+m.boot+";"))
}

// openKmsg opens the device. It gives one message with each read.
func openKmsg(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
}

// run reads messages until ctx ends.
func (m *messages) run(ctx context.Context, f io.ReadCloser) {
	stop := context.AfterFunc(ctx, func() { _ = f.Close() })
	defer func() {
		stop()
		_ = f.Close()
	}()
	buf := make([]byte, kmsgSize)
	for ctx.Err() == nil {
		n, err := f.Read(buf)
		switch {
		case errors.Is(err, syscall.EPIPE): // some were overwritten; the next number tells
			continue
		case err != nil:
			if ctx.Err() == nil {
				m.s.counts.Errors.Add(1)
				m.s.o.Log.Warn("the kernel's messages cannot be read any more", "err", err)
			}
			return
		}
		var k kernelMessage
		if !k.parse(buf[:n]) {
			m.s.counts.Errors.Add(1)
			continue
		}
		m.s.mu.Lock()
		m.take(&k, time.Now())
		if m.s.batch.Bytes >= logtail.CommitAt {
			err = m.s.batch.Commit(ctx)
		}
		m.s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// take takes one message.
func (m *messages) take(k *kernelMessage, now time.Time) {
	if m.open && k.seqnum < m.next.seqnum || !m.open && k.since < m.next.since {
		return
	}
	if m.open && k.seqnum > m.next.seqnum {
		m.out.EndEntry()
		g := logtail.Gap{Text: fmt.Sprintf("the kernel has overwritten %d of its messages before they were read", k.seqnum-m.next.seqnum)}
		m.s.counts.Gap(g)
		m.s.batch.Gap(g, m.out.Streams, now)
	}
	m.next, m.open = kmsgAt{k.seqnum + 1, k.since + 1}, true
	if k.facility != 0 {
		return // of a program that writes to the kernel's log
	}
	l := logtail.Line[kmsgAt]{Text: k.text, Time: now.UnixNano(), Level: loglevel.Priority([]byte{'0' + k.priority}), At: kmsgAt{k.seqnum, k.since}}
	if k.since < math.MaxInt64/2000 {
		l.Time = min(l.Time, m.bootTime(now)+int64(k.since)*1000)
	}
	m.out.Line(&l, now)
	m.s.batch.Touch(m)
}

// bootTime is when the kernel's clock began, in nanoseconds since the epoch. It stays the
// same, so that messages stay in order, until the time is set.
func (m *messages) bootTime(now time.Time) int64 {
	var since unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &since); err != nil {
		return m.began
	}
	if began := now.UnixNano() - since.Nano(); m.began == 0 || began-m.began > settled || m.began-began > settled {
		m.began = began
	}
	return m.began
}

// kernelMessage is one message. Its text is valid as long as what it was read from.
type kernelMessage struct {
	priority byte
	facility uint64
	seqnum   uint64
	since    uint64 // the boot, in microseconds
	text     []byte
}

// parse reads a message as /dev/kmsg has it
// (kernel.org/doc/Documentation/ABI/testing/dev-kmsg):
//
//	priority,seqnum,microseconds,flags[,…];text LF [SPACE NAME=value LF …]
//
// It writes over b: bytes that cannot be printed come as \x1b.
func (k *kernelMessage) parse(b []byte) bool {
	head, text, ok := bytes.Cut(b, []byte{';'})
	if !ok {
		return false
	}
	var n [3]uint64
	for i := range n {
		var one []byte
		one, head, _ = bytes.Cut(head, []byte{','})
		var err error
		if n[i], err = strconv.ParseUint(string(one), 10, 63); err != nil {
			return false
		}
	}
	*k = kernelMessage{priority: byte(n[0] & 7), facility: n[0] >> 3, seqnum: n[1], since: n[2]}
	text, _, _ = bytes.Cut(text, []byte{'\n'})
	to := text[:0]
	for len(text) > 0 {
		if len(text) >= 4 && text[0] == '\\' && text[1] == 'x' {
			if c, err := strconv.ParseUint(string(text[2:4]), 16, 8); err == nil {
				to, text = append(to, byte(c)), text[4:]
				continue
			}
		}
		to, text = append(to, text[0]), text[1:]
	}
	k.text = to
	return true
}
