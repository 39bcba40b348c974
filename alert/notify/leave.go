// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/notify"
)

// leaving bounds a sender that does not look at its context: Shoutrrr's, and
// Alertmanager's of Telegram. One that hangs is left to its own timeout, and until it
// has ended nothing else is sent to that receiver. So at most one is left behind.
type leaving struct {
	inner notify.Notifier

	mu   sync.Mutex
	busy chan struct{} // closed when the send that was left has ended
}

var errBusy = errors.New("the send before this one has not ended yet")

// Notify implements Alertmanager's notify.Notifier.
func (l *leaving) Notify(ctx context.Context, alerts ...*alert.Alert) notify.NotifyVerdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy != nil {
		select {
		case <-l.busy:
			l.busy = nil
		default:
			return notify.Retry(timeout, errBusy, notify.DefaultReason)
		}
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
		l.busy = ended
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
