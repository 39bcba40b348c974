// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyman"
	"tallyman/internal/clip"
	"tallyman/internal/nearest"
)

// Entry is one plugin as a label or a rule has it.
type Entry struct {
	// Type is the PluginType as written.
	Type string
	// Configuration are the values by key, as written.
	Configuration map[string][]string
	// Name is what the instance is called, Labels are on its series.
	Name   string
	Labels map[string]string
	// at is where it stands in its label, -1 for a rule.
	at int
}

// Entries reads the text of a label, or what a rule has in the same form, to the letter: any
// mistake is an error.
func Entries(source, text string) ([]Entry, error) {
	list, _, mistakes := entries(source, text)
	for _, m := range mistakes {
		return nil, m
	}
	return list, nil
}

// entries reads the text of a label. none is set when it switches off.
func entries(source, text string) (list []Entry, none bool, mistakes []tallyman.ServiceMistake) {
	note := func(entry int, err error, warning bool) {
		m := tallyman.ServiceMistake{Source: source, Entry: entry, Offset: -1, Text: err.Error(), Warning: warning}
		var f *fault
		if errors.As(err, &f) {
			m.Offset = f.at
		}
		mistakes = append(mistakes, m)
	}
	if strings.EqualFold(strings.TrimSpace(text), "none") {
		return nil, true, nil
	}
	top, twice, err := read(text)
	if err != nil {
		note(0, err, false)
		return nil, false, mistakes
	}
	for _, key := range twice {
		note(0, fmt.Errorf("the key %q stands twice; the last one counts", key), true)
	}
	items := top.items
	switch {
	case top.kind == '{':
		items = []node{top}
	case top.kind != '[':
		note(0, &fault{top.at, "it is no list of plugins; write [{…}]"}, false)
		return nil, false, mistakes
	case len(items) == 0:
		return nil, true, mistakes
	case len(items) > maxEntries:
		note(0, &fault{-1, fmt.Sprintf("it has more than %d entries", maxEntries)}, false)
		return nil, false, mistakes
	}
	for i, item := range items {
		e, err := entryOf(item)
		if err != nil {
			note(i+1, err, false)
			continue
		}
		list = append(list, e)
	}
	return list, false, mistakes
}

// entryOf reads one entry.
func entryOf(n node) (e Entry, err error) {
	if n.kind != '{' {
		return e, &fault{n.at, `is no object; write {"PluginType":"…"}`}
	}
	e = Entry{Configuration: map[string][]string{}, Labels: map[string]string{}, at: n.at}
	for _, f := range n.fields {
		switch strings.ToLower(f.key) {
		case "plugintype":
			e.Type = f.value.text
		case "name":
			e.Name = f.value.text
		case "labels", "configuration":
			if f.value.kind != '{' && f.value.kind != 0 {
				return e, &fault{f.value.at, f.key + " is no object"}
			}
			for _, one := range f.value.fields {
				values, err := one.value.texts()
				if err != nil {
					return e, fmt.Errorf("%q %w", one.key, err)
				}
				if strings.EqualFold(f.key, "labels") {
					e.Labels[one.key] = strings.Join(values, ",")
				} else {
					e.Configuration[one.key] = values
				}
			}
		default:
			return e, &fault{f.value.at, fmt.Sprintf("there is no %q in an entry; it has PluginType, Configuration, Name and Labels", f.key)}
		}
	}
	if e.Type == "" {
		return e, &fault{n.at, "has no PluginType"}
	}
	return e, nil
}

// elsewhere are types that others know and tallyman has no plugin for.
var elsewhere = []string{"MSSQL", "IIS", "RESOURCES"}

// wishes are the instances that an entry asks for.
func (b *Book) wishes(e Entry, number int, source string, origin tallyman.ServiceOrigin) (list []tallyman.ServiceWish, mistakes []tallyman.ServiceMistake) {
	note := func(warning, policy bool, format string, args ...any) {
		mistakes = append(mistakes, tallyman.ServiceMistake{Source: source, Entry: number, Offset: e.at, Text: fmt.Sprintf(format, args...), Warning: warning, Policy: policy})
	}
	typ := strings.ToUpper(strings.TrimSpace(e.Type))
	k := b.kinds[typ]
	switch {
	case typ == "RESOURCES":
		return nil, nil // always on
	case k == nil && slices.Contains(b.later, typ):
		note(false, false, "the plugin %s comes with a later version", typ)
		return nil, mistakes
	case k == nil && slices.Contains(elsewhere, typ):
		note(false, false, "%s is known and not supported", typ)
		return nil, mistakes
	case k == nil:
		near := nearest.Within(typ, 2, slices.Collect(maps.Keys(b.kinds)))
		if near != "" {
			near = "; did you mean " + near + "?"
		}
		note(false, false, "there is no plugin %q%s", short(e.Type), near)
		return nil, mistakes
	case k.Runs && origin == tallyman.FromImageLabel && !b.o.ExecFromImages:
		note(false, true, "a label of an image may not run commands here (plugins.exec_from_image_labels)")
		return nil, mistakes
	case k.Runs && (origin == tallyman.FromConvention || origin == tallyman.FromDetection):
		note(false, true, "it may not run commands")
		return nil, mistakes
	}
	keys := map[string]tallyman.ServiceKey{}
	for _, key := range append(tallyman.ServiceKeys(), k.Keys...) {
		keys[key.Name] = key
	}
	values := map[string][]string{}
	if e.Name != "" {
		values["NAME"] = []string{e.Name}
	}
	for _, written := range slices.Sorted(maps.Keys(e.Configuration)) {
		list, name := e.Configuration[written], canonical(written)
		key, ok := keys[name]
		switch {
		case !ok:
			near := nearest.Within(name, 3, slices.Collect(maps.Keys(keys)))
			if near != "" {
				near = "; did you mean " + near + "?"
			}
			note(true, false, "%s has no key %q, it is left out%s", k.Name, short(written), near)
			continue
		case len(list) == 0:
			continue
		case key.Rule && origin != tallyman.FromRule:
			note(false, true, "%s is for rules of the configuration alone", name)
			return nil, mistakes
		case key.Write && origin != tallyman.FromRule && origin != tallyman.FromRunLabel:
			note(false, true, "%s is for rules and labels of docker run alone", name)
			return nil, mistakes
		case len(list) > maxValues:
			note(false, false, "%s has more than %d values", name, maxValues)
			return nil, mistakes
		}
		for _, v := range list {
			if what := b.refuses(v, origin); what != "" {
				note(false, true, "%s %s", name, what)
				return nil, mistakes
			}
			if isReference(v) {
				continue
			}
			if err := checkValue(key, v); err != nil {
				note(false, false, "%s %v", name, err)
				return nil, mistakes
			}
		}
		values[name] = list
	}
	if err := checkInterval(values); err != nil {
		note(false, false, "%v", err)
		return nil, mistakes
	}
	var labels []tallyman.Label
	for _, name := range slices.Sorted(maps.Keys(e.Labels)) {
		if !labelName.MatchString(name) || len(e.Labels) > 16 {
			note(true, false, "%q is no name of a label, it is left out", short(name))
			continue
		}
		labels = append(labels, tallyman.Label{Name: name, Value: e.Labels[name]})
	}
	sets, err := instances(keys, values)
	if err != nil {
		note(false, false, "%v", err)
		return nil, mistakes
	}
	for _, set := range sets {
		config := tallyman.NewServiceConfig(set)
		if k.Check != nil {
			if err := k.Check(config); err != nil {
				note(false, false, "%v", err)
				continue
			}
		}
		list = append(list, tallyman.ServiceWish{Kind: k, Origin: origin, Source: source, Labels: labels, Config: config})
	}
	return list, mistakes
}

var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]{0,63}$`)

// instances makes one set of values for each instance: lists of the same length stand
// side by side, a single value is that of all.
func instances(keys map[string]tallyman.ServiceKey, values map[string][]string) ([]map[string][]string, error) {
	n := 1
	for name, list := range values {
		if !keys[name].List {
			n = max(n, len(list))
		}
	}
	sets := make([]map[string][]string, n)
	for i := range sets {
		sets[i] = map[string][]string{}
		for name, list := range values {
			switch {
			case keys[name].List:
				sets[i][name] = list
			case len(list) == 1:
				sets[i][name] = list
			case len(list) == n:
				sets[i][name] = list[i : i+1]
			default:
				return nil, fmt.Errorf("%s has %d values where another key has %d: they are one instance each, or one value for all", name, len(list), n)
			}
		}
	}
	return sets, nil
}

// checkInterval checks the keys that all plugins have.
func checkInterval(values map[string][]string) error {
	c := tallyman.NewServiceConfig(values)
	if c.Has("INTERVAL") && !isReference(c.Text("INTERVAL", "")) && c.Duration("INTERVAL", 0) < 5*time.Second {
		return errors.New("INTERVAL is less than 5s")
	}
	if d := c.Duration("TIMEOUT", time.Second); c.Has("TIMEOUT") && !isReference(c.Text("TIMEOUT", "")) && (d <= 0 || d > time.Minute) {
		return errors.New("TIMEOUT is from 1s to 60s")
	}
	return nil
}

// checkValue says what a value of a key is not.
func checkValue(key tallyman.ServiceKey, v string) error {
	c := tallyman.NewServiceConfig(map[string][]string{"": {v}})
	switch key.Type {
	case tallyman.PortKey:
		if n, err := strconv.ParseUint(v, 10, 16); err != nil || n == 0 {
			return errors.New("is no port; write a number from 1 to 65535")
		}
	case tallyman.NumberKey:
		if _, err := strconv.ParseFloat(v, 64); err != nil {
			return errors.New("is no number")
		}
	case tallyman.BoolKey:
		if _, err := strconv.ParseBool(strings.ToLower(v)); err != nil {
			return errors.New("is neither true nor false")
		}
	case tallyman.DurationKey:
		if c.Duration("", -1) < 0 {
			return errors.New("is no time; write 30s or a number of seconds")
		}
	case tallyman.PathKey:
		if !path.IsAbs(v) {
			return errors.New("is no path from the root; write /…")
		}
	case tallyman.URLKey:
		if u, err := url.Parse(v); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return errors.New("is no URL; write http://localhost:8080/…")
		}
	case tallyman.CommandKey:
		if strings.TrimSpace(v) == "" {
			return errors.New("is empty")
		}
	}
	return nil
}

// short is what a stranger wrote, as far as a message shows it.
func short(s string) string { return clip.Text(s, 64) }
