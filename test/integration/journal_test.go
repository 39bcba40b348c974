// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// A real journald takes what a real dockerd with the log driver journald writes:
// long lines, both outputs, over kills of tallyman and of its journalctl; and the
// kernel's messages. Its files are read, or journalctl is run.
func TestJournal(t *testing.T) {
	t.Parallel()
	journalVia(t, "files")
}

func TestJournalByJournalctl(t *testing.T) {
	t.Parallel()
	journalVia(t, "journalctl")
}

func journalVia(t *testing.T, via string) {
	e := testkit.NewEngine(t)
	dir := e.Journal()
	data := testkit.DataDir(t)
	file := filepath.Join(t.TempDir(), "tallyman.yaml")
	text := "docker: {host: '" + e.Socket + "'}\nlogs: {journal: {directory: " + dir + "}, rules: [{match: 'name:entries', start: '^\\d'}]}\nkeep: {metrics: false}\nsources: {journald: {via: " + via + "}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	driver := []string{"--log-driver", "journald"}
	const n = 3000
	before := e.Start(driver, counting(n)...)
	p := testkit.StartProgram(t, data, "--config", file)
	while := e.Start(driver, "sh", "-c", fmt.Sprintf(`i=0; while [ $i -lt %d ]; do i=$((i+1)); echo "$i out"; [ $((i%%10)) = 0 ] && sleep 0.02; done; sleep 600`, n))
	long := e.Start(driver, "sh", "-c", "head -c 40000 /dev/zero | tr '\\0' x; echo; echo err >&2; printf 'no end'")
	entries := e.Start(append(driver, "--name", "entries"), "sh", "-c", `i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo "$i boom"; echo " at a"; sleep 0.02; echo " at b"; done; sleep 600`)
	gone := e.Start(append(driver, "--name", "gone"), "sh", "-c", "echo before it goes")
	for i := range 4 {
		time.Sleep(1500 * time.Millisecond)
		if i%2 == 0 {
			p.Kill()
			if i == 2 {
				e.Cmd("rm", "-f", gone)
			}
			p = testkit.StartProgram(t, data, "--config", file)
			continue
		}
		for _, child := range children(t, p.Pid()) {
			_ = syscall.Kill(child, syscall.SIGKILL)
		}
	}
	sequence(t, p, before, n)
	sequence(t, p, while, n)
	inOrder(t, &p.Client, selector(long)+` | stream="stdout"`, []string{strings.Repeat("x", 40000), "no end"})
	inOrder(t, &p.Client, selector(long)+` | stream="stderr"`, []string{"err"})
	inOrder(t, &p.Client, selector(gone), []string{"before it goes"})
	var want []string
	for i := range 200 {
		want = append(want, fmt.Sprintf("%d boom\n at a\n at b", i+1))
	}
	inOrder(t, &p.Client, selector(entries), want)
	if k := p.Count(`{source="journal", unit="kernel"}`); k == 0 {
		t.Error("no line of the kernel")
	}
	if a, ok := absences(p, while)["log"]; ok {
		t.Errorf("it is said to be absent: %+v", a)
	}
	if w := figure(t, &p.Client, `tallyman_journal_way{way="`+via+`"}`); w != 1 {
		t.Errorf("it is read in another way than by %s", via)
	}
	read, stored := figure(t, &p.Client, "tallyman_journal_lines_read_total"), figure(t, &p.Client, `tallyman_records_stored_total{source="journald"}`)
	t.Logf("%.0f lines read, %.0f stored, %.0f gaps, journalctl was run %.0f times", read, stored, figure(t, &p.Client, "tallyman_journal_gaps_total"), figure(t, &p.Client, "tallyman_journal_starts_total"))
	// It ends with tallyman, even when that is killed.
	left := children(t, p.Pid())
	p.Kill()
	testkit.Eventually(t, 5*time.Second, "journalctl ends", func() error {
		for _, child := range left {
			if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", child)); err == nil && strings.HasPrefix(string(comm), "journalctl") {
				return fmt.Errorf("%d lives", child)
			}
		}
		return nil
	})
	if want := map[string]int{"files": 0, "journalctl": 1}[via]; len(left) != want {
		t.Errorf("%d children, want %d", len(left), want)
	}
}

// children are the processes that a process has started.
func children(t *testing.T, pid int) (out []int) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		for _, f := range strings.Fields(string(text)) {
			var n int
			if _, err := fmt.Sscan(f, &n); err == nil {
				out = append(out, n)
			}
		}
	}
	return out
}
