// SPDX-License-Identifier: Apache-2.0

package hostlog

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"tallyman"
	"tallyman/source/sourcetest"
)

func TestContract(t *testing.T) {
	sourcetest.RunRecords(t, Kind(), func(t *testing.T) *sourcetest.World {
		root := t.TempDir()
		if err := os.MkdirAll(filepath.Join(root, "var/log"), 0o700); err != nil {
			t.Fatal(err)
		}
		log, err := os.OpenFile(filepath.Join(root, "var/log/app.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { log.Close() })
		return &sourcetest.World{
			Options: tallyman.RecordOptions{Proc: "/proc", Below: func(string) string { return root },
				Own: Options{Files: []Files{{Pattern: "/var/log/*.log"}}}},
			Write: func(_ tallyman.RecordSource, text string) {
				if _, err := fmt.Fprintln(log, text); err != nil {
					t.Error(err)
				}
			},
		}
	})
}
