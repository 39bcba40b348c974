// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"tallyman/internal/nearest"
)

// Sources are the own options of sources, by the name of the source and of the
// option. What options there are only the kinds of the catalog know: see Own.
type Sources map[string]map[string]any

// Checked are options that find their own mistakes; the error begins with the
// name of the option.
type Checked interface{ Check() error }

// Own are the options of one source: its defaults, changed by what is set of them.
// defaults is a struct; the tag yaml of a field is the name of an option, a field
// without one is no setting. Fields are of the types time.Duration, bool, int,
// string and []string.
func (s Sources) Own(source string, defaults any) (any, error) {
	key := "sources." + source
	if len(s[source]) == 0 {
		return defaults, nil
	}
	own := reflect.New(reflect.TypeOf(defaults)).Elem()
	own.Set(reflect.ValueOf(defaults))
	options := Options(defaults)
	for _, name := range slices.Sorted(maps.Keys(s[source])) {
		i := slices.IndexFunc(options, func(f reflect.StructField) bool { return f.Tag.Get("yaml") == name })
		if i < 0 {
			return nil, fmt.Errorf("%s: there is no option %q; %s", key, name, meant(name, names(options)))
		}
		f := options[i]
		if err := (setting{kind: f.Type}).set(own.FieldByIndex(f.Index), textOf(s[source][name])); err != nil {
			return nil, fmt.Errorf("%s.%s: %w", key, name, err)
		}
	}
	if c, ok := own.Interface().(Checked); ok {
		if err := c.Check(); err != nil {
			return nil, fmt.Errorf("%s.%w", key, err)
		}
	}
	return own.Interface(), nil
}

// Options are the fields of a struct of options that can be set.
func Options(defaults any) []reflect.StructField {
	if defaults == nil {
		return nil
	}
	return slices.DeleteFunc(reflect.VisibleFields(reflect.TypeOf(defaults)), func(f reflect.StructField) bool { return f.Tag.Get("yaml") == "" })
}

func names(options []reflect.StructField) (out []string) {
	for _, f := range options {
		out = append(out, f.Tag.Get("yaml"))
	}
	return out
}

// Known finds options of sources that are none of those named.
func (s Sources) Known(sources []string) error {
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if !slices.Contains(sources, name) {
			return fmt.Errorf("sources: no source with options is called %q; %s", name, meant(name, sources))
		}
	}
	return nil
}

func meant(name string, known []string) string {
	if len(known) == 0 {
		return "leave it out"
	}
	return fmt.Sprintf("did you mean %q?", nearest.Of(name, known))
}

// set gives one option its value from text; rest is source.option.
func (s *Sources) set(rest, text string) error {
	source, option, ok := strings.Cut(rest, ".")
	if !ok || source == "" || option == "" {
		return errors.New("write the source and its option, for example sources.diskusage.every")
	}
	var value any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		return errors.New(strings.TrimSpace(yaml.FormatError(err, false, false)))
	}
	all := maps.Clone(*s)
	if all == nil {
		all = Sources{}
	}
	own := maps.Clone(all[source])
	if own == nil {
		own = map[string]any{}
	}
	own[option] = value
	all[source] = own
	*s = all
	return nil
}

// textOf is a value of YAML as it is written on one line.
func textOf(v any) string {
	list, ok := v.([]any)
	if !ok {
		return fmt.Sprint(v)
	}
	var parts []string
	for _, one := range list {
		parts = append(parts, fmt.Sprint(one))
	}
	return strings.Join(parts, ",")
}
