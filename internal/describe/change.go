// SPDX-License-Identifier: Apache-2.0

package describe

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Changed is one setting that an event of drift tells of, in words.
type Changed struct {
	// Path is where the setting stands: "HostConfig.Memory".
	Path string `json:"path"`
	// Setting is what it is called.
	Setting string `json:"setting"`
	Before  string `json:"before"`
	After   string `json:"after"`
}

// MemoryLimit is the path of the limit of memory.
const MemoryLimit = "HostConfig.Memory"

// The settings that a death is most often about, by their paths, and what says their
// numbers. Others are called as Docker calls them.
var settings = []struct {
	path, name string
	say        func(n int64) string
}{
	{MemoryLimit, "memory limit", bytesOrNone},
	{"HostConfig.MemorySwap", "memory and swap limit", bytesOrNone},
	{"HostConfig.NanoCpus", "CPU limit", func(n int64) string {
		if n <= 0 {
			return "none"
		}
		return strconv.FormatFloat(float64(n)/1e9, 'f', -1, 64) + " cores"
	}},
	{"HostConfig.PidsLimit", "process limit", func(n int64) string {
		if n <= 0 {
			return "none"
		}
		return strconv.FormatInt(n, 10)
	}},
	{"Config.Image", "image", nil},
}

// Changes are the changed settings that an event of drift has in its attributes: first
// those that a death is most often about. n is how many there were; those beyond the
// attributes are not among them.
func Changes(attributes map[string]string) (changes []Changed, n int) {
	paths, n := DriftPaths(attributes)
	rank := func(path string) int {
		i := slices.IndexFunc(settings, func(s struct {
			path, name string
			say        func(n int64) string
		}) bool {
			return s.path == path
		})
		if i < 0 {
			return len(settings)
		}
		return i
	}
	slices.SortStableFunc(paths, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	for _, path := range paths {
		before, after, two := strings.Cut(attributes[path], " → ")
		if !two {
			continue // of an event that is no drift
		}
		c := Changed{Path: path, Setting: path, Before: before, After: after}
		if i := rank(path); i < len(settings) {
			c.Setting = settings[i].name
			if say := settings[i].say; say != nil {
				c.Before, c.After = number(before, say), number(after, say)
			}
		}
		changes = append(changes, c)
	}
	return changes, n
}

func number(text string, say func(int64) string) string {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return say(n)
	}
	if text == "nothing" {
		return "none"
	}
	return text
}

func bytesOrNone(n int64) string {
	if n <= 0 {
		return "none"
	}
	return Bytes(float64(n))
}

// Bytes is a number of bytes as people say it: "64.0 MiB".
func Bytes(v float64) string {
	for _, u := range []struct {
		name string
		n    float64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if v >= u.n {
			return strconv.FormatFloat(v/u.n, 'f', 1, 64) + " " + u.name
		}
	}
	return strconv.FormatFloat(v, 'f', 0, 64) + " B"
}
