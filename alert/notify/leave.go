// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/notify"
)

// leaving bounds a sender that does not look at its context: Shoutrrr's, and
// Alertmanager's of Telegram and of mail. One that hangs is left to itself; then nothing
// is sent to that receiver until it has ended, or for 10 minutes, and never are more than
// maxLeft left behind: a mail server that accepts and says nothing holds one for ever.
type leaving struct {
	inner notify.Notifier

	mu   sync.Mutex
	busy []chan struct{} // each is closed when a send that was left has ended
	last time.Time       // when one was left
}

const (
	maxLeft   = 4
	leftFor   = 10 * time.Minute
	busyRetry = 10 * time.Second
)

var errBusy = errors.New("the send before this one has not ended yet")

// Notify implements Alertmanager's notify.Notifier.
func (l *leaving) Notify(ctx context.Context, alerts ...*alert.Alert) notify.NotifyVerdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy = slices.DeleteFunc(l.busy, func(ended chan struct{}) bool {
		select {
		case <-ended:
			return true
		default:
			return false
		}
	})
	if n := len(l.busy); n >= maxLeft || n > 0 && time.Since(l.last) < leftFor {
		return notify.Retry(busyRetry, errBusy, notify.DefaultReason)
	}
	result, ended := make(chan notify.NotifyVerdict, 1), make(chan struct{})
	go func() {
		defer close(ended)
		result <- safely(ctx, l.inner, alerts)
	}()
	select {
	case v := <-result:
		return v
	case <-ctx.Done():
		l.busy, l.last = append(l.busy, ended), time.Now()
		return notify.Retry(0, fmt.Errorf("no answer within %s: %w", timeout, ctx.Err()), notify.DefaultReason)
	}
}

// safely turns a panic into an error: it is somebody else's code, which is given
// strangers' texts, in a goroutine that nobody else looks after.
func safely(ctx context.Context, n notify.Notifier, alerts []*alert.Alert) (v notify.NotifyVerdict) {
	defer func() {
		if p := recover(); p != nil {
			v = notify.Unrecoverable(fmt.Errorf("the sender failed: %v", p), notify.DefaultReason)
		}
	}()
	return n.Notify(ctx, alerts...)
}
