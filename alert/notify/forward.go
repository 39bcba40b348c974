// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/common/model"
)

// The times of another Alertmanager.
const (
	forwardEvery = time.Minute
	forwardEnds  = 4 * time.Minute  // there it must time out
	forwardAfter = 15 * time.Minute // for which an ended alert is told
	maxForwarded = 10_000
)

// Forward tells another Alertmanager of all alerts: at once when one changes, and each
// minute, as there they time out after four. Grouping, silences and repeats are that
// one's.
type Forward struct {
	t      *Target
	b      Build
	client *http.Client
	every  time.Duration
	wake   chan struct{}

	mu     sync.Mutex
	alerts map[model.Fingerprint]*alert.Alert
	state  State
	rest   time.Time // until when it has asked for rest
}

// NewForward makes the sender of a target for which IsForward is true.
func NewForward(t *Target, b Build) *Forward {
	b.Log = t.scrub.Logger(b.Log)
	f := &Forward{t: t, b: b, client: b.client(), every: b.Every, wake: make(chan struct{}, 1), alerts: map[model.Fingerprint]*alert.Alert{}}
	if f.every == 0 {
		f.every = forwardEvery
	}
	return f
}

// Target is what it was made of.
func (f *Forward) Target() *Target { return f.t }

// State is a copy of what is known.
func (f *Forward) State() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// Update takes alerts that changed. It does not block.
func (f *Forward) Update(alerts ...*alert.Alert) {
	f.mu.Lock()
	for _, a := range alerts {
		if _, known := f.alerts[a.Fingerprint()]; known || len(f.alerts) < maxForwarded {
			f.alerts[a.Fingerprint()] = a
		}
	}
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Run sends until ctx ends.
func (f *Forward) Run(ctx context.Context) error {
	defer f.client.CloseIdleConnections()
	tick := time.NewTicker(f.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-f.wake:
		}
		if f.resting() {
			continue // all of it is told later
		}
		if err := f.send(ctx, f.present(time.Now())); err != nil && ctx.Err() == nil {
			f.b.Log.Warn("another Alertmanager was not told", "err", err)
		}
	}
}

// resting reports whether it has asked for rest that is not over.
func (f *Forward) resting() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Now().Before(f.rest)
}

// forwarded is one alert in API v2.
type forwarded struct {
	Labels      model.LabelSet `json:"labels"`
	Annotations model.LabelSet `json:"annotations"`
	StartsAt    time.Time      `json:"startsAt"`
	EndsAt      time.Time      `json:"endsAt"`
	Generator   string         `json:"generatorURL,omitempty"`
}

// present are the alerts to tell of.
func (f *Forward) present(now time.Time) (out []forwarded) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for fp, a := range f.alerts {
		one := forwarded{Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.StartsAt, EndsAt: a.EndsAt, Generator: a.GeneratorURL}
		switch {
		case !a.Resolved():
			one.EndsAt = now.Add(forwardEnds)
		case now.Sub(a.EndsAt) > forwardAfter:
			delete(f.alerts, fp)
			continue
		}
		out = append(out, one)
	}
	return out
}

func (f *Forward) send(ctx context.Context, alerts []forwarded) error {
	if len(alerts) == 0 {
		return nil
	}
	payload, err := json.Marshal(alerts)
	if err != nil {
		return fmt.Errorf("write the alerts: %w", err)
	}
	to := *f.t.forwardTo
	user := to.User
	to.User = nil
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), bytes.NewReader(payload))
	if err != nil {
		return f.t.scrub.Error(err)
	}
	if user != nil {
		password, _ := user.Password()
		r.SetBasicAuth(user.Username(), password)
	}
	r.Header.Set("Content-Type", "application/json")
	v := verdict(f.client.Do(r))
	f.mu.Lock()
	defer f.mu.Unlock()
	if v.Err() != nil {
		err := f.t.scrub.Error(hint(v.Err()))
		f.state.Failed++
		f.state.LastError = err.Error()
		if v.Delay() > 0 {
			f.rest = time.Now().Add(min(v.Delay(), maxRest))
		}
		if f.state.FailingSince.IsZero() {
			f.state.FailingSince = time.Now()
		}
		return err
	}
	f.state.Sent++
	f.state.LastSuccess, f.state.FailingSince = time.Now(), time.Time{}
	return nil
}

// Test sends one alert that ends in a minute.
func (f *Forward) Test(ctx context.Context) (answer string, err error) {
	now := time.Now()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := f.send(ctx, []forwarded{{
		Labels:      model.LabelSet{"alertname": "TallymanTest", "severity": "info"},
		Annotations: model.LabelSet{summaryKey: "this is a test of tallyman's notifications"},
		StartsAt:    now, EndsAt: now.Add(time.Minute),
	}}); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s took it within %d ms", f.t, time.Since(now).Milliseconds()), nil
}
