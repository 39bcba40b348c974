// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"reflect"
	"testing"

	"tallyman/catalog"
)

// Options that are set are of the type that the kind reads; others would be ignored.
func TestOwnOptionsAreThoseOfTheirKinds(t *testing.T) {
	a := testApp(t, nil)
	all, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	set, _, err := a.logOptions()
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(set, a.ownOptions())
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
	for name, options := range has {
		if options != nil && set[name] == nil {
			t.Errorf("%s has options that no setting fills", name)
		}
	}
}
