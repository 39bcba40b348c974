// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/common/model"
)

const (
	// digestKey is the group of digests.
	digestKey = "tallyman/digest"
	// awayKey is the annotation of what a digest tells: since when the receiver was
	// away, and until when.
	awayKey = "tallyman_away"
	// moreKey is how many more there were.
	moreKey   = "tallyman_more"
	maxDigest = 200 // alarms of one; all of them are written each time that one is added
	maxUntold = 20_000
)

// missed is what a receiver does not know, as it was away. Alertmanager tries again until
// what fires is told, and so does the pipeline with what has ended; but of an alarm that
// came and went meanwhile it says nothing.
type missed struct {
	untold map[model.Fingerprint]time.Time // what fires and was not told, and since when that is known
	digest []*alert.Alert                  // what came and went
	more   int                             // of them, that are not in digest
	since  time.Time                       // when the receiver went away
	failed time.Time                       // when a send failed last
	back   time.Time                       // when one succeeded after that
}

// keptMissed is what of it survives a restart. What fires is told again then.
type keptMissed struct {
	Missed      []model.Alert `json:"missed,omitempty"`
	MissedMore  int           `json:"missedMore,omitempty"`
	MissedSince time.Time     `json:"missedSince,omitzero"`
}

func (m *missed) kept() (k keptMissed) {
	for _, a := range m.digest {
		k.Missed = append(k.Missed, a.Alert)
	}
	k.MissedMore, k.MissedSince = m.more, m.since
	return k
}

func (m *missed) restore(k *keptMissed) {
	for _, a := range k.Missed {
		m.digest = append(m.digest, alert.New(a, time.Now(), false))
	}
	m.more, m.since = k.MissedMore, k.MissedSince
}

// told notes that a message with alerts has arrived. One that ended while Alertmanager
// tried again and again to tell of it is told of as firing, and its end follows: then it
// is none for the digest.
func (m *missed) told(alerts []*alert.Alert) {
	for _, a := range alerts {
		if !a.Resolved() {
			delete(m.untold, a.Fingerprint())
		}
		m.digest = slices.DeleteFunc(m.digest, func(old *alert.Alert) bool {
			same := old.EndsAt.Equal(a.EndsAt)
			if !a.Resolved() {
				same = old.StartsAt.Equal(a.StartsAt)
			}
			return same && old.Fingerprint() == a.Fingerprint()
		})
	}
}

// Fires notes an alarm that this receiver is to be told of. It never blocks.
func (r *Receiver) Fires(a *alert.Alert) {
	if r.aboutItself(a) || r.target.incident { // of an incident that is over nobody makes one
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.missed.untold) < maxUntold {
		r.missed.untold[a.Fingerprint()] = time.Now()
	}
}

// Ends notes that one has ended. If it was not told since the receiver was away, it is in
// the next digest, unless nobody was to be told of it.
func (r *Receiver) Ends(a *alert.Alert, muted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := &r.missed
	since, untold := m.untold[a.Fingerprint()]
	delete(m.untold, a.Fingerprint())
	here := r.state.FailingSince.IsZero() && m.failed.Before(since) && !m.back.After(since)
	if !untold || muted || here {
		return // told, or too short to be told of
	}
	if m.since.IsZero() {
		if m.since = r.state.FailingSince; m.since.IsZero() {
			m.since = m.failed
		}
	}
	if len(m.digest) < maxDigest {
		m.digest = append(m.digest, a)
	} else {
		m.more++
	}
	r.keep()
	r.nudge()
}

// digestDue is when the digest is to be sent, with the lock held: some time after the
// receiver is back, so that what Alertmanager still has for it comes first; while it is
// away and nothing else is tried, as the try that finds out.
func (r *Receiver) digestDue() (at time.Time, any bool) {
	m := &r.missed
	switch {
	case len(m.digest) == 0:
		return at, false
	case r.state.FailingSince.IsZero():
		return m.back.Add(r.b.Settle), true
	case r.asked.After(m.failed):
		return r.asked.Add(r.b.Probe), true
	}
	return m.failed.Add(r.b.Probe), true
}

// sendDigest tells in one message what came and went while the receiver was away.
func (r *Receiver) sendDigest(ctx context.Context) {
	r.mu.Lock()
	at, any := r.digestDue()
	now := time.Now()
	if !any || now.Before(at) || !r.may() {
		r.mu.Unlock()
		return
	}
	until := r.missed.back
	if until.IsZero() || !r.state.FailingSince.IsZero() {
		until = now
	}
	told := slices.Clone(r.missed.digest)
	away := model.LabelValue(timeOf(r.missed.since) + " to " + timeOf(until))
	var alerts []*alert.Alert
	for _, a := range told {
		marked := a.Alert
		marked.Annotations = a.Annotations.Clone()
		marked.Annotations[awayKey] = away
		if r.missed.more > 0 {
			marked.Annotations[moreKey] = model.LabelValue(strconv.Itoa(r.missed.more))
		}
		alerts = append(alerts, alert.New(marked, a.UpdatedAt, false))
	}
	more := r.missed.more
	r.mu.Unlock()
	r.sendOwn(ctx, digestKey, notify.ReasonAllAlertsResolved, alerts, func() {
		m := &r.missed
		m.digest = slices.DeleteFunc(m.digest, func(a *alert.Alert) bool { return slices.Contains(told, a) })
		if m.more -= more; len(m.digest) == 0 {
			m.since = time.Time{}
		}
	})
}
