// SPDX-License-Identifier: Apache-2.0

package dockerapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/moby/moby/client"
)

// HeaderTimeout is how long an engine may take to open the event stream.
const HeaderTimeout = 5 * time.Second

var errHeaderTimeout = errors.New("event stream not opened in time")

// Moment is the form in which the engine wants the start and the end of a replay; the
// zero time is none.
func Moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond())
}

// Stream is an open event stream.
type Stream struct {
	c      *Client
	ctx    context.Context
	cancel context.CancelCauseFunc
	res    client.EventsResult
	t      *trip
}

// Events opens the event stream; when it returns without an error the engine
// has accepted the subscription. First come the events that the engine still
// remembers from since on (see Moment), then those that happen. The stream ends
// with ctx, with Close, or by itself with an error from Next.
func (c *Client) Events(ctx context.Context, since string) (*Stream, error) {
	return c.events(ctx, client.EventsListOptions{Since: since})
}

// Remembers reports whether the engine still remembers an event of that moment for which
// is gives true. It is a question of its own, so it does not matter how far the replay of
// a stream has come.
func (c *Client) Remembers(ctx context.Context, at time.Time, is func(Event) bool) (bool, error) {
	s, err := c.events(ctx, client.EventsListOptions{Since: Moment(at), Until: Moment(at.Add(time.Nanosecond))})
	if err != nil {
		return false, err
	}
	defer s.Close()
	for {
		e, err := s.Next()
		switch {
		case errors.Is(err, io.EOF):
			return false, nil
		case err != nil:
			return false, err
		case is(e):
			return true, nil
		}
	}
}

func (c *Client) events(ctx context.Context, o client.EventsListOptions) (*Stream, error) {
	c.calls[CallEvents].Add(1)
	parent := ctx
	ctx, cancel := context.WithCancelCause(parent)
	t := &trip{stream: true}
	timer := time.AfterFunc(HeaderTimeout, func() { cancel(errHeaderTimeout) })
	res := c.api.Events(withTrip(ctx, t), o)
	// The library returns when it has the header or an error, and t was
	// written before.
	if late := !timer.Stop(); late || t.status != 200 {
		cancel(context.Canceled)
		err := <-res.Err
		switch {
		case late && parent.Err() == nil:
			err = &Error{Failure: Slow, Call: "events", Text: fmt.Sprintf("no answer within %v", HeaderTimeout), err: errHeaderTimeout}
		case err == nil || errors.Is(err, io.EOF):
			err = &Error{Failure: Answered, Call: "events", Text: "the event stream ended at once", err: io.EOF}
		default:
			err = c.classify(parent, "events", err, t)
		}
		for range res.Err { // until the library's reader is gone
		}
		return nil, err
	}
	return &Stream{c: c, ctx: ctx, cancel: cancel, res: res, t: t}, nil
}

// Next blocks until the next event. After an error the stream is at its end
// and Close must still be called.
func (s *Stream) Next() (Event, error) {
	select {
	case m := <-s.res.Messages:
		e := Event{
			Type:       string(m.Type),
			Action:     dockers(string(m.Type), string(m.Action)),
			Actor:      m.Actor.ID,
			Attributes: m.Actor.Attributes,
			Scope:      m.Scope,
		}
		switch {
		case m.TimeNano != 0:
			e.Time = time.Unix(0, m.TimeNano).UTC()
		case m.Time > 0 && m.Time < 1<<33: // later than 2242 cannot be written as nanoseconds
			e.Time = time.Unix(m.Time, 0).UTC()
		}
		return e, nil
	case err := <-s.res.Err:
		if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return Event{}, &Error{Failure: Refused, Call: "events", Text: "the engine closed the event stream", err: io.EOF}
		}
		return Event{}, s.c.classify(s.ctx, "events", err, s.t)
	}
}

// Close ends the stream and waits for its reader.
func (s *Stream) Close() {
	s.cancel(context.Canceled)
	for range s.res.Err {
	}
}

// dockers is Docker's word for an action. Podman, which speaks the same API, has
// others of its own.
func dockers(typ, action string) string {
	if typ != "container" {
		return action
	}
	switch action {
	case "remove":
		return "destroy"
	case "died":
		return "die"
	case "exec_died":
		return "exec_die"
	}
	return action
}
