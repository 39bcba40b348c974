// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tallyman/doctor"
	"tallyman/internal/datadir"
)

// tree is what lies below a folder.
func tree(t *testing.T, root string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		paths = append(paths, strings.TrimPrefix(path, root))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// The doctor looks whether a data directory can be used, and leaves everything as
// it was.
func TestDataFeature(t *testing.T) {
	root := t.TempDir()
	for _, folder := range []string{"empty", "used", "used/records", "there", "foreign"} {
		if err := os.Mkdir(filepath.Join(root, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	d, err := datadir.Open(filepath.Join(root, "used"))
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	for _, name := range []string{"used/records/1.wal", "foreign/thesis.tex"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := tree(t, root)
	for path, want := range map[string]doctor.State{
		"empty": doctor.Works, "used": doctor.Works, "new": doctor.Works, "there/new/deep": doctor.Works, "foreign": doctor.Off, "foreign/thesis.tex/x": doctor.Off,
	} {
		f := dataFeature(filepath.Join(root, path))
		if f.State != want || (f.State == doctor.Off) != (f.Reason != "") {
			t.Errorf("%s: %+v, want %s", path, f, want)
		}
		if after := tree(t, root); !slices.Equal(after, before) {
			t.Fatalf("%s: there is %v now, before %v", path, after, before)
		}
	}
}
