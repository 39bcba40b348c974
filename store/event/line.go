// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"crypto/sha256"
	"io"
)

// maxLine bounds one line in bytes. An event is a few hundred; what is longer
// than this is damage.
const maxLine = 1 << 20

// lineReader reads lines that end. It never holds more than maxLine.
type lineReader struct {
	r      io.Reader
	buf    []byte
	start  int   // of the unread part of buf
	end    int   // of it
	offset int64 // in the file, after the last line returned
	total  int64 // read from the file
	eof    bool
}

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{r: r, buf: make([]byte, 64<<10)}
}

// next is the next whole line without its end, valid until the next call; nil
// at the end, where an unfinished line is left out. A line longer than maxLine
// comes as an empty one.
func (l *lineReader) next() ([]byte, error) {
	skipping := false
	for {
		if i := bytes.IndexByte(l.buf[l.start:l.end], '\n'); i >= 0 {
			line := l.buf[l.start : l.start+i : l.start+i]
			l.start += i + 1
			l.offset = l.total - int64(l.end-l.start)
			if skipping {
				line = line[:0]
			}
			return line, nil
		}
		if l.eof {
			return nil, nil
		}
		if l.start > 0 {
			copy(l.buf, l.buf[l.start:l.end])
			l.start, l.end = 0, l.end-l.start
		}
		if l.end == len(l.buf) {
			if len(l.buf) < maxLine {
				l.buf = append(l.buf, make([]byte, len(l.buf))...)
			} else {
				skipping = true
				l.end = 0
			}
		}
		n, err := l.r.Read(l.buf[l.end:])
		l.end += n
		l.total += int64(n)
		if err == io.EOF {
			l.eof = true
		} else if err != nil {
			return nil, err
		}
	}
}

// idSet remembers the newest ids that were added, and when their events were.
type idSet struct {
	most int
	set  map[[16]byte]int64
	ring [][16]byte
	next int
}

func short(id string) [16]byte {
	sum := sha256.Sum256([]byte(id))
	return [16]byte(sum[:16])
}

func (s *idSet) has(id string) bool {
	_, ok := s.time(id)
	return ok
}

func (s *idSet) time(id string) (at int64, ok bool) {
	at, ok = s.set[short(id)]
	return at, ok
}

func (s *idSet) add(id string, at int64) {
	k := short(id)
	if _, ok := s.set[k]; ok {
		return
	}
	if s.set == nil {
		s.set = make(map[[16]byte]int64)
	}
	s.set[k] = at
	if len(s.ring) < s.most {
		s.ring = append(s.ring, k)
		return
	}
	delete(s.set, s.ring[s.next])
	s.ring[s.next] = k
	s.next = (s.next + 1) % s.most
}
