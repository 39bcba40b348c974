// SPDX-License-Identifier: Apache-2.0

package fsx

import (
	"os"
	"path/filepath"
	"testing"
)

// A file is replaced as a whole, over what a kill has left of the time before; one
// that cannot be written stays as it was.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	if err := os.WriteFile(name+".new", []byte("left by a kill, and longer"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"one", "two"} {
		if err := WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		info, _ := os.Stat(name)
		if err != nil || string(got) != text || info.Mode() != 0o600 {
			t.Errorf("%q %v %v, want %q and 0600", got, info.Mode(), err, text)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(filepath.Join(dir, "folder"), nil, 0o600); err == nil {
		t.Error("a folder was replaced")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("%v is left (%v), want the file and the folder", entries, err)
	}
}
