// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

type scrape struct {
	Every   time.Duration `yaml:"every"`
	Most    int           `yaml:"most"`
	Deep    bool          `yaml:"deep"`
	Paths   []string      `yaml:"paths"`
	Agent   string        `yaml:"agent"`
	Command func()
}

func (s scrape) Check() error {
	if s.Most < 0 {
		return errors.New("most: write a number")
	}
	return nil
}

func TestOptionsOfASource(t *testing.T) {
	defaults := scrape{Every: time.Minute, Most: 5, Agent: "tallyman"}
	f := func(yaml string, environ []string, flags map[string]string, want scrape) {
		t.Helper()
		c, err := load(t, yaml, environ, flags)
		if err != nil {
			t.Errorf("%q %q %q: %v", yaml, environ, flags, err)
			return
		}
		if got, err := c.Sources.Own("web", defaults); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q %q %q: %+v %v, want %+v", yaml, environ, flags, got, err, want)
		}
	}
	with := func(change func(*scrape)) scrape {
		s := defaults
		change(&s)
		return s
	}
	f("", nil, nil, defaults)
	f("sources:", nil, nil, defaults)
	f("sources: {web: {}}", nil, nil, defaults)
	f("sources: {other: {every: 1s}}", nil, nil, defaults)
	f("sources: {web: {every: 7d, deep: true}}", nil, nil, with(func(s *scrape) { s.Every, s.Deep = 7*day, true }))
	f("sources: {web: {every: 0}}", nil, nil, with(func(s *scrape) { s.Every = 0 }))
	f("sources: {web: {paths: [/a, /b]}}", nil, nil, with(func(s *scrape) { s.Paths = []string{"/a", "/b"} }))
	f("sources: {web: {every: 1s}}", []string{"TALLYMAN_SOURCES_WEB_EVERY=2s", "TALLYMAN_SOURCES_WEB_MOST=9"}, map[string]string{"sources.web.every": "3s"},
		with(func(s *scrape) { s.Every, s.Most = 3*time.Second, 9 }))
	f("", []string{"TALLYMAN_SOURCES={web: {agent: me}}"}, nil, with(func(s *scrape) { s.Agent = "me" }))

	bad := func(yaml string, want ...string) {
		t.Helper()
		c, err := load(t, yaml, nil, nil)
		if err == nil {
			_, err = c.Sources.Own("web", defaults)
		}
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%q: %v, want it to say %q", yaml, err, w)
			}
		}
	}
	bad("sources: {web: {evry: 1s}}", "sources.web", `"evry"`, `"every"`)
	bad("sources: {web: {Command: x}}", `"Command"`)
	bad("sources: {web: {every: soon}}", "sources.web.every", "soon", "10s")
	bad("sources: {web: {most: many}}", "sources.web.most", "no whole number")
	bad("sources: {web: {most: -1}}", "sources.web.most: write a number")
	bad("sources: {web: 5}", "sources")

	c, err := load(t, "sources: {wep: {every: 1s}}", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Sources.Known([]string{"web"}); err == nil || !strings.Contains(err.Error(), `"wep"; did you mean "web"?`) {
		t.Errorf("a source that is not there: %v", err)
	}
}
