// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"strings"

	"tallyman"
)

// Choice says which containers are watched, by the settings include and
// exclude. The zero value takes all. It may be used concurrently.
//
// A pattern is one of
//
//	image:nginx*           the image, with or without its tag or digest
//	name:test-?            the container's name
//	label:team             a label of that key
//	label:team=green*      a label of that key with such a value
//
// where * stands for any text, slashes too, and ? for one character. Exclude
// wins over include.
type Choice struct {
	include, exclude []pattern
}

// pattern is one entry of include or exclude.
type pattern struct {
	of    string // image, name or label
	key   string // of a label
	text  string
	value bool // the label's value is to match text
}

// maxPattern bounds a pattern, in bytes.
const maxPattern = 1 << 10

// Choice is the choice of containers that the settings ask for.
func (c *Config) Choice() (Choice, error) {
	include, err := parsePatterns("include", c.Include)
	if err != nil {
		return Choice{}, err
	}
	exclude, err := parsePatterns("exclude", c.Exclude)
	return Choice{include, exclude}, err
}

func parsePatterns(key string, texts []string) (out []pattern, err error) {
	for i, text := range texts {
		p, err := parsePattern(text)
		if err != nil {
			return nil, fmt.Errorf("%s[%d]: %q is no pattern: %w; write for example image:nginx*, name:test-* or label:team=green", key, i, text, err)
		}
		out = append(out, p)
	}
	return out, nil
}

func parsePattern(text string) (p pattern, err error) {
	of, rest, ok := strings.Cut(strings.TrimSpace(text), ":")
	switch {
	case len(text) > maxPattern:
		return p, fmt.Errorf("it is longer than %d bytes", maxPattern)
	case !ok || of != "image" && of != "name" && of != "label":
		return p, errors.New("it does not begin with image:, name: or label:")
	case rest == "":
		return p, fmt.Errorf("nothing stands behind %s:", of)
	}
	if of != "label" {
		return pattern{of: of, text: rest}, nil
	}
	k, v, value := strings.Cut(rest, "=")
	switch {
	case k == "":
		return p, errors.New("the label has no key")
	case strings.ContainsAny(k, "*?"):
		return p, errors.New("a label's key stands for itself, without * and ?")
	}
	return pattern{of: of, key: k, text: v, value: value}, nil
}

// Wants reports whether a container is to be watched.
func (c Choice) Wants(k *tallyman.Container) bool {
	for _, p := range c.exclude {
		if p.matches(k) {
			return false
		}
	}
	for _, p := range c.include {
		if p.matches(k) {
			return true
		}
	}
	return len(c.include) == 0
}

func (p pattern) matches(k *tallyman.Container) bool {
	switch p.of {
	case "name":
		return glob(p.text, k.Name)
	case "image":
		return glob(p.text, k.Image) || glob(p.text, repository(k.Image))
	}
	v, ok := k.Labels[p.key]
	return ok && (!p.value || glob(p.text, v))
}

// repository is an image's name without tag and digest.
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if at := strings.LastIndexByte(image, ':'); at > strings.LastIndexByte(image, '/') {
		image = image[:at]
	}
	return image
}

// glob reports whether the whole of text is as pattern says. A * that took too
// little is tried again with one more character, and only the last one: the
// earlier ones have found the first place there is. So it takes at most the
// product of both lengths.
func glob(pattern, text string) bool {
	p, t := []rune(pattern), []rune(text)
	i, star, from := 0, -1, 0
	for j := 0; j < len(t); {
		switch {
		case i < len(p) && p[i] == '*':
			star, from = i, j
			i++
		case i < len(p) && (p[i] == '?' || p[i] == t[j]):
			i++
			j++
		case star >= 0:
			from++
			i, j = star+1, from
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}
