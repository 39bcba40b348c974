// SPDX-License-Identifier: Apache-2.0

package logtail

import (
	"bytes"
	"compress/gzip"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A compressed file reads as what it was made of, from any place on.
func TestPacked(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := make([]byte, 100_000)
	for i := range text {
		text[i] = "abcdef\n"[random.IntN(7)]
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "a.gz")
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	at := 0
	for range 2000 {
		switch random.IntN(10) {
		case 0:
			at = random.IntN(len(text) + 10)
		case 1, 2, 3:
			at = max(at-random.IntN(300), 0)
		}
		buf := make([]byte, random.IntN(2000))
		n, err := f.ReadAt(buf, int64(at))
		want := text[min(at, len(text)):min(at+len(buf), len(text))]
		if err != nil || !bytes.Equal(buf[:n], want) {
			t.Fatalf("%d bytes at %d: %d (%v), want %d", len(buf), at, n, err, len(want))
		}
		at += n
	}
}
