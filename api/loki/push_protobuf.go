// SPDX-License-Identifier: Apache-2.0

package loki

import (
	"encoding/binary"
	"errors"
	"fmt"

	"tallyman"
	"tallyman/query/logql"
)

// The message, of which what is not named here is passed over:
//
//	PushRequest { 1: repeated Stream }
//	Stream      { 1: string labels ({a="b"}), 2: repeated Entry }
//	Entry       { 1: Timestamp { 1: seconds, 2: nanoseconds }, 2: string line, 3: repeated Label }
//	Label       { 1: string name, 2: string value }

var errProtobuf = errors.New("the body is no push message of Loki")

// fieldOf is one field of a message: a number, or bytes.
type fieldOf struct {
	id     uint64
	number uint64
	bytes  []byte
	isData bool
}

// nextField reads a field; rest is what follows.
func nextField(b []byte) (f fieldOf, rest []byte, err error) {
	tag, n := binary.Uvarint(b)
	if n <= 0 || tag>>3 == 0 {
		return f, nil, errProtobuf
	}
	b = b[n:]
	f.id = tag >> 3
	switch tag & 7 {
	case 0:
		if f.number, n = binary.Uvarint(b); n <= 0 {
			return f, nil, errProtobuf
		}
		return f, b[n:], nil
	case 1:
		if len(b) < 8 {
			return f, nil, errProtobuf
		}
		return f, b[8:], nil
	case 2:
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return f, nil, errProtobuf
		}
		f.isData = true
		f.bytes = b[n : n+int(size)]
		return f, b[n+int(size):], nil
	case 5:
		if len(b) < 4 {
			return f, nil, errProtobuf
		}
		return f, b[4:], nil
	}
	return f, nil, errProtobuf
}

// fields calls use for each field of a message.
func fields(b []byte, use func(fieldOf) error) error {
	for len(b) > 0 {
		f, rest, err := nextField(b)
		if err != nil {
			return err
		}
		if err := use(f); err != nil {
			return err
		}
		b = rest
	}
	return nil
}

// protobuf reads a body in protobuf.
func (d *decoder) protobuf(body []byte) error {
	err := fields(body, func(f fieldOf) error {
		if f.id != 1 || !f.isData {
			return nil
		}
		d.asked = true
		return d.unlessBad(d.protobufStream(f.bytes))
	})
	if errors.Is(err, errProtobuf) {
		return badRequest(err.Error())
	}
	d.done()
	return err
}

// unlessBad refuses what is bad and goes on; only a message that cannot be taken
// apart ends the reading.
func (d *decoder) unlessBad(err error) error {
	if err == nil || errors.Is(err, errProtobuf) {
		return err
	}
	d.refuse(err)
	return nil
}

// parseLabels reads labels as they are written: {a="b"}.
func parseLabels(text string) (labels logql.Labels, err error) {
	matchers, err := logql.ParseSelector(text)
	if err != nil {
		return nil, badRequest(fmt.Sprintf("the labels %.200q cannot be read: %v", text, err))
	}
	for _, m := range matchers {
		if m.Type != tallyman.MatchEqual {
			return nil, badRequest(fmt.Sprintf("the labels %.200q are no labels: only = may stand in them", text))
		}
		labels = append(labels, tallyman.Label{Name: m.Name, Value: m.Value})
	}
	return labels, nil
}

func (d *decoder) protobufStream(b []byte) error {
	selector := ""
	if err := fields(b, func(f fieldOf) error {
		if f.id == 1 && f.isData {
			selector = string(f.bytes)
		}
		return nil
	}); err != nil {
		return err
	}
	labels, err := parseLabels(selector)
	if err == nil {
		err = d.stream(labels)
	}
	if err != nil {
		lines := 0
		if broken := fields(b, func(f fieldOf) error {
			if f.id == 2 && f.isData {
				lines++
			}
			return nil
		}); broken != nil {
			return broken
		}
		d.refuseStream(lines, err)
		return err
	}
	return fields(b, func(f fieldOf) error {
		if f.id == 2 && f.isData {
			return d.unlessBad(d.protobufEntry(f.bytes))
		}
		return nil
	})
}

func (d *decoder) protobufEntry(b []byte) error {
	var seconds, nanos int64
	var line []byte
	var meta logql.Labels
	err := fields(b, func(f fieldOf) error {
		switch {
		case f.id == 1 && f.isData:
			return fields(f.bytes, func(f fieldOf) error {
				switch f.id {
				case 1:
					seconds = int64(f.number)
				case 2:
					nanos = int64(f.number)
				}
				return nil
			})
		case f.id == 2 && f.isData:
			line = f.bytes
		case f.id == 3 && f.isData:
			var l tallyman.Label
			if err := fields(f.bytes, func(f fieldOf) error {
				switch f.id {
				case 1:
					l.Name = string(f.bytes)
				case 2:
					l.Value = string(f.bytes)
				}
				return nil
			}); err != nil {
				return err
			}
			meta = append(meta, l)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if seconds < 0 || seconds > 9_000_000_000 || nanos < 0 || nanos > 999_999_999 {
		return badRequest("a line has a time that cannot be")
	}
	return d.record(seconds*1e9+nanos, line, meta)
}
