// SPDX-License-Identifier: Apache-2.0

package fsx

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tree is a root with a file outside of it.
func tree(t *testing.T) (dir string) {
	t.Helper()
	top := t.TempDir()
	dir = filepath.Join(top, "root")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(dir, "log/deep"), 0o755))
	must(os.MkdirAll(filepath.Join(dir, "etc"), 0o755))
	must(os.WriteFile(filepath.Join(top, "secret"), []byte("outside"), 0o600))
	must(os.WriteFile(filepath.Join(dir, "secret"), []byte("inside"), 0o600))
	must(os.WriteFile(filepath.Join(dir, "log/a.log"), []byte("a"), 0o600))
	must(os.WriteFile(filepath.Join(dir, "log/.hidden.log"), []byte("h"), 0o600))
	must(os.WriteFile(filepath.Join(dir, "log/deep/b.log"), []byte("b"), 0o600))
	must(os.Symlink("/secret", filepath.Join(dir, "log/abs.log")))
	must(os.Symlink("../../secret", filepath.Join(dir, "log/up.log")))
	must(os.Symlink("/proc/self/root"+top+"/secret", filepath.Join(dir, "log/magic.log")))
	must(os.Symlink("log", filepath.Join(dir, "logs")))
	must(syscall.Mkfifo(filepath.Join(dir, "log/pipe.log"), 0o600))
	return dir
}

func TestRoot(t *testing.T) {
	dir := tree(t)
	f := func(links bool, folder, rest, want string) {
		t.Helper()
		r, err := OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		r.Links = links
		done := make(chan string, 1)
		go func() {
			o, err := r.Open(folder, rest)
			if err != nil {
				done <- ""
				return
			}
			defer o.Close()
			b, _ := io.ReadAll(o)
			done <- string(b)
		}()
		select {
		case got := <-done:
			if got != want {
				t.Errorf("links %v: %s %s is %q, want %q", links, folder, rest, got, want)
			}
		case <-time.After(time.Minute):
			t.Errorf("links %v: %s %s: it waits", links, folder, rest)
		}
	}
	for _, links := range []bool{false, true} {
		f(links, "/log", "a.log", "a")
		f(links, "/logs", "a.log", "a") // a link in the folder that the user named
		f(links, "/log", "deep/b.log", "b")
		f(links, "/log", "pipe.log", "")
		f(links, "/log", "deep", "")
		f(links, "/log", "none.log", "")
		f(links, "/log", "magic.log", "")
		f(links, "/", "secret", "inside")
	}
	f(true, "/log", "abs.log", "inside")
	f(true, "/log", "up.log", "inside")
	f(true, "/log", "../../secret", "inside")
	f(false, "/log", "abs.log", "")
	f(false, "/log", "up.log", "")
	f(false, "/log", "../secret", "")
	f(false, "/", "logs/a.log", "")
}

func TestGlob(t *testing.T) {
	r, err := OpenRoot(tree(t))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f := func(links bool, folder, pattern, want string) {
		t.Helper()
		r.Links = links
		got, _, err := r.Glob(folder, pattern, 100)
		if s := strings.Join(got, " "); s != want {
			t.Errorf("links %v: %s %s: %q (%v), want %q", links, folder, pattern, s, err, want)
		}
	}
	f(false, "/log", "*.log", "a.log")
	f(true, "/log", "*.log", "a.log abs.log magic.log up.log")
	f(false, "/log", "*/*.log", "deep/b.log")
	f(false, "/log", ".*.log", ".hidden.log")
	f(false, "/log", "[a-c].log", "a.log")
	f(false, "/log", "a.log", "a.log")
	f(false, "/", "log*/*.log", "log/a.log")
	f(true, "/", "log*/a.log", "log/a.log logs/a.log")
	f(false, "/none", "*.log", "")
	if _, more, _ := r.Glob("/log", "*.log", 3); !more {
		t.Error("a bound of 3 entries is not said")
	}
	if _, err := r.Stat("/log", "pipe.log"); !errors.Is(err, ErrKind) {
		t.Errorf("a pipe: %v", err)
	}
	if _, err := r.Stat("/log", "none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
}
