// SPDX-License-Identifier: Apache-2.0

package diskusage

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tallyman"
	"tallyman/source/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// engine answers sizes.
type engine struct {
	tallyman.Engines
	bytes int64
	fail  error
}

func (e *engine) EngineSize(ctx context.Context, _, _ string) (int64, error) {
	return e.bytes, errors.Join(e.fail, ctx.Err())
}

func open(t *testing.T, e tallyman.Engines, every time.Duration) tallyman.Poller {
	t.Helper()
	s, err := Kind().Poll(tallyman.SourceOptions{Engines: e, Own: Options{Every: every}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func target(id string) *tallyman.Target {
	return &tallyman.Target{Kind: tallyman.ContainerTarget, ID: id, Container: &tallyman.Container{ID: id, Engine: "local"}}
}

func TestASizeOrItsReason(t *testing.T) {
	e := &engine{bytes: 1000}
	p, err := open(t, e, time.Hour).Open(target("a"))
	if err != nil {
		t.Fatal(err)
	}
	if a := p.Absences(); len(a) != 1 || a[0].Code != tallyman.Later {
		t.Errorf("before the first answer: %+v, want that it comes later", a)
	}
	var b tallyman.Batch
	if err := p.Poll(t.Context(), &b); err != nil || len(b.Samples) != 1 || b.Samples[0].Value != 1000 || len(p.Absences()) != 0 {
		t.Errorf("%v, %v; want 1000 bytes and nothing absent, got %+v", b.Samples, err, p.Absences())
	}
	for want, broken := range map[string]*engine{"the engine is away": {fail: errors.New("the engine is away")}, "a size below 0": {bytes: -1}} {
		*e = *broken
		b.Reset(time.Now())
		if err := p.Poll(t.Context(), &b); err == nil || len(b.Samples) != 0 {
			t.Errorf("%s: %v, %v; want an error and no value", want, b.Samples, err)
		}
		if a := p.Absences(); len(a) != 1 || !strings.Contains(a[0].Reason, want) {
			t.Errorf("%s: Absences = %+v, want the reason", want, a)
		}
	}
}

func TestOffAsksNothing(t *testing.T) {
	for _, s := range []tallyman.Poller{open(t, &engine{}, 0), open(t, nil, time.Hour)} {
		if plan := s.Plan(); plan.First < 100*365*24*time.Hour {
			t.Errorf("the first poll is in %v, want never", plan.First)
		}
		p, err := s.Open(target("a"))
		if err != nil {
			t.Fatal(err)
		}
		if a := p.Absences(); len(a) != 1 || a[0].Unlock != "sources: {diskusage: {every: 1h}}" {
			t.Errorf("Absences = %+v, want the setting", a)
		}
	}
}

func TestContract(t *testing.T) {
	sourcetest.RunPoller(t, Kind(), func(t *testing.T) (tallyman.Poller, []*tallyman.Target) {
		return open(t, &engine{bytes: 1}, time.Hour), []*tallyman.Target{target("a"), target("bb")}
	})
}
