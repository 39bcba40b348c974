// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"net"
	"os/exec"
	"sync"
	"syscall"
	"testing"
)

// Server is a real server of somebody else's that runs for a test.
type Server struct {
	// Output is what it prints.
	Output logBuffer
	cmd    *exec.Cmd
	once   sync.Once
}

// StartServer starts a program that the test needs, and kills it at the end of the test; get
// says how to have it. When the test fails its log has what the server printed.
func StartServer(t testing.TB, program, get string, args ...string) *Server {
	t.Helper()
	s := &Server{cmd: exec.Command(Need(t, program, get), args...)}
	s.cmd.Stdout, s.cmd.Stderr = &s.Output, &s.Output
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("%s: %s", program, s.Output.String())
		}
	})
	return s
}

// Kill kills it.
func (s *Server) Kill() {
	s.once.Do(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	})
}

// FreeAddress is one of this machine at which nobody listens now.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
