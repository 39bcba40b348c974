// SPDX-License-Identifier: Apache-2.0

package logtail

import (
	"context"
	"sync"
	"time"
)

// Gather stores every so often what another goroutine puts into the batch, so that
// lines wait for others but not for long; both hold mu when they use it. before is
// called first each time, for what has waited long enough. It ends with stop, which
// waits for it, or when the batch cannot be stored: then it calls failed, since what
// comes has to be read again.
func (b *Batch) Gather(ctx context.Context, every time.Duration, mu sync.Locker, before func(now time.Time), failed func()) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			mu.Lock()
			before(time.Now())
			err := b.Commit(ctx)
			mu.Unlock()
			if err != nil {
				failed()
				return
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
	}
}
