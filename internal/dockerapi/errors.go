// SPDX-License-Identifier: Apache-2.0

package dockerapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
)

// Failure is the way in which a call failed.
type Failure string

// The failures.
const (
	// Refused: no connection, or one that broke before an answer.
	Refused Failure = "refused"
	// Slow: connected, perhaps, but no whole answer before the deadline.
	Slow Failure = "slow"
	// Answered: the engine answered with an error, or with something that is
	// no answer.
	Answered Failure = "error"
)

var (
	// ErrNotFound is wrapped by the error of an inspection whose container the
	// engine does not have.
	ErrNotFound = errors.New("no such container")
	// ErrCanceled is wrapped when the caller's context was cancelled.
	ErrCanceled = errors.New("cancelled")
	// ErrInvalidID says that an id is none; nothing was sent.
	ErrInvalidID = errors.New("invalid container id")
)

// Error is the error of every call.
type Error struct {
	Failure Failure
	// Call is what was tried: "ping", "list", "inspect 1234567890ab".
	Call string
	// Text is for people: what happened and, where one can tell, what to check.
	Text string
	err  error
}

// Error says what was tried and what came of it.
func (e *Error) Error() string { return e.Call + ": " + e.Text }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.err }

// FailureOf is the failure of err, Answered for an error of another kind.
func FailureOf(err error) Failure {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Failure
	}
	return Answered
}

// Text is the part of err that is for people, without the call.
func Text(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Text
	}
	return err.Error()
}

// classify makes an Error of what the library returned; t is what the
// transport saw of the call.
func (c *Client) classify(ctx context.Context, call string, err error, t *trip) error {
	if err == nil {
		return nil
	}
	e := &Error{Call: call, err: err}
	cause := err
	if t != nil && t.err != nil {
		cause = t.err // what the transport saw, before the library reworded it
	}
	var netErr net.Error
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		e.Failure, e.Text, e.err = Refused, "cancelled", fmt.Errorf("%w: %w", ErrCanceled, err)
	case errors.Is(cause, errGuard):
		e.Failure, e.Text = Answered, cause.Error()
	case isFiles(cause):
		e.Failure, e.Text = Answered, cause.Error()
	case tlsText(cause, c.host) != "":
		e.Failure, e.Text = Refused, tlsText(cause, c.host)
	case t != nil && t.status == 400 && strings.Contains(err.Error(), tlsWanted):
		e.Failure, e.Text = Answered, "the engine wants TLS at "+c.host+": give ca, cert and key"
	case t != nil && t.status >= 400:
		e.Failure, e.Text = Answered, strings.TrimPrefix(err.Error(), "Error response from daemon: ")
		if t.status == 404 {
			e.err = fmt.Errorf("%w: %w", ErrNotFound, err)
		}
	case errors.Is(cause, syscall.ECONNREFUSED):
		e.Failure, e.Text = Refused, "connection refused: is dockerd running? ("+c.host+")"
	case errors.Is(cause, os.ErrNotExist):
		e.Failure, e.Text = Refused, "no socket at "+c.host+": is dockerd running, and is the socket's directory mounted?"
	case errors.Is(cause, os.ErrPermission):
		e.Failure, e.Text = Refused, "permission denied at "+c.host+": run as root or in the group of the socket"
	case errors.Is(cause, context.DeadlineExceeded), errors.Is(cause, os.ErrDeadlineExceeded),
		errors.As(cause, &netErr) && netErr.Timeout():
		e.Failure, e.Text = Slow, "no answer before the deadline"
		if t != nil && t.dialing.Load() {
			e.Text = "no connection before the deadline"
		}
	case t != nil && t.status != 0:
		e.Failure, e.Text = Answered, "unreadable answer: "+cause.Error()
	case isNoHost(cause):
		e.Failure, e.Text = Refused, "the name of "+c.host+" cannot be resolved: check the address and this machine's DNS"
	default:
		e.Failure, e.Text = Refused, cause.Error()
	}
	e.Text = bound(e.Text)
	return e
}

func isFiles(err error) bool {
	_, ok := errors.AsType[filesError](err)
	return ok
}

func isNoHost(err error) bool {
	_, ok := errors.AsType[*net.DNSError](err)
	return ok
}

// bound keeps the text of an error to a length that fits a page and a log line.
func bound(s string) string {
	const most = 512
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
