// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Label returns the value of a container label without secrets: all of it when
// the key is sensitive, the sensitive members when it is JSON, else what looks
// like a secret.
func Label(key, value string) string {
	if t, ok := inJSON(key, value); ok {
		return t
	}
	if Sensitive(key) && secretValue(key, value) {
		return Mark
	}
	return Command(value)
}

// Labels returns a copy of labels with every value redacted, nil for none.
func Labels(labels map[string]string) map[string]string {
	if len(labels) == 0 {
		return nil
	}
	out := make(map[string]string, len(labels))
	for k, v := range labels {
		out[k] = Label(k, v)
	}
	return out
}

// Env returns a copy of environment variables in the form NAME=value without
// secrets.
func Env(env []string) []string {
	if env == nil {
		return nil
	}
	out := make([]string, len(env))
	for i, e := range env {
		name, value, ok := strings.Cut(e, "=")
		if !ok {
			out[i] = Text(e)
			continue
		}
		out[i] = name + "=" + Label(name, value)
	}
	return out
}

// inJSON redacts s, which stands under name, when it is a JSON object or list. The text is kept as it is
// unless something was found; then it is written anew, members sorted.
func inJSON(name, s string) (string, bool) {
	t := strings.TrimSpace(s)
	if len(t) < 2 || t[0] != '{' && t[0] != '[' {
		return "", false
	}
	dec := json.NewDecoder(strings.NewReader(t))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil || dec.More() {
		return "", false
	}
	v, changed := inValue(name, v, 0)
	if !changed {
		return s, true
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return Mark, true
	}
	return strings.TrimSuffix(b.String(), "\n"), true
}

// inValue redacts one JSON value that stands under name.
func inValue(name string, v any, depth int) (any, bool) {
	if depth > 64 {
		return Mark, true
	}
	changed := false
	switch v := v.(type) {
	case map[string]any:
		// {"name": "PASSWORD", "value": "x"} names its member elsewhere.
		if n, ok := v["name"].(string); ok && Sensitive(n) {
			name = n
		}
		for k, m := range v {
			at := k
			if k == "value" && Sensitive(name) || Sensitive(name) && !Sensitive(k) && k != "name" {
				at = name
			}
			r, c := inValue(at, m, depth+1)
			if c {
				v[k], changed = r, true
			}
		}
		return v, changed
	case []any:
		words := make([]string, 0, len(v))
		for i, m := range v {
			if s, ok := m.(string); ok && !Sensitive(name) {
				words = append(words, s)
				continue
			}
			r, c := inValue(name, m, depth+1)
			if c {
				v[i], changed = r, true
			}
		}
		// A list of strings may be a command.
		if len(words) == len(v) {
			for i, w := range Args(words) {
				if w != words[i] {
					v[i], changed = w, true
				}
			}
			return v, changed
		}
		for i, m := range v {
			if s, ok := m.(string); ok && !Sensitive(name) {
				if r := Command(s); r != s {
					v[i], changed = r, true
				}
			}
		}
		return v, changed
	case string:
		if r := Label(name, v); r != v {
			return r, true
		}
	case json.Number:
		if Sensitive(name) && secretValue(name, v.String()) {
			return Mark, true
		}
	}
	return v, false
}
