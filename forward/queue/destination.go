// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"cmp"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"tallyman"
)

// State is how a destination gets on.
type State struct {
	// Host and port of the destination.
	Host string
	// Up is set while it takes messages. Since is when that changed.
	Up    bool
	Since time.Time
	// Reason is why it does not, empty when it does and before the first try.
	Reason string
}

// Destination keeps the state of a destination for its sender, logs when that changes,
// and says when to try again. All of it may be used concurrently.
type Destination struct {
	log         *slog.Logger
	least, most time.Duration

	mu    sync.Mutex
	state State
	next  time.Duration
}

// NewDestination makes one. Pauses are from least, doubling, to most. A nil log is
// silent.
func NewDestination(host string, least, most time.Duration, log *slog.Logger) *Destination {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Destination{log: log, least: least, most: most, state: State{Host: host, Since: time.Now()}}
}

// State is that of now.
func (d *Destination) State() State {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state
}

// Up notes that it takes messages; the next pause is the least one.
func (d *Destination) Up() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next = 0
	if d.state.Up {
		return
	}
	if d.state.Reason != "" {
		d.log.Info("the destination takes messages again", "to", d.state.Host)
	}
	d.state.Up, d.state.Since, d.state.Reason = true, time.Now(), ""
}

// Down notes why it does not. The reason must hold no secret.
func (d *Destination) Down(reason string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state.Up || d.state.Reason == "" {
		d.state.Since = time.Now()
	}
	if d.state.Reason != reason {
		d.log.Warn("the destination takes no messages; they wait on the disk", "to", d.state.Host, "err", reason)
	}
	d.state.Up, d.state.Reason = false, reason
}

// Pause is how long to wait before the next try, give or take a fifth.
func (d *Destination) Pause() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := cmp.Or(d.next, d.least)
	d.next = min(2*t, d.most)
	return t*4/5 + rand.N(t*2/5)
}

// SelfMetric tells whether it takes messages; to is what the settings call it.
func (d *Destination) SelfMetric(to string) tallyman.SelfMetric {
	return tallyman.SelfMetric{Desc: isUp, Labels: []tallyman.Label{{Name: "to", Value: to}}, Read: func() float64 {
		if d.State().Up {
			return 1
		}
		return 0
	}}
}

// FailureMetric counts the failures of a destination for a reason.
func FailureMetric(to, reason string, read func() float64) tallyman.SelfMetric {
	return tallyman.SelfMetric{Desc: failed, Labels: []tallyman.Label{{Name: "reason", Value: reason}, {Name: "to", Value: to}}, Read: read}
}

var (
	isUp   = &tallyman.Desc{Name: "tallyman_forward_up", Type: tallyman.Gauge, Help: "1 while a destination takes messages"}
	failed = &tallyman.Desc{Name: "tallyman_forward_failures_total", Type: tallyman.Counter, Help: "How often a destination did not take messages: there was no answer or connection (cut), it gave a message back (nacked), had no queue for it (returned), or answered with an error (status)"}
)
