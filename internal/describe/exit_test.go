// SPDX-License-Identifier: Apache-2.0

package describe

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExit(t *testing.T) {
	for code, want := range map[int]string{
		0: "", 1: "", 7: "", 255: "", 127: "the command was not found", 137: "SIGKILL: it was ended at once, and could not finish anything",
		139: "SIGSEGV: it used memory that is not its own", 150: "signal 22",
	} {
		if got := Exit(code); got != want {
			t.Errorf("exit %d: got %q, want %q", code, got, want)
		}
	}
}

// What a death is most often about comes first, in words; what is beyond the attributes is counted.
func TestChanges(t *testing.T) {
	got, n := Changes(map[string]string{
		"container": "a", "from": "b", "to": "c", "more": "3",
		"Config.Env.A": "x → y", "HostConfig.Memory": "805306368 → 536870912", "HostConfig.NanoCpus": "1500000000 → 0", "HostConfig.PidsLimit": "nothing → 20", "Config.Image": "a:1 → a:2 → b",
	})
	want := []Changed{
		{"HostConfig.Memory", "memory limit", "768.0 MiB", "512.0 MiB"}, {"HostConfig.NanoCpus", "CPU limit", "1.5 cores", "none"}, {"HostConfig.PidsLimit", "process limit", "none", "20"},
		{"Config.Image", "image", "a:1", "a:2 → b"}, {"Config.Env.A", "Config.Env.A", "x", "y"},
	}
	if d := cmp.Diff(want, got); d != "" || n != 8 {
		t.Errorf("%d changes, want 8; (-want +got)\n%s", n, d)
	}
}
