// SPDX-License-Identifier: Apache-2.0

package catalog

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tallyman"
)

func TestNew(t *testing.T) {
	one, same, other := &tallyman.Desc{Name: "one"}, &tallyman.Desc{Name: "same"}, &tallyman.Desc{Name: "same"}
	c, err := New([]tallyman.SourceKind{
		{Name: "a", Metrics: []*tallyman.Desc{one, same}},
		{Name: "b", Metrics: []*tallyman.Desc{same}}, // two sources may give one metric
		{Name: "c"},
	}, []tallyman.RecordKind{{Name: "lines"}}, nil)
	if err != nil || len(c.Sources) != 3 || len(c.Records) != 1 {
		t.Fatalf("%d sources, %v", len(c.Sources), err)
	}
	if d := cmp.Diff([]string{"one", "same"}, slices.Sorted(maps.Keys(c.Metrics()))); d != "" || c.Metrics()["same"] != same {
		t.Errorf("metrics (-want +got):\n%s", d)
	}
	if _, err := New([]tallyman.SourceKind{{Name: "a"}}, []tallyman.RecordKind{{Name: "a"}}, nil); err == nil {
		t.Error("a source of samples and one of records have the same name")
	}
	for want, kinds := range map[string][]tallyman.SourceKind{
		`two sources are called "a"`:                         {{Name: "a"}, {Name: "b"}, {Name: "a"}},
		`metric same is described twice, last by source "b"`: {{Name: "a", Metrics: []*tallyman.Desc{same}}, {Name: "b", Metrics: []*tallyman.Desc{other}}},
	} {
		if c, err := New(kinds, nil, nil); err == nil || !strings.Contains(err.Error(), want) || c.Sources != nil {
			t.Errorf("got error %v, want %q", err, want)
		}
	}
}

// Whatever is in the tree fits together and can be made.
func TestDefault(t *testing.T) {
	c, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Sources) != len(sources()) || len(c.Sources) == 0 || len(c.Records) == 0 {
		t.Errorf("%d sources", len(c.Sources))
	}
	for _, k := range c.Sources {
		if k.Name == "" || k.Summary == "" || (k.New == nil) == (k.Poll == nil) || len(k.Targets) == 0 || len(k.Metrics) == 0 {
			t.Errorf("%q lacks something: %+v", k.Name, k)
		}
		for _, instead := range k.Replaces {
			if !slices.ContainsFunc(c.Sources, func(o tallyman.SourceKind) bool { return o.Name == instead }) {
				t.Errorf("%s stands in for %s, which is not there", k.Name, instead)
			}
		}
	}
	for _, k := range c.Records {
		if k.Name == "" || k.Summary == "" || k.New == nil || len(k.Sources) == 0 || len(k.Metrics) == 0 {
			t.Errorf("%q lacks something: %+v", k.Name, k)
		}
		if i := slices.IndexFunc(c.Records, func(o tallyman.RecordKind) bool { return o.Name != k.Name && k.Rank > 0 && o.Rank == k.Rank }); i >= 0 {
			t.Errorf("%s and %s have the same rank", k.Name, c.Records[i].Name)
		}
	}
}
