// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Journal starts a systemd-journald for the engine, which its log driver
// journald then writes to, and gives the directory of its files. Where
// there is none, something is Missing.
func (e *Engine) Journal() (dir string) {
	e.t.Helper()
	const journald = "/lib/systemd/systemd-journald"
	if _, err := os.Stat(journald); err != nil {
		Missing(e.t, "no systemd-journald: %v", err)
	}
	dir = filepath.Join(e.dir, "journal")
	if err := os.Mkdir(dir, 0o755); err != nil {
		e.t.Fatal(err)
	}
	pid := strconv.Itoa(e.holder.Process.Pid)
	script := "mount -t tmpfs none /run && mkdir -p /run/systemd/journal /run/log/journal && mount --bind " + dir + " /run/log/journal && exec " + journald
	cmd := exec.Command("nsenter", "-t", pid, "-m", "sh", "-c", script)
	text := &logBuffer{}
	cmd.Stdout, cmd.Stderr = text, text
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	e.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
	})
	Eventually(e.t, 10*time.Second, "the journal is there", func() error {
		select {
		case <-done:
			e.t.Fatalf("systemd-journald has ended: %s", text)
		default:
		}
		if found, _ := filepath.Glob(dir + "/*/system.journal"); len(found) == 0 {
			return errors.New(strings.TrimSpace(text.String()))
		}
		return nil
	})
	return dir
}
