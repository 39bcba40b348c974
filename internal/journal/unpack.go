// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
)

const (
	// MaxValue is the longest value, packed or not, in bytes; what is longer is cut.
	MaxValue = 64 << 20
	// atOnce is up to which size a value is unpacked whole.
	atOnce = 1 << 20
)

// The flags of an object that is packed; a file's flags say which ones it may have.
const (
	packedXZ   = 1 << 0
	packedLZ4  = 1 << 1
	packedZSTD = 1 << 2
	packed     = packedXZ | packedLZ4 | packedZSTD
)

// unpacker unpacks values. It belongs to one goroutine.
type unpacker struct {
	zstd *zstd.Decoder
	buf  []byte
}

func (u *unpacker) close() {
	if u.zstd != nil {
		u.zstd.Close()
	}
}

var errPacked = errors.New("packed data that is broken")

// unpack gives the first bytes of what is packed, at most most, and how many there are
// in all. They are valid until the next call.
func (u *unpacker) unpack(how byte, in []byte, most int) (out []byte, size uint64, err error) {
	switch how {
	case packedZSTD:
		return u.unpackZSTD(in, most)
	case packedLZ4:
		return u.unpackLZ4(in, most)
	case packedXZ:
		return u.unpackXZ(in, most)
	}
	return nil, 0, fmt.Errorf("%w: in two ways", errPacked)
}

func (u *unpacker) unpackZSTD(in []byte, most int) (out []byte, size uint64, err error) {
	if u.zstd == nil {
		if u.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(MaxValue)); err != nil {
			return nil, 0, err
		}
	}
	var head zstd.Header
	if err := head.Decode(in); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errPacked, err)
	}
	if head.HasFCS && head.FrameContentSize <= atOnce {
		if u.buf, err = u.zstd.DecodeAll(in, u.buf[:0]); err != nil {
			return nil, 0, fmt.Errorf("%w: %w", errPacked, err)
		}
		return u.buf[:min(len(u.buf), most)], uint64(len(u.buf)), nil
	}
	if err := u.zstd.Reset(bytes.NewReader(in)); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errPacked, err)
	}
	if out, size, err = u.stream(u.zstd, most, head.HasFCS); head.HasFCS {
		size = head.FrameContentSize
	}
	_ = u.zstd.Reset(nil)
	return out, size, err
}

// unpackLZ4 unpacks one block behind its unpacked size in 8 bytes.
func (u *unpacker) unpackLZ4(in []byte, most int) (out []byte, size uint64, err error) {
	if len(in) < 9 {
		return nil, 0, fmt.Errorf("%w: %d bytes", errPacked, len(in))
	}
	size, in = binary.LittleEndian.Uint64(in), in[8:]
	if size > MaxValue || size > 256*uint64(len(in)) { // a byte of the block stands for 255 at most
		return nil, 0, fmt.Errorf("%w: %d bytes of %d", errPacked, size, len(in))
	}
	if uint64(cap(u.buf)) < size {
		u.buf = make([]byte, size)
	}
	n, err := lz4.UncompressBlock(in, u.buf[:size])
	if err != nil || uint64(n) != size {
		return nil, 0, fmt.Errorf("%w: %d bytes where %d should be: %w", errPacked, n, size, err)
	}
	return u.buf[:min(n, most)], size, nil
}

// unpackXZ first looks at how much memory the block asks for: the decoder takes what it is
// told to.
func (u *unpacker) unpackXZ(in []byte, most int) (out []byte, size uint64, err error) {
	// The stream's header has 12 bytes. The block's has its size, flags, two optional
	// numbers, and for each filter an id, a size and properties; LZMA2's, which alone
	// journald uses, is the size of its dictionary.
	if len(in) < 24 || in[13]&0x3f != 0 {
		return nil, 0, fmt.Errorf("%w: no block with one filter", errPacked)
	}
	at := 14
	for _, flag := range []byte{0x40, 0x80} {
		if in[13]&flag != 0 {
			_, n := binary.Uvarint(in[at:])
			if n <= 0 {
				return nil, 0, fmt.Errorf("%w: a block's size", errPacked)
			}
			at += n
		}
	}
	if at+3 > len(in) || in[at] != 0x21 || in[at+1] != 1 || in[at+2] > 28 { // 28 is 64 MiB
		return nil, 0, fmt.Errorf("%w: another filter than LZMA2, or too large a dictionary", errPacked)
	}
	r, err := xz.ReaderConfig{SingleStream: true}.NewReader(bytes.NewReader(in))
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errPacked, err)
	}
	return u.stream(r, most, false)
}

// stream reads the first bytes of a stream, and counts the others unless their number is
// known.
func (u *unpacker) stream(r io.Reader, most int, known bool) (out []byte, size uint64, err error) {
	b := bytes.NewBuffer(u.buf[:0])
	n, err := b.ReadFrom(io.LimitReader(r, int64(most)))
	if err == nil && n == int64(most) && !known {
		var more int64
		more, err = io.Copy(io.Discard, io.LimitReader(r, MaxValue))
		n += more
	}
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errPacked, err)
	}
	u.buf = b.Bytes()
	return u.buf, uint64(n), nil
}
