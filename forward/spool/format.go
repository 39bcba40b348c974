// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"slices"

	"github.com/klauspost/compress/zstd"

	"tallyman"
)

// The format on disk. See the package comment.
const (
	magic      = "tallymanticks01\n"
	suffix     = ".ticks"
	headerSize = len(magic) + 8 + 4
	frameSize  = 4 + 4 + 1 // of a record, before its payload
	tickSize   = 8 + 8 + 4 // of a tick, before its body
	maxRecord  = 64 << 20
	maxSeries  = 1 << 22 // of a segment
	dirMode    = 0o700
	fileMode   = 0o600
)

// The kinds of record.
const (
	kindSeries = iota + 1
	kindTick
	kindKey
	kindEnded
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errDamaged = errors.New("the record is damaged")
)

// staleMarker is the value with which a series ends in Prometheus.
var staleMarker = math.Float64frombits(0x7ff0000000000002)

func appendHeader(to []byte, number uint64) []byte {
	at := len(to)
	to = binary.LittleEndian.AppendUint64(append(to, magic...), number)
	return binary.LittleEndian.AppendUint32(to, crc32.Checksum(to[at:], castagnoli))
}

func parseHeader(b []byte) (number uint64, ok bool) {
	if len(b) < headerSize || string(b[:len(magic)]) != magic || crc32.Checksum(b[:headerSize-4], castagnoli) != binary.LittleEndian.Uint32(b[headerSize-4:]) {
		return 0, false
	}
	return binary.LittleEndian.Uint64(b[len(magic):]), true
}

// beginRecord appends the frame of a record; endRecord completes the one that begins at at.
func beginRecord(to []byte, kind byte) []byte { return append(to, 0, 0, 0, 0, 0, 0, 0, 0, kind) }

func endRecord(to []byte, at int) {
	binary.LittleEndian.PutUint32(to[at:], uint32(len(to)-at-8))
	binary.LittleEndian.PutUint32(to[at+4:], crc32.Checksum(to[at+8:], castagnoli))
}

// parseFrame is the size of the record that b begins with; ok is false when there can be
// none. left is how many bytes there are from its begin on.
func parseFrame(b []byte, left int64) (size int64, ok bool) {
	if len(b) < frameSize {
		return 0, false
	}
	size = int64(binary.LittleEndian.Uint32(b)) + 8
	return size, size >= int64(frameSize) && size <= min(left, maxRecord) && b[8] >= kindSeries && b[8] <= kindEnded
}

// whole reports whether the checksum of a record fits.
func whole(record []byte) bool {
	return crc32.Checksum(record[8:], castagnoli) == binary.LittleEndian.Uint32(record[4:])
}

// findRecord is where the first whole record of b begins, len(b) without one.
func findRecord(b []byte) int {
	for at := 0; at+frameSize <= len(b); at++ {
		if size, ok := parseFrame(b[at:], int64(len(b)-at)); ok && whole(b[at:at+int(size)]) {
			return at
		}
	}
	return len(b)
}

// Series is one of a segment, with all of its labels.
type Series struct {
	Name, Help, Unit string
	Type             tallyman.MetricType
	// Start is when the container of a counter was started, in Unix milliseconds; 0 when
	// that is not known.
	Start int64
	// Labels are sorted by name, with job and instance, without the metric's name.
	Labels []tallyman.Label
}

// appendSeries appends the entry of a series; scratch is for its labels.
func appendSeries(to []byte, s *tallyman.Series, scratch []tallyman.Label) ([]byte, []tallyman.Label) {
	l := append(scratch[:0], s.Labels...)
	l = append(l, tallyman.Label{Name: "instance", Value: s.Target.Instance}, tallyman.Label{Name: "job", Value: s.Target.Job})
	l = slices.DeleteFunc(l, func(l tallyman.Label) bool { return l.Value == "" })
	tallyman.SortLabels(l)
	to = appendText(appendText(appendText(to, s.Desc.Name), s.Desc.Help), s.Desc.Unit)
	to = append(to, byte(s.Desc.Type))
	start := int64(0)
	if c := s.Target.Container; c != nil && s.Desc.Type == tallyman.Counter && s.Target.Kind == tallyman.ContainerTarget && !c.Started.IsZero() {
		start = c.Started.UnixMilli()
	}
	to = binary.AppendUvarint(binary.AppendVarint(to, start), uint64(len(l)))
	for _, one := range l {
		to = appendText(appendText(to, one.Name), one.Value)
	}
	return to, l
}

func appendText(to []byte, s string) []byte {
	return append(binary.AppendUvarint(to, uint64(len(s))), s...)
}

// texts reads what was written, until it is wrong.
type texts struct {
	b   []byte
	bad bool
}

func (t *texts) fail() uint64 { t.b, t.bad = nil, true; return 0 }

func (t *texts) uvarint() uint64 {
	v, n := binary.Uvarint(t.b)
	if n <= 0 {
		return t.fail()
	}
	t.b = t.b[n:]
	return v
}

func (t *texts) varint() int64 {
	v, n := binary.Varint(t.b)
	if n <= 0 {
		return int64(t.fail())
	}
	t.b = t.b[n:]
	return v
}

func (t *texts) text() string {
	n := t.uvarint()
	if n > uint64(len(t.b)) {
		t.fail()
		return ""
	}
	s := string(t.b[:n])
	t.b = t.b[n:]
	return s
}

func (t *texts) byte() byte {
	if len(t.b) == 0 {
		return byte(t.fail())
	}
	c := t.b[0]
	t.b = t.b[1:]
	return c
}

// known is what a reader knows of a segment.
type known struct {
	dec    *zstd.Decoder
	plain  []byte
	series []*Series // by id; nil for those that are not known
	last   []uint64  // by id
	list   []uint32  // of the last tick
	ended  []uint32  // of the last end
	broken bool      // until the next key tick
}

func (k *known) reset() {
	k.series, k.last, k.list, k.broken = k.series[:0], k.last[:0], k.list[:0], true
}

// addSeries takes a record of series.
func (k *known) addSeries(payload []byte) (err error) {
	if len(payload) < 4 {
		return errDamaged
	}
	first := binary.LittleEndian.Uint32(payload)
	if first > maxSeries || int(first) < len(k.series) {
		return errDamaged
	}
	if k.plain, err = k.dec.DecodeAll(payload[4:], k.plain[:0]); err != nil {
		return errDamaged
	}
	for len(k.series) < int(first) {
		k.series, k.last = append(k.series, nil), append(k.last, 0)
	}
	names := map[string]string{} // texts that many have in common are one
	one := func(s string) string {
		if was, ok := names[s]; ok {
			return was
		}
		names[s] = s
		return s
	}
	for t := (texts{b: k.plain}); len(t.b) > 0; {
		s := &Series{Name: one(t.text()), Help: one(t.text()), Unit: one(t.text()), Type: tallyman.MetricType(t.byte()), Start: t.varint()}
		n := t.uvarint()
		if n > uint64(len(t.b)) {
			return errDamaged
		}
		s.Labels = make([]tallyman.Label, 0, n)
		for range n {
			s.Labels = append(s.Labels, tallyman.Label{Name: one(t.text()), Value: one(t.text())})
		}
		if t.bad || len(k.series) >= maxSeries {
			return errDamaged
		}
		k.series, k.last = append(k.series, s), append(k.last, 0)
	}
	return nil
}

// Tick is what belongs to one time.
type Tick struct {
	Time   int64 // Unix milliseconds
	Series []*Series
	Values []float64 // of each of them; Prometheus' stale marker for one that has ended
}

// Ended reports whether the series of the tick have ended.
func (t *Tick) Ended() bool {
	return len(t.Values) > 0 && math.Float64bits(t.Values[0]) == math.Float64bits(staleMarker)
}

// head is what every tick begins with.
type head struct {
	time    int64
	number  uint64 // of its first sample
	samples uint64
}

func parseHead(payload []byte) (h head, ok bool) {
	if len(payload) < tickSize {
		return h, false
	}
	return head{int64(binary.LittleEndian.Uint64(payload)), binary.LittleEndian.Uint64(payload[8:]), uint64(binary.LittleEndian.Uint32(payload[16:]))}, true
}

func appendHead(to []byte, h head) []byte {
	to = binary.LittleEndian.AppendUint64(to, uint64(h.time))
	to = binary.LittleEndian.AppendUint64(to, h.number)
	return binary.LittleEndian.AppendUint32(to, uint32(h.samples))
}

// appendList appends ids.
func appendList(to []byte, list []uint32) []byte {
	to = binary.AppendUvarint(to, uint64(len(list)))
	next := int64(0)
	for _, id := range list {
		to = binary.AppendVarint(to, int64(id)-next)
		next = int64(id) + 1
	}
	return to
}

// appendValues appends the values of samples as differences, and remembers them in last.
func appendValues(to []byte, list []uint32, samples []tallyman.Sample, last []uint64) []byte {
	for i := range samples {
		id := list[i]
		now := math.Float64bits(samples[i].Value)
		was := last[id]
		if now == was {
			to = append(to, 0)
			continue
		}
		last[id] = now
		a, aok := integer(was)
		b, bok := integer(now)
		if aok && bok {
			step := b - a
			to = binary.AppendUvarint(to, uint64(step<<1^step>>63)+1)
			continue
		}
		to = binary.LittleEndian.AppendUint64(append(to, 1), now^was)
	}
	return to
}

// integer is a value as a whole number; ok is false for others, and for -0.
func integer(bits uint64) (n int64, ok bool) {
	v := math.Float64frombits(bits)
	if !(v > -1<<53 && v < 1<<53) {
		return 0, false
	}
	n = int64(v)
	return n, math.Float64bits(float64(n)) == bits
}

// tick takes a tick of any kind. Samples of series that are not known are left out.
func (k *known) tick(kind byte, payload []byte, t *Tick) (h head, err error) {
	h, ok := parseHead(payload)
	if !ok {
		return h, errDamaged
	}
	t.Time, t.Series, t.Values = h.time, t.Series[:0], t.Values[:0]
	if kind == kindTick && k.broken {
		return h, errDamaged
	}
	if k.plain, err = k.dec.DecodeAll(payload[tickSize:], k.plain[:0]); err != nil {
		return h, errDamaged
	}
	x := texts{b: k.plain}
	list := k.list
	if x.byte() == 1 {
		n := x.uvarint()
		if n > uint64(len(x.b)) {
			return h, errDamaged
		}
		if list = list[:0]; kind == kindEnded {
			list = k.ended[:0]
		}
		next := int64(0)
		for range n {
			id := next + x.varint()
			if id < 0 || id >= maxSeries {
				return h, errDamaged
			}
			list = append(list, uint32(id))
			next = id + 1
		}
		if kind == kindEnded {
			k.ended = list
		} else {
			k.list = list
		}
	}
	if x.bad || uint64(len(list)) != h.samples {
		return h, errDamaged
	}
	if kind == kindKey {
		clear(k.last)
		k.broken = false
	}
	for _, id := range list {
		for int(id) >= len(k.last) {
			k.series, k.last = append(k.series, nil), append(k.last, 0)
		}
		v := staleMarker
		if kind != kindEnded {
			switch token := x.uvarint(); token {
			case 0:
			case 1:
				if len(x.b) < 8 {
					return h, errDamaged
				}
				k.last[id] ^= binary.LittleEndian.Uint64(x.b)
				x.b = x.b[8:]
			default:
				was, _ := integer(k.last[id])
				zigzag := token - 1
				k.last[id] = math.Float64bits(float64(was + (int64(zigzag>>1) ^ -int64(zigzag&1))))
			}
			v = math.Float64frombits(k.last[id])
		}
		if s := k.series[id]; s != nil {
			t.Series, t.Values = append(t.Series, s), append(t.Values, v)
		}
	}
	if x.bad {
		return h, errDamaged
	}
	return h, nil
}
