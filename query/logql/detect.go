// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"slices"
	"strings"
)

// DetectedField is something that a parser would make a label of.
type DetectedField struct {
	Name, Value string
	// Parser is json or logfmt, Path where the value is in a JSON object.
	Parser string
	Path   []string
}

// Detect parses a line as JSON or, when it is none, as logfmt; names that the
// stream has get a suffix.
func Detect(stream Labels, text string) []DetectedField {
	l := &line{text: []byte(text), base: stream, gone: make([]bool, len(stream))}
	parser := "json"
	paths := map[string][]string{}
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		(&jsonStage{found: func(name string, keys []string) {
			if paths[name] == nil {
				paths[strings.Clone(name)] = slices.Clone(keys)
			}
		}}).process(l)
	} else {
		l.fail(errJSON, "")
	}
	if l.err != "" {
		if !strings.Contains(text, "=") {
			return nil
		}
		l.reset(0, []byte(text), nil)
		parser = "logfmt"
		clear(paths)
		(&logfmtStage{}).process(l)
	}
	var out []DetectedField
	for _, f := range l.fields {
		out = append(out, DetectedField{Name: strings.Clone(f.name), Value: strings.Clone(f.value), Parser: parser, Path: paths[f.name]})
	}
	return out
}

// IsSize tells 10KB and 1.5MiB.
func IsSize(s string) bool {
	if s == "" || !isDigit(s[0]) || isDigit(s[len(s)-1]) {
		return false
	}
	_, ok := parseBytes(s)
	return ok
}
