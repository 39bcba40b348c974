// SPDX-License-Identifier: Apache-2.0

package logstream

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman"
)

func TestStreams(t *testing.T) {
	s := For(&tallyman.Container{ID: "1", Host: "h", Name: "n", Image: "i", Workload: tallyman.Workload{Key: "w"}})
	got := s.Of(true, []byte("ERROR x"))
	want := []tallyman.Label{{Name: "host", Value: "h"}, {Name: "image", Value: "i"}, {Name: "level", Value: "error"}, {Name: "name", Value: "n"},
		{Name: "source", Value: "container"}, {Name: "stream", Value: "stderr"}, {Name: "workload", Value: "w"}}
	if d := cmp.Diff(want, got.Labels); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if s.At(true, "error") != got || s.At(false, "error") == got {
		t.Error("streams are not interned by output and level")
	}
	if d := cmp.Diff([]tallyman.Label{{Name: "a", Value: "b"}, {Name: "container_id", Value: "1"}}, s.With("a", "b")); d != "" || len(s.Meta) != 1 {
		t.Errorf("metadata (-want +got):\n%s", d)
	}
}

func TestParseTime(t *testing.T) {
	f := func(text string) {
		t.Helper()
		want, err := time.Parse(time.RFC3339Nano, text)
		got, ok := ParseTime([]byte(text))
		if ok != (err == nil) || ok && got != want.UnixNano() {
			t.Errorf("%q is %v (%v), want %v (%v)", text, got, ok, want.UnixNano(), err)
		}
	}
	for _, text := range []string{"2026-11-24T12:00:00.123456789Z", "2026-11-24T12:00:00Z", "2024-02-29T23:59:59.5Z", "2000-03-01T00:00:00.000000001Z",
		"1970-01-01T00:00:00Z", "1969-12-31T23:59:59.9Z", "2026-11-24T12:00:00.1+02:00", "", "Z", "2026-13-24T12:00:00Z", "2026-11-24T12:00:00.Z", "2026-1x-24T12:00:00Z"} {
		f(text)
	}
	for day := range 40000 {
		f(time.Unix(int64(day)*86400-86400*365, 0).UTC().Format(time.RFC3339Nano))
	}
}
