// SPDX-License-Identifier: Apache-2.0

package forwardtest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// Answer answers a request with those lines; taken says whether they are kept.
type Answer func(w http.ResponseWriter, lines []string) (taken bool)

// Server answers the requests in turn as it is told; the last answer is that of all that
// follow.
type Server struct {
	URL string

	mu       sync.Mutex
	answers  []Answer
	lines    []string // taken
	requests []time.Time
	wrong    error
}

// NewServer starts a server until the test ends.
func NewServer(t testing.TB, decode func(*http.Request, []byte) ([]string, error), answers ...Answer) *Server {
	t.Helper()
	s := &Server{answers: answers}
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		lines, err := decode(r, body)
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil {
			s.wrong = err
		}
		s.requests = append(s.requests, time.Now())
		answer := s.answers[0]
		if len(s.answers) > 1 {
			s.answers = s.answers[1:]
		}
		if answer(w, lines) {
			s.lines = append(s.lines, lines...)
		}
	}))
	t.Cleanup(func() {
		h.Close()
		if s.wrong != nil {
			t.Errorf("a request cannot be read: %v", s.wrong)
		}
	})
	s.URL = h.URL
	return s
}

// Lines are those that were taken, in their order.
func (s *Server) Lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lines)
}

// Requests are the times of all.
func (s *Server) Requests() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Take takes all.
func Take(w http.ResponseWriter, _ []string) bool {
	w.WriteHeader(http.StatusNoContent)
	return true
}

// Status answers with a status and takes nothing.
func Status(code int) Answer {
	return func(w http.ResponseWriter, _ []string) bool {
		w.WriteHeader(code)
		return false
	}
}

// RetryAfter is Status with that header, and with the server's date.
func RetryAfter(code int, after, date string) Answer {
	return func(w http.ResponseWriter, _ []string) bool {
		w.Header().Set("Retry-After", after)
		if date != "" {
			w.Header().Set("Date", date)
		}
		w.WriteHeader(code)
		return false
	}
}

// Cut closes the connection without an answer; taken says whether the lines were kept all
// the same.
func Cut(taken bool) Answer {
	return func(w http.ResponseWriter, _ []string) bool {
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			c.Close()
		}
		return taken
	}
}

// Half sends half an answer.
func Half(code int) Answer {
	return func(w http.ResponseWriter, _ []string) bool {
		if c, out, err := http.NewResponseController(w).Hijack(); err == nil {
			fmt.Fprintf(out, "HTTP/1.1 %d %s\r\nContent-Length: 1000\r\n\r\nhalf", code, http.StatusText(code))
			out.Flush()
			c.Close()
		}
		return code/100 == 2
	}
}

// Slow answers after a time.
func Slow(d time.Duration, a Answer) Answer {
	return func(w http.ResponseWriter, lines []string) bool {
		time.Sleep(d)
		return a(w, lines)
	}
}

// Unless answers with a when a request has a line that is bad, and takes it else.
func Unless(bad func(lines []string) bool, a Answer) Answer {
	return func(w http.ResponseWriter, lines []string) bool {
		if bad(lines) {
			return a(w, lines)
		}
		return Take(w, lines)
	}
}

// Unpack is what a body holds, which is packed with gzip or not at all.
func Unpack(h http.Header, body []byte) ([]byte, error) {
	switch packed := h.Get("Content-Encoding"); packed {
	case "":
		return body, nil
	case "gzip":
	default:
		return nil, fmt.Errorf("a body is packed with %q, not gzip", packed)
	}
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}
