// SPDX-License-Identifier: Apache-2.0

package record

import "tallyman"

// section is a part of a chunk, as it is in the file.
type section struct {
	size, raw uint32 // stored, and unpacked
	crc       uint32 // of what is stored
	codec     byte
}

// chunkHeader begins a chunk; the package comment draws it.
type chunkHeader struct {
	size     uint32 // of the whole chunk
	count    uint32
	min, max int64
	seq      uint64 // of the last record, in the WAL
	first    uint64 // of the first, which the runs of numbers tell; 0 without them
	labels   uint32
	// filter has no codec: it is always plain.
	filter, times, meta, text section
}

// sections are all, in the order of the file.
func (h *chunkHeader) sections() [4]*section {
	return [4]*section{&h.filter, &h.times, &h.meta, &h.text}
}

// chunkFixed is the size of the header without its labels.
const chunkFixed = 92

// lead is how much of the chunk a count or a look at the filter needs.
func (h *chunkHeader) lead() uint32 {
	return chunkFixed + h.labels + h.filter.size + h.times.size
}

// appendFixed appends the header; the checksum covers it and the labels.
func (h *chunkHeader) appendFixed(dst []byte, labels []byte) []byte {
	start := len(dst)
	dst = le.AppendUint32(dst, chunkMagic)
	dst = le.AppendUint32(dst, 0) // the checksum
	dst = le.AppendUint32(dst, h.size)
	dst = le.AppendUint32(dst, h.count)
	dst = le.AppendUint64(dst, uint64(h.min))
	dst = le.AppendUint64(dst, uint64(h.max))
	dst = le.AppendUint64(dst, h.seq)
	dst = le.AppendUint32(dst, h.labels)
	for _, s := range h.sections() {
		dst = le.AppendUint32(dst, s.size)
		dst = le.AppendUint32(dst, s.raw)
		dst = le.AppendUint32(dst, s.crc)
	}
	// The filter is never packed: the codecs of the others are in place of its raw size.
	le.PutUint32(dst[start+48:], uint32(h.times.codec)|uint32(h.meta.codec)<<8|uint32(h.text.codec)<<16)
	dst = append(dst, labels...)
	le.PutUint32(dst[start+4:], checksum(dst[start+8:]))
	return dst
}

// parseChunkHeader reads the header at the start of b, which is at least as
// long as header and labels, and gives the labels' bytes.
func parseChunkHeader(b []byte) (h chunkHeader, labels []byte, err error) {
	if len(b) < chunkFixed || le.Uint32(b) != chunkMagic {
		return h, nil, errDamaged
	}
	h.labels = le.Uint32(b[40:])
	if h.labels > uint32(len(b)-chunkFixed) || checksum(b[8:chunkFixed+h.labels]) != le.Uint32(b[4:]) {
		return h, nil, errDamaged
	}
	h.size, h.count = le.Uint32(b[8:]), le.Uint32(b[12:])
	h.min, h.max, h.seq = int64(le.Uint64(b[16:])), int64(le.Uint64(b[24:])), le.Uint64(b[32:])
	sum := uint64(chunkFixed) + uint64(h.labels)
	for i, s := range h.sections() {
		at := b[44+12*i:]
		s.size, s.raw, s.crc = le.Uint32(at), le.Uint32(at[4:]), le.Uint32(at[8:])
		sum += uint64(s.size)
	}
	h.times.codec, h.meta.codec, h.text.codec = byte(h.filter.raw), byte(h.filter.raw>>8), byte(h.filter.raw>>16)
	h.filter.raw = h.filter.size
	if sum != uint64(h.size) || h.count == 0 || h.min > h.max || !goodFilter(int(h.filter.size)) ||
		h.times.raw > maxSection || h.meta.raw > maxSection || h.text.raw > maxSection ||
		uint64(h.count) > uint64(h.times.raw)*(bitGroup/2) {
		return h, nil, errDamaged
	}
	return h, b[chunkFixed : chunkFixed+h.labels], nil
}

// chunkMaker makes chunks of heads. It belongs to one goroutine at a time; what
// it gives is valid until the next call.
type chunkMaker struct {
	pack   *packer
	filter filterMaker
	body   []byte // the sections
	raw    []byte
	out    []byte
}

// chunk makes the chunk of a head that has records.
func (m *chunkMaker) chunk(h *head, labels []byte) ([]byte, chunkHeader) {
	order := h.order()
	text := h.text
	if order != nil {
		m.raw = m.raw[:0]
		for _, i := range order {
			m.raw = append(m.raw, h.line(int(i))...)
		}
		text = m.raw
	}
	for i := range h.ends {
		m.filter.add(h.line(i))
	}
	head := chunkHeader{count: uint32(len(h.times)), min: h.min, max: h.max, seq: h.last, first: h.first(), labels: uint32(len(labels))}
	m.body = m.filter.appendTo(m.body[:0])
	head.filter = sectionOf(m.body, len(m.body), codecPlain)

	add := func(s *section, raw []byte) {
		start := len(m.body)
		var codec byte
		m.body, codec = m.pack.pack(m.body, raw)
		*s = sectionOf(m.body[start:], len(raw), codec)
	}
	// The text last, so that the rest is one read; but packed first, since it
	// may be in m.raw.
	m.out = m.out[:0]
	var codec byte
	m.out, codec = m.pack.pack(m.out, text)
	head.text = sectionOf(m.out, len(text), codec)
	m.raw = appendTimes(m.raw[:0], h, order)
	m.raw = appendRuns(m.raw, h, order)
	add(&head.times, m.raw)
	if len(h.sets) > 0 {
		m.raw = appendMeta(m.raw[:0], h, order)
		add(&head.meta, m.raw)
	}
	m.body = append(m.body, m.out...)
	head.size = uint32(chunkFixed + len(labels) + len(m.body))
	m.out = head.appendFixed(m.out[:0], labels)
	m.out = append(m.out, m.body...)
	return m.out, head
}

func sectionOf(stored []byte, raw int, codec byte) section {
	return section{size: uint32(len(stored)), raw: uint32(raw), crc: checksum(stored), codec: codec}
}

// take cuts a section off the front of b and checks it.
func (s *section) take(b []byte) (stored, rest []byte, err error) {
	if uint64(s.size) > uint64(len(b)) || checksum(b[:s.size]) != s.crc {
		return nil, nil, errDamaged
	}
	return b[:s.size], b[s.size:], nil
}

// unpackMeta gives the metadata of each record.
func unpackMeta(raw []byte, count int, dst [][]tallyman.Label) ([][]tallyman.Label, error) {
	// One string for all, so that names and values are parts of it.
	whole := string(raw)
	r := reader{b: raw}
	text := func() string {
		n := r.length(1)
		at := len(whole) - len(r.b)
		r.b = r.b[n:]
		return whole[at : at+n]
	}
	sets := make([][]tallyman.Label, r.length(1)+1) // the first is none
	for i := range sets[1:] {
		n := r.length(2)
		labels := make([]tallyman.Label, n)
		for j := range labels {
			labels[j].Name = text()
			labels[j].Value = text()
		}
		if r.bad {
			return dst, errDamaged
		}
		sets[i+1] = labels
	}
	for range count {
		n := r.uvarint()
		if n >= uint64(len(sets)) {
			return dst, errDamaged
		}
		dst = append(dst, sets[n])
	}
	if !r.done() {
		return dst, errDamaged
	}
	return dst, nil
}
