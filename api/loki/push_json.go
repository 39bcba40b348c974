// SPDX-License-Identifier: Apache-2.0

package loki

import (
	"encoding/json"
	"fmt"
	"strconv"

	"tallyman"
	"tallyman/query/logql"
)

// jsonPush is the JSON of a push as it is read.
type jsonPush struct {
	Streams []struct {
		Stream map[string]string `json:"stream"`
		Values []jsonValue       `json:"values"`
	} `json:"streams"`
}

// jsonValue is [nanoseconds, line] or [nanoseconds, line, {metadata}].
type jsonValue struct {
	time int64
	line string
	meta map[string]string
}

// UnmarshalJSON reads the list.
func (v *jsonValue) UnmarshalJSON(b []byte) error {
	var parts []json.RawMessage
	if err := json.Unmarshal(b, &parts); err != nil {
		return err
	}
	if len(parts) < 2 || len(parts) > 3 {
		return fmt.Errorf("a value has %d parts, want [time, line] or [time, line, {metadata}]", len(parts))
	}
	var at string
	if err := json.Unmarshal(parts[0], &at); err != nil {
		return fmt.Errorf("a time is %s, want nanoseconds since 1970 in a string", parts[0])
	}
	var err error
	if v.time, err = strconv.ParseInt(at, 10, 64); err != nil {
		return fmt.Errorf("a time is %q, want nanoseconds since 1970", at)
	}
	if err := json.Unmarshal(parts[1], &v.line); err != nil {
		return fmt.Errorf("a line is %.40s, want a string", parts[1])
	}
	if len(parts) == 3 {
		if err := json.Unmarshal(parts[2], &v.meta); err != nil {
			return fmt.Errorf("structured metadata is %.40s, want an object of strings", parts[2])
		}
	}
	return nil
}

// json reads a JSON body.
func (d *decoder) json(body []byte) error {
	var p jsonPush
	if err := json.Unmarshal(body, &p); err != nil {
		return badRequest("the body is not what a push looks like: " + err.Error())
	}
	for _, s := range p.Streams {
		if err := d.stream(labelsOf(s.Stream)); err != nil {
			return err
		}
		for _, v := range s.Values {
			if err := d.record(v.time, []byte(v.line), labelsOf(v.meta)); err != nil {
				return err
			}
		}
	}
	d.done()
	return nil
}

func labelsOf(m map[string]string) (out logql.Labels) {
	for k, v := range m {
		out = append(out, tallyman.Label{Name: k, Value: v})
	}
	return out
}
