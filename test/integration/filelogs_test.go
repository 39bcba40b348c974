// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tallyman/internal/journal/journaltest"
	"tallyman/internal/testkit"
)

// inOrder checks that the lines of a selector are those, in this order, and none
// twice.
func inOrder(t *testing.T, p *testkit.Client, selector string, want []string) {
	t.Helper()
	testkit.Eventually(t, 30*time.Second, "all lines are stored", func() error {
		if got := p.Count(selector); got != len(want) {
			return fmt.Errorf("%d lines of %d", got, len(want))
		}
		return nil
	})
	lines := p.Lines(selector)
	for i, line := range lines {
		if i < len(want) && line != want[i] {
			t.Fatalf("line %d is %.80q, want %.80q", i+1, line, want[i])
		}
	}
	if len(lines) != len(want) {
		t.Errorf("%d different lines, want %d", len(lines), len(want))
	}
}

// Plain files of the host, over kills and rotations of both kinds.
func TestFilesOfTheHost(t *testing.T) {
	t.Parallel()
	testkit.NewDocker(t)
	dir := t.TempDir()
	name := filepath.Join(dir, "app.log")
	data := testkit.DataDir(t)
	files := fmt.Sprintf("logs.files=[{path: %s/*.log}]", dir)
	p := testkit.StartProgram(t, data, "--set", files, "--set", "keep.metrics=false")
	var want []string
	write := func(n int) {
		t.Helper()
		f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for range n {
			line := fmt.Sprintf("%d of a plain file", len(want)+1)
			want = append(want, line)
			if _, err := fmt.Fprintln(f, line); err != nil {
				t.Fatal(err)
			}
		}
	}
	for round := range 6 {
		write(300)
		time.Sleep(300 * time.Millisecond)
		write(20)
		if round%2 == 0 {
			if err := os.Rename(name, fmt.Sprint(name, ".", round+1)); err != nil {
				t.Fatal(err)
			}
		} else {
			text, err := os.ReadFile(name)
			if err == nil {
				err = os.WriteFile(fmt.Sprint(name, ".", round+1), text, 0o600)
			}
			if err == nil {
				err = os.Truncate(name, 0)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		write(50)
		p.Kill()
		write(50)
		p = testkit.StartProgram(t, data, "--set", files, "--set", "keep.metrics=false")
	}
	inOrder(t, &p.Client, `{source="file", filename="`+name+`"}`, want)
	if gaps := figure(t, &p.Client, "tallyman_file_log_gaps_total"); gaps != 0 {
		t.Errorf("%.0f gaps", gaps)
	}
}

// figure is one of tallyman's own numbers.
func figure(t *testing.T, p *testkit.Client, name string) (v float64) {
	t.Helper()
	status, text := p.Get("/metrics")
	if status != 200 {
		t.Fatalf("/metrics: %d", status)
	}
	name, label, _ := strings.Cut(strings.TrimSuffix(name, "}"), "{") // {label="value"} for those with it
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok && (rest[0] == ' ' || rest[0] == '{') && strings.Contains(rest, label) {
			var one float64
			if _, err := fmt.Sscan(rest[strings.LastIndexByte(strings.TrimSpace(rest), ' ')+1:], &one); err != nil {
				t.Fatal(err)
			}
			v += one
		}
	}
	return v
}

// Log files inside of a container, by its label: what it has there stays in it.
func TestFilesInsideOfContainers(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	host := filepath.Join(t.TempDir(), "host.log")
	if err := os.WriteFile(host, []byte("of the host\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	data := testkit.DataDir(t)
	p := testkit.StartProgram(t, data)
	name := d.Name("fat")
	id := d.Start([]string{"--name", name, "--label", "tallyman.logs=/log/*.log; /var/one"}, "sh", "-c", `mkdir /log /var; cd /log
		ln -s `+host+` far.log; ln -s /proc/1/root`+host+` magic.log; mkfifo pipe.log; ln -s /dev/zero zero.log; ln -s /etc/own own.log; echo own >/etc/own
		echo one >/var/one; i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo "$i in a file" >>app.log; [ $((i%1000)) = 500 ] && mv app.log app.log.$i; done; sleep 600`)
	var want []string
	for i := range 3000 {
		want = append(want, fmt.Sprintf("%d in a file", i+1))
	}
	of := func(file string) string {
		return `{source="file", name="` + name + `", image="` + testkit.Image + `", filename="` + file + `"} | container_id="` + id + `"`
	}
	inOrder(t, &p.Client, of("/log/app.log"), want)
	inOrder(t, &p.Client, of("/var/one"), []string{"one"})
	inOrder(t, &p.Client, of("/log/own.log"), []string{"own"})
	for _, file := range []string{"far", "magic", "pipe", "zero"} {
		if n := p.Count(of("/log/" + file + ".log")); n != 0 {
			t.Errorf("%d lines of %s.log", n, file)
		}
	}
	if a := absences(p, id)["log files"]; a.Reason == "" {
		t.Logf("nothing is said of what cannot be opened")
	}
	// It goes on where it was, over a restart of the container and of tallyman.
	d.Cmd("exec", id, "sh", "-c", "echo last words >>/var/one")
	d.Cmd("stop", "-t", "0", id)
	inOrder(t, &p.Client, of("/var/one"), []string{"one", "last words"})
	p.Kill()
	p = testkit.StartProgram(t, data)
	time.Sleep(2 * time.Second)
	inOrder(t, &p.Client, of("/var/one"), []string{"one", "last words"})
	d.Cmd("rm", id)
	// By a rule.
	p.Stop()
	p = testkit.StartProgram(t, data, "--set", "logs.rules=[{match: 'name:"+name+"', files: [/tmp/r.log]}]")
	id = d.Start([]string{"--name", name}, "sh", "-c", `echo by a rule >>/tmp/r.log; sleep 600`)
	inOrder(t, &p.Client, of("/tmp/r.log"), []string{"by a rule"})
	d.Cmd("restart", "-t", "0", id)
	inOrder(t, &p.Client, of("/tmp/r.log"), []string{"by a rule", "by a rule"})
}

// What is to be taken out of lines never reaches the disk, whichever way they
// come.
func TestRedaction(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	data := testkit.DataDir(t)
	const secret = "hunter2hunter2"
	file := filepath.Join(t.TempDir(), "app.log")
	if err := os.WriteFile(file, []byte("pw="+secret+" of the host\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	script := `echo "pw=` + secret + ` out"; echo "pw=` + secret + ` err" >&2; echo "pw=` + secret + ` file" >/tmp/x.log; echo 'nothing here'; sleep 600`
	byLabel := d.Start([]string{"--name", d.Name("label"), "--label", "tallyman.logs=/tmp/x.log", "--label", `tallyman.logs.redact=pw=(\S+)`}, "sh", "-c", script)
	byRule := d.Start([]string{"--name", d.Name("rule")}, "sh", "-c", script)
	wrong := d.Start([]string{"--name", d.Name("wrong"), "--label", "tallyman.logs.redact=pw=(("}, "sh", "-c", script)
	p := testkit.StartProgram(t, data, "--set", "logs.rules=[{match: 'name:"+d.Name("rule")+"', redact: [secrets, '"+secret+"']}]",
		"--set", "logs.files=[{path: "+file+", redact: ['"+secret+"']}]")
	inOrder(t, &p.Client, selector(byLabel)+` | stream="stdout"`, []string{"pw=[redacted] out", "nothing here"})
	inOrder(t, &p.Client, selector(byLabel)+` | stream="stderr"`, []string{"pw=[redacted] err"})
	inOrder(t, &p.Client, `{source="file"} | container_id="`+byLabel+`"`, []string{"pw=[redacted] file"})
	inOrder(t, &p.Client, selector(byRule)+` | stream="stderr"`, []string{"pw=[redacted] err"})
	inOrder(t, &p.Client, `{source="file", filename="`+file+`"}`, []string{"pw=[redacted] of the host"})
	testkit.Eventually(t, 10*time.Second, "a wrong pattern is said", func() error {
		if a := absences(p, wrong)["log rule"]; !strings.Contains(a.Reason, "RE2") {
			return fmt.Errorf("%+v", a)
		}
		return nil
	})
	if n := p.Count(selector(wrong)); n != 0 {
		t.Errorf("%d lines are kept of a log that cannot be redacted", n)
	}
	if n := figure(t, &p.Client, "tallyman_log_redactions_total"); n != 6 {
		t.Errorf("%.0f redactions are counted, want 6", n)
	}
	p.Stop()
	err := filepath.WalkDir(data, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(name)
		if bytes.Contains(b, []byte(secret)) && strings.Contains(name, "records") {
			t.Errorf("%s holds what was to be taken out", name)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// Lines of one entry are one record, over kills.
func TestEntriesOfSeveralLines(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	data := testkit.DataDir(t)
	p := testkit.StartProgram(t, data)
	id := d.Start([]string{"--label", `tallyman.logs.start=^\d+ `, "--label", `tallyman.logs.level=^\d+ \[(\w+)\]`}, "sh", "-c",
		`i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo "$i [ERR] boom info"; echo "  at a"; echo "between $i" >&2; sleep 0.01; echo "  at b"; done; sleep 600`)
	for range 4 {
		time.Sleep(1500 * time.Millisecond)
		p.Kill()
		p = testkit.StartProgram(t, data)
	}
	var want []string
	for i := range 400 {
		want = append(want, fmt.Sprintf("%d [ERR] boom info\n  at a\n  at b", i+1))
	}
	inOrder(t, &p.Client, selector(id)+` | stream="stdout" | level="error"`, want)
}

// The agent as a container: with what the documentation gives it, it reads files
// of the host that are mounted and files inside of other containers; without, it
// says what is missing.
func TestFilesFromTheAgent(t *testing.T) {
	d := testkit.NewDocker(t)
	d.BuildAgent("../../deploy/Dockerfile")
	dir := t.TempDir()
	for name, text := range map[string]string{"a.log": "of the host\n", "secret": "not for the log\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "secret"), filepath.Join(dir, "link.log")); err != nil {
		t.Fatal(err)
	}
	id := d.Start([]string{"--name", d.Name("fat"), "--label", "tallyman.logs=/x.log"}, "sh", "-c", "echo inside >/x.log; chmod 600 /x.log; sleep 600")
	files := []string{"-e", "TALLYMAN_LOGS_FILES=[{path: " + dir + "/*.log}]"}
	// A journal is read without journalctl, which the image has not.
	book := t.TempDir()
	w := journaltest.New(true, true)
	w.Add(uint64(time.Now().UnixMicro()), "MESSAGE=of a unit", "_SYSTEMD_UNIT=docker.service", "PRIORITY=6", "_TRANSPORT=journal")()
	w.Save(t, filepath.Join(book, "system.journal"))
	agent := d.StartAgent(append(append(documented(t), "-v", dir+":/host"+dir+":ro", "-v", book+":/host/var/log/journal:ro"), files...))
	inOrder(t, &agent.Client, `{source="journal", unit="docker.service"}`, []string{"of a unit"})
	inOrder(t, &agent.Client, `{source="file", filename="`+dir+`/a.log"}`, []string{"of the host"})
	inOrder(t, &agent.Client, `{source="file"} | container_id="`+id+`"`, []string{"inside"})
	if n := agent.Count(`{source="file"} |= "not for the log"`); n != 0 {
		t.Errorf("%d lines from behind a link", n)
	}
	bare := d.StartAgent(append([]string{"-v", "/var/run/docker.sock:/var/run/docker.sock:ro", "--cap-drop", "ALL", "--pid=host"}, files...))
	testkit.Eventually(t, 20*time.Second, "what is missing is said", func() error {
		if a := absencesOf(&bare.Client, id)["log files"]; !strings.Contains(a.Unlock, "SYS_PTRACE") {
			return fmt.Errorf("%+v", a)
		}
		_, report := bare.Get("/api/tallyman/v1/doctor")
		for _, want := range []string{"The folder " + dir + " cannot be reached from here.", "The folders of the journal cannot be reached from here."} {
			if !strings.Contains(report, want) {
				return fmt.Errorf("the doctor does not say %q: %s", want, report)
			}
		}
		return nil
	})
}
