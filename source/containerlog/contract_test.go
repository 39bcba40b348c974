// SPDX-License-Identifier: Apache-2.0

package containerlog

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tallyman"
	"tallyman/source/sourcetest"
)

func TestContract(t *testing.T) {
	sourcetest.RunRecords(t, Kind(), func(t *testing.T) *sourcetest.World {
		root, id := t.TempDir(), strings.Repeat("ab", 32)
		dir := filepath.Join(root, "docker/containers", id)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		log, err := os.OpenFile(filepath.Join(dir, id+"-json.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { log.Close() })
		at := time.Now()
		return &sourcetest.World{
			Options: tallyman.RecordOptions{Path: func(p string) string { return filepath.Join(root, p) }},
			Engine:  tallyman.EngineStatus{Name: "local", Root: "/docker"},
			Containers: []*tallyman.Container{{ID: id, Name: "web", Host: "harbor", Engine: "local", State: tallyman.Running, Pid: 1, LogDriver: "json-file",
				Workload: tallyman.Workload{Key: "web"}}},
			Write: func(_ tallyman.RecordSource, text string) {
				at = at.Add(time.Millisecond)
				if _, err := fmt.Fprintf(log, "{\"log\":\"%s\\n\",\"stream\":\"stdout\",\"time\":%q}\n", text, at.UTC().Format(time.RFC3339Nano)); err != nil {
					t.Error(err)
				}
			},
		}
	})
}
