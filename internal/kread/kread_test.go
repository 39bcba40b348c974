// SPDX-License-Identifier: Apache-2.0

package kread

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestUint(t *testing.T) {
	f := func(in string, want uint64, digits int) {
		t.Helper()
		v, d := Uint([]byte(in))
		if v != want || d != digits {
			t.Errorf("Uint(%q) = %d, %d; want %d, %d", in, v, d, want, digits)
		}
	}
	f("0\n", 0, 1)
	f("18446744073709551615\n", 1<<64-1, 20)
	f("18446744073709551616\n", 0, 0) // does not fit
	f("12 34", 12, 2)
	f("max\n", 0, 0)
	f("", 0, 0)
	f("-1\n", 0, 0)
}

func TestLayoutFollowsTheKernel(t *testing.T) {
	l := NewLayout("b", "a", "missing", "word")
	v := make([]uint64, 4)
	f := func(text string, wantFound, wantB, wantA uint64) {
		t.Helper()
		clear(v)
		found := l.Scan([]byte(text), v)
		if found != wantFound || v[0] != wantB || v[1] != wantA {
			t.Errorf("Scan(%q) = %b, b %d, a %d; want %b, %d, %d", text, found, v[0], v[1], wantFound, wantB, wantA)
		}
	}
	f("x 9\na 1\nbb 7\nb 2\nword max\n", 0b0011, 2, 1)
	f("x 8\na 3\nbb 7\nb 4\nword max\n", 0b0011, 4, 3)
	f("b 5\na 6\n", 0b0011, 5, 6)         // another order: learns again
	f("a 7\nb 8", 0b0011, 8, 7)           // no newline at the end
	f("nothing of it 1\n", 0, 0, 0)       // keys are gone
	f("a 1\nb 2\nword 3\n", 0b1011, 2, 1) // and come back
	f("", 0, 0, 0)
}

func TestFileIsReadFromItsStart(t *testing.T) {
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
		for range 2 {
			if got := string(f.Read(buf)); got != "17\n" {
				t.Errorf("Read = %q, want %q", got, "17\n")
			}
		}
		f.Close()
		f.Close()
		if f.IsOpen() || f.Read(buf) != nil {
			t.Error("a closed file must read nothing")
		}
	}
	if _, err := Open(p + ".none"); !os.IsNotExist(err) {
		t.Errorf("Open of a missing file: %v, want a not-exist error", err)
	}
}

// FuzzLayout checks that the fast walk finds what a plain reading finds.
func FuzzLayout(f *testing.F) {
	f.Add("total_cache 3\ntotal_rss 4\n", "total_rss 1\n")
	f.Add("a 1\n\n\nb 2", "b 99999999999999999999999\n")
	f.Fuzz(func(t *testing.T, first, second string) {
		l := NewLayout("total_cache", "total_rss", "a")
		v := make([]uint64, 3)
		l.Scan([]byte(first), v)
		found := l.Scan([]byte(second), v)
		for slot, key := range []string{"total_cache ", "total_rss ", "a "} {
			if found&(1<<slot) == 0 {
				continue
			}
			ok := false
			for _, line := range strings.Split(second, "\n") {
				ok = ok || strings.HasPrefix(line, key+strconv.FormatUint(v[slot], 10)) ||
					strings.HasPrefix(line, key+"0") // leading zeros
			}
			if !ok {
				t.Errorf("Scan(%q) found %q = %d, which is not there", second, key, v[slot])
			}
		}
	})
}

func TestReadEmptyAndReadAll(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 8)
	if b, ok := f.ReadEmpty(buf); !ok || len(b) != 0 {
		t.Errorf("ReadEmpty of an empty file = %q, %v; want nothing, true", b, ok)
	}
	if b := f.ReadAll(buf); b != nil {
		t.Errorf("ReadAll of an empty file = %q", b)
	}
	if err := os.WriteFile(name, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b := f.ReadAll(buf); string(b) != "01234567" {
		t.Errorf("ReadAll into a short buffer = %q", b)
	}
	f.Close()
	if _, ok := f.ReadEmpty(buf); ok {
		t.Error("ReadEmpty of a closed file is ok")
	}
	// A file that the kernel gives a page at a time.
	f, err = Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	buf = make([]byte, 1<<20)
	if one, all := len(f.Read(buf)), len(f.ReadAll(buf)); all <= one {
		t.Errorf("Read gives %d bytes, ReadAll %d; want more", one, all)
	}
}

func FuzzNextInterface(f *testing.F) {
	f.Add("Inter-|   Receive  |  Transmit\n face |bytes packets|bytes packets\n  eth0:     736       8    1    2    0     0          0         0       21       3    4    5    0     0       0          0\n")
	f.Add("eth0:1 2 3\n: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n")
	f.Fuzz(func(t *testing.T, text string) {
		var row [InterfaceColumns]uint64
		rest := []byte(text)
		for lines := 0; ; lines++ {
			var ok bool
			if _, rest, ok = NextInterface(rest, &row); !ok {
				return
			}
			if lines > len(text) {
				t.Fatalf("NextInterface(%q) does not end", text)
			}
		}
	})
}
