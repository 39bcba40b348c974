// SPDX-License-Identifier: Apache-2.0

package loki

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/s2"

	"tallyman"
	"tallyman/internal/httpx"
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

// push stores what is sent. As with Loki what is bad does not hold up the rest: an
// agent never sends again what was answered with 400.
func (a *API) push(w http.ResponseWriter, r *http.Request) error {
	body, protobuf, size, err := readPush(w, r)
	if err != nil {
		return err
	}
	d := decoder{intern: &a.streams, reserved: a.o.Reserved}
	who, agent := httpx.WriterOf(r)
	if agent {
		if err := a.admit(w, who.Host, size); err != nil {
			return err
		}
		d.owner, d.reserved = who.Host, nil
	}
	if protobuf {
		err = d.protobuf(body)
	} else {
		err = d.json(body)
	}
	if err != nil {
		return err
	}
	if len(d.batch.Streams) == 0 && d.bad == 0 && !d.asked {
		return &statusError{http.StatusUnprocessableEntity, "error at least one valid stream is required for ingestion"}
	}
	to := a.o.Push
	if agent {
		to = func(ctx context.Context, b *tallyman.RecordBatch) error {
			refused, why, err := a.o.Agents.TakeRecords(ctx, who.Host, b)
			d.drop(refused, why)
			return err
		}
	}
	if err := a.store(r.Context(), &d.batch, to); err != nil {
		return &statusError{http.StatusServiceUnavailable, fmt.Sprintf("the records were not stored: %v", err)}
	}
	if agent {
		return a.toAgent(w, &d)
	}
	switch {
	case d.bad == 1:
		return badRequest(d.why.Error())
	case d.bad > 1:
		return badRequest(fmt.Sprintf("%v; %d more were refused", d.why, d.bad-1))
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// admit says what there is against a body of an agent.
func (a *API) admit(w http.ResponseWriter, host string, size int) error {
	after, err := a.o.Agents.Admit(host, size)
	switch {
	case err == nil:
		return nil
	case after == 0:
		return &statusError{http.StatusForbidden, err.Error()}
	}
	w.Header().Set("Retry-After", strconv.Itoa(1+int(after.Seconds())))
	return &statusError{http.StatusTooManyRequests, err.Error()}
}

// toAgent answers an agent: in numbers of lines, as what it refuses it counts.
func (a *API) toAgent(w http.ResponseWriter, d *decoder) error {
	bad := max(0, d.ignored-d.foreign-d.audit-d.dropped)
	a.o.Agents.RefuseRecords(d.foreign, d.audit, bad)
	switch {
	case d.ignored == 0 && d.bad == 0:
		w.WriteHeader(http.StatusNoContent)
		return nil
	case d.foreign > 0 && d.ignored == d.lines && d.foreign == d.lines:
		return &statusError{http.StatusForbidden, d.why.Error()}
	}
	return badRequest(fmt.Sprintf("%v, total ignored: %d out of %d", d.why, d.ignored, d.lines))
}

// readPush reads and unpacks the body; size is that as it was sent.
func readPush(w http.ResponseWriter, r *http.Request) (body []byte, protobuf bool, size int, err error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && r.Header.Get("Content-Type") != "" {
		return nil, false, 0, badRequest("the Content-Type cannot be read: " + err.Error())
	}
	switch kind {
	case "application/json":
	case "application/x-protobuf", "":
		protobuf = true
	default:
		return nil, false, 0, badRequest("the Content-Type is " + kind + "; send application/json or application/x-protobuf")
	}
	tooLarge := &statusError{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes, or %d unpacked; send fewer lines at once", maxPushed, maxUnpacked)}
	sent := &counter{r: http.MaxBytesReader(w, r.Body, maxPushed)}
	var in io.Reader = sent
	switch enc := r.Header.Get("Content-Encoding"); enc {
	case "", "identity", "snappy": // protobuf is always snappy
	case "gzip":
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, false, 0, badRequest("the body is not gzip: " + err.Error())
		}
		in = z
	default:
		return nil, false, 0, badRequest("the Content-Encoding " + enc + " is not known; send gzip or none")
	}
	body, err = io.ReadAll(io.LimitReader(in, maxUnpacked+1))
	var max *http.MaxBytesError
	switch {
	case errors.As(err, &max) || len(body) > maxUnpacked:
		return nil, false, 0, tooLarge
	case err != nil:
		return nil, false, 0, badRequest("the body cannot be read: " + err.Error())
	}
	if !protobuf || r.Header.Get("Content-Encoding") == "gzip" {
		return body, protobuf, sent.n, nil
	}
	n, err := s2.DecodedLen(body)
	switch {
	case err != nil:
		return nil, false, 0, badRequest("the body is not snappy: " + err.Error())
	case n > maxUnpacked:
		return nil, false, 0, tooLarge
	}
	if body, err = s2.Decode(nil, body); err != nil {
		return nil, false, 0, badRequest("the body is not snappy: " + err.Error())
	}
	return body, true, sent.n, nil
}

// counter counts what is read.
type counter struct {
	r io.Reader
	n int
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

// decoder collects a batch. Lines point into the body.
type decoder struct {
	intern   *interner
	reserved []string // values of source that nobody pushes
	batch    tallyman.RecordBatch
	asked    bool  // whether there were streams at all
	bad      int   // streams and lines that were refused
	why      error // the first of them

	owner string // the host of the agent that sends; empty for anybody else
	// Of an agent: how many lines it sends, and how many of them are not taken; of another
	// host, of audit, and by who stores them.
	lines, ignored, foreign, audit, dropped int
}

// drop notes that lines were refused by who stores them.
func (d *decoder) drop(n int, why string) {
	d.ignored += n
	d.dropped += n
	if n > 0 && d.why == nil {
		d.why = errors.New(why)
	}
}

// refuseStream leaves out a stream with so many lines.
func (d *decoder) refuseStream(lines int, err error) {
	d.lines += lines
	d.ignored += lines
	switch {
	case errors.Is(err, errForeign):
		d.foreign += lines
	case errors.Is(err, errAudit):
		d.audit += lines
	}
}

// What an agent may not send.
var (
	errForeign = errors.New("the token is for another host")
	errAudit   = errors.New("audit records are the hub's own")
)

// own sets the label host of a stream of an agent.
func (d *decoder) own(labels logql.Labels) (logql.Labels, error) {
	host := labels.Get(hostLabel)
	switch {
	case labels.Get(sourceLabel) == tallyman.SourceAudit:
		return nil, fmt.Errorf("the stream %s: %w", labels, errAudit)
	case host == d.owner:
		return labels, nil
	case host != "":
		return nil, fmt.Errorf("the stream %s: %w: it is for %q alone", labels, errForeign, d.owner)
	}
	labels = slices.DeleteFunc(labels, func(l tallyman.Label) bool { return l.Name == hostLabel })
	return append(labels, tallyman.Label{Name: hostLabel, Value: d.owner}), nil
}

// refuse leaves something out.
func (d *decoder) refuse(err error) {
	if d.bad++; d.bad == 1 {
		d.why = err
	}
}

// sourceLabel says where a record comes from; under otherLabel stands what a
// client says that only tallyman may.
const (
	hostLabel   = "host"
	sourceLabel = "source"
	otherLabel  = "exported_source"
)

// disown renames the label source where it has one of tallyman's own values.
func (d *decoder) disown(labels logql.Labels) logql.Labels {
	if !slices.Contains(d.reserved, labels.Get(sourceLabel)) {
		return labels
	}
	labels = slices.DeleteFunc(labels, func(l tallyman.Label) bool { return l.Name == otherLabel })
	for i := range labels {
		if labels[i].Name == sourceLabel {
			labels[i].Name = otherLabel
		}
	}
	return labels
}

// stream begins a stream with these labels.
func (d *decoder) stream(labels logql.Labels) error {
	if len(d.batch.Streams) == maxStreams {
		return badRequest(fmt.Sprintf("there are more than %d streams; send fewer at once", maxStreams))
	}
	if d.owner != "" {
		var err error
		if labels, err = d.own(labels); err != nil {
			return err
		}
	}
	labels = d.disown(labels)
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
func (d *decoder) record(time int64, line []byte, meta logql.Labels) (err error) {
	d.lines++
	defer func() {
		if err != nil {
			d.ignored++
		}
	}()
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
		if !utf8.ValidString(meta[i].Name) || !utf8.ValidString(meta[i].Value) {
			return badRequest("a name of structured metadata is empty or not UTF-8")
		}
	}
	// Of names that become one the first in order counts, whatever the order in
	// which they were sent.
	slices.SortStableFunc(meta, func(a, b tallyman.Label) int { return strings.Compare(a.Name, b.Name) })
	for i := range meta {
		name := sanitize(meta[i].Name)
		if strings.Trim(name, "_") == "" {
			return badRequest(fmt.Sprintf("the name %q of structured metadata has neither a letter nor a digit", meta[i].Name))
		}
		meta[i].Name = name
	}
	meta = slices.DeleteFunc(meta, func(l tallyman.Label) bool { return l.Value == "" })
	slices.SortStableFunc(meta, func(a, b tallyman.Label) int { return strings.Compare(a.Name, b.Name) })
	meta = slices.CompactFunc(meta, func(a, b tallyman.Label) bool { return a.Name == b.Name })
	if d.owner != "" { // an agent knows the level, and what it sends stays as it is
		s.Records = append(s.Records, tallyman.Record{Time: time, Line: line, Meta: meta})
		return nil
	}
	level := tallyman.Label{Name: levelLabel, Value: detectLevel(s.Stream.Labels, meta, line)}
	at, found := slices.BinarySearchFunc(meta, level, func(a, b tallyman.Label) int { return strings.Compare(a.Name, b.Name) })
	if found {
		meta[at] = level
	} else {
		meta = slices.Insert(meta, at, level)
	}
	s.Records = append(s.Records, tallyman.Record{Time: time, Line: line, Meta: meta})
	return nil
}

// sanitize makes a name that a query can write, as Loki does: what cannot stand
// in one is _, several of which are one, and before a digit stands key_.
func sanitize(s string) string {
	if isName(s) && !strings.Contains(s, "__") {
		return s
	}
	var b strings.Builder
	if s != "" && s[0] >= '0' && s[0] <= '9' {
		b.WriteString("key_")
	}
	bar := false
	for _, r := range s {
		fine := r < 0x80 && r != '_' && (isName(string(r)) || r >= '0' && r <= '9')
		if fine {
			b.WriteByte(byte(r))
		} else if !bar {
			b.WriteByte('_')
		}
		bar = !fine
	}
	return b.String()
}

// done drops streams without records.
func (d *decoder) done() {
	d.batch.Streams = slices.DeleteFunc(d.batch.Streams, func(s tallyman.StreamRecords) bool { return len(s.Records) == 0 })
}
