// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"os/exec"
	"syscall"
	"testing"
)

// Namespace is a process in a network namespace of its own.
type Namespace struct {
	Pid int
	cmd *exec.Cmd
}

// NewNamespace starts a process that does nothing in a new network namespace.
// Where that is not permitted, something is Missing.
func NewNamespace(t testing.TB) *Namespace {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := cmd.Start(); err != nil {
		Missing(t, "a network namespace cannot be made here: %v", err)
	}
	n := &Namespace{Pid: cmd.Process.Pid, cmd: cmd}
	t.Cleanup(n.End)
	return n
}

// End ends the process. Ending it twice does nothing.
func (n *Namespace) End() {
	_ = n.cmd.Process.Kill()
	_ = n.cmd.Wait()
}
