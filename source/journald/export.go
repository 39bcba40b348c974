// SPDX-License-Identifier: Apache-2.0

package journald

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"

	"tallyman/internal/logtail"
)

const (
	// maxValue is the longest value of another field.
	maxValue = 1 << 10
	// maxField is the longest field that is passed over; journald's own bound
	// is 768 MiB.
	maxField = 1 << 30
	// maxFields is how many fields an entry may have.
	maxFields = 4096
)

// field is one of the fields that are wanted.
type field int

const (
	cursor field = iota
	realtime
	message
	priority
	containerID
	containerName
	imageName
	partial
	partialID
	systemdUnit
	unit
	transport
	comm
	uid
	pid
	identifier
	sourceTime
	fields
)

// names are those of the fields.
var names = [fields]string{"__CURSOR", "__REALTIME_TIMESTAMP", "MESSAGE", "PRIORITY", "CONTAINER_ID_FULL", "CONTAINER_NAME", "IMAGE_NAME",
	"CONTAINER_PARTIAL_MESSAGE", "CONTAINER_PARTIAL_ID", "_SYSTEMD_UNIT", "UNIT", "_TRANSPORT", "_COMM", "_UID", "_PID", "SYSLOG_IDENTIFIER", "_SOURCE_MONOTONIC_TIMESTAMP"}

func fieldOf(name []byte) field {
	for i, n := range names {
		if string(name) == n {
			return field(i)
		}
	}
	return fields
}

// entry is one entry of the journal. Values are valid until the next one is read.
type entry struct {
	values [fields][]byte
	lost   int // bytes of the message beyond the longest line
}

func (e *entry) text(f field) string { return string(e.values[f]) }

// time is in nanoseconds since the epoch, 0 when it is not known.
func (e *entry) time() int64 {
	us, err := strconv.ParseInt(string(e.values[realtime]), 10, 64)
	if err != nil || us < 0 || us > 1<<53 {
		return 0
	}
	return us * 1000
}

var errFormat = errors.New("not the export format of a journal")

// reader takes entries out of the export format: fields,
//
//	NAME=value LF                          or, for any bytes,
//	NAME LF ├ length 8, little endian ┤ value LF
//
// and an empty line behind each entry
// (systemd.io/JOURNAL_EXPORT_FORMATS). Of a field that comes twice the first
// counts.
type reader struct{ in *bufio.Reader }

// next reads one entry; io.EOF between two of them is the end.
func (r *reader) next(e *entry) error {
	for i := range e.values {
		e.values[i] = e.values[i][:0]
	}
	e.lost = 0
	var have [fields]bool
	for n := 0; ; n++ {
		line, err := r.in.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0 && n == 0:
			return io.EOF
		case errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return err
		case len(line) == 1:
			if n == 0 {
				n-- // more than one line between entries
				continue
			}
			return nil
		case n >= maxFields:
			return fmt.Errorf("%w: an entry has more than %d fields", errFormat, maxFields)
		}
		whole := err == nil
		if whole {
			line = line[:len(line)-1]
		}
		name, value, text := bytes.Cut(line, []byte{'='})
		if !text && !whole || len(name) > 256 {
			return fmt.Errorf("%w: a name of %d bytes", errFormat, len(name))
		}
		f := fieldOf(name)
		keep := f < fields && !have[f]
		if f < fields {
			have[f] = true
		}
		if !text {
			if err := r.binary(e, f, keep); err != nil {
				return err
			}
			continue
		}
		for {
			if keep {
				e.add(f, value)
			}
			if whole {
				break
			}
			value, err = r.in.ReadSlice('\n')
			switch {
			case err == nil:
				whole, value = true, value[:len(value)-1]
			case errors.Is(err, io.EOF):
				return io.ErrUnexpectedEOF
			case !errors.Is(err, bufio.ErrBufferFull):
				return err
			}
		}
	}
}

// binary reads a value of any bytes.
func (r *reader) binary(e *entry, f field, keep bool) error {
	var head [8]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		return unexpected(err)
	}
	size := binary.LittleEndian.Uint64(head[:])
	if size > maxField {
		return fmt.Errorf("%w: a field of %d bytes", errFormat, size)
	}
	for left := int(size); left > 0; {
		b, err := r.in.Peek(min(left, r.in.Size()))
		if err != nil {
			return unexpected(err)
		}
		if keep {
			e.add(f, b)
		}
		left -= len(b)
		if _, err := r.in.Discard(len(b)); err != nil {
			return unexpected(err)
		}
	}
	if c, err := r.in.ReadByte(); err != nil {
		return unexpected(err)
	} else if c != '\n' {
		return fmt.Errorf("%w: a field of %d bytes does not end there", errFormat, size)
	}
	return nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// most is how many bytes of a field are kept.
func (f field) most() int {
	if f == message {
		return logtail.MaxLine
	}
	return maxValue
}

// add adds to a value what it has room for.
func (e *entry) add(f field, b []byte) {
	room := min(len(b), f.most()-len(e.values[f]))
	e.values[f] = append(e.values[f], b[:room]...)
	if f == message {
		e.lost += len(b) - room
	}
}
