// SPDX-License-Identifier: Apache-2.0

package containerlog

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tallyman"
	"tallyman/internal/recordtest"
	"tallyman/internal/testkit"
)

// slowStore is a store whose disk can be stopped.
type slowStore struct {
	*recordtest.Store
	disk sync.Mutex
}

func (s *slowStore) AppendRecords(b *tallyman.RecordBatch) error {
	s.disk.Lock()
	defer s.disk.Unlock()
	return s.Store.AppendRecords(b)
}

// A disk that takes its time while the engine rotates on: what was rotated away
// is there all the same, as far as it may be held; beyond that a line says so.
func TestRotationsWhileTheDiskIsSlow(t *testing.T) {
	for _, form := range []string{"json", "local"} {
		for _, compress := range []bool{false, true} {
			t.Run(fmt.Sprint(form, " compress ", compress), func(t *testing.T) {
				t.Parallel()
				d := newDocker(t, form, 2, compress)
				store := &slowStore{Store: recordtest.New()}
				tailer := d.tail(store)
				k := tailer.tail.Logs[testID].container
				tailer.forget(tailer.tail.Logs[testID]) // it has no watch yet
				tailer.ObserveContainer(k)
				ctx, cancel := context.WithCancel(t.Context())
				over := make(chan struct{})
				go func() {
					defer close(over)
					_ = tailer.Run(ctx)
				}()
				defer func() {
					cancel()
					<-over
				}()
				var want []string
				write := func() {
					want = append(want, fmt.Sprint("line ", len(want)))
					d.write(want[len(want)-1], false)
				}
				caught := func(made int) {
					t.Helper()
					testkit.Eventually(t, 10*time.Second, "inotify has told", func() error {
						tailer.catcher.mu.Lock()
						defer tailer.catcher.mu.Unlock()
						for _, one := range tailer.catcher.logs {
							if one.made == made {
								return nil
							}
						}
						return fmt.Errorf("not of %d files", made)
					})
				}
				last := func() {
					t.Helper()
					testkit.Eventually(t, 10*time.Second, "the last line is stored", func() error {
						if got := stored(store.Store, "stdout"); !slices.Contains(got, want[len(want)-1]) {
							return fmt.Errorf("%d lines of %d", len(got), len(want))
						}
						return nil
					})
				}
				write()
				last()
				made := 0
				for range 2 { // it does well, and then the disk stops
					for range 2 {
						write()
						d.rotate()
						made++
						caught(made)
						write()
						last()
					}
					store.disk.Lock()
					for range caughtFiles - 2 {
						write()
						d.rotate()
						made++
						caught(made)
						write()
					}
					store.disk.Unlock()
					last()
				}
				equal(t, "stdout", stored(store.Store, "stdout"), want)
				if n := tailer.counts.Gaps.Load(); n != 0 {
					t.Errorf("%d gaps, none is there", n)
				}

				store.disk.Lock()
				write() // is being stored
				time.Sleep(300 * time.Millisecond)
				for range 3 * caughtFiles {
					d.rotate()
					made++
					caught(made)
					write()
				}
				store.disk.Unlock()
				last()
				got := stored(store.Store, "stdout")
				if n, gaps := len(want)-len(got), tailer.counts.Gaps.Load(); n < caughtFiles || n > 2*caughtFiles+2 || gaps != 1 {
					t.Errorf("%d lines are missing, %d places say so; want at most %d and 1", n, gaps, 2*caughtFiles+2)
				}
				if said := strings.Join(stored(store.Store, "stderr"), "\n"); !strings.HasPrefix(said, "tallyman: ") {
					t.Errorf("what is missing is said by %q", said)
				}
			})
		}
	}
}
