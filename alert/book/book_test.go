// SPDX-License-Identifier: Apache-2.0

package book

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func open(t testing.TB, dir string) *Book {
	t.Helper()
	b, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func contents(b *Book) map[string]string {
	out := map[string]string{}
	for k := Alarms; k <= lastKind; k++ {
		for key, v := range b.All(k) {
			out[fmt.Sprint(k, " ", key)] = string(v)
		}
	}
	return out
}

// What was put is there after a kill, whatever was changed how often; and the file stays
// small.
func TestItSurvivesAKill(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	r := rand.New(rand.NewPCG(1, 2))
	want := map[string]string{}
	for i := range 20_000 {
		kind, key, value := Kind(1+r.IntN(int(lastKind))), fmt.Sprint("k", r.IntN(50)), fmt.Sprint("value ", i)
		if name := fmt.Sprint(kind, " ", key); r.IntN(4) == 0 {
			if err := b.Delete(kind, key); err != nil {
				t.Fatal(err)
			}
			delete(want, name)
		} else {
			if err := b.Put(kind, key, []byte(value)); err != nil {
				t.Fatal(err)
			}
			want[name] = value
		}
		if i%4999 == 0 { // nobody closes it
			b = open(t, dir)
		}
	}
	if d := cmp.Diff(want, contents(open(t, dir))); d != "" {
		t.Errorf("after a kill (-want +got):\n%s", d)
	}
	if st, err := os.Stat(filepath.Join(dir, "state.log")); err != nil || st.Size() > 600<<10 || st.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v; want it small, and its owner's alone", st.Size(), err)
	}
}

// Cut off anywhere, the file gives all that is whole, and takes more.
func TestATornEnd(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	for i := range 20 {
		if err := b.Put(Silences, fmt.Sprint(i), bytes.Repeat([]byte("x"), i)); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := os.ReadFile(b.name)
	if err != nil {
		t.Fatal(err)
	}
	last := -1
	for n := range len(whole) {
		torn := t.TempDir()
		if err := os.WriteFile(filepath.Join(torn, "state.log"), whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		b := open(t, torn)
		keys := len(b.All(Silences))
		if keys < last {
			t.Fatalf("of %d bytes %d entries, of fewer bytes %d", n, keys, last)
		}
		last = keys
		if err := b.Put(Alarms, "new", []byte("y")); err != nil {
			t.Fatal(err)
		}
		if again := open(t, torn); string(again.Get(Alarms, "new")) != "y" || len(again.All(Silences)) != keys {
			t.Fatalf("cut off at %d: what was put after it is not there", n)
		}
	}
}

// A value that is damaged on the disk is counted, and takes no other along; what cannot be
// written is there until the end.
func TestDamage(t *testing.T) {
	b := open(t, t.TempDir())
	for _, key := range []string{"a", "b", "c"} {
		if err := b.Put(Silences, key, []byte("value of "+key)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(b.name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.file.WriteAt([]byte("X"), int64(bytes.Index(text, []byte("value of b")))); err != nil {
		t.Fatal(err)
	}
	if v := b.Get(Silences, "b"); v != nil {
		t.Errorf("%q of a damaged entry", v)
	}
	want := map[string]string{"3 a": "value of a", "3 c": "value of c"}
	if d := cmp.Diff(want, contents(b)); d != "" {
		t.Errorf("damaged (-want +got):\n%s", d)
	}
	if n, _ := b.Failures(); n != 2 {
		t.Errorf("%d failures, want one for each time it was asked for", n)
	}
	if err := b.rewrite(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, contents(b)); d != "" {
		t.Errorf("written anew (-want +got):\n%s", d)
	}
	if d := cmp.Diff(want, contents(open(t, filepath.Dir(b.name)))); d != "" {
		t.Errorf("opened again (-want +got):\n%s", d)
	}
	readOnly, err := os.Open(b.name)
	if err != nil {
		t.Fatal(err)
	}
	_ = b.file.Close()
	b.file = readOnly
	if err := b.Put(Silences, "d", []byte("in memory")); err == nil || string(b.Get(Silences, "d")) != "in memory" || string(b.Get(Silences, "a")) != "value of a" {
		t.Errorf("a write that fails: %v, %q", err, b.All(Silences))
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(magic))
	f.Add(appendEntry([]byte(magic), Alarms, "a", []byte("b"), false))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "state.log"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		first := contents(open(t, dir))
		if d := cmp.Diff(slices.Sorted(maps.Keys(first)), slices.Sorted(maps.Keys(contents(open(t, dir))))); d != "" {
			t.Errorf("opened twice (-first +second):\n%s", d)
		}
	})
}
