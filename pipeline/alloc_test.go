// SPDX-License-Identifier: Apache-2.0

//go:build !race

package pipeline

// The race detector allocates by itself.

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"tallyman"
)

func TestPublishAllocatesNothing(t *testing.T) {
	p := New(Limits{}, slog.New(slog.DiscardHandler))
	b := &tallyman.Batch{}
	b.Reset(time.Now())
	for i := range 100 {
		b.Add(series(fmt.Sprint(i)), 1)
	}
	p.Publish(b, true)
	if n := testing.AllocsPerRun(50, func() { p.Publish(b, true) }); n != 0 {
		t.Errorf("Publish allocates %v times, want 0", n)
	}
}

func TestPublishOverTheLimitAllocatesNothing(t *testing.T) {
	p := New(Limits{Series: 50}, slog.New(slog.DiscardHandler))
	a := seriesOf(container("a"), 100)
	b := batchOf(a)
	p.Publish(b, true)
	if n := testing.AllocsPerRun(50, func() {
		b.Reset(b.Time)
		for _, s := range a {
			b.Add(s, 1)
		}
		p.Publish(b, true)
	}); n != 0 {
		t.Errorf("Publish allocates %v times, want 0", n)
	}
}
