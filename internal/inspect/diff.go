// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Change is one place where two documents differ.
type Change struct {
	// Path is where: "HostConfig.Memory", `Config.Labels["com.example.team"]`.
	Path string `json:"path"`
	// Old and New are the values, absent where there is none.
	Old json.RawMessage `json:"old,omitempty"`
	New json.RawMessage `json:"new,omitempty"`
}

// String tells the change.
func (c Change) String() string {
	word := func(v json.RawMessage) string {
		var s string
		switch {
		case v == nil:
			return "nothing"
		case json.Unmarshal(v, &s) == nil:
			return s
		}
		return string(v)
	}
	return word(c.Old) + " → " + word(c.New)
}

// Scope is what of two documents is compared.
type Scope int

const (
	// Everything compares all there is.
	Everything Scope = iota
	// Drift leaves out what differs whenever a container is made anew: its id,
	// name and time, and the labels in which Compose and Swarm note them.
	Drift
	// Siblings leaves out besides what tells the containers of one service apart:
	// their number, their node, their own name among the names in a network.
	Siblings
)

// remade is what Drift leaves out.
var remade = map[string]bool{
	"Id": true, "Created": true, "Name": true,
	`Config.Labels["com.docker.compose.config-hash"]`: true,
	`Config.Labels["com.docker.compose.replace"]`:     true,
	`Config.Labels["com.docker.compose.image"]`:       true, // Image has it
	`Config.Labels["com.docker.swarm.task"]`:          true,
	`Config.Labels["com.docker.swarm.task.id"]`:       true,
	`Config.Labels["com.docker.swarm.task.name"]`:     true,
}

// ownOfSibling is what Siblings leaves out besides.
var ownOfSibling = map[string]bool{
	`Config.Labels["com.docker.compose.container-number"]`: true,
	`Config.Labels["com.docker.swarm.node.id"]`:            true,
}

func (s Scope) leavesOut(path string) bool {
	return s != Everything && remade[path] || s == Siblings && ownOfSibling[path]
}

// ConfigHash is the hash by which Docker Compose knows whether a container is what
// its file says; empty for one that Compose did not make.
func ConfigHash(line []byte) string {
	var doc struct {
		Config struct {
			Labels map[string]string
		}
	}
	if json.Unmarshal(line, &doc) != nil {
		return ""
	}
	return doc.Config.Labels["com.docker.compose.config-hash"]
}

// Difference is one place where some documents are not all the same.
type Difference struct {
	Path string
	// Values are in the order of the documents, nil where there is none.
	Values []json.RawMessage
}

// Compare is where encoded documents of one service differ, by path.
func Compare(lines [][]byte) ([]Difference, error) {
	docs := make([]Object, len(lines))
	for i, line := range lines {
		o, err := decode(line)
		if err != nil {
			return nil, err
		}
		withoutOwnName(o)
		docs[i] = o
	}
	at := map[string]int{}
	var out []Difference
	for i := 1; i < len(docs); i++ {
		differs := map[string]bool{}
		compare("", docs[0], docs[i], func(path string, first, here any) {
			if Siblings.leavesOut(path) {
				return
			}
			n, known := at[path]
			if !known {
				n = len(out)
				at[path] = n
				values := make([]json.RawMessage, len(docs))
				for j := range i { // those before are like the first
					values[j] = raw(first)
				}
				out = append(out, Difference{path, values})
			}
			out[n].Values[i] = raw(here)
			differs[path] = true
		})
		for n := range out {
			if !differs[out[n].Path] {
				out[n].Values[i] = out[n].Values[0]
			}
		}
	}
	slices.SortFunc(out, func(a, b Difference) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

// withoutOwnName takes a container's name out of its names in networks.
func withoutOwnName(doc Object) {
	own := str(doc["Name"])
	for _, network := range object(doc["Networks"]) {
		n := object(network)
		aliases := slices.DeleteFunc(list(n["Aliases"]), func(a any) bool { return str(a) == own })
		if n["Aliases"] = aliases; len(aliases) == 0 {
			delete(n, "Aliases")
		}
	}
}

// Diff is where two encoded documents differ, by path.
func Diff(a, b []byte, scope Scope) ([]Change, error) {
	x, err := decode(a)
	if err != nil {
		return nil, err
	}
	y, err := decode(b)
	if err != nil {
		return nil, err
	}
	var out []Change
	compare("", x, y, func(path string, p, q any) {
		if scope.leavesOut(path) {
			return
		}
		out = append(out, Change{path, raw(p), raw(q)})
	})
	slices.SortFunc(out, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

func decode(line []byte) (Object, error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	var o Object
	if err := dec.Decode(&o); err != nil {
		return nil, fmt.Errorf("read a snapshot: %w", err)
	}
	return o, nil
}

// compare calls differ for every value that is not the same; lists are values.
func compare(path string, a, b any, differ func(path string, a, b any)) {
	x, isX := a.(Object)
	y, isY := b.(Object)
	if (isX || a == nil) && (isY || b == nil) && (isX || isY) {
		for k, v := range x {
			compare(join(path, k), v, y[k], differ)
		}
		for k, v := range y {
			if _, both := x[k]; !both {
				compare(join(path, k), nil, v, differ)
			}
		}
		return
	}
	if !bytes.Equal(raw(a), raw(b)) {
		differ(path, a, b)
	}
}

var simple = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func join(path, key string) string {
	switch {
	case !simple.MatchString(key):
		return fmt.Sprintf("%s[%q]", path, key)
	case path == "":
		return key
	}
	return path + "." + key
}

func raw(v any) json.RawMessage {
	if v == nil {
		return nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil { // not reached: it came from JSON
		return nil
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
