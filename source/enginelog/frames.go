// SPDX-License-Identifier: Apache-2.0

package enginelog

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"tallyman/internal/logstream"
	"tallyman/internal/logtail"
)

// maxFrame is the largest frame; engines cut lines into pieces of 16 KiB.
const maxFrame = 1 << 20

// piece is one piece of a line as the engine sends it.
type piece struct {
	time   int64 // nanoseconds since the epoch
	stderr bool
	text   []byte // valid until the next one is read
	end    bool   // the line ends with it
	lost   int    // bytes that were left out before that
}

// reader takes the pieces out of an answer.
type reader struct {
	in      *bufio.Reader
	tty     bool
	started int64 // of the container, 0 when it is not known
	// restarted gives the start of the container after a time, waiting a moment for it, 0
	// when none is known; nil where nobody knows. It is asked until it has waited in vain.
	restarted func(after int64) int64
	buf       []byte
	rest      []byte // of buf, the beginning of another run's line
}

var errFrame = errors.New("the answer is no log in frames")

// The outputs of a frame.
const (
	stderrFrame = 2
	systemFrame = 3 // of the engine itself
)

// next reads one piece; io.EOF at the end of the answer.
//
// Without a terminal an answer is frames,
//
//	├ output 1 ┼ 0 0 0 ┼ length 4, big endian ┼ time, blank, text ┤
//
// with one it is the lines, all of standard output.
func (r *reader) next(p *piece) error {
	*p = piece{}
	if r.tty {
		return r.terminal(p)
	}
	var head [8]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		return err
	}
	size := int(binary.BigEndian.Uint32(head[4:]))
	if head[0] > systemFrame || head[1]|head[2]|head[3] != 0 || size > maxFrame {
		return errFrame
	}
	if cap(r.buf) < size {
		r.buf = make([]byte, size)
	}
	r.buf = r.buf[:size]
	if _, err := io.ReadFull(r.in, r.buf); err != nil {
		return err
	}
	if head[0] == systemFrame {
		return fmt.Errorf("the engine says %.200q", bytes.TrimSpace(r.buf))
	}
	p.stderr = head[0] == stderrFrame
	text, end := bytes.CutSuffix(r.buf, []byte{'\n'})
	p.end = end
	return p.take(text)
}

// mostRaw is how much of a line of a terminal is read: the longest line, and the
// time before each of its pieces.
const mostRaw = logtail.MaxLine + logtail.MaxLine/logstream.PieceSize*64

// terminal reads one line of a terminal. Its pieces stand one behind the other,
// each with the same time before it, which belongs to the engine; and where the
// run before has ended within a line, that of the next begins behind it.
func (r *reader) terminal(p *piece) error {
	if len(r.rest) > 0 {
		r.buf = append(r.buf[:0], r.rest...)
		r.rest, p.end = nil, true
	} else {
		r.buf = r.buf[:0]
		for {
			some, err := r.in.ReadSlice('\n')
			room := min(len(some), mostRaw-len(r.buf))
			r.buf = append(r.buf, some[:room]...)
			p.lost += len(some) - room
			if err == nil {
				p.end = true
				break
			}
			if errors.Is(err, io.EOF) && len(r.buf) > 0 {
				break
			}
			if !errors.Is(err, bufio.ErrBufferFull) {
				return err
			}
		}
	}
	line := bytes.TrimSuffix(r.buf, []byte{'\n'})
	stamp := line[:bytes.IndexByte(line, ' ')+1]
	if err := p.take(line); err != nil {
		if text, ok := bytes.CutPrefix(line, []byte("Error grabbing logs")); ok {
			return fmt.Errorf("the engine says %.200q", "Error grabbing logs"+string(text))
		}
		return err
	}
	for from := logstream.PieceSize; from < len(p.text); from += logstream.PieceSize {
		i := bytes.Index(p.text[from:], stamp)
		if i < 0 {
			break
		}
		from += i
		p.text = append(p.text[:from], p.text[from+len(stamp):]...)
	}
	if at := r.nextRun(p); at > 0 {
		r.rest = append([]byte(nil), p.text[at:]...)
		p.text, p.end = p.text[:at], false
	}
	return nil
}

// timeSize is how long the time before a line is: always with nine digits of a
// fraction.
const timeSize = len("2026-03-01T08:15:30.000000000Z")

// nextRun is where in a line that was written before the container was started the
// first line of that start begins, 0 where it does not: at a time that the line
// itself could not know.
func (r *reader) nextRun(p *piece) int {
	for at := 1; at+timeSize < len(p.text); at++ {
		i := bytes.IndexByte(p.text[at:], 'Z')
		if i < 0 {
			break
		}
		end := at + i + 1
		if start := end - timeSize; start > 0 && end < len(p.text) && p.text[end] == ' ' {
			if t, ok := logstream.ParseTime(p.text[start:end]); ok && t > p.time && r.begins(p.time, t) {
				return start
			}
		}
		at = end - 1
	}
	return 0
}

// begins reports whether a run began at a time after another one. The engine may send
// its lines before it is heard that the container was started again.
func (r *reader) begins(before, at int64) bool {
	if before >= r.started && r.restarted != nil {
		started := r.restarted(before)
		if started == 0 {
			r.restarted = nil
		} else {
			r.started = started
		}
	}
	return before < r.started && at >= r.started-int64(logstream.StartedLate)
}

// take splits the time off.
func (p *piece) take(b []byte) (err error) {
	at, text, _ := bytes.Cut(b, []byte{' '})
	var ok bool
	if p.time, ok = logstream.ParseTime(at); !ok {
		return fmt.Errorf("%w: a line begins with %.40q, not with its time", errFrame, b)
	}
	p.text = text
	return nil
}
