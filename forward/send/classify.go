// SPDX-License-Identifier: Apache-2.0

package send

import (
	"net/http"
	"strconv"
	"time"
)

// Verdict is what an answer means for what was sent.
type Verdict uint8

// The verdicts.
const (
	// Done: it was taken.
	Done Verdict = iota
	// Retry: the same again later.
	Retry
	// Split: it is too large, its parts may pass.
	Split
	// Refuse: it will never be taken.
	Refuse
	// Hold: the address or the login is wrong, whatever is sent; again when that may have
	// been mended.
	Hold
)

// String is the verdict's name.
func (v Verdict) String() string {
	return [...]string{"done", "retry", "split", "refuse", "hold"}[v]
}

const (
	holdFor     = time.Minute
	mostRetryIn = 15 * time.Minute // that Retry-After is followed
)

// Classify says what an answer means, and for how long to wait at least before the next
// try: as Retry-After says, in seconds or as a date. A date is compared with the one of
// the answer, so that the clocks need not agree. err is that there was no answer.
func Classify(status int, h http.Header, err error) (Verdict, time.Duration) {
	if err != nil {
		return Retry, 0
	}
	switch {
	case status/100 == 2:
		return Done, 0
	case status/100 == 3:
		return Hold, holdFor
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusProxyAuthRequired:
		return Hold, holdFor
	case http.StatusRequestEntityTooLarge:
		return Split, 0
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return Retry, retryAfter(h)
	}
	if status/100 == 4 {
		return Refuse, 0
	}
	return Retry, retryAfter(h)
}

// retryAfter is how long the header says to wait, 0 when it says nothing.
func retryAfter(h http.Header) (wait time.Duration) {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(mostRetryIn/time.Second))) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return min(max(0, at.Sub(now)), mostRetryIn)
}
