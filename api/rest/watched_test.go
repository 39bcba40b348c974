// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"
	"testing"
	"time"

	"tallyman"
)

// Before the first sample nobody watched, or what was is no longer kept: the first start tells.
func TestWatched(t *testing.T) {
	k := newKept(t)
	store := k.withSamples()
	ask := func(want watchedAnswer) {
		t.Helper()
		var got watchedAnswer
		if code := k.ask("watched?host=a", &got); code != http.StatusOK || got != want {
			t.Errorf("%d %+v, want %+v", code, got, want)
		}
	}
	ask(watchedAnswer{})
	first := time.Now().Add(-10 * time.Minute).Truncate(time.Second)
	up := (&tallyman.Target{Kind: tallyman.HostTarget, ID: "a", Labels: []tallyman.Label{{Name: "host", Value: "a"}}}).Series(&tallyman.Desc{Name: "docker_up"})
	if _, err := store.AppendSamples(&tallyman.Batch{Time: first, Samples: []tallyman.Sample{{Series: up, Value: 1}}}); err != nil {
		t.Fatal(err)
	}
	ask(watchedAnswer{First: first.UnixMilli()})
	start := func(id string, before time.Duration, attributes map[string]string) {
		t.Helper()
		if err := k.events.AppendEvents([]tallyman.Event{{ID: id, Time: first.Add(-before), Host: "tallymans", Type: "tallyman", Action: "start", Attributes: attributes}}); err != nil {
			t.Fatal(err)
		}
	}
	start("1", time.Hour, nil) // long before
	start("2", 3*time.Second, map[string]string{"away": "3m"})
	ask(watchedAnswer{First: first.UnixMilli()})
	start("3", 2*time.Second, map[string]string{"version": "1"})
	ask(watchedAnswer{First: first.UnixMilli(), Began: true})
	if code := k.ask("watched", nil); code != http.StatusBadRequest {
		t.Errorf("without a host: %d", code)
	}
}
