// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"tallyman"
)

// Rule is an entry of plugins.rules: which containers it is for, and what runs in them.
type Rule struct {
	// Name is for messages; empty is made of its place.
	Name string
	// Image is a pattern over the repository without registry, or "re:" and a regular
	// expression; Tag is a pattern. Empty fits all.
	Image, Tag string
	// Labels and Env are patterns of values by key; Names and Process are patterns of the
	// container's and of a process' name. All that are there must fit.
	Labels, Env    map[string]string
	Names, Process string
	// Exclude is set for containers in which nothing is started, not even by a label.
	Exclude bool
	Plugins []Entry
}

// rule is one that was checked.
type rule struct {
	Rule
	image  func(string) bool
	wishes []tallyman.ServiceWish
}

// compile checks a rule.
func (b *Book) compile(i int, r Rule) (rule, error) {
	if r.Name == "" {
		r.Name = fmt.Sprintf("rule %d", i+1)
	}
	out := rule{Rule: r, image: func(string) bool { return true }}
	if expression, ok := strings.CutPrefix(r.Image, "re:"); ok {
		re, err := regexp.Compile(expression)
		if err != nil {
			return out, fmt.Errorf("%s: image: %w", r.Name, err)
		}
		out.image = re.MatchString
	} else if r.Image != "" {
		out.image = func(image string) bool { return tallyman.MatchImage(strings.TrimPrefix(r.Image, "library/"), image) }
	}
	patterns := []string{r.Image, r.Tag, r.Names, r.Process}
	for _, v := range r.Labels {
		patterns = append(patterns, v)
	}
	for _, v := range r.Env {
		patterns = append(patterns, v)
	}
	for _, p := range patterns {
		if _, err := path.Match(p, ""); err != nil && !strings.HasPrefix(p, "re:") {
			return out, fmt.Errorf("%s: %q is no pattern", r.Name, p)
		}
	}
	if len(r.Plugins) == 0 && !r.Exclude {
		return out, fmt.Errorf("%s: it has no plugins; say exclude: true when nothing is to run", r.Name)
	}
	for n, e := range r.Plugins {
		e.at = -1
		wishes, mistakes := b.wishes(e, n+1, r.Name, tallyman.FromRule)
		if len(mistakes) > 0 { // whoever writes a rule can mend it
			return out, mistakes[0]
		}
		out.wishes = append(out.wishes, wishes...)
	}
	return out, nil
}

// fits reports whether a rule is for a container.
func (r *rule) fits(in tallyman.Inside) bool {
	f, c := in.Facts(), in.Container()
	match := func(pattern, text string) bool {
		ok, _ := path.Match(pattern, text)
		return pattern == "" || ok
	}
	for key, pattern := range r.Labels {
		if v, ok := c.Labels[key]; !ok || !match(pattern, v) {
			return false
		}
	}
	for key, pattern := range r.Env {
		if v, ok := in.Getenv(key); !ok || !match(pattern, v) {
			return false
		}
	}
	return r.image(f.Image) && match(r.Tag, f.Tag) && match(r.Names, c.Name) &&
		(r.Process == "" || slices.ContainsFunc(f.Processes, func(p tallyman.ServiceProcess) bool { return match(r.Process, p.Name) }))
}
