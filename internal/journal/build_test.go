// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"path/filepath"
	"testing"

	"tallyman/internal/journal/journaltest"
)

// some makes a small file.
func some(keyed, compact bool, n int) *journaltest.File {
	w := journaltest.New(keyed, compact)
	for i := range n {
		w.Add(uint64(1_700_000_000_000_000+i), "MESSAGE=message "+string(rune('a'+i%26))+" of the file", "_SYSTEMD_UNIT="+[]string{"docker.service", "ssh.service"}[i%2], "PRIORITY=6")()
	}
	return w
}

// What the tests make is what journalctl reads, too.
func TestBuilderMakesJournals(t *testing.T) {
	systemd(t)
	for _, keyed := range []bool{false, true} {
		for _, compact := range []bool{false, true} {
			dir := t.TempDir()
			some(keyed, compact, 100).Save(t, filepath.Join(dir, "a.journal"))
			for _, m := range [][]string{nil, {"_SYSTEMD_UNIT=ssh.service"}} {
				want := journalctl(t, dir, m...)
				compareLines(t, "built", ours(open(t, dir, m...)), want)
				if len(want) < 50 {
					t.Errorf("%d entries", len(want))
				}
			}
		}
	}
}
