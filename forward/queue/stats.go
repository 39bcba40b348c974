// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"maps"
	"time"
)

// Reason is why a message did not get to its destination.
type Reason string

// The reasons.
const (
	Full     Reason = "buffer_full" // over Options.MaxBytes
	TooOld   Reason = "too_old"     // over Options.MaxAge
	Damaged  Reason = "damaged"     // its record could not be read
	TooLarge Reason = "too_large"   // Append refused it: longer than a queue takes
	Refused  Reason = "refused"     // the destination will never take it, see Queue.Drop
)

// Reasons are all of them.
func Reasons() []Reason { return []Reason{Full, TooOld, Damaged, TooLarge, Refused} }

// Lost is how many messages were lost for a reason, and when the first and the last of
// them happened. The times are zero when nobody knows: of damaged records they are not
// read.
type Lost struct {
	Count       uint64
	First, Last time.Time
}

// Stats are what is in a queue, and what became of everything since Open. What was
// appended is what is in it, was sent, and was dropped, less what is in it since before.
type Stats struct {
	Length int
	Bytes  int64     // of the records that are not confirmed
	Oldest time.Time // of the oldest message that is not confirmed, zero without one
	// Appended were taken, Sent were confirmed, Repeated were handed out once more.
	Appended, Sent, Repeated uint64
	// Dropped has an entry for each reason that there was.
	Dropped map[Reason]Lost
	// Failures is how often a message could not be written; the caller has it still.
	// Failing is why the last one could not, nil when it could.
	Failures uint64
	Failing  error
}

// Stats are those of now.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.stats
	s.Length, s.Bytes, s.Dropped = q.length, q.bytes, maps.Clone(q.stats.Dropped)
	for i := q.head; i < len(q.entries); i++ {
		if e := &q.entries[i]; !e.dead {
			s.Oldest = time.Unix(0, e.at).UTC()
			break
		}
	}
	return s
}

// lose counts a message that is lost; at is its time, in Unix nanoseconds.
func (q *Queue) lose(why Reason, at int64) {
	when := time.Unix(0, at).UTC()
	l := q.stats.Dropped[why]
	if l.Count == 0 || when.Before(l.First) {
		l.First = when
	}
	if when.After(l.Last) {
		l.Last = when
	}
	l.Count++
	q.stats.Dropped[why] = l
}

// damage counts records that cannot be read.
func (q *Queue) damage(n uint64) {
	l := q.stats.Dropped[Damaged]
	l.Count += n
	q.stats.Dropped[Damaged] = l
}
