// SPDX-License-Identifier: Apache-2.0

// Package logql answers Loki's query language over a [tallyman.RecordReader].
//
//	e := logql.New(store, logql.Options{})
//	r, err := e.Query(ctx, logql.Params{
//		Query: `{name="web"} |= "error" | json | status >= 500`,
//		Start: from, End: to, Limit: 100,
//	})
//
// A query is parsed ([Parse]) into an [Expr], which prints as it can be parsed
// again. There are two kinds. A *log query* selects streams and sends their
// records through a pipeline of stages: filters, parsers that make labels of a
// line, label filters, formats. A *metric query* counts or measures what comes
// out of such a pipeline over windows of time and aggregates that.
//
// # What belongs to a line
//
// Labels are kept apart by where they come from: those of the stream, the
// structured metadata of the record, and what a stage has parsed. A parsed name
// that the stream or the metadata has already gets the suffix _extracted. A
// stage that fails on a line drops nothing: it sets __error__ and
// __error_details__, and a metric query over such a line is an error until a
// filter on __error__ says what to do with it.
//
// # Who owns what
//
// The records of a cursor are valid until its next call, so everything on the
// way points into them or into buffers that belong to one pipeline: as a rule no
// stage allocates for a line. What comes out is copied once, and sets of labels
// are interned. A pipeline is used by one goroutine; an [Engine] by any number.
//
// # Bounds
//
// A query ends with an [*Error] that says what to narrow when it reads too many
// bytes, makes too many series or samples, or takes too long. Queries beyond
// Options.Concurrent wait.
//
// What differs from Loki stands with its reason in the test that compares the
// two (corpus_test.go).
package logql

import (
	"fmt"
	"strings"
)

// ErrorKind tells what is at fault.
type ErrorKind uint8

// The kinds of errors.
const (
	// BadQuery is a query that cannot be understood.
	BadQuery ErrorKind = iota
	// BadPipeline is a query over lines on which a stage has failed.
	BadPipeline
	// TooMuch is a query that goes beyond a bound.
	TooMuch
	// TooLong is a query that took longer than it may.
	TooLong
)

// Error is an error of whoever asks.
type Error struct {
	Kind ErrorKind
	// Line and Column say where in the query, counted from 1; 0 is unknown.
	Line, Column int
	Message      string
}

// Error is the message with its place.
func (e *Error) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("parse error at line %d, column %d: %s", e.Line, e.Column, e.Message)
	}
	return e.Message
}

// at makes an error for an offset in a query.
func at(query string, offset int, format string, args ...any) *Error {
	offset = min(offset, len(query))
	before := query[:offset]
	return &Error{
		Kind: BadQuery, Message: fmt.Sprintf(format, args...),
		Line:   1 + strings.Count(before, "\n"),
		Column: 1 + len([]rune(before[strings.LastIndexByte(before, '\n')+1:])),
	}
}

func bad(format string, args ...any) *Error {
	return &Error{Kind: BadQuery, Message: fmt.Sprintf(format, args...)}
}

func tooMuch(format string, args ...any) *Error {
	return &Error{Kind: TooMuch, Message: fmt.Sprintf(format, args...)}
}
