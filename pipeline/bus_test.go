// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"tallyman"
)

type heard struct{ ids []string }

func (h *heard) ObserveEvent(e tallyman.Event) { h.ids = append(h.ids, e.ID) }

// Whoever tells of an event, all observers hear of it, in the same order.
func TestBus(t *testing.T) {
	var bus Bus
	first, second := &heard{}, &heard{}
	bus.Observe(first)
	bus.Observe(second)
	var wg sync.WaitGroup
	const tellers, each = 4, 100
	for who := range tellers {
		wg.Go(func() {
			for i := range each {
				bus.ObserveEvent(tallyman.Event{ID: fmt.Sprint(who, "-", i)})
			}
		})
	}
	wg.Wait()
	if len(first.ids) != tellers*each || !slices.Equal(first.ids, second.ids) {
		t.Errorf("%d and %d events, the same: %v", len(first.ids), len(second.ids), slices.Equal(first.ids, second.ids))
	}
}
