// SPDX-License-Identifier: Apache-2.0

// Package webhook sends the messages of a queue to an address over HTTP, one POST each,
// and takes them out when it has answered:
//
//	w, err := webhook.New(webhook.Options{URL: "https://user:pass@host/path", Queue: q, Transport: transport})
//	err = w.Run(ctx)
//
// A request has the message as its body, the type application/json, and the headers
// X-Tallyman-Message with the id, the same when it comes again, and
// X-Tallyman-Alignment: true for a message with the flag queue.Alignment. User and
// password of the address become basic authentication.
//
//	2xx                     it is taken
//	408, 425, 429, 5xx, none it is tried again after a pause, 1 s and doubling to 30 s, or
//	                        as long as Retry-After says, at most 5 min
//	401, 403, 404, 3xx      the same, each minute: it is not the message's fault
//	other 4xx               it will never be taken: left out and counted as refused
//
// One request is under way at a time, so the order is that of the queue. It may take 10 s.
// No redirect is followed. Nothing of the address but its host is in an error or a log
// line.
package webhook

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"tallyman"
	"tallyman/forward/queue"
)

const (
	within    = 10 * time.Second
	least     = time.Second
	most      = 30 * time.Second
	hold      = time.Minute
	mostAfter = 5 * time.Minute // of Retry-After
	mostBody  = 64 << 10        // of an answer, in bytes
)

// Options are what a sender is made of.
type Options struct {
	// URL is where messages go; a secret but for its host.
	URL string
	// Queue is where messages come from. It stays the caller's. Send needs none.
	Queue *queue.Queue
	// Transport sends requests; nil is one of its own, without a proxy.
	Transport http.RoundTripper
	// Log is told when states change; nil is silent.
	Log *slog.Logger

	least, hold time.Duration // for tests
}

// Sender sends what is in a queue.
type Sender struct {
	opt    Options
	url    *url.URL // without user
	user   *url.Userinfo
	client *http.Client
	to     *queue.Destination

	cut, status atomic.Uint64 // failures
}

// New makes a sender. It connects to nobody. An error says what is wrong with the
// address, and does not hold it.
func New(o Options) (*Sender, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("the address of the webhook cannot be read; write https://host/path")
	}
	if o.Transport == nil {
		o.Transport = &http.Transport{ResponseHeaderTimeout: within, MaxIdleConnsPerHost: 1, IdleConnTimeout: 30 * time.Second}
	}
	o.hold = cmp.Or(o.hold, hold)
	s := &Sender{opt: o, user: u.User, to: queue.NewDestination(u.Host, cmp.Or(o.least, least), most, o.Log)}
	u.User = nil
	s.url = u
	s.client = &http.Client{Transport: o.Transport, Timeout: within, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return s, nil
}

// State is that of now.
func (s *Sender) State() queue.State { return s.to.State() }

// Run sends until ctx ends. The destination may be away at any time; that is no error.
func (s *Sender) Run(ctx context.Context) error {
	defer s.client.CloseIdleConnections()
	for {
		item, err := s.opt.Queue.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		var wait time.Duration
		if err != nil {
			s.to.Down(err.Error())
			wait = s.to.Pause()
		} else if wait, err = s.send(ctx, &item); err == nil {
			s.to.Up()
			if err = s.opt.Queue.Ack(item.Seq); err == nil {
				continue
			}
		}
		s.opt.Queue.Rewind()
		if ctx.Err() != nil {
			return nil
		}
		s.to.Down(err.Error())
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// send sends one message. With an error it is to be sent again after wait.
func (s *Sender) send(ctx context.Context, item *queue.Item) (wait time.Duration, err error) {
	answer, err := s.post(ctx, item.ID, item.Body, item.Flags&queue.Alignment != 0)
	if err != nil {
		s.cut.Add(1)
		return s.to.Pause(), err
	}
	code := answer.StatusCode
	if code/100 == 2 {
		return 0, nil
	}
	s.status.Add(1)
	switch err = refused(code); {
	case notItsFault(code):
		return s.opt.hold, err
	case code/100 == 4 && code != http.StatusRequestTimeout && code != http.StatusTooEarly && code != http.StatusTooManyRequests:
		s.opt.Queue.Drop(item.Seq)
		return 0, nil
	}
	return max(s.to.Pause(), after(answer.Header.Get("Retry-After"), time.Now())), err
}

// Send posts one message beside the queue, once, and gives the status of the answer. An
// error holds nothing of the address but its host.
func (s *Sender) Send(ctx context.Context, id string, body []byte) (status string, err error) {
	answer, err := s.post(ctx, id, body, false)
	if err != nil {
		return "", err
	}
	if answer.StatusCode/100 != 2 {
		return "", refused(answer.StatusCode)
	}
	return fmt.Sprintf("%d %s", answer.StatusCode, http.StatusText(answer.StatusCode)), nil
}

// post posts one message. The body of the answer is read and closed.
func (s *Sender) post(ctx context.Context, id string, body []byte, aligned bool) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url.String(), bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("send to the webhook: the request cannot be made")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "tallyman")
	r.Header.Set("X-Tallyman-Message", id)
	if aligned {
		r.Header.Set("X-Tallyman-Alignment", "true")
	}
	if s.user != nil {
		password, _ := s.user.Password()
		r.SetBasicAuth(s.user.Username(), password)
	}
	answer, err := s.client.Do(r)
	if err != nil {
		var told *url.Error
		if errors.As(err, &told) {
			err = told.Err // without the address
		}
		return nil, fmt.Errorf("send to the webhook: %w", err)
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, mostBody) // so that the connection can be used again
	return answer, nil
}

// notItsFault reports whether a status speaks of the address, not of the message.
func notItsFault(code int) bool {
	return code/100 == 3 || code == http.StatusUnauthorized || code == http.StatusForbidden || code == http.StatusNotFound
}

// refused is the error that a status is.
func refused(code int) error {
	err := fmt.Errorf("the webhook answers with %d %s", code, http.StatusText(code))
	if notItsFault(code) {
		err = fmt.Errorf("%w; check its address, user and password", err)
	}
	return err
}

// after is how long a header Retry-After says to wait, 0 when it says nothing.
func after(text string, now time.Time) (wait time.Duration) {
	if seconds, err := strconv.Atoi(text); err == nil {
		wait = time.Duration(min(seconds, int(mostAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return min(max(0, wait), mostAfter)
}

// SelfMetrics are the sender's own numbers; to is its destination, as the settings call
// it. Those of its queue are the queue's.
func (s *Sender) SelfMetrics(to string) []tallyman.SelfMetric {
	return []tallyman.SelfMetric{
		s.to.SelfMetric(to),
		queue.FailureMetric(to, "cut", func() float64 { return float64(s.cut.Load()) }),
		queue.FailureMetric(to, "status", func() float64 { return float64(s.status.Load()) }),
	}
}
