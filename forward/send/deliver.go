// SPDX-License-Identifier: Apache-2.0

package send

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"
)

const (
	// mostTries are the requests to find what a destination refuses or fails for.
	mostTries = 64
	// found is for how long after that 5xx is looked into at once.
	found = time.Hour
)

// Outcome is what a final answer says of what was sent.
type Outcome[T any] struct {
	// Refused is how many will never be taken, for Reason.
	Refused int
	Reason  string
	// Err is what the destination said of them; nil for what the answer says.
	Err error
	// Again are those that it may take later, and Failing says that it fails for each of them,
	// as with 5xx. All others were taken.
	Again   []T
	Failing bool
}

// Deliverer sends items over a line, until the destination has taken or refused each.
// Requests are made of what is given to Deliver, and of parts of it:
//
//	413            halves
//	other 4xx      final, or halves with Halve
//	5xx for long   an item of now is sent, and if that is taken, halves: one that fails alone
//	               is refused. For an hour after that is done without waiting
//	429 for long   Crowded, or again
//	2xx            what Outcome says: those that the destination fails for are refused as after 5xx
//
// One goroutine uses it.
type Deliverer[T any] struct {
	Line   *Line
	Ledger *Ledger
	// Patience is for how long answers with 429 and 5xx are taken as they are; 0 for five
	// minutes.
	Patience time.Duration
	// Request makes the request of items. It is good until the next one.
	Request func(items []T) Request
	// Outcome reads an answer that is Done or Refuse; nil believes the status.
	Outcome func(a *Answer, items []T) Outcome[T]
	// Probe makes an item of now that is no other's.
	Probe func() T
	// Crowded delivers items when 429 lasts; nil sends them again.
	Crowded func(ctx context.Context, items []T) error
	// Halve says that an answer with 4xx is for all of a request though only a part may be bad.
	Halve bool
	// Smaller is told that a request of items was too large, Passed that one was taken; nil
	// for nobody.
	Smaller func(items []T)
	Passed  func()

	poison time.Time // something was found of late for which the destination fails
	stuck  time.Time // since when it fails for the same items of a request that it answers
}

// Deliver sends items until each is sent or refused. The error is that ctx has ended.
func (d *Deliverer[T]) Deliver(ctx context.Context, items []T) error {
	return d.deliver(ctx, items, nil)
}

func (d *Deliverer[T]) deliver(ctx context.Context, items []T, tries *int) error {
	for len(items) > 0 {
		a, err := d.Line.Send(ctx, d.Request(items), d.patience())
		if err != nil {
			return err
		}
		switch {
		case a.Verdict == Split && len(items) > 1:
			if d.Smaller != nil {
				d.Smaller(items)
			}
			return halves(items, func(half []T) error { return d.deliver(ctx, half, tries) })
		case a.Verdict == Refuse && d.Halve && len(items) > 1:
			if tries == nil {
				tries = new(int)
				*tries = mostTries
			}
			if *tries < 2 {
				d.refuseAll(&a, items)
				return nil
			}
			*tries -= 2
			return halves(items, func(half []T) error { return d.deliver(ctx, half, tries) })
		case a.Verdict != Retry:
			if items, err = d.Settle(ctx, &a, items); err != nil {
				return err
			}
		case a.Status == http.StatusTooManyRequests:
			if d.Crowded != nil {
				return d.Crowded(ctx, items)
			}
		default:
			if items, err = d.isolate(ctx, items); err != nil {
				return err
			}
		}
	}
	return nil
}

// patience is for how long 5xx is no reason to look for what it is for.
func (d *Deliverer[T]) patience() time.Duration {
	if time.Since(d.poison) < found {
		return time.Nanosecond
	}
	return cmp.Or(d.Patience, 5*time.Minute)
}

// halves calls f with both halves.
func halves[T any](items []T, f func(half []T) error) error {
	if err := f(items[:len(items)/2]); err != nil {
		return err
	}
	return f(items[len(items)/2:])
}

// Settle counts items whose answer is final, and gives back those that are to be sent
// again, after a pause.
func (d *Deliverer[T]) Settle(ctx context.Context, a *Answer, items []T) ([]T, error) {
	out := d.settle(a, items)
	switch {
	case len(out.Again) == 0:
		return nil, nil
	case !out.Failing || len(out.Again) < len(items) || d.stuck.IsZero():
		d.stuck = time.Now()
	case time.Since(d.stuck) >= d.patience():
		if takes, err := d.takes(ctx); err != nil {
			return nil, err
		} else if takes {
			d.refuseFailing(len(out.Again))
			return nil, nil
		}
		d.stuck = time.Now()
	}
	if !d.Line.Pause(ctx) {
		return nil, ctx.Err()
	}
	return out.Again, nil
}

func (d *Deliverer[T]) settle(a *Answer, items []T) Outcome[T] {
	out := Outcome[T]{}
	switch {
	case a.Verdict == Split:
		out.Refused, out.Reason = len(items), TooLarge
	case d.Outcome != nil:
		out = d.Outcome(a, items)
	case a.Verdict == Refuse:
		out.Refused = len(items)
	}
	if out.Reason == "" {
		out.Reason = Otherwise
	}
	if out.Err == nil {
		out.Err = a.Err
	}
	if a.Verdict == Done && d.Passed != nil {
		d.Passed()
	}
	d.Ledger.Sent(len(items) - out.Refused - len(out.Again))
	d.Ledger.Refuse(out.Refused, out.Reason, out.Err)
	return out
}

// refuseAll counts items of which nobody looks any more which ones are bad.
func (d *Deliverer[T]) refuseAll(a *Answer, items []T) {
	d.Ledger.Refuse(len(items), d.Ledger.reasons.Of(a.Body, Otherwise), a.Err)
}

// refuseFailing counts items for which the destination fails though it takes others.
func (d *Deliverer[T]) refuseFailing(n int) {
	d.poison = time.Now()
	d.Ledger.Refuse(n, ServerError, fmt.Errorf("%s fails for some of the %s and takes others", d.Line.client.Host(), d.Ledger.what))
}

// takes reports whether the destination takes or refuses an item of now, so that it is not
// ill for all.
func (d *Deliverer[T]) takes(ctx context.Context) (bool, error) {
	probe := []T{d.Probe()}
	a, err := d.Line.Once(ctx, d.Request(probe))
	if err != nil || a.Verdict == Hold || a.Status == 0 || a.Status/100 == 5 {
		return false, err
	}
	return a.Verdict != Done || d.Outcome == nil || len(d.Outcome(&a, probe).Again) == 0, nil
}

// isolate looks for what makes the destination fail with 5xx. Something of now that is no
// other's shows whether it takes anything. Then come halves of the items, and halves of
// those that fail: one that fails alone for a tenth of the patience is refused. What is left is given back.
func (d *Deliverer[T]) isolate(ctx context.Context, items []T) (left []T, err error) {
	takes, err := d.takes(ctx)
	if err != nil || !takes {
		d.poison = time.Time{} // it takes nothing at all
		return items, err
	}
	tries := mostTries
	var look func(items []T) error // of items that have failed
	look = func(items []T) error {
		switch {
		case len(items) == 1:
			a, err := d.Line.Send(ctx, d.Request(items), max(1, cmp.Or(d.Patience, 5*time.Minute)/10))
			if err != nil {
				return err
			}
			if a.Verdict != Retry || a.Status == http.StatusTooManyRequests {
				left = append(left, items...)
				return nil
			}
			d.refuseFailing(1)
			return nil
		case tries < 2:
			left = append(left, items...)
			return nil
		}
		var failed [][]T
		err := halves(items, func(half []T) error {
			tries--
			a, err := d.Line.Once(ctx, d.Request(half))
			switch {
			case err != nil:
				return err
			case a.Verdict == Done || a.Verdict == Refuse && !d.Halve:
				left = append(left, d.settle(&a, half).Again...)
			case a.Status/100 == 5:
				failed = append(failed, half)
			default:
				left = append(left, half...)
			}
			return nil
		})
		for i := 0; i < len(failed) && err == nil; i++ {
			err = look(failed[i])
		}
		return err
	}
	err = look(items)
	return left, err
}
