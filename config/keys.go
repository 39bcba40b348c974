// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"tallyman/internal/nearest"
)

const day = 24 * time.Hour

// Duration is a time.Duration that also knows days: 90s, 1h30m, 7d.
type Duration time.Duration

// UnmarshalYAML reads a duration from a scalar.
func (d *Duration) UnmarshalYAML(b []byte) error {
	v, err := parseDuration(unquote(b))
	*d = Duration(v)
	return err
}

func parseDuration(s string) (time.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	if n, ok := strings.CutSuffix(s, "d"); ok {
		if v, err := strconv.ParseFloat(n, 64); err == nil && v >= 0 && v < 36500 {
			return time.Duration(v * float64(day)), nil
		}
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is no duration; write for example 10s, 1h30m or 7d", s)
	}
	return v, nil
}

// Bytes is a size: a number with B, KiB, MiB, GiB, TiB, or the decimal kB, MB, GB, TB.
type Bytes int64

// String is the size in the largest unit that divides it.
func (n Bytes) String() string {
	for _, u := range slices.Backward(units[:4]) {
		if whole := Bytes(u.n); n != 0 && n%whole == 0 {
			return fmt.Sprintf("%d%s", n/whole, u.name)
		}
	}
	return fmt.Sprintf("%dB", n)
}

// UnmarshalYAML reads a size from a scalar.
func (n *Bytes) UnmarshalYAML(b []byte) error {
	v, err := parseBytes(unquote(b))
	*n = Bytes(v)
	return err
}

var units = []struct {
	name string
	n    float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

func parseBytes(s string) (int64, error) {
	number, factor := s, 1.0
	for _, u := range units {
		if n, ok := strings.CutSuffix(s, u.name); ok {
			number, factor = strings.TrimSpace(n), u.n
			break
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || v < 0 || v*factor >= 1<<62 {
		return 0, fmt.Errorf("%q is no size; write for example 512MiB or 2GiB", s)
	}
	return int64(v * factor), nil
}

func unquote(b []byte) string {
	return strings.Trim(strings.TrimSpace(string(b)), `"'`)
}

// setting is one leaf of Config.
type setting struct {
	key   string
	index []int
	kind  reflect.Type
}

// settings lists every leaf, in the order of the struct.
func settings() []setting {
	var out []setting
	var walk func(t reflect.Type, prefix string, index []int)
	walk = func(t reflect.Type, prefix string, index []int) {
		for i := range t.NumField() {
			f := t.Field(i)
			if !f.IsExported() {
				continue
			}
			key := prefix + f.Tag.Get("yaml")
			at := append(append([]int(nil), index...), i)
			if f.Anonymous { // its keys stand among those around it
				walk(f.Type, prefix, at)
				continue
			}
			if f.Type.Kind() == reflect.Struct {
				walk(f.Type, key+".", at)
				continue
			}
			out = append(out, setting{key, at, f.Type})
		}
	}
	walk(reflect.TypeFor[Config](), "", nil)
	return out
}

// Keys are the keys of all settings.
func Keys() []string {
	var k []string
	for _, s := range settings() {
		k = append(k, s.key)
	}
	return k
}

func find(key string) (setting, bool) {
	for _, s := range settings() {
		if s.key == key {
			return s, true
		}
	}
	return setting{}, false
}

func isGroup(key string) bool {
	for _, s := range settings() {
		if strings.HasPrefix(s.key, key+".") {
			return true
		}
	}
	return false
}

func (s setting) set(v reflect.Value, text string) error {
	switch s.kind {
	case reflect.TypeFor[Duration]():
		d, err := parseDuration(text)
		if err != nil {
			return err
		}
		v.SetInt(int64(d))
	case reflect.TypeFor[Bytes]():
		n, err := parseBytes(text)
		if err != nil {
			return err
		}
		v.SetInt(n)
	case reflect.TypeFor[int]():
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is no whole number", text)
		}
		v.SetInt(int64(n))
	case reflect.TypeFor[bool]():
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		v.SetBool(b)
	case reflect.TypeFor[[]string]():
		var list []string
		for _, one := range strings.Split(text, ",") {
			if one = strings.TrimSpace(one); one != "" {
				list = append(list, one)
			}
		}
		v.Set(reflect.ValueOf(list))
	case reflect.TypeFor[time.Duration]():
		d, err := parseDuration(text)
		if err != nil {
			return err
		}
		v.SetInt(int64(d))
	case reflect.TypeFor[AlarmRules]():
		return setMap[AlarmRules](v, text)
	case reflect.TypeFor[Sources]():
		return setMap[Sources](v, text)
	case reflect.TypeFor[[]Engine]():
		return setList[Engine](s.key, v, text)
	case reflect.TypeFor[[]LogFile]():
		return setList[LogFile](s.key, v, text)
	case reflect.TypeFor[[]LogRule]():
		return setList[LogRule](s.key, v, text)
	case reflect.TypeFor[[]PluginRule]():
		return setList[PluginRule](s.key, v, text)
	case reflect.TypeFor[[]Destination]():
		to, err := parseDestinations(s.key, text)
		if err != nil {
			return err
		}
		v.Set(reflect.ValueOf(to))
	default:
		v.SetString(text)
	}
	return nil
}

// setMap reads settings of names that are not known here from one line of YAML.
func setMap[T any](v reflect.Value, text string) error {
	var out T
	if err := yaml.UnmarshalWithOptions([]byte(text), &out, yaml.Strict()); err != nil {
		return errors.New(strings.TrimSpace(yaml.FormatError(err, false, false)))
	}
	v.Set(reflect.ValueOf(out))
	return nil
}

// EnvName is the environment variable of a setting.
func EnvName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

func keyOfEnv(rest string) (string, bool) {
	for _, s := range settings() {
		if EnvName(s.key) == envPrefix+rest {
			return s.key, true
		}
	}
	if rest == "FORWARD" { // as forward in the file may be the list itself
		return "forward.to", true
	}
	// TALLYMAN_SOURCES_DISKUSAGE_EVERY; the name of a source is one word.
	if own, ok := strings.CutPrefix(rest, "SOURCES_"); ok && !strings.HasSuffix(own, "_FILE") {
		if source, option, ok := strings.Cut(strings.ToLower(own), "_"); ok {
			return "sources." + source + "." + option, true
		}
	}
	for before := range renamed {
		if EnvName(before) == envPrefix+rest {
			return before, true
		}
	}
	return "", false
}

// renamed are the keys that settings had before.
var renamed = map[string]string{"disk_usage": "sources.diskusage.every"}

func unknownKey(key string) error {
	if now, ok := renamed[key]; ok {
		return fmt.Errorf("the setting %q is called %q now", key, now)
	}
	return fmt.Errorf("there is no setting %q; did you mean %q?", key, nearest.Of(key, Keys()))
}

// list is a setting that is a list of entries with settings of their own.
type list struct {
	of    reflect.Type
	what  string // it is a list of
	entry string // an example
}

// lists are those settings by key.
var lists = map[string]list{
	"engines":       {reflect.TypeFor[Engine](), "engine", `name: db and address: tcp://10.0.0.2:2376`},
	"logs.files":    {reflect.TypeFor[LogFile](), "file", `path: /var/log/*.log`},
	"logs.rules":    {reflect.TypeFor[LogRule](), "rule", `match: image:shop/* and start: ^\d{4}-`},
	"forward.to":    {reflect.TypeFor[Destination](), "destination", `loki: https://host/loki/api/v1/push`},
	"plugins.rules": {reflect.TypeFor[PluginRule](), "rule", `image: redis and plugins: [{PluginType: REDIS}]`},
}

// setList reads a list from one line of YAML.
func setList[T any](key string, v reflect.Value, text string) error {
	var tree []any
	l := lists[key]
	if err := yaml.Unmarshal([]byte(text), &tree); err != nil {
		return fmt.Errorf("this is no list of %ss; write for example [{%s}]", l.what, strings.Replace(l.entry, " and ", ", ", 1))
	}
	if err := l.checkKeys(key, tree); err != nil {
		return err
	}
	var out []T
	if err := yaml.UnmarshalWithOptions([]byte(text), &out, yaml.Strict()); err != nil {
		return errors.New(strings.TrimSpace(yaml.FormatError(err, false, false)))
	}
	v.Set(reflect.ValueOf(out))
	return nil
}

// checkKeys finds unknown keys in the entries of a list.
func (l list) checkKeys(key string, v any) error {
	entries, ok := v.([]any)
	if !ok && v != nil {
		return fmt.Errorf("%s: it is a list; begin each %s with a dash", key, l.what)
	}
	var known []string
	for i := range l.of.NumField() {
		known = append(known, l.of.Field(i).Tag.Get("yaml"))
	}
	for i, one := range entries {
		m, ok := one.(map[string]any)
		if !ok {
			return fmt.Errorf("%s[%d]: it has no settings; write for example %s", key, i, l.entry)
		}
		for k := range m {
			if !slices.Contains(known, k) {
				return fmt.Errorf("%s[%d]: there is no setting %q; did you mean %q?", key, i, k, nearest.Of(k, known))
			}
		}
	}
	return nil
}
