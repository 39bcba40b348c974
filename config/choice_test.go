// SPDX-License-Identifier: Apache-2.0

package config

import (
	"path"
	"strings"
	"testing"

	"tallyman"
)

func TestChoice(t *testing.T) {
	shop := &tallyman.Container{Name: "shop-api-1", Image: "registry:5000/shop/api:1.4@sha256:ab", Labels: map[string]string{"team": "green", "empty": ""}}
	f := func(include, exclude string, want bool) {
		t.Helper()
		c := Default()
		for list, text := range map[*[]string]string{&c.Include: include, &c.Exclude: exclude} {
			if text != "" {
				*list = strings.Split(text, " ")
			}
		}
		choice, err := c.Choice()
		if err != nil {
			t.Fatal(err)
		}
		if got := choice.Wants(shop); got != want {
			t.Errorf("include %q, exclude %q: wanted = %v, want %v", include, exclude, got, want)
		}
	}
	f("", "", true)
	f("name:shop-*", "", true)
	f("name:shop", "", false)
	f("name:other name:shop-api-?", "", true)
	f("", "name:shop-*", false)
	f("name:*", "label:team", false) // exclude wins
	f("image:registry:5000/shop/api", "", true)
	f("image:*/api:1.*", "", true)
	f("image:*/api:2.*", "", false)
	f("image:registry", "", false)
	f("label:team=gr*", "", true)
	f("label:team=red", "", false)
	f("label:other", "", false)
	f("label:empty=", "", true)
	f("label:team=", "", false)
}

func TestBadPatternsSayWhatToDo(t *testing.T) {
	for text, want := range map[string]string{
		"nginx": "does not begin with", "images:x": "does not begin with", "name:": "nothing stands behind name:", "label:=x": "no key",
		"label:te*m": "without * and ?", "name:" + strings.Repeat("x", maxPattern): "longer than",
	} {
		_, err := load(t, "", nil, map[string]string{"exclude": text + ",name:ok"})
		for _, w := range []string{want, "exclude[0]", "image:nginx*"} {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("exclude %q: %v; want it to say %q", text, err, w)
			}
		}
	}
	if _, err := load(t, "include: ['']", nil, nil); err == nil || !strings.Contains(err.Error(), "include[0]") {
		t.Errorf("an empty pattern: %v", err)
	}
}

func TestRepository(t *testing.T) {
	for image, want := range map[string]string{
		"nginx": "nginx", "nginx:1.27": "nginx", "nginx@sha256:ab": "nginx", "r:5000/a": "r:5000/a", "r:5000/a:1@sha256:ab": "r:5000/a", "": "", "sha256:ab": "sha256",
	} {
		if got := repository(image); got != want {
			t.Errorf("repository(%q) = %q, want %q", image, got, want)
		}
	}
}

func TestGlobIsNotSlow(t *testing.T) {
	if glob(strings.Repeat("*a", 500)+"b", strings.Repeat("a", 1000)) {
		t.Error("it matches what it must not")
	}
}

// FuzzGlob compares with the standard library where both mean the same: there
// * stops at slashes, and brackets and backslashes are special.
func FuzzGlob(f *testing.F) {
	f.Add("a*b?c", "axxbyc")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		got := glob(pattern, text)
		if strings.ContainsAny(pattern, `[]\`) || strings.Contains(text, "/") || strings.ContainsRune(pattern+text, '\uFFFD') || len(pattern)+len(text) > 60 {
			return
		}
		if strings.ToValidUTF8(pattern, "") != pattern || strings.ToValidUTF8(text, "") != text {
			return
		}
		want, err := path.Match(pattern, text)
		if err == nil && got != want {
			t.Errorf("glob(%q, %q) = %v, want %v", pattern, text, got, want)
		}
	})
}

func FuzzParsePattern(f *testing.F) {
	f.Add("label:team=green*")
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := parsePattern(text); err == nil {
			p.matches(&tallyman.Container{Name: text, Image: text, Labels: map[string]string{p.key: text}})
		}
	})
}
