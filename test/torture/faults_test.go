// SPDX-License-Identifier: Apache-2.0

package torture

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// long says whether there is time for all of it, as make torture says.
func long() bool { return os.Getenv("TORTURE_KILLS") != "" }

// times is how often something is done: few times in make test, and often enough
// for a table in make torture. What is asserted is the same.
func times(few, often int) int {
	if long() {
		return often
	}
	return few
}

// F2: killed as it enters a system call that changes a file, each kind of call
// in turn: while it runs, and again while it mends what the kill before left
// behind. strace counts the calls of each thread.
func TestKillAtSystemCalls(t *testing.T) {
	t.Parallel()
	testkit.Need(t, "strace", "install Debian's package strace")
	d := testkit.NewDocker(t)
	ids := []string{
		writer(d, []string{"--log-opt", "max-size=200k", "--log-opt", "max-file=20"}, 100, "0.1"),
		writer(d, []string{"--log-driver", "local", "--log-opt", "max-size=200k", "--log-opt", "max-file=20"}, 100, "0.1"),
	}
	data := testkit.DataDir(t)
	calls, whens := []string{"write", "fsync", "renameat", "unlinkat"}, []int{1, 3}
	if long() {
		calls, whens = append(calls, "openat", "pwrite64", "fdatasync", "fallocate", "mkdirat", "ftruncate", "truncate", "msync"), []int{1, 2, 3, 5, 8, 13, 21, 34}
	}
	died, opened := 0, 0
	var never []string
	for _, call := range calls {
		hit := false
		for _, when := range whens {
			for range 2 { // the second while it mends
				if dieAt(t, data, call, when) {
					died++
					hit = true
				}
			}
		}
		if !hit {
			never = append(never, call)
		}
		p := testkit.StartProgram(t, data, "--interval", "1s")
		opened++
		p.Kill()
	}
	p := testkit.StartProgram(t, data)
	var sum ledger
	total := 0
	for _, id := range ids {
		last := halt(t, d, id)
		total += last
		l := complete(t, p, id, last)
		if l.gaps > 0 {
			t.Logf("gaps: %q", p.Lines(`{source="container"} | container_id="`+id+`" | tallyman_gap != ""`))
		}
		sum.add(l)
	}
	t.Logf("F2: killed at %d system calls, opened %d of %d times, %d lines: %v; never made, so killed at some time instead: %v", died, opened, len(calls), total, sum, never)
	if sum != (ledger{}) {
		t.Errorf("F2: %v, want nothing of it", sum)
	}
	if died < len(calls) {
		t.Errorf("F2: only %d kills at a system call", died)
	}
}

// dieAt runs tallyman until the when-th call of one of its threads kills it, or
// kills it after a while; whether the call did is returned.
func dieAt(t *testing.T, data, call string, when int) bool {
	t.Helper()
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command("strace", "-f", "--seccomp-bpf", "-o", trace, "-e", "trace="+call, "-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", call, when),
		testkit.Binary(t), "run", "--listen", "127.0.0.1:0", "--data", data, "--interval", "1s")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case <-done:
		text := testkit.ReadText(t, trace)
		if !strings.Contains(text, "killed by SIGKILL") {
			t.Fatalf("%s %d: it ended by itself:\n%s", call, when, said.String())
		}
		return true
	case <-time.After(4 * time.Second):
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
		// strace is gone; what it traced may hold the lock of its data for a moment.
		for range 20 {
			if syscall.Kill(-cmd.Process.Pid, 0) != nil {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		return false
	}
}

// F5, for logs: kill -9 of dockerd while containers write, without and with
// live-restore. What is in the files afterwards is stored, all of it and once.
func TestLogsOverKillsOfDockerd(t *testing.T) {
	t.Parallel()
	f := func(name string, args ...string) {
		t.Run(name, func(t *testing.T) {
			e := testkit.NewEngine(t, args...)
			d := e.Docker
			n, kills := times(6, 20), times(3, 20)
			var ids []string
			for range n {
				ids = append(ids, writer(d, []string{"--stop-signal", "9"}, 20, "0.1"))
			}
			p := testkit.StartProgram(t, testkit.DataDir(t), "--docker-host", e.Socket)
			worst := time.Duration(0)
			for range kills {
				time.Sleep(time.Duration(300+rand.IntN(1500)) * time.Millisecond)
				e.Kill()
				time.Sleep(time.Duration(rand.IntN(700)) * time.Millisecond)
				e.Run()
				if len(args) == 0 {
					d.Cmd(append([]string{"start"}, ids...)...)
				}
				before, start := p.Count(`{source="container"}`), time.Now()
				testkit.Eventually(t, 10*time.Second, "logs go on", func() error {
					if now := p.Count(`{source="container"}`); now == before {
						return fmt.Errorf("%d lines", now)
					}
					return nil
				})
				worst = max(worst, time.Since(start))
			}
			for _, id := range ids {
				d.Cmd("exec", id, "sh", "-c", ": >/stop")
			}
			time.Sleep(time.Second)
			total, bad := 0, 0
			for _, id := range ids {
				var want []string
				file := filepath.Join(d.Cmd("info", "-f", "{{.DockerRootDir}}"), "containers", id, id+"-json.log")
				for line := range bytes.Lines([]byte(testkit.ReadText(t, file))) {
					var entry struct{ Log string }
					if json.Unmarshal(line, &entry) != nil {
						bad++
						continue
					}
					want = append(want, strings.TrimSuffix(entry.Log, "\n"))
				}
				total += len(want)
				of := `{source="container"} | container_id="` + id + `" | tallyman_gap = ""`
				testkit.Eventually(t, 20*time.Second, "each line of the file is stored once", func() error {
					if n := p.Count(of); n != len(want) {
						return fmt.Errorf("%d lines stored, %d in the file", n, len(want))
					}
					return nil
				})
				got := p.Lines(of)
				for i := range want {
					if i >= len(got) || got[i] != want[i] {
						t.Errorf("line %d is not that of the file", i+1)
						break
					}
				}
			}
			t.Logf("F5, %s: %d kills of dockerd, %d lines of %d containers, each stored once; lines came at most %v after it answered; %d broken entries in the files",
				name, kills, total, n, worst.Round(100*time.Millisecond), bad)
			if worst > 5*time.Second {
				t.Errorf("F5: logs went on only %v after the engine", worst)
			}
		})
	}
	f("plain")
	f("live-restore", "--live-restore")
}

// F15: what is no entry in the middle of a file, half an entry, binary and
// colours. Reading goes on with the next line, and what was left out is counted.
func TestBrokenEntries(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	p := testkit.StartProgram(t, testkit.DataDir(t))
	id := d.Start(nil, "sh", "-c", `i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo "$i payload $((i*7)) end"; sleep 0.02; done; printf '\033[31mred\033[0m \000\001\377\376 bytes\n'; sleep 600`)
	name := filepath.Join(d.Cmd("info", "-f", "{{.DockerRootDir}}"), "containers", id, id+"-json.log")
	broken := []string{
		"\x00\xff\x17 this is no JSON\n",
		`{"log":"half` + "\n",
		`{"log":5,"stream":true,"time":[]}` + "\n",
		"}}}}{{{{\n", "\n\n",
		`{"log":"no time\n","stream":"stdout"}` + "\n",
		strings.Repeat("z", 3<<20) + "\n",
	}
	for i := range 3 * len(broken) {
		time.Sleep(150 * time.Millisecond)
		f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		// dockerd appends too, so that a piece stands between two of its entries.
		if _, err := f.WriteString(broken[i%len(broken)]); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, 30*time.Second, "the last line is stored", func() error {
		if n := p.Count(`{source="container"} | container_id="` + id + `" |= "bytes" !~ "^tallyman: "`); n != 1 {
			return fmt.Errorf("%d of it", n)
		}
		return nil
	})
	seen := map[int]int{}
	for _, line := range p.Lines(`{source="container"} | container_id="` + id + `" |~ "^[0-9]+ payload"`) {
		word, _, _ := strings.Cut(line, " ")
		n, err := strconv.Atoi(word)
		if err != nil || line != payload(n) {
			t.Errorf("a corrupt line: %q", line)
		}
		seen[n]++
	}
	missing := 0
	for n := 1; n <= 400; n++ {
		if seen[n] != 1 {
			missing++
		}
	}
	counted := figure(t, &p.Client, "tallyman_log_bad_entries_total")
	t.Logf("F15: %d broken pieces in the file, %.0f counted; %d of 400 lines not there once", 3*len(broken), counted, missing)
	if missing > 0 || counted < float64(3*(len(broken)-2)) {
		t.Errorf("F15: %d lines are not there once, %.0f bad entries counted", missing, counted)
	}
	want := "\x1b[31mred\x1b[0m \x00\x01\ufffd\ufffd bytes" // dockerd writes what is not UTF-8 as U+FFFD
	if got := p.Lines(`{source="container"} | container_id="` + id + `" |= "bytes" !~ "^tallyman: "`); len(got) != 1 || got[0] != want {
		t.Errorf("binary and colours: %q, want %q", got, want)
	}
}

// F22: one bit of one file is another. It starts each time, what it serves is
// what was written, and what it left out is counted.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	id := d.Start(nil, "sh", "-c", `i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo "$i payload $((i*7)) end"; done; sleep 3600`)
	data := testkit.DataDir(t)
	p := testkit.StartProgram(t, data, "--interval", "1s")
	if l := complete(t, p, id, 3000); l != (ledger{}) {
		t.Fatal(l)
	}
	inventoried(t, data, id)
	sampled(t, p, id, time.Time{})
	p.Stop() // with what is sealed at the end
	again := time.Now()
	p = testkit.StartProgram(t, data, "--interval", "1s")
	d.Cmd("exec", id, "sh", "-c", "true")
	testkit.Eventually(t, 30*time.Second, "the event of the exec is stored", func() error {
		if len(eventsOf(t, p, id, "exec_die")) == 0 {
			return errors.New("it is not there")
		}
		return nil
	})
	sampled(t, p, id, again)
	p.Kill() // and with a WAL that is still needed
	var files []string
	if err := filepath.WalkDir(data, func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil && info.Size() > 0 {
				files = append(files, strings.TrimPrefix(name, data))
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	flips := times(12, 1000)
	started, whole, lines, silent := 0, 0, 0, 0
	for i := range flips {
		name := files[i%len(files)]
		copied := filepath.Join(t.TempDir(), "data")
		if out, err := testkit.Run(20*time.Second, nil, "cp", "-a", "--sparse=always", data, copied); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		at := flip(t, copied+name)
		p := testkit.StartProgram(t, copied, "--interval", "1s")
		started++
		l := account(p, id, 3000)
		if l.corrupt+l.disorder+l.repeated > 0 {
			t.Errorf("F22: bit %d of %s: %v", at, name, l)
		}
		if l.missing == 0 {
			whole++
		} else {
			lines += l.missing
			if figure(t, &p.Client, "tallyman_record_store_damaged_total") == 0 && figure(t, &p.Client, "tallyman_log_gaps_total") == 0 {
				silent++
				t.Errorf("F22: bit %d of %s: %v, and nothing is counted", at, name, l)
			}
		}
		p.Kill()
		if err := os.RemoveAll(copied); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("F22: %d bits flipped in %d files, started %d of %d; all lines there %d times, else %d lines left out in all, %d times without a count", flips, len(files), started, flips, whole, lines, silent)
}

// flip changes a bit of a file, and tells which.
func flip(t *testing.T, name string) int64 {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	at := rand.Int64N(info.Size() * 8)
	var b [1]byte
	if _, err := f.ReadAt(b[:], at/8); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1 << (at % 8)
	if _, err := f.WriteAt(b[:], at/8); err != nil {
		t.Fatal(err)
	}
	return at
}

// F33: SIGTERM while containers write as fast as they can: it ends within five
// seconds, and nothing is missing.
func TestTermUnderAFlood(t *testing.T) {
	d := testkit.NewDocker(t)
	flood := d.Start(nil, "sh", "-c", `while [ ! -e /stop ]; do i=$((i+1)); echo "$i payload $((i*7)) end"; done; echo "$i" >/last; sleep 3600`)
	beside := writer(d, nil, 50, "0.05")
	data := testkit.DataDir(t)
	n := times(4, 20)
	worst := time.Duration(0)
	// It may be ended before it has read anything: what was there by then is read all the same.
	const all = "logs.backlog=16GiB"
	p := testkit.StartProgram(t, data, "--set", all)
	for range n {
		time.Sleep(time.Duration(500+rand.IntN(1000)) * time.Millisecond)
		start := time.Now()
		p.Stop()
		worst = max(worst, time.Since(start))
		p = testkit.StartProgram(t, data, "--set", all)
	}
	for name, id := range map[string]string{"the flood": flood, "beside it": beside} {
		last := halt(t, d, id)
		l := complete(t, p, id, last)
		t.Logf("F33, %s: %d times SIGTERM, ended after at most %v, %d lines: %v", name, n, worst.Round(10*time.Millisecond), last, l)
		if l != (ledger{}) {
			t.Errorf("F33, %s: %v", name, l)
		}
	}
	if worst > 5*time.Second {
		t.Errorf("F33: it took %v to end", worst)
	}
}
