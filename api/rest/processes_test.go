// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tallyman"
)

func TestProcesses(t *testing.T) {
	id := strings.Repeat("a", 64)
	k := newKept(t, &tallyman.Container{ID: id, Name: "web", Host: "h", State: tallyman.Running, Pid: 7}, &tallyman.Container{ID: strings.Repeat("b", 64), Name: "done", Host: "h", State: tallyman.Exited},
		&tallyman.Container{ID: strings.Repeat("c", 64), Name: "elsewhere", Host: "h", State: tallyman.Running, Pid: 8})
	k.options.Proc = t.TempDir()
	k.serve(k.options)
	for name, text := range map[string]string{"cgroup": "0::/docker/" + id, "stat": "7 (a) S 1 7 7 0 -1 4194560 1 0 0 0 100 50 0 0 20 0 3 0 100 1000 10 1", "status": "Uid:\t9\t9\t9\t9\nVmRSS:\t8 kB\n", "cmdline": "web\x00--token=0123456789abcdef0123456789abcdef\x00"} {
		path := filepath.Join(k.options.Proc, "7", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var got processesAnswer
	if code := k.ask("containers/web/processes?host=h", &got); code != http.StatusOK || len(got.Processes) != 1 || got.Why != "" {
		t.Fatalf("%d, %+v", code, got)
	}
	if p := got.Processes[0]; p.PID != 7 || p.CPU != 1.5 || p.Memory != 8192 || p.UID != 9 || p.Files != nil || p.Threads != 3 || strings.Contains(p.Command, "0123456789abcdef") {
		t.Errorf("got %+v", p)
	}
	for _, name := range []string{"done", "elsewhere"} {
		got = processesAnswer{}
		if code := k.ask("containers/"+name+"/processes", &got); code != http.StatusOK || len(got.Processes) != 0 || got.Why == "" {
			t.Errorf("%s: %d, %+v", name, code, got)
		}
	}
	k.options.Own = fixed(nil) // as on a hub, to which another host sends
	k.serve(k.options)
	got = processesAnswer{}
	if code := k.ask("containers/web/processes?host=h", &got); code != http.StatusOK || len(got.Processes) != 0 || !strings.Contains(got.Why, "another host") {
		t.Errorf("of another host: %d, %+v", code, got)
	}
	if code := k.ask("containers/none/processes", nil); code != http.StatusNotFound {
		t.Error(code)
	}
}
