// SPDX-License-Identifier: Apache-2.0

//go:build !race

package kread

// The race detector allocates by itself.

import (
	"os"
	"path/filepath"
	"testing"
)

func TestLayoutSteadyStateAllocatesNothing(t *testing.T) {
	b := []byte("cache 1\nrss 2\ntotal_cache 3\ntotal_rss 4\n")
	l := NewLayout("total_cache", "total_rss")
	v := make([]uint64, 2)
	l.Scan(b, v)
	if n := testing.AllocsPerRun(100, func() { l.Scan(b, v) }); n != 0 {
		t.Errorf("Scan allocates %v times, want 0", n)
	}
}

func TestReadAllocatesNothing(t *testing.T) {
	p := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(p, []byte("17\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, open := range []func(string) (File, error){Open, OpenSlow} {
		f, err := open(p)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 64)
		if n := testing.AllocsPerRun(100, func() { f.Read(buf) }); n != 0 {
			t.Errorf("Read allocates %v times, want 0", n)
		}
		f.Close()
	}
}
