// SPDX-License-Identifier: Apache-2.0

package loki

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"tallyman"
	"tallyman/query/logql"
)

// jsonPush is the JSON of a push as it is read. Streams are read one by one, so
// that a bad one does not spoil the others.
type jsonPush struct {
	Streams []json.RawMessage `json:"streams"`
}

// jsonStream is a stream in the form of today, or in the one before it with labels
// and entries.
type jsonStream struct {
	Stream  map[string]string `json:"stream"`
	Values  []json.RawMessage `json:"values"`
	Labels  string            `json:"labels"`
	Entries []json.RawMessage `json:"entries"`
}

// jsonValue is a line with its time and its metadata.
type jsonValue struct {
	time int64
	line string
	meta map[string]string
}

// readValue reads [nanoseconds, line] or [nanoseconds, line, {metadata}]. As with
// Loki the line may be left out, and what follows the metadata means nothing.
func readValue(b []byte) (v jsonValue, err error) {
	var parts []json.RawMessage
	if err := json.Unmarshal(b, &parts); err != nil || len(parts) == 0 {
		return v, fmt.Errorf("a value is %.40s, want [time, line] or [time, line, {metadata}]", b)
	}
	var at string
	if err := json.Unmarshal(parts[0], &at); err != nil {
		return v, fmt.Errorf("a time is %.40s, want nanoseconds since 1970 in a string", parts[0])
	}
	if v.time, err = strconv.ParseInt(at, 10, 64); err != nil {
		return v, fmt.Errorf("a time is %.40q, want nanoseconds since 1970", at)
	}
	if len(parts) > 1 && (parts[1][0] != '"' || json.Unmarshal(parts[1], &v.line) != nil) {
		return v, fmt.Errorf("a line is %.40s, want a string", parts[1])
	}
	if len(parts) > 2 {
		if err := json.Unmarshal(parts[2], &v.meta); err != nil {
			return v, fmt.Errorf("structured metadata is %.40s, want an object of strings", parts[2])
		}
	}
	return v, nil
}

// readEntry reads {"ts": RFC 3339, "line": line}.
func readEntry(b []byte) (v jsonValue, err error) {
	var e struct {
		Time time.Time         `json:"ts"`
		Line *string           `json:"line"`
		Meta map[string]string `json:"structuredMetadata"`
	}
	if err := json.Unmarshal(b, &e); err != nil || e.Line == nil {
		return v, fmt.Errorf(`an entry is %.80s, want {"ts": time in RFC 3339, "line": text}`, b)
	}
	if year := e.Time.Year(); year < 1970 || year > 2200 {
		return v, fmt.Errorf("an entry of %.80s has no time", b)
	}
	return jsonValue{e.Time.UnixNano(), *e.Line, e.Meta}, nil
}

// json reads a JSON body.
func (d *decoder) json(body []byte) error {
	var p jsonPush
	if err := json.Unmarshal(body, &p); err != nil {
		return badRequest("the body is not what a push looks like: " + err.Error())
	}
	d.asked = len(p.Streams) > 0
	for _, b := range p.Streams {
		if err := d.jsonStream(b); err != nil {
			d.refuse(err)
		}
	}
	d.done()
	return nil
}

func (d *decoder) jsonStream(b []byte) error {
	var s jsonStream
	if err := json.Unmarshal(b, &s); err != nil {
		return badRequest("a stream is not what it looks like in a push: " + err.Error())
	}
	labels := labelsOf(s.Stream)
	var err error
	if s.Labels != "" && labels == nil {
		labels, err = parseLabels(s.Labels)
	}
	if err == nil {
		err = d.stream(labels)
	}
	if err != nil {
		d.refuseStream(len(s.Values)+len(s.Entries), err)
		return err
	}
	take := func(list []json.RawMessage, read func([]byte) (jsonValue, error)) {
		for _, b := range list {
			v, err := read(b)
			if err == nil {
				err = d.record(v.time, []byte(v.line), labelsOf(v.meta))
			} else {
				d.lines, d.ignored = d.lines+1, d.ignored+1
			}
			if err != nil {
				d.refuse(err)
			}
		}
	}
	take(s.Values, readValue)
	take(s.Entries, readEntry)
	return nil
}

func labelsOf(m map[string]string) (out logql.Labels) {
	for k, v := range m {
		out = append(out, tallyman.Label{Name: k, Value: v})
	}
	return out
}
