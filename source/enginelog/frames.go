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
)

const (
	// maxFrame is the largest frame; engines cut lines into pieces of 16 KiB.
	maxFrame = 1 << 20
	// maxLine is the longest line; what is beyond is left out.
	maxLine = 256 << 10
)

// piece is one piece of a line as the engine sends it.
type piece struct {
	time   int64 // nanoseconds since the epoch
	stderr bool
	text   []byte // valid until the next one is read
	end    bool   // the line ends with it
}

// reader takes the pieces out of an answer.
type reader struct {
	in  *bufio.Reader
	tty bool
	buf []byte
}

var errFrame = errors.New("the answer is no log in frames")

// next reads one piece; io.EOF at the end of the answer.
//
// Without a terminal an answer is frames,
//
//	├ output 1 ┼ 0 0 0 ┼ length 4, big endian ┼ time, blank, text ┤
//
// with one it is the lines, all of standard output.
func (r *reader) next(p *piece) error {
	if r.tty {
		line, err := r.in.ReadSlice('\n')
		p.end = err == nil
		if err != nil && (!errors.Is(err, bufio.ErrBufferFull) || len(line) == 0) {
			if len(line) == 0 || !errors.Is(err, io.EOF) {
				return err
			}
		}
		p.stderr = false
		line = bytes.TrimSuffix(line, []byte{'\n'})
		if p.take(line) != nil {
			p.text = line // a line longer than the buffer goes on, with the time of its beginning
		}
		return nil
	}
	var head [8]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		return err
	}
	size := int(binary.BigEndian.Uint32(head[4:]))
	if head[0] > 2 || head[1]|head[2]|head[3] != 0 || size > maxFrame {
		return errFrame
	}
	if cap(r.buf) < size {
		r.buf = make([]byte, size)
	}
	r.buf = r.buf[:size]
	if _, err := io.ReadFull(r.in, r.buf); err != nil {
		return err
	}
	p.stderr = head[0] == 2
	text, end := bytes.CutSuffix(r.buf, []byte{'\n'})
	p.end = end
	return p.take(text)
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
