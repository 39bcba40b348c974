// SPDX-License-Identifier: Apache-2.0

package journald

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tallyman"
	"tallyman/internal/journal/journaltest"
	"tallyman/source/sourcetest"
)

// journalctl is what this test binary is when the suite runs it as the command: it
// prints the entries of a file from a cursor on, and follows it.
func journalctl(name string, args []string) {
	from := ""
	for _, a := range args {
		if c, ok := strings.CutPrefix(a, "--cursor="); ok {
			from = c
		}
	}
	printed := 0
	for ; ; time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(name)
		if err != nil {
			return
		}
		text = text[:bytes.LastIndex(text, []byte("\n\n"))+2]
		if i := bytes.Index(text, []byte("__CURSOR="+from+"\n")); from != "" && printed == 0 && i > 0 {
			printed = i
		}
		if _, err := os.Stdout.Write(text[printed:]); err != nil {
			return
		}
		printed = len(text)
	}
}

// The same of files.
func TestContractOfFiles(t *testing.T) {
	sourcetest.RunRecords(t, Kind(), func(t *testing.T) *sourcetest.World {
		dir := t.TempDir()
		f, err := os.Create(filepath.Join(dir, "system.journal"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		w := journaltest.New(true, true)
		n := uint64(0)
		write := func(text string) {
			n++
			w.Add(1_700_000_000_000_000+n, "MESSAGE="+text, "_SYSTEMD_UNIT=docker.service", "PRIORITY=6", "_TRANSPORT=journal")()
			if err := w.Store(f); err != nil {
				t.Error(err)
			}
		}
		write("the journal begins")
		return &sourcetest.World{
			Options: tallyman.RecordOptions{Own: Options{Units: []string{"*"}, Directory: dir}},
			Write:   func(_ tallyman.RecordSource, text string) { write(text) },
		}
	})
}

func TestContract(t *testing.T) {
	sourcetest.RunRecords(t, Kind(), func(t *testing.T) *sourcetest.World {
		dir := t.TempDir()
		own, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		journalName, command := filepath.Join(dir, "journal"), filepath.Join(dir, "journalctl")
		script := fmt.Sprintf("#!/bin/sh\nJOURNAL=%q exec %q \"$@\"\n", journalName, own)
		if err := os.WriteFile(command, []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		j := &printed{}
		write := func(text string) {
			j.unit("docker.service", text, "journal", 6)
			f, err := os.OpenFile(journalName, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteString(j.entries[len(j.entries)-1]); err != nil {
				t.Error(err)
			}
		}
		write("the journal begins")
		return &sourcetest.World{
			Options: tallyman.RecordOptions{Own: Options{Units: []string{"*"}, Command: command}},
			Write:   func(_ tallyman.RecordSource, text string) { write(text) },
		}
	})
}
