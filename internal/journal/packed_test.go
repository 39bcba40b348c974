// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"

	"tallyman/internal/journal/hash"
)

// pack packs a value as journald does.
func pack(t testing.TB, how byte, value []byte) []byte {
	t.Helper()
	switch how {
	case packedLZ4:
		out := make([]byte, lz4.CompressBlockBound(len(value)))
		n, err := lz4.CompressBlock(value, out, nil)
		if err != nil {
			t.Fatal(err)
		}
		return append(binary.LittleEndian.AppendUint64(nil, uint64(len(value))), out[:n]...)
	case packedXZ:
		var b bytes.Buffer
		w, err := xz.WriterConfig{CheckSum: xz.CRC32, DictCap: 1 << 20}.NewWriter(&b)
		if err == nil {
			_, err = w.Write(value)
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(value, nil)
}

// packIn packs the long values of a file in another way, each where it is.
func packIn(t testing.TB, name string, how byte) (n int) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	flags := binary.LittleEndian.Uint32(b[12:])
	head := uint64(dataHeader)
	if flags&flagCompact != 0 {
		head = compactData
	}
	for at := u64(b, 88); at+objectHeader <= uint64(len(b)) && b[at] != 0; {
		size := u64(b, int(at)+8)
		if b[at] == dataObject && b[at+1]&packed == 0 && size > head+512 {
			value := b[at+head : at+size]
			if p := pack(t, how, value); len(p) < len(value) {
				n++
				copy(value, p)
				b[at+1] |= how
				binary.LittleEndian.PutUint64(b[at+8:], head+uint64(len(p)))
			}
		}
		at += (size + 7) &^ 7
	}
	binary.LittleEndian.PutUint32(b[12:], flags|map[byte]uint32{packedXZ: flagXZ, packedLZ4: flagLZ4, packedZSTD: flagZSTD}[how])
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return n
}

// journald packs with LZ4 or XZ where it is older; journalctl reads all.
func TestPackedValues(t *testing.T) {
	systemd(t)
	for _, how := range []byte{packedXZ, packedLZ4, packedZSTD} {
		for _, compact := range []string{"0", "1"} {
			dir := t.TempDir()
			name := filepath.Join(dir, "a.journal")
			write(t, name, someEntries(500, 6), "SYSTEMD_JOURNAL_COMPRESS=0", "SYSTEMD_JOURNAL_COMPACT="+compact)
			if n := packIn(t, name, how); n < 10 {
				t.Fatalf("%d values were packed", n)
			}
			r := open(t, dir)
			compareLines(t, fmt.Sprint("packed in way ", how), ours(r), journalctl(t, dir))
			if c := r.Counts(); c.Broken != 0 {
				t.Errorf("%+v", c)
			}
		}
	}
}

func TestUnpack(t *testing.T) {
	value := []byte("MESSAGE=" + strings.Repeat("0123456789abcdef", 80_000))
	var u unpacker
	defer u.close()
	for _, how := range []byte{packedXZ, packedLZ4, packedZSTD} {
		for _, size := range []int{600, 100_000, len(value)} {
			in := pack(t, how, value[:size])
			for _, most := range []int{100, 600, size - 1, size, MaxValue} {
				out, n, err := u.unpack(how, in, most)
				if err != nil || n != uint64(size) || !bytes.Equal(out, value[:min(most, size)]) {
					t.Fatalf("way %d, %d of %d bytes: %d of %d, %v", how, most, size, len(out), n, err)
				}
			}
			for i := 0; i < len(in); i += 1 + len(in)/60 {
				bad := bytes.Clone(in)
				bad[i] ^= 0x55
				_, _, _ = u.unpack(how, bad, 1000)
				_, _, _ = u.unpack(how, in[:i], 1000)
			}
		}
	}
	if _, _, err := u.unpack(packedLZ4|packedXZ, value, 10); err == nil {
		t.Error("two ways at once")
	}
	// A few bytes that ask for much memory.
	huge := binary.LittleEndian.AppendUint64(nil, MaxValue)
	if _, _, err := u.unpack(packedLZ4, append(huge, make([]byte, 20)...), 10); err == nil {
		t.Error("64 MiB of 20 bytes")
	}
	dictionary := pack(t, packedXZ, value)
	for at := 14; at < 24; at++ {
		if dictionary[at] == 0x21 {
			dictionary[at+2] = 40
		}
	}
	if _, _, err := u.unpack(packedXZ, dictionary, 10); err == nil {
		t.Error("a dictionary of 4 GiB")
	}
}

func TestHashes(t *testing.T) {
	// Those of the reference implementations.
	var key ID
	for i := range key {
		key[i] = byte(i)
	}
	data := make([]byte, 15)
	for i := range data {
		data[i] = byte(i)
	}
	if h := hash.Sip(key, data); h != 0xa129ca6149be45e5 {
		t.Errorf("siphash: %x", h)
	}
	for text, want := range map[string]uint64{"": 0xdeadbeefdeadbeef, "Four score and seven years ago": 0x17770551ce7226e6} {
		if h := hash.Jenkins([]byte(text)); h != want {
			t.Errorf("jenkins of %q: %x, want %x", text, h, want)
		}
	}
}
