// SPDX-License-Identifier: Apache-2.0

package shm

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tallyman"
	"tallyman/source/sourcetest"
)

const id = "4f1c0a7b9d2e4f1c0a7b9d2e4f1c0a7b9d2e4f1c0a7b9d2e4f1c0a7b9d2e4f1c"

// proc makes a /proc of one process whose /dev/shm is dir; empty for none.
func proc(t *testing.T, dir string) string {
	t.Helper()
	root := t.TempDir()
	err := errors.Join(os.MkdirAll(filepath.Join(root, "42/root/dev"), 0o700), os.WriteFile(filepath.Join(root, "42/cgroup"), []byte("0::/docker/"+id+"\n"), 0o600))
	if err == nil && dir != "" {
		err = os.Rename(dir, filepath.Join(root, "42/root/dev/shm"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// memory makes a proc file system of which all is in memory.
func memory(t *testing.T) string {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(directory, &st); err != nil || st.Type != unix.TMPFS_MAGIC || st.Blocks == 0 {
		t.Skip("this machine has no memory file system at ", directory)
	}
	root, err := os.MkdirTemp(directory, "tallyman-test-")
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	if err := errors.Join(os.MkdirAll(filepath.Join(root, "42/root/dev/shm"), 0o700), os.WriteFile(filepath.Join(root, "42/cgroup"), []byte("0::/docker/"+id+"\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	return root
}

func open(t *testing.T, root string) *Source {
	t.Helper()
	s, err := New(tallyman.SourceOptions{Proc: root, Root: filepath.Join(root, "1/root")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s.(*Source)
}

func target(mode string) *tallyman.Target {
	return &tallyman.Target{Kind: tallyman.ContainerTarget, ID: id, Container: &tallyman.Container{ID: id, Pid: 42, IpcMode: mode}}
}

func TestSizeIsThatOfTheFileSystem(t *testing.T) {
	s := open(t, memory(t))
	if err := s.Attach(target("private")); err != nil {
		t.Fatal(err)
	}
	if a := s.Absences(target("private")); len(a) > 0 {
		t.Skip("no openat2 here: ", a)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(directory, &st); err != nil {
		t.Fatal(err)
	}
	var b tallyman.Batch
	s.Collect(&b)
	got := map[string]float64{}
	for _, one := range b.Samples {
		got[one.Series.Desc.Name] = one.Value
	}
	size := float64(st.Blocks) * float64(st.Bsize)
	if len(got) != metrics || got["container_shm_limit_bytes"] != size || got["container_shm_free_bytes"]+got["container_shm_used_bytes"] != size {
		t.Errorf("%v, want a size of %v", got, size)
	}
	if p := got["container_shm_free_percent"]; p != 100*got["container_shm_free_bytes"]/size {
		t.Errorf("%v %% are free", p)
	}
}

func TestWhatIsAbsentSaysSo(t *testing.T) {
	f := func(root, mode, want, unlock string) {
		t.Helper()
		s := open(t, root)
		if err := s.Attach(target(mode)); err != nil {
			t.Fatal(err)
		}
		var b tallyman.Batch
		s.Collect(&b)
		a := s.Absences(target(mode))
		if len(b.Samples) != 0 || len(a) != 1 || a[0].What != "shared memory" || !strings.Contains(a[0].Reason, want) || a[0].Unlock != unlock {
			t.Errorf("%s: %d samples, absent %v; want %q", mode, len(b.Samples), a, want)
		}
		s.Detach(target(mode))
		if a := s.Absences(target(mode)); len(a) != 0 {
			t.Errorf("%s, detached: %v", mode, a)
		}
	}
	f(proc(t, ""), "host", "It shares the memory of the host", "")
	f(proc(t, ""), "container:c0ffee0123456789", "container c0ffee012345;", "")
	f(proc(t, ""), "none", "--ipc none", "")
	f(proc(t, ""), "private", "no directory /dev/shm", "")
	var st unix.Statfs_t
	if dir := t.TempDir(); unix.Statfs(dir, &st) == nil && st.Type != unix.TMPFS_MAGIC {
		f(proc(t, dir), "private", "no file system in memory", "")
	}
	// The host's, which a container has by a mount that its mode does not tell.
	root := memory(t)
	if err := os.Symlink("42", filepath.Join(root, "1")); err != nil {
		t.Fatal(err)
	}
	f(root, "private", "It shares the memory of the host", "")
}

func TestGone(t *testing.T) {
	tg := target("private")
	tg.Container.Pid = 43
	if err := open(t, proc(t, "")).Attach(tg); !errors.Is(err, tallyman.ErrGone) {
		t.Errorf("Attach: %v, want ErrGone", err)
	}
}

func TestContract(t *testing.T) {
	sourcetest.Run(t, Kind(), func(t *testing.T) (tallyman.Source, []*tallyman.Target) {
		return open(t, memory(t)), []*tallyman.Target{target("private")}
	})
}
