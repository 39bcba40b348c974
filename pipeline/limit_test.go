// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman"
)

func container(id string) *tallyman.Target {
	return &tallyman.Target{Kind: tallyman.ContainerTarget, ID: id}
}

// seriesOf makes n series of a target.
func seriesOf(tg *tallyman.Target, n int) (out []*tallyman.Series) {
	for i := range n {
		out = append(out, tg.Series(&tallyman.Desc{Name: fmt.Sprint(tg.ID, i)}))
	}
	return out
}

func batchOf(series ...[]*tallyman.Series) *tallyman.Batch {
	b := &tallyman.Batch{}
	b.Reset(time.Now())
	for _, list := range series {
		for _, s := range list {
			b.Add(s, 1)
		}
	}
	return b
}

// shown are the names of the latest readings.
func shown(p *Pipeline) string {
	readings, _ := p.Latest(nil)
	var names []string
	for _, r := range readings {
		names = append(names, r.Series.Desc.Name)
	}
	return strings.Join(names, " ")
}

func TestOverTheLimitNewSeriesAreRefusedAndOldOnesKept(t *testing.T) {
	var log strings.Builder
	p := New(Limits{Series: 4, PerTarget: 3}, slog.New(slog.NewTextHandler(&log, nil)))
	a, b := seriesOf(container("a"), 3), seriesOf(container("b"), 2)
	step := func(want string, series ...[]*tallyman.Series) {
		t.Helper()
		p.Publish(batchOf(series...), true)
		if got := shown(p); got != want {
			t.Errorf("shown = %q, want %q", got, want)
		}
	}
	step("b0 b1", b)
	step("a0 a1 b0 b1", a, b) // the new one stands first and is refused all the same
	step("a0 a1 b0 b1", a, b)
	if n := strings.Count(log.String(), "there are too many series"); n != 1 {
		t.Errorf("it was said %d times, want once:\n%s", n, &log)
	}
	// A restart makes new series of the same container: they keep its place.
	again := seriesOf(container("b"), 2)
	step("a0 a1 b0 b1", a, again)
	step("a0 a1 a2 b0", a, again[:1]) // one goes and makes room
	if n := strings.Count(log.String(), "no series is refused any more"); n != 1 {
		t.Errorf("the end was said %d times, want once:\n%s", n, &log)
	}
	step("c0 c1 c2", seriesOf(container("c"), 5)) // the limit of one target
}

func TestTallymansOwnSeriesAreNeverRefused(t *testing.T) {
	p := New(Limits{Series: 1, PerTarget: 1}, slog.New(slog.DiscardHandler))
	self := seriesOf(&tallyman.Target{Kind: tallyman.SelfTarget, ID: "s"}, 2)
	p.Publish(batchOf(seriesOf(container("a"), 1), self), true)
	if got := shown(p); got != "s0 s1" {
		t.Errorf("shown = %q, want s0 s1", got)
	}
}

func TestLabelsBeyondTheBounds(t *testing.T) {
	p := New(Limits{}, slog.New(slog.DiscardHandler))
	tg := container("a")
	many := make([]tallyman.Label, maxLabels+1)
	for i := range many {
		many[i].Name = fmt.Sprint("l", i)
	}
	d := &tallyman.Desc{Name: "ok"}
	p.Publish(batchOf([]*tallyman.Series{
		tg.Series(d, many[:maxLabels]...), tg.Series(d, many...),
		tg.Series(d, tallyman.Label{Name: "l", Value: strings.Repeat("x", maxValue)}), tg.Series(d, tallyman.Label{Name: "l", Value: strings.Repeat("x", maxValue+1)}),
		tg.Series(d, tallyman.Label{Name: strings.Repeat("x", maxName)}), tg.Series(d, tallyman.Label{Name: strings.Repeat("x", maxName+1)}),
		tg.Series(&tallyman.Desc{Name: strings.Repeat("x", maxName+1)}),
	}), true)
	if got := shown(p); got != "ok ok ok" {
		t.Errorf("shown = %q, want three", got)
	}
}

func TestRefusedSamplesAreInTheLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		p, stop := run(t, s)
		p.limiter.limits = Limits{Series: 2}
		a := seriesOf(container("a"), 5)
		for range 3 {
			p.Publish(batchOf(a), true)
			synctest.Wait()
		}
		p.Publish(batchOf(a), false) // of a round that is not stored nothing is counted
		stop()
		want := map[string]float64{"published": 15, "stored": 6, "dropped series_limit": 9, "tallyman_series": 2, "tallyman_series_refused": 3}
		got := readLedger(p)
		for name, v := range got {
			if v == 0 {
				delete(got, name)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("ledger (-want +got):\n%s", d)
		}
	})
}
