// SPDX-License-Identifier: Apache-2.0

// Package httpx is what all HTTP interfaces of tallyman share: the form of a
// route, of a JSON answer and of an error. An error reaches a client as
//
//	{"error": {"code": "not_found", "message": "what is wrong", "next": "what to do"}}
package httpx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyman"
	"tallyman/internal/nearest"
)

// Access says who may call a route.
type Access uint8

// The accesses. The zero value is the stricter one.
const (
	// LoggedIn needs a session or the token.
	LoggedIn Access = iota
	// Open is for everybody who reaches the port.
	Open
	// WritersOnly needs a token of the role writer, also where there is no login: it says
	// whose host it is that is written about.
	WritersOnly
	// WritersToo is LoggedIn, and for writers.
	WritersToo
)

// Writer is who sends with a token of the role writer.
type Writer struct {
	// ID is that of the token, and no secret. Host is the only one that it writes about.
	ID, Host string
}

type writerKey struct{}

// WithWriter is r with its writer.
func WithWriter(r *http.Request, w Writer) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), writerKey{}, w))
}

// WriterOf is the writer of a request; ok is false when it is somebody else's.
func WriterOf(r *http.Request) (w Writer, ok bool) {
	w, ok = r.Context().Value(writerKey{}).(Writer)
	return w, ok
}

// Route is one entry of the table of all routes.
type Route struct {
	// Pattern is that of net/http.ServeMux, with a method.
	Pattern string
	Access  Access
	// Stream marks an answer without end: no write deadline for the whole.
	Stream  bool
	Handler http.Handler
	// Doc describes the route in the reference of the API.
	Doc Doc
}

// Doc describes a route for people and programs. The OpenAPI document is made
// of it; the zero value describes nothing but that the route exists.
//
// Of the types of JSON it takes the names of json tags, and the words of doc
// tags. A string type with a method Values() []string has those values only;
// as the key of a map it says which keys there may be.
type Doc struct {
	// ID names the operation where its path alone does not.
	ID string
	// Summary is one line without a full stop, Text are sentences.
	Summary, Text string
	// Params are those of the query string, or of the form of a POST.
	Params []Param
	// Body and Answer are zero values of the types of the JSON that goes in
	// and comes out; nil is none, or one that is described elsewhere.
	Body, Answer any
	// Type is the media type of an answer that is not JSON.
	Type string
	// Messages are those of a stream of Server-Sent Events.
	Messages []Message
	// Status is that of a good answer, 200 when it is 0.
	Status int
	// Errors are the statuses of errors, beside 401.
	Errors []int
	// Failure is a zero value of the type of an error that has not the form
	// of this package.
	Failure any
	// See is the address of a description by somebody else.
	See string
}

// Message is what a stream of Server-Sent Events may send: an event, and a zero
// value of the type of its data, in JSON. One event may have several.
type Message struct {
	Event, Text string
	Data        any
}

// Param is a parameter of a route.
type Param struct {
	Name, Text string
	// Type is string, integer or number; empty means string.
	Type             string
	Needed, Repeated bool
	// Default is the value without the parameter, nil when there is none.
	Default any
	// Values are the only ones that are taken; empty means any.
	Values []string
}

// Error is an error for a client.
type Error struct {
	Status              int
	Code, Message, Next string
}

// Error is the message.
func (e *Error) Error() string { return e.Message }

// Bad is a 400 for parameter name.
func Bad(name, message, next string) *Error {
	return &Error{http.StatusBadRequest, "bad_" + name, message, next}
}

// WriteError sends err. Errors that are not made for clients become a 500
// that says no more than their text.
func WriteError(w http.ResponseWriter, err error) {
	var e *Error
	switch {
	case errors.As(err, &e):
	case errors.Is(err, tallyman.ErrNotFound):
		e = &Error{http.StatusNotFound, "not_found", err.Error(), ""}
	default:
		e = &Error{http.StatusInternalServerError, "internal", err.Error(), "tallyman's log may say more"}
	}
	write(w, e.Status, Failure{Error: FailureText{e.Code, e.Message, e.Next}})
}

// Failure is the JSON of an error.
type Failure struct {
	Error FailureText `json:"error"`
}

// FailureText says what is wrong and what to do.
type FailureText struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Next    string `json:"next,omitempty"`
}

// Known refuses parameters that a route does not have: a filter with a typing
// error would be ignored, and the answer be about everything.
func Known(r *http.Request, params []Param) error {
	var names []string
	for _, p := range params {
		names = append(names, p.Name)
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return Bad("parameter", "the parameters cannot be read: "+err.Error(), "write name=value, with & between")
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch {
		case slices.Contains(names, name):
		case len(names) == 0:
			return Bad("parameter", fmt.Sprintf("there is no parameter %.100q", name), "this route has no parameters")
		default:
			return Bad("parameter", fmt.Sprintf("there is no parameter %.100q; did you mean %q?", name, nearest.Of(name, names)), "there are "+strings.Join(names, ", "))
		}
	}
	return nil
}

// WriteJSON sends v with status 200.
func WriteJSON(w http.ResponseWriter, v any) { write(w, http.StatusOK, v) }

func write(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "cannot encode the answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // a client that has gone needs no answer
}

// Millis reads a parameter in milliseconds since the epoch; zero time and no
// error when it is not given.
func Millis(r *http.Request, name string) (time.Time, error) {
	s := r.FormValue(name)
	if s == "" {
		return time.Time{}, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > 1<<45 {
		return time.Time{}, Bad(name, name+" is no time", "give milliseconds since 1970")
	}
	if n == 0 {
		return time.Time{}, nil
	}
	return time.UnixMilli(n), nil
}

// Int reads a parameter between low and high, fallback when it is not given.
func Int(r *http.Request, name string, fallback, low, high int) (int, error) {
	s := r.FormValue(name)
	if s == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < low || n > high {
		return 0, Bad(name, name+" is out of range", "give a whole number from "+strconv.Itoa(low)+" to "+strconv.Itoa(high))
	}
	return n, nil
}
