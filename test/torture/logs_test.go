// SPDX-License-Identifier: Apache-2.0

package torture

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// kills is how often tallyman is killed while it reads logs: TORTURE_KILLS, of
// which make torture makes a hundred.
func kills(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("TORTURE_KILLS"))
	if os.Getenv("TORTURE_KILLS") == "" {
		return 6
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// ledger is what became of the lines "<number> …" of one container.
type ledger struct {
	missing, repeated, disorder, corrupt, gaps int
}

func (l ledger) String() string {
	return fmt.Sprintf("missing %d, repeated %d, out of order %d, corrupt %d, gaps %d", l.missing, l.repeated, l.disorder, l.corrupt, l.gaps)
}

func (l *ledger) add(o ledger) {
	l.missing, l.repeated, l.disorder, l.corrupt, l.gaps = l.missing+o.missing, l.repeated+o.repeated, l.disorder+o.disorder, l.corrupt+o.corrupt, l.gaps+o.gaps
}

// payload is the text of a line: its number, then what is computed from it.
func payload(n int) string { return fmt.Sprintf("%d payload %d end", n, n*7) }

// account reads a container's lines through Loki's API.
func account(p *testkit.Program, id string, last int) (l ledger) {
	of := `{source="container"} | container_id="` + id + `"`
	l.gaps = p.Count(of + ` | tallyman_gap != ""`)
	lines := p.Lines(of + ` | tallyman_gap = ""`)
	seen := map[int]bool{}
	before := 0
	for _, line := range lines {
		word, _, _ := strings.Cut(line, " ")
		n, err := strconv.Atoi(word)
		if err != nil || line != payload(n) {
			l.corrupt++
			continue
		}
		if n < before {
			l.disorder++
		}
		before, seen[n] = n, true
	}
	for n := 1; n <= last; n++ {
		if !seen[n] {
			l.missing++
		}
	}
	// Lines gives each line once; what is counted beyond that came twice.
	l.repeated = p.Count(of+` | tallyman_gap = ""`) - len(lines)
	return l
}

// writer writes numbered lines, some at a time, until the file /stop is there.
func writer(d *testkit.Docker, options []string, some int, pause string) string {
	return d.Start(append([]string{"--network", "none"}, options...), "sh", "-c", fmt.Sprintf(
		`i=0; while [ ! -e /stop ]; do j=0; while [ $j -lt %d ]; do i=$((i+1)); j=$((j+1)); echo "$i payload $((i*7)) end"; done; sleep %s; done; echo "$i" >/last; sleep 3600`, some, pause))
}

// halt ends a writer and returns the number of its last line.
func halt(t *testing.T, d *testkit.Docker, id string) (last int) {
	t.Helper()
	d.Cmd("exec", id, "sh", "-c", ": >/stop")
	testkit.Eventually(t, 20*time.Second, "the writer ends", func() (err error) {
		out, err := d.May("exec", id, "cat", "/last")
		if err == nil {
			last, err = strconv.Atoi(out)
		}
		return err
	})
	return last
}

// complete waits until the last line is stored, and gives the account.
func complete(t *testing.T, p *testkit.Program, id string, last int) ledger {
	t.Helper()
	testkit.Eventually(t, 30*time.Second, "the last line is stored", func() error {
		if n := p.Count(fmt.Sprintf(`{source="container"} | container_id="%s" |~ "^%d payload"`, id, last)); n == 0 {
			return fmt.Errorf("line %d is not there", last)
		}
		return nil
	})
	return account(p, id, last)
}

// F1: kill -9 while ten containers write a thousand lines a second each.
func TestKillWhileItReadsLogs(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	var ids []string
	for i := range 10 {
		options := []string{"--log-opt", "max-size=1m", "--log-opt", "max-file=6"}
		if i%3 == 1 {
			options = []string{"--log-driver", "local", "--log-opt", "max-size=1m", "--log-opt", "max-file=6"}
		} else if i%3 == 2 {
			options = append(options, "--log-opt", "compress=true")
		}
		ids = append(ids, writer(d, options, 100, "0.1"))
	}
	data := testkit.DataDir(t)
	p := testkit.StartProgram(t, data)
	n := kills(t)
	for range n {
		time.Sleep(time.Duration(200+rand.IntN(2800)) * time.Millisecond)
		p.Kill()
		p = testkit.StartProgram(t, data)
	}
	var sum ledger
	total := 0
	for _, id := range ids {
		last := halt(t, d, id)
		total += last
		l := complete(t, p, id, last)
		sum.add(l)
	}
	t.Logf("F1: %d kills, %d lines of %d containers: %v", n, total, len(ids), sum)
	if sum != (ledger{}) {
		t.Errorf("F1: %v, want nothing of it", sum)
	}
}

// F4: logs that go on while tallyman is down, within reach of rotation and
// beyond it.
func TestLogsWhileItIsDown(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	within := writer(d, []string{"--log-opt", "max-size=100k", "--log-opt", "max-file=60"}, 200, "0.1")
	beyond := writer(d, []string{"--log-opt", "max-size=100k", "--log-opt", "max-file=2"}, 200, "0.1")
	data := testkit.DataDir(t)
	p := testkit.StartProgram(t, data)
	time.Sleep(3 * time.Second)
	p.Stop()
	time.Sleep(8 * time.Second)
	p = testkit.StartProgram(t, data)
	last := halt(t, d, within)
	l := complete(t, p, within, last)
	t.Logf("F4, within reach: %d lines: %v", last, l)
	if l != (ledger{}) {
		t.Errorf("F4, within reach: %v", l)
	}
	last = halt(t, d, beyond)
	l = complete(t, p, beyond, last)
	guess := figure(t, &p.Client, "tallyman_log_gap_bytes_total")
	// What is missing, as the file has it: text, JSON around it.
	real := 0.0
	if l.missing > 0 {
		real = float64(l.missing) * float64(len(payload(last))+len(`{"log":"\n","stream":"stdout","time":"2026-11-24T12:00:00.123456789Z"}`)+1)
	}
	t.Logf("F4, beyond: %d lines: %v; about %.0f bytes are said to be missing, %.0f are", last, l, guess, real)
	if l.missing == 0 || l.gaps != 1 || l.repeated+l.disorder+l.corrupt != 0 {
		t.Errorf("F4, beyond: %v, want one gap", l)
	}
	if guess < real/2 || guess > real*2 {
		t.Errorf("F4, beyond: %.0f bytes are said to be missing, %.0f are", guess, real)
	}
}

// F12: somebody empties the log in place, as logrotate's copytruncate does.
func TestLogEmptiedInPlace(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	id := writer(d, nil, 50, "0.05")
	p := testkit.StartProgram(t, testkit.DataDir(t))
	name := filepath.Join(d.Cmd("info", "-f", "{{.DockerRootDir}}"), "containers", id, id+"-json.log")
	const times = 10
	for range times {
		time.Sleep(400 * time.Millisecond)
		if err := os.Truncate(name, 0); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, 10*time.Second, "it writes again: what was emptied away may have been its last line", func() error {
		if st, err := os.Stat(name); err != nil || st.Size() == 0 {
			return fmt.Errorf("%v, or it is empty", err)
		}
		return nil
	})
	last := halt(t, d, id)
	l := complete(t, p, id, last)
	t.Logf("F12: emptied %d times, %d lines: %v", times, last, l)
	if l.repeated+l.disorder+l.corrupt != 0 || l.gaps == 0 || l.gaps > times {
		t.Errorf("F12: %v", l)
	}
	if l.missing > last/4 {
		t.Errorf("F12: %d of %d lines are missing", l.missing, last)
	}
}

// F13, F14: a container that floods, and one that never ends its line, delay the
// others by little and take little memory.
func TestFloodAndEndlessLine(t *testing.T) {
	d := testkit.NewDocker(t)
	p := testkit.StartProgram(t, testkit.DataDir(t), "--set", "keep.metrics=false")
	quiet := writer(d, nil, 1, "0.1")
	time.Sleep(3 * time.Second)
	anonymous := func() float64 {
		return testkit.ReadKeysWithUnit(t, fmt.Sprintf("/proc/%d/smaps_rollup", p.Pid()))["Anonymous"] / 1024
	}
	before := anonymous()
	flood := d.Start([]string{"--log-opt", "max-size=10m", "--log-opt", "max-file=3"}, "sh", "-c", "yes 'a line that is written as fast as it can be' | head -c 300000000; sleep 3600")
	endless := d.Start([]string{"--log-opt", "max-size=10m", "--log-opt", "max-file=3"}, "sh", "-c", "head -c 1073741824 /dev/zero | tr '\\0' z; sleep 3600")
	worst, most := time.Duration(0), 0.0
	some := time.Duration(times(12, 25)) * time.Second
	for start := time.Now(); time.Since(start) < some; time.Sleep(300 * time.Millisecond) {
		// The newest line of the quiet one: how long ago was it written?
		var a struct {
			Data struct {
				Result []struct{ Values [][]any }
			}
		}
		p.JSON(`/loki/api/v1/query_range?limit=1&query=%7Bsource%3D%22container%22%7D%20%7C%20container_id%3D%22`+quiet+`%22`, &a)
		newest := int64(0)
		for _, r := range a.Data.Result {
			for _, v := range r.Values {
				n, err := strconv.ParseInt(v[0].(string), 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				newest = max(newest, n)
			}
		}
		worst, most = max(worst, time.Since(time.Unix(0, newest))), max(most, anonymous())
	}
	t.Logf("F13, F14: the quiet container is at most %v behind; anonymous memory %.0f MiB before, at most %.0f MiB; %.0f lines read, %.0f gaps",
		worst.Round(time.Millisecond), before, most, figure(t, &p.Client, "tallyman_log_lines_read_total"), figure(t, &p.Client, "tallyman_log_gaps_total"))
	if worst > 10*time.Second {
		t.Errorf("the quiet container was %v behind", worst)
	}
	if most > 110 {
		t.Errorf("%.0f MiB of memory, want at most 110", most)
	}
	d.Cmd("rm", "-f", flood, endless)
	last := halt(t, d, quiet)
	if l := complete(t, p, quiet, last); l != (ledger{}) {
		t.Errorf("the quiet container: %v", l)
	}
	testkit.Eventually(t, 5*time.Second, "what was read is stored", func() error {
		read, stored := figure(t, &p.Client, "tallyman_log_lines_read_total"), figure(t, &p.Client, `tallyman_records_stored_total{source="containerlog"}`)
		if gaps := figure(t, &p.Client, "tallyman_log_gaps_total"); read+gaps != stored { // each gap is a line of its own
			return fmt.Errorf("%.0f lines read, %.0f stored", read, stored)
		}
		return nil
	})
}

// F16: a full disk. Logs wait in their files and none is missing afterwards.
func TestLogsOverAFullDisk(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	id := writer(d, nil, 20, "0.05")
	disk := testkit.SmallDisk(t, 64)
	data := filepath.Join(disk, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	p := testkit.StartProgram(t, data, "--set", "keep.metrics=false")
	time.Sleep(2 * time.Second)
	fill(t, filepath.Join(disk, "filler"))
	time.Sleep(4 * time.Second)
	if !strings.Contains(p.Log(), "logs wait in their files") {
		t.Errorf("nothing is said of a full disk:\n%s", p.Log())
	}
	if status, _ := p.Get("/api/tallyman/v1/servers"); status != 200 {
		t.Errorf("a full disk: the page answers %d", status)
	}
	if err := os.Remove(filepath.Join(disk, "filler")); err != nil {
		t.Fatal(err)
	}
	last := halt(t, d, id)
	l := complete(t, p, id, last)
	t.Logf("F16: %d lines over a full disk: %v", last, l)
	if l != (ledger{}) {
		t.Errorf("F16: %v", l)
	}
}
