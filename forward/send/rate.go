// SPDX-License-Identifier: Apache-2.0

package send

import (
	"context"
	"time"
)

// Rate bounds how many bytes go out in a second, for one goroutine. The zero value bounds
// nothing.
type Rate struct {
	// PerSecond are the bytes; 0 for any number.
	PerSecond int64

	free time.Time // when the next bytes may go
}

// Wait waits until n bytes may go, and reports false when ctx has ended first. However many
// they are they go at once, and the next ones wait for so long.
func (r *Rate) Wait(ctx context.Context, n int) bool {
	if r.PerSecond <= 0 {
		return true
	}
	now := time.Now()
	if pause := r.free.Sub(now); pause > 0 {
		if !wait(ctx, pause) {
			return false
		}
		now = r.free
	}
	r.free = now.Add(time.Duration(float64(n) / float64(r.PerSecond) * float64(time.Second)))
	return true
}
