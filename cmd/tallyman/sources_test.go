// SPDX-License-Identifier: Apache-2.0

package main

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"tallyman/catalog"
	"tallyman/config"
	"tallyman/source/diskusage"
)

// Options that are set are of the type that the kind reads; others would be ignored.
func TestOwnOptionsAreThoseOfTheirKinds(t *testing.T) {
	a := testApp(t, nil)
	all, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	logs, _, err := a.logOptions()
	if err != nil {
		t.Fatal(err)
	}
	set, err := ownOptions(a.cfg, all, logs)
	if err != nil {
		t.Fatal(err)
	}
	has := map[string]any{}
	for _, k := range all.Sources {
		has[k.Name] = k.Options
	}
	for _, k := range all.Records {
		has[k.Name] = k.Options
	}
	for name, own := range set {
		if reflect.TypeOf(has[name]) != reflect.TypeOf(own) {
			t.Errorf("%s: options of type %T are set, the kind has %T", name, own, has[name])
		}
	}
}

// What is set of a source reaches it; what no source has is a mistake.
func TestOptionsThatAreSet(t *testing.T) {
	all, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	if err := cfg.Set("sources.diskusage.every", "6h"); err != nil {
		t.Fatal(err)
	}
	if own, err := ownOptions(cfg, all, nil); err != nil || own["diskusage"] != (diskusage.Options{Every: 6 * time.Hour}) {
		t.Errorf("%+v %v, want 6h", own["diskusage"], err)
	}
	for key, want := range map[string]string{"sources.diskusag.every": `did you mean "diskusage"?`, "sources.diskusage.evry": `did you mean "every"?`, "sources.cgroup.every": `"cgroup"`} {
		cfg := config.Default()
		if err := cfg.Set(key, "6h"); err != nil {
			t.Fatal(err)
		}
		if _, err := ownOptions(cfg, all, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", key, err, want)
		}
	}
	for _, text := range []string{"1s", "-5h", "soon"} {
		if err := cfg.Set("sources.diskusage.every", text); err != nil {
			t.Fatal(err)
		}
		if _, err := ownOptions(cfg, all, nil); err == nil || !strings.Contains(err.Error(), "sources.diskusage.every: ") || !strings.Contains(err.Error(), "write ") {
			t.Errorf("every %s: %v", text, err)
		}
	}
}
