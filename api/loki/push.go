// SPDX-License-Identifier: Apache-2.0

package loki

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/klauspost/compress/s2"

	"tallyman"
	"tallyman/query/logql"
)

// Bounds of what is pushed.
const (
	maxPushed    = 10 << 20 // as sent
	maxUnpacked  = 32 << 20
	maxStreams   = 10_000 // of one request, and how many are remembered
	maxLine      = 256 << 10
	maxLabels    = 15 // of a stream
	maxMetadata  = 128
	maxName      = 1024
	maxValue     = 2048
	maxMetaBytes = 64 << 10 // of one record
)

// pushBody describes the JSON of a push.
type pushBody struct {
	Streams []pushStream `json:"streams"`
}

type pushStream struct {
	Stream map[string]string `json:"stream"`
	// Values are [nanoseconds, line] or [nanoseconds, line, {metadata}].
	Values [][]any `json:"values"`
}

// push stores what is sent.
func (a *API) push(w http.ResponseWriter, r *http.Request) error {
	body, protobuf, err := readPush(w, r)
	if err != nil {
		return err
	}
	d := decoder{intern: &a.streams}
	if protobuf {
		err = d.protobuf(body)
	} else {
		err = d.json(body)
	}
	if err != nil {
		return err
	}
	if len(d.batch.Streams) > 0 {
		if err := a.o.Push(r.Context(), &d.batch); err != nil {
			return &statusError{http.StatusServiceUnavailable, fmt.Sprintf("the records were not stored: %v", err)}
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// readPush reads and unpacks the body.
func readPush(w http.ResponseWriter, r *http.Request) (body []byte, protobuf bool, err error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && r.Header.Get("Content-Type") != "" {
		return nil, false, badRequest("the Content-Type cannot be read: " + err.Error())
	}
	switch kind {
	case "application/json":
	case "application/x-protobuf", "":
		protobuf = true
	default:
		return nil, false, badRequest("the Content-Type is " + kind + "; send application/json or application/x-protobuf")
	}
	tooLarge := &statusError{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes, or %d unpacked; send fewer lines at once", maxPushed, maxUnpacked)}
	var in io.Reader = http.MaxBytesReader(w, r.Body, maxPushed)
	switch enc := r.Header.Get("Content-Encoding"); enc {
	case "", "identity", "snappy": // protobuf is always snappy
	case "gzip":
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, false, badRequest("the body is not gzip: " + err.Error())
		}
		in = z
	default:
		return nil, false, badRequest("the Content-Encoding " + enc + " is not known; send gzip or none")
	}
	body, err = io.ReadAll(io.LimitReader(in, maxUnpacked+1))
	var max *http.MaxBytesError
	switch {
	case errors.As(err, &max) || len(body) > maxUnpacked:
		return nil, false, tooLarge
	case err != nil:
		return nil, false, badRequest("the body cannot be read: " + err.Error())
	}
	if !protobuf || r.Header.Get("Content-Encoding") == "gzip" {
		return body, protobuf, nil
	}
	n, err := s2.DecodedLen(body)
	switch {
	case err != nil:
		return nil, false, badRequest("the body is not snappy: " + err.Error())
	case n > maxUnpacked:
		return nil, false, tooLarge
	}
	if body, err = s2.Decode(nil, body); err != nil {
		return nil, false, badRequest("the body is not snappy: " + err.Error())
	}
	return body, true, nil
}

// decoder collects a batch. Lines point into the body.
type decoder struct {
	intern *interner
	batch  tallyman.RecordBatch
}

// stream begins a stream with these labels.
func (d *decoder) stream(labels logql.Labels) error {
	if len(d.batch.Streams) == maxStreams {
		return badRequest(fmt.Sprintf("there are more than %d streams; send fewer at once", maxStreams))
	}
	slices.SortFunc(labels, func(a, b tallyman.Label) int { return strings.Compare(a.Name, b.Name) })
	labels = slices.DeleteFunc(labels, func(l tallyman.Label) bool { return l.Value == "" })
	switch {
	case len(labels) == 0:
		return badRequest("error at least one label pair is required per stream")
	case len(labels) > maxLabels:
		return badRequest(fmt.Sprintf("the stream %s has %d labels, at most %d are taken; put what differs from line to line into structured metadata", labels, len(labels), maxLabels))
	}
	for i, l := range labels {
		if i > 0 && labels[i-1].Name == l.Name {
			return badRequest(fmt.Sprintf("the stream %s has the label %q twice", labels, l.Name))
		}
		if err := checkLabel(l); err != nil {
			return err
		}
		if !isName(l.Name) {
			return badRequest(fmt.Sprintf("the label %q is no name: letters, digits and _ only", l.Name))
		}
	}
	d.batch.Streams = append(d.batch.Streams, tallyman.StreamRecords{Stream: d.intern.of(labels)})
	return nil
}

func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

func checkLabel(l tallyman.Label) error {
	switch {
	case l.Name == "":
		return badRequest("a label has no name")
	case len(l.Name) > maxName:
		return badRequest(fmt.Sprintf("the name of a label has more than %d bytes", maxName))
	case len(l.Value) > maxValue:
		return badRequest(fmt.Sprintf("the value of the label %q has more than %d bytes", l.Name, maxValue))
	case !utf8.ValidString(l.Name) || !utf8.ValidString(l.Value):
		return badRequest("a label is not UTF-8")
	}
	return nil
}

// record adds a record to the stream that was begun last.
func (d *decoder) record(time int64, line []byte, meta logql.Labels) error {
	s := &d.batch.Streams[len(d.batch.Streams)-1]
	switch {
	case len(line) > maxLine:
		return badRequest(fmt.Sprintf("a line of the stream %s has %d bytes, at most %d are taken", logql.Labels(s.Stream.Labels), len(line), maxLine))
	case len(meta) > maxMetadata:
		return badRequest(fmt.Sprintf("a line of the stream %s has %d entries of structured metadata, at most %d are taken", logql.Labels(s.Stream.Labels), len(meta), maxMetadata))
	case time <= 0:
		return badRequest(fmt.Sprintf("a line of the stream %s has no time", logql.Labels(s.Stream.Labels)))
	}
	size := 0
	for i := range meta {
		if size += len(meta[i].Name) + len(meta[i].Value); size > maxMetaBytes {
			return badRequest(fmt.Sprintf("the structured metadata of a line has more than %d bytes", maxMetaBytes))
		}
		if meta[i].Name == "" || !utf8.ValidString(meta[i].Name) || !utf8.ValidString(meta[i].Value) {
			return badRequest("a name of structured metadata is empty or not UTF-8")
		}
		meta[i].Name = sanitize(meta[i].Name)
	}
	meta = slices.DeleteFunc(meta, func(l tallyman.Label) bool { return l.Value == "" })
	level := detectLevel(s.Stream.Labels, meta, line)
	meta = slices.DeleteFunc(meta, func(l tallyman.Label) bool { return l.Name == levelLabel })
	meta = append(meta, tallyman.Label{Name: levelLabel, Value: level})
	slices.SortStableFunc(meta, func(a, b tallyman.Label) int { return strings.Compare(a.Name, b.Name) })
	meta = slices.CompactFunc(meta, func(a, b tallyman.Label) bool { return a.Name == b.Name })
	s.Records = append(s.Records, tallyman.Record{Time: time, Line: line, Meta: meta})
	return nil
}

// sanitize makes a name that a query can write.
func sanitize(s string) string {
	if isName(s) {
		return s
	}
	out := strings.Map(func(r rune) rune {
		if r < 0x80 && (isName(string(r)) || r >= '0' && r <= '9') {
			return r
		}
		return '_'
	}, s)
	if out[0] >= '0' && out[0] <= '9' {
		out = "_" + out
	}
	return out
}

// done drops streams without records.
func (d *decoder) done() {
	d.batch.Streams = slices.DeleteFunc(d.batch.Streams, func(s tallyman.StreamRecords) bool { return len(s.Records) == 0 })
}

// interner gives equal labels the same stream. What it has seen it forgets when
// that becomes too much.
type interner struct {
	mu      sync.Mutex
	streams map[string]*tallyman.Stream
	key     bytes.Buffer
}

func (in *interner) of(labels logql.Labels) *tallyman.Stream {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.key.Reset()
	for _, l := range labels {
		in.key.WriteString(l.Name)
		in.key.WriteByte(0xff)
		in.key.WriteString(l.Value)
		in.key.WriteByte(0xff)
	}
	if s, ok := in.streams[string(in.key.Bytes())]; ok {
		return s
	}
	if in.streams == nil || len(in.streams) >= maxStreams {
		in.streams = map[string]*tallyman.Stream{}
	}
	s := &tallyman.Stream{Labels: make([]tallyman.Label, len(labels))}
	for i, l := range labels {
		s.Labels[i] = tallyman.Label{Name: strings.Clone(l.Name), Value: strings.Clone(l.Value)}
	}
	in.streams[in.key.String()] = s
	return s
}
