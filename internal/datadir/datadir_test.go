// SPDX-License-Identifier: Apache-2.0

package datadir

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "data")
	for range 2 { // new, and again
		d, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%v, %v; want mode 0700", info, err)
		}
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "in use by the process "+text(os.Getpid())) {
			t.Errorf("a second Open: %v, want our pid", err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

func text(n int) string {
	b := []byte{}
	for ; n > 0; n /= 10 {
		b = append([]byte{byte('0' + n%10)}, b...)
	}
	return string(b)
}

// What a directory can have against it, and what is said.
func TestDirectoriesThatAreNotTaken(t *testing.T) {
	f := func(name string, prepare func(t *testing.T, dir string) (path string), want ...string) {
		t.Run(name, func(t *testing.T) {
			path := prepare(t, t.TempDir())
			d, err := Open(path)
			if err == nil {
				d.Close()
				t.Fatal("it was taken")
			}
			for _, w := range want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%v; want it to say %q", err, w)
				}
			}
		})
	}
	write := func(t *testing.T, name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mkdir := func(t *testing.T, name string) string {
		if err := os.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
		return name
	}
	f("foreign", func(t *testing.T, dir string) string {
		write(t, dir+"/holiday.jpg", "x")
		return mode(t, dir, 0o700)
	}, "not tallyman's", "holiday.jpg", "--data")
	f("newer", func(t *testing.T, dir string) string {
		write(t, dir+"/format.json", `{"format":2}`)
		return mode(t, dir, 0o700)
	}, "format 2", "newer tallyman")
	f("open to others", func(t *testing.T, dir string) string { return mode(t, dir, 0o777) }, "0777", "chmod 700")
	f("a link", func(t *testing.T, dir string) string {
		target := mkdir(t, dir+"/target")
		if err := os.Symlink(target, dir+"/link"); err != nil {
			t.Fatal(err)
		}
		return dir + "/link"
	}, "symbolic link", "/target")
	f("a file", func(t *testing.T, dir string) string {
		write(t, dir+"/file", "x")
		return dir + "/file"
	}, "--data")
	f("below a file", func(t *testing.T, dir string) string {
		write(t, dir+"/file", "x")
		return dir + "/file/data"
	}, "a part of the path is a file", "--data")
	f("on a read-only file system", func(t *testing.T, dir string) string { return "/sys/tallyman" }, "--data")
	if os.Geteuid() == 0 {
		f("of another user", func(t *testing.T, dir string) string {
			if err := os.Chown(dir, 4242, 4242); err != nil {
				t.Fatal(err)
			}
			return mode(t, dir, 0o700)
		}, "user 4242", "user 0", "chown")
	}
}

// Directories of a tallyman that did not mark them yet, and fresh file systems.
func TestDirectoriesThatAreTaken(t *testing.T) {
	for _, entry := range []string{"token", "lost+found"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, entry), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := Open(mode(t, dir, 0o755)) // as a volume of the engine is made
		if err != nil {
			t.Errorf("with %s: %v", entry, err)
			continue
		}
		d.Close()
		if b, err := os.ReadFile(filepath.Join(dir, mark)); err != nil || string(b) != fmt.Sprintf("{\"format\":1,\"check\":%q}\n", check(1)) {
			t.Errorf("mark %q, %v", b, err)
		}
	}
}

// No bit of the mark that is another keeps the directory from being taken, or
// leaves the mark as it is.
func TestDamagedMark(t *testing.T) {
	dir := mode(t, t.TempDir(), 0o700)
	open := func() []byte {
		t.Helper()
		d, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		d.Close()
		b, err := os.ReadFile(filepath.Join(dir, mark))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	whole := open()
	for bit := range len(whole) * 8 {
		b := bytes.Clone(whole)
		b[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(filepath.Join(dir, mark), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := open(); !bytes.Equal(got, whole) {
			t.Errorf("bit %d of the mark: then it is %q, want %q", bit, got, whole)
		}
	}
}

func mode(t *testing.T, path string, m os.FileMode) string {
	if err := os.Chmod(path, m); err != nil {
		t.Fatal(err)
	}
	return path
}
