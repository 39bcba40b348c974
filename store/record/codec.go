// SPDX-License-Identifier: Apache-2.0

package record

import (
	"sync"

	"github.com/klauspost/compress/zstd"
)

// How the bytes of a section are stored.
const (
	codecPlain = 0
	codecZstd  = 1
)

// maxSection bounds what one section may unpack to. A chunk is sealed long
// before; it grows larger only while the disk refuses segments, and then no
// more than a WAL and a batch.
const maxSection = 128 << 20

// packer compresses. It belongs to one goroutine at a time.
type packer struct {
	enc    *zstd.Encoder
	failed func(cause any) // told when the encoder panicked
}

func newPacker(failed func(cause any)) (*packer, error) {
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderConcurrency(1),
		// A third less time than the default level for 2 or 3 % more bytes.
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithWindowSize(128<<10), // a chunk is half of it
		zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderCRC(false)) // sections have their own
	return &packer{enc, failed}, err
}

// pack appends raw to dst, compressed unless that gains less than an eighth:
// what is read often and shrinks little is better plain.
func (p *packer) pack(dst, raw []byte) ([]byte, byte) {
	if len(raw) >= 32 {
		if packed, ok := p.try(dst, raw); ok && len(packed)-len(dst) < len(raw)-len(raw)/8 {
			return packed, codecZstd
		}
	}
	return append(dst, raw...), codecPlain
}

// try compresses. The encoder panics when it contradicts itself; that is not to
// take down what collects: the section stays plain, and a new encoder is made.
func (p *packer) try(dst, raw []byte) (packed []byte, ok bool) {
	defer func() {
		if cause := recover(); cause != nil {
			ok = false
			if fresh, err := newPacker(p.failed); err == nil {
				p.enc = fresh.enc
			}
			p.failed(cause)
		}
	}()
	return p.enc.EncodeAll(raw, dst), true
}

func (p *packer) close() { p.enc.Close() }

// unpacker is shared by all queries; it lets as many unpack at a time as there
// are processors.
type unpacker struct {
	dec  *zstd.Decoder
	bufs sync.Pool // *[]byte, what is read from files
}

func newUnpacker() (*unpacker, error) {
	dec, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(0),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(maxSection))
	return &unpacker{dec: dec, bufs: sync.Pool{New: func() any { return new([]byte) }}}, err
}

// unpack gives a section of n bytes: packed itself when it is plain, else in
// buf, which grows as needed.
func (u *unpacker) unpack(buf, packed []byte, codec byte, n int) ([]byte, error) {
	switch codec {
	case codecPlain:
		if len(packed) != n {
			return nil, errDamaged
		}
		return append(buf[:0], packed...), nil
	case codecZstd:
		if n > maxSection {
			return nil, errDamaged
		}
		if cap(buf) < n && n <= 16*chunkText {
			buf = make([]byte, 0, n)
		}
		out, err := u.dec.DecodeAll(packed, buf[:0])
		if err != nil || len(out) != n {
			return nil, errDamaged
		}
		return out, nil
	}
	return nil, errDamaged
}

func (u *unpacker) close() { u.dec.Close() }
