// SPDX-License-Identifier: Apache-2.0

package dockerapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"time"
)

// The bounds of what is read, in bytes.
const (
	// MaxAnswer bounds the body of a list, an inspection or an info. A list of
	// 1,000 containers with Compose labels is about 2 MiB.
	MaxAnswer = 32 << 20
	// MaxEvent bounds one event. Labels are in each, and the engine bounds
	// them by nothing but the size of a request.
	MaxEvent = 4 << 20
)

// errGuard is what the transport itself refuses or finds wrong.
var errGuard = errors.New("refused")

// route is every request that may leave; the version prefix is the library's.
var route = regexp.MustCompile(`^(?:/v1\.[0-9]{1,3})?(?:/_ping|/info|/events|/system/df|/containers/json|/containers/[0-9a-f]{12,64}/(?:json|stats|logs)|/images/sha256:[0-9a-f]{64}/json|/exec/[0-9a-f]{64}/json)$`)

// command is every request that may leave and that does something: a command is run in a
// container.
var command = regexp.MustCompile(`^(?:/v1\.[0-9]{1,3})?(?:/containers/[0-9a-f]{12,64}/exec|/exec/[0-9a-f]{64}/start)$`)

// trip travels in the context of one call: the transport notes in it what
// happened, and decodes the body into out.
type trip struct {
	out     any // pointer to decode into, nil to hand the body on
	stream  bool
	whole   bool        // the library decodes the body, which is bounded
	status  int         // of the last answer
	err     error       // of the last round trip or decoding
	dialing atomic.Bool // no connection yet
	offset  time.Duration
	timed   bool // offset is known
}

type tripKey struct{}

func withTrip(ctx context.Context, t *trip) context.Context {
	return context.WithValue(ctx, tripKey{}, t)
}

// guard lets the listed requests pass and bounds what comes back.
type guard struct {
	base     http.RoundTripper
	basePath string
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	t, _ := r.Context().Value(tripKey{}).(*trip)
	if t == nil {
		return nil, fmt.Errorf("%w: %s %s outside of a call", errGuard, r.Method, r.URL.Path)
	}
	path := strings.TrimPrefix(r.URL.Path, g.basePath)
	ping := strings.HasSuffix(path, "/_ping")
	asks := (r.Method == http.MethodGet || r.Method == http.MethodHead && ping) && route.MatchString(path)
	if !asks && (r.Method != http.MethodPost || !command.MatchString(path)) {
		t.err = fmt.Errorf("%w: %s %s is not a request that tallyman makes", errGuard, r.Method, r.URL.Path)
		return nil, t.err
	}
	sent := time.Now()
	resp, err := g.base.RoundTrip(r)
	if err != nil {
		t.err, t.status = err, 0
		return nil, err
	}
	t.err, t.status = nil, resp.StatusCode
	if date, err := http.ParseTime(resp.Header.Get("Date")); ping && err == nil {
		t.offset, t.timed = clockOffset(date, sent, time.Now()), true
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		resp.Body.Close()
		t.err = fmt.Errorf("%w: the engine redirects to %q, which is never followed", errGuard, bound(resp.Header.Get("Location")))
		return nil, t.err
	}
	switch {
	case ping || resp.StatusCode >= 400: // the library reads at most 1 MiB of an error
		resp.Body = &limited{rc: resp.Body, left: 2 << 20, t: t}
	case t.whole:
		resp.Body = &limited{rc: resp.Body, left: MaxAnswer, t: t}
	case t.stream:
		resp.Body = &perLine{rc: resp.Body, t: t}
	case t.out != nil:
		err := json.NewDecoder(&limited{rc: resp.Body, left: MaxAnswer, t: t}).Decode(t.out)
		io.Copy(io.Discard, io.LimitReader(resp.Body, 4096)) // so that the connection is used again
		resp.Body.Close()
		if err != nil {
			if t.err == nil {
				t.err = err
			}
			return nil, t.err
		}
		resp.Body = io.NopCloser(strings.NewReader("null"))
	}
	return resp, nil
}

// clockOffset estimates by how much another clock is ahead of this one, from the header
// Date of an answer. That has whole seconds, cut off, and was written at some time between
// the request and the answer: so the offset is between date-answered and date+1s-sent.
// Of that range the value nearest to 0 is taken: clocks that may agree have 0, and
// a slow answer makes the offset look smaller, never larger. It is too small by at
// most a second and the time of the round trip.
func clockOffset(date, sent, answered time.Time) time.Duration {
	least, most := date.Sub(answered), date.Add(time.Second).Sub(sent)
	switch {
	case least > 0:
		return least
	case most < 0:
		return most
	}
	return 0
}

// limited is a body that must end before left bytes.
type limited struct {
	rc   io.ReadCloser
	left int
	t    *trip
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		l.t.err = fmt.Errorf("%w: the answer is longer than allowed", errGuard)
		return 0, l.t.err
	}
	if len(p) > l.left {
		p = p[:l.left]
	}
	n, err := l.rc.Read(p)
	l.left -= n
	if err != nil && err != io.EOF {
		l.t.err = err
	}
	return n, err
}

func (l *limited) Close() error { return l.rc.Close() }

// perLine is the body of the event stream: one event per line, none longer
// than MaxEvent.
type perLine struct {
	rc  io.ReadCloser
	len int // of the line so far
	t   *trip
}

func (l *perLine) Read(p []byte) (int, error) {
	n, err := l.rc.Read(p)
	if i := bytes.LastIndexByte(p[:n], '\n'); i >= 0 {
		l.len = n - i - 1
	} else {
		l.len += n
	}
	if l.len > MaxEvent {
		return 0, fmt.Errorf("%w: an event longer than %d bytes", errGuard, MaxEvent)
	}
	return n, err
}

func (l *perLine) Close() error { return l.rc.Close() }
