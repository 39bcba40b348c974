// SPDX-License-Identifier: Apache-2.0

package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// put writes the files of a process.
func put(t *testing.T, proc, pid string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(proc, pid, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOf(t *testing.T) {
	proc := t.TempDir()
	stat := func(name, ticks string) string {
		return "7 (" + name + ") S 1 7 7 0 -1 4194560 1 0 0 0 " + ticks + " 50 0 0 20 0 3 0 100 1000 10 18446744073709551615\n"
	}
	status := "Name:\tx\nUmask:\t0022\nState:\tS (sleeping)\nNSpid:\t7\t1\nUid:\t999\t999\t999\t999\nVmRSS:\t    2048 kB\nThreads:\t3\n"
	put(t, proc, "7", map[string]string{"cgroup": "0::/docker/" + id + "\n", "stat": stat("a) R (b", "250"), "status": status, "cmdline": "redis-server\x00--requirepass\x00hunter2\x00\xff\x00", "fd/0": "", "fd/1": ""})
	put(t, proc, "9", map[string]string{"cgroup": "0::/system.slice/docker-" + id + ".scope/below\n", "stat": stat("late", "900"), "status": status, "cmdline": ""})
	put(t, proc, "8", map[string]string{"cgroup": "0::/docker/" + strings.Repeat("f", 64) + "\n", "stat": stat("other", "1"), "status": status, "cmdline": "other"})
	put(t, proc, "10", map[string]string{"cgroup": "0::/docker/" + id + "\n"}) // it ended while it was read
	put(t, proc, "self", map[string]string{"cgroup": "0::/docker/" + id + "\n"})
	list, left, err := Of(proc, id)
	if err != nil || left != 0 || len(list) != 2 {
		t.Fatalf("got %+v, %d left, %v", list, left, err)
	}
	late, redis := list[0], list[1]
	if late.PID != 9 || late.CPU != 9.5 || late.Files != -1 || late.Command != "" || late.Name != "late" {
		t.Errorf("got %+v", late)
	}
	if redis.PID != 7 || redis.Parent != 1 || redis.Inside != 1 || redis.UID != 999 || redis.State != "S" || redis.Threads != 3 || redis.CPU != 3 || redis.Memory != 2<<20 || redis.Files != 2 || redis.Name != "a) R (b" {
		t.Errorf("got %+v", redis)
	}
	if strings.Contains(redis.Command, "hunter2") || !strings.HasPrefix(redis.Command, "redis-server --requirepass ") {
		t.Errorf("the command is %q", redis.Command)
	}
	if list, _, err := Of(proc, ""); err != nil || len(list) != 0 {
		t.Errorf("without an id: %+v, %v", list, err)
	}
	if _, _, err := Of(filepath.Join(proc, "none"), id); err == nil {
		t.Error("without a /proc there is no error")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("7 (a) S 1 7 7 0 -1 4194560 1 0 0 0 1 50 0 0 20 0 3 0 100 1000 10 1\n"))
	f.Fuzz(func(_ *testing.T, text []byte) {
		var p Process
		p.parseStat(text)
		p.parseStatus(text)
		p.parseCommand(text)
	})
}
