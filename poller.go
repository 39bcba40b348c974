// SPDX-License-Identifier: Apache-2.0

package tallyman

import (
	"context"
	"time"
)

// Poller is a source of samples that has to ask for them, and so may have to wait: an
// engine, a service. Each target has a goroutine of its own beside the rounds, a
// deadline, and a longer pause after each failure in a row. The last values stand in
// the rounds until they are too old. A panic ends the polling of that target alone.
type Poller interface {
	// Plan is how the targets are polled. It is asked for once.
	Plan() PollPlan
	// Open begins with a target and must not block. ErrGone and other errors are as
	// those of Source.Attach.
	Open(t *Target) (Poll, error)
	// Close ends the poller; all its polls are closed before.
	Close() error
}

// Poll asks about one target, from one goroutine.
type Poll interface {
	// Poll asks once and appends the samples to b. It returns when ctx ends. Without
	// samples and error the values before stand, as long as they are not too old.
	Poll(ctx context.Context, b *Batch) error
	// Absences are the values that it would give but cannot, as far as the last
	// answer told. It may be called while Poll runs.
	Absences() []Absence
	Close()
}

// Paced is a Poll that has its own rhythm, in place of that of its plan.
type Paced interface {
	Poll
	// Pause is how long to wait before the next poll. It is asked for before each one.
	Pause() time.Duration
}

// PollPlan says when the targets of a poller are asked.
type PollPlan struct {
	// Every is the time between two polls of a target. 0 polls once for each round,
	// Lead before it, so that the answer is as new as it can be.
	Every, Lead time.Duration
	// First is how long a target is left alone before its first poll.
	First time.Duration
	// Deadline is for one answer.
	Deadline time.Duration
	// Retry is the pause after a failure; it doubles up to RetryMost, and a tenth of
	// it is by chance, so that not all ask at once.
	Retry, RetryMost time.Duration
	// Hold is for how many rounds, or Every where that is set, an old value stands,
	// and HoldLeast for how long at least.
	Hold      int
	HoldLeast time.Duration
	// Parallel is how many polls of one engine may be under way.
	Parallel int
	// Rest is how many times as long as a poll took none of its engine follows.
	Rest int
	// Keep is set when a container that is attached again, after a restart, keeps its
	// values and its turn.
	Keep bool
}
