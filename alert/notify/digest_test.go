// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/common/model"
)

// away is a receiver's site: what sends, what it keeps, and a receiver that runs.
type away struct {
	t    *testing.T
	s    *sender
	b    Build
	kind string
	r    *Receiver
	stop func()

	mu    sync.Mutex
	state []byte
}

func newAway(t *testing.T, kind string) *away {
	x := &away{t: t, s: &sender{}, kind: kind}
	x.b = Build{Name: "r", Label: "1 https", Template: templates(t), Log: slog.New(slog.DiscardHandler), Keep: func(b []byte) {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.state = slices.Clone(b)
	}}
	x.open()
	return x
}

// open begins a process, with what the one before has kept.
func (x *away) open() {
	x.mu.Lock()
	x.b.Kept = x.state
	x.mu.Unlock()
	x.r = Wrap(notify.NewIntegration(x.s, x.s, x.kind, 0, "r"), NewScrubber(), x.b)
	ctx, cancel := context.WithCancel(x.t.Context())
	var wait sync.WaitGroup
	wait.Go(func() { _ = x.r.Run(ctx) })
	x.stop = func() { cancel(); wait.Wait() }
}

func (x *away) fails(err error) {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	x.s.fail = err
}

// fires has an alarm begin, and tries to tell of it, as Alertmanager does.
func (x *away) fires(name string, tried bool) *alert.Alert {
	a := firing(name, nil)
	a = alert.New(model.Alert{Labels: a.Labels, Annotations: a.Annotations, StartsAt: time.Now()}, time.Now(), false)
	x.r.Fires(a)
	if tried {
		_ = x.r.Notify(inGroup(notify.ReasonFirstNotification), a)
	}
	return a
}

func (x *away) ends(a *alert.Alert, muted bool) *alert.Alert {
	e := a.Alert
	e.EndsAt = time.Now()
	over := alert.New(e, time.Now(), false)
	x.r.Ends(over, muted)
	return over
}

// A receiver that was away for ten minutes is told in one message of what came and went,
// also when tallyman was killed meanwhile; not of what it knows, nor of what nobody was to
// be told of.
func TestDigest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newAway(t, "webhook")
		short := x.fires("Short", false)
		time.Sleep(time.Second)
		x.ends(short, false) // in good times Alertmanager tells nothing of it
		known := x.fires("Known", true)
		before := x.fires("Before", false) // it waits for its group when the receiver goes
		x.fails(errors.New("away"))
		for i := range 5 {
			a := x.fires(fmt.Sprint("Gone", i), i%2 == 0)
			time.Sleep(time.Minute)
			x.ends(a, false)
		}
		x.ends(before, false)
		muted := x.fires("Muted", true)
		stays := x.fires("Stays", true)
		time.Sleep(time.Minute)
		x.ends(muted, true)
		x.ends(known, false)
		x.stop() // killed: what is in state is all that there is
		x.open()
		x.r.Fires(stays)
		last := x.fires("Last", false)
		time.Sleep(5 * time.Minute)
		x.ends(last, false)
		synctest.Wait()
		if got := fmt.Sprint(x.s.messages()); got != "[[Known]]" {
			t.Fatalf("while it is away it is told %s", got)
		}
		if n := x.r.State().Missed; n != 7 {
			t.Errorf("%d missed, want 7", n)
		}
		x.fails(nil)
		if v := x.r.Notify(inGroup(notify.ReasonFirstNotification), stays); v.Err() != nil { // Alertmanager tries again
			t.Fatal(v.Err())
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := fmt.Sprint(x.s.messages()); got != "[[Known] [Stays]]" {
			t.Errorf("at once it is told %s, want the present first", got)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got, want := fmt.Sprint(x.s.messages()), "[[Known] [Stays] [Gone0 Gone1 Gone2 Gone3 Gone4 Before Last]]"; got != want {
			t.Errorf("then it is told %s, want %s", got, want)
		}
		if st := x.r.State(); st.Missed != 0 || !st.FailingSince.IsZero() {
			t.Errorf("%+v", st)
		}
		x.stop()
		x.open() // nothing comes twice
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := len(x.s.messages()); n != 3 {
			t.Errorf("after another start %d messages", n)
		}
		x.stop()
	})
}

// When nothing else is to be told, the digest finds out that the receiver is back.
func TestDigestProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newAway(t, "webhook")
		x.fails(errors.New("away"))
		x.ends(x.fires("Gone", true), false)
		time.Sleep(9 * time.Minute)
		if f := x.r.State().Failed; f < 4 || f > 6 {
			t.Errorf("%d tries in 9 minutes", f)
		}
		x.fails(nil)
		time.Sleep(2*time.Minute + time.Second)
		synctest.Wait()
		if got := fmt.Sprint(x.s.messages()); got != "[[Gone]]" {
			t.Errorf("told %s", got)
		}
		x.stop()
	})
}

// An alarm whose turn had not come yet when the receiver came back is in the digest; one
// that is short after that is not, however long its condition held.
func TestDigestAroundTheReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newAway(t, "webhook")
		x.fails(errors.New("away"))
		stays := x.fires("Stays", true)
		time.Sleep(time.Minute)
		waits := x.fires("Waits", false)
		x.fails(nil)
		time.Sleep(time.Second)
		if v := x.r.Notify(inGroup(notify.ReasonFirstNotification), stays); v.Err() != nil {
			t.Fatal(v.Err())
		}
		time.Sleep(time.Second)
		x.ends(waits, false)
		short := firing("Short", nil)
		short = alert.New(model.Alert{Labels: short.Labels, Annotations: short.Annotations, StartsAt: time.Now().Add(-time.Hour)}, time.Now(), false)
		x.r.Fires(short)
		time.Sleep(time.Second)
		x.ends(short, false)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if got := fmt.Sprint(x.s.messages()); got != "[[Stays] [Waits]]" {
			t.Errorf("told %s", got)
		}
		x.stop()
	})
}

// What arrives in a message of a group is not in the digest; that of an incident's service
// is none; one too long says how much it leaves out.
func TestDigestLeavesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newAway(t, "webhook")
		x.fails(errors.New("away"))
		over := x.ends(x.fires("Over", true), false)
		for i := range maxDigest + 7 {
			x.ends(x.fires(fmt.Sprint("Gone", i), false), false)
		}
		x.fails(nil)
		if v := x.r.Notify(inGroup(notify.ReasonNewAlertsInGroup), firing("Fires", nil), over); v.Err() != nil {
			t.Fatal(v.Err())
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		m := x.s.messages()
		if len(m) != 2 || len(m[1]) != maxDigest-1 || slices.Contains(m[1], "Over") {
			t.Errorf("%d messages, the last of %d", len(m), len(m[len(m)-1]))
		}
		x.stop()
		x = newAway(t, "pagerduty")
		x.fails(errors.New("away"))
		x.ends(x.fires("Gone", true), false)
		x.fails(nil)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := len(x.s.messages()); n != 0 {
			t.Errorf("an incident is made of what is over: %d", n)
		}
		x.stop()
	})
}

// rests asks for rest, as HTTP's 429 with Retry-After does.
type rests struct {
	mu    sync.Mutex
	asked []time.Time
	delay time.Duration
}

func (s *rests) Notify(context.Context, ...*alert.Alert) notify.NotifyVerdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, time.Now())
	if s.delay > 0 {
		return notify.Retry(s.delay, errors.New("it answers 429"), notify.RateLimitedReason)
	}
	return notify.Success()
}

func (s *rests) SendResolved() bool { return true }

// A receiver that asks for rest has it, whoever wants to tell it something.
func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &rests{delay: 5 * time.Minute}
		r := Wrap(notify.NewIntegration(s, s, "webhook", 0, "r"), NewScrubber(), Build{Name: "r", Template: templates(t), Log: slog.New(slog.DiscardHandler)})
		begun := time.Now()
		for i := range 300 { // groups that try again and again
			v := r.Notify(inGroup(notify.ReasonFirstNotification), firing(fmt.Sprint("A", i%3), nil))
			if left := 5*time.Minute - time.Since(begun); left > 0 && (!v.ShouldRetry() || v.Delay() <= 0 || v.Delay() > 5*time.Minute) {
				t.Fatalf("%v before the end: %+v", left, v)
			}
			time.Sleep(time.Second)
		}
		if len(s.asked) != 1 {
			t.Errorf("it was asked %d times in five minutes", len(s.asked))
		}
		s.delay = 0
		if v := r.Notify(inGroup(notify.ReasonFirstNotification), firing("A", nil)); v.Err() != nil || len(s.asked) != 2 {
			t.Errorf("after that: %v, asked %d times", v.Err(), len(s.asked))
		}
		s.delay = 48 * time.Hour // nobody is silenced for days
		_ = r.Notify(inGroup(notify.ReasonFirstNotification), firing("A", nil))
		time.Sleep(maxRest + time.Second)
		s.delay = 0
		if v := r.Notify(inGroup(notify.ReasonFirstNotification), firing("A", nil)); v.Err() != nil {
			t.Error(v.Err())
		}
	})
}

// A digest reads as one.
func TestDigestText(t *testing.T) {
	d := &template.Data{ExternalURL: "https://mon.example"}
	for i := range 12 {
		d.Alerts = append(d.Alerts, template.Alert{Status: "resolved", StartsAt: time.Unix(int64(i)*60, 0), EndsAt: time.Unix(int64(i)*60+30, 0), Labels: template.KV{"host": "harbor"},
			Annotations: template.KV{"summary": fmt.Sprintf("web/%d crashed", i), "reason": "it runs again", awayKey: "12:00 UTC to 12:10 UTC", moreKey: "3"}})
	}
	if got := subject(plain, d); got != "15 alarms came and went while this receiver was away" {
		t.Errorf("the subject is %q", got)
	}
	text := body(plain, d, 4000, true)
	for _, want := range []string{"Nothing arrived from 12:00 UTC to 12:10 UTC. Meanwhile these came and went:\n• web/0 crashed — cleared after 30 s: it runs again", "\nand 5 more\nhttps://mon.example"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	d.Alerts = d.Alerts[:1]
	delete(d.Alerts[0].Annotations, moreKey)
	if got := subject(plain, d); got != "An alarm came and went while this receiver was away: web/0 crashed" {
		t.Errorf("of one the subject is %q", got)
	}
	if text := body(plain, d, 4000, true); !strings.Contains(text, "Meanwhile these came and went:\n• web/0 crashed") {
		t.Errorf("of one: %s", text)
	}
}

// Another Alertmanager that asks for rest has it, too, but for somebody who tests it.
func TestForwardRests(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	defer server.Close()
	f := NewForward(parse(t, "alertmanager+"+server.URL), Build{Name: "f", Template: templates(t), Log: slog.New(slog.DiscardHandler), Every: time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() { _ = f.Run(ctx) })
	f.Update(firing("A", nil))
	for end := time.Now().Add(time.Minute); !f.resting(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not rest")
		}
	}
	if _, err := f.Test(t.Context()); err != nil { // by then it would have told several times
		t.Error(err)
	}
	cancel()
	wait.Wait()
	if n := asked.Load(); n != 2 || f.State().Failed != 1 {
		t.Errorf("it was asked %d times within its rest, want the test only: %+v", n, f.State())
	}
}
