// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/alertmanager/alert"
	amreceiver "github.com/prometheus/alertmanager/config/receiver"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/template"
	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
)

// Build says how a receiver is made of a target. Name, Template and Log are needed.
type Build struct {
	// Name is that of the receiver in the pipeline and in payloads, Label what the
	// own numbers have as label receiver: of the alarm that says that this receiver
	// fails it is not told.
	Name     string
	Label    string
	Template *template.Template
	Log      *slog.Logger
	// Acknowledged tells of an alarm's id whether somebody knows of it.
	Acknowledged func(id string) bool
	// Kept is what Keep was given last, by the process before too.
	Kept []byte
	Keep func(state []byte)
	// Burst notifications at once, and one each Every after that; 20 and 30 s when 0.
	Burst int
	Every time.Duration
	// Settle is how long after it is back a receiver gets what Alertmanager still has
	// for it, before the digest; Probe is after how long without a try the digest is
	// one, 70 s and 2 min when 0.
	Settle, Probe time.Duration
	// Broker makes what sends to a broker of messages; nil for none, when lines amqp://…
	// are refused.
	Broker func(o BrokerOptions) (Broker, error)
	// Dial connects, the function of that name when nil, and TLS says whom to trust.
	// Both are for tests.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	TLS  *tls.Config
}

// client is one for senders of this package.
func (b Build) client() *http.Client {
	t := Transport(b.Dial)
	t.TLSClientConfig = b.TLS.Clone()
	return &http.Client{Transport: t, CheckRedirect: SameHost, Timeout: timeout}
}

// The rate of a receiver.
const (
	defaultBurst = 20
	defaultEvery = 30 * time.Second
	maxFolded    = 1000 // alarms that wait for the folded message
	tryAgain     = 30 * time.Second
	stopGrace    = 2 * time.Second
	maxRest      = time.Hour // that a receiver may ask for

	defaultSettle = 70 * time.Second
	defaultProbe  = 2 * time.Minute
)

// foldedKey is the group of folded messages.
const foldedKey = "tallyman/folded"

// State is what is known of a receiver. Texts hold no secrets.
type State struct {
	LastSuccess  time.Time
	FailingSince time.Time // zero when the last send succeeded
	LastError    string    // of the last send that failed
	Sent, Failed uint64
	// Folded counts the alarms that were put into a folded message, Waiting are
	// those in the next one.
	Folded  uint64
	Waiting int
	// Missed are the alarms that came and went while it was away, for the digest.
	Missed int
}

// Receiver is the wrapper around every integration.
type Receiver struct {
	target *Target
	b      Build
	inner  []notify.Notifier
	wake   chan struct{}
	idle   []*http.Client // to close

	mu      sync.Mutex
	state   State
	tokens  float64
	at      time.Time // when tokens were counted
	tried   time.Time // when the folded message or the digest failed
	rest    time.Time // until when it has asked for rest
	asked   time.Time // when the pipeline tried last
	waiting []*alert.Alert
	missed  missed
	partly  map[string]map[int]bool // of a notification: which parts have it
}

// kept is what survives a restart.
type kept struct {
	LastSuccess  time.Time     `json:"lastSuccess,omitzero"`
	FailingSince time.Time     `json:"failingSince,omitzero"`
	LastError    string        `json:"lastError,omitempty"`
	Waiting      []model.Alert `json:"waiting,omitempty"`
	keptMissed
}

var (
	errRate = errors.New("more than 20 notifications in 10 minutes; it waits")
	errRest = errors.New("it has asked for rest")
)

// Build makes the receiver.
func (t *Target) Build(b Build) (*Receiver, error) {
	if t.IsForward() {
		return nil, errors.New("another Alertmanager is no receiver")
	}
	b.Log = t.scrub.Logger(b.Log)
	r := newReceiver(t, b)
	switch {
	case t.hook != nil:
		c := b.client()
		r.idle = append(r.idle, c)
		r.inner = append(r.inner, &hooked{hook: t.hook, build: b, client: c})
	case t.broker != nil:
		if b.Broker == nil {
			return nil, errors.New("nobody sends to brokers here")
		}
		o := t.broker.o
		if o.Dial = b.Dial; o.Dial == nil {
			o.Dial = Dial
		}
		to, err := b.Broker(o)
		if err != nil {
			return nil, fmt.Errorf("make the receiver: %w", t.scrub.Error(err))
		}
		r.inner = append(r.inner, &brokered{brokerLine: t.broker, to: to, build: b})
	case t.shoutrrr != "":
		name, _, _ := strings.Cut(t.Kind, "+")
		r.inner = append(r.inner, &leaving{inner: &bridge{t: t, s: through()[name], build: b}})
	default:
		c := t.native
		c.Name = b.Name
		dial := b.Dial
		if dial == nil {
			dial = Dial
		}
		options := []promconfig.HTTPClientOption{promconfig.WithDialContextFunc(dial), promconfig.WithUserAgent("tallyman"), promconfig.WithKeepAlivesDisabled()}
		if b.TLS != nil {
			options = append(options, promconfig.WithNewTLSConfigFunc(func(context.Context, *promconfig.TLSConfig, ...promconfig.TLSConfigOption) (*tls.Config, error) {
				return b.TLS.Clone(), nil
			}))
		}
		made, err := amreceiver.BuildReceiverIntegrations(c, b.Template, b.Log, options...)
		if err != nil {
			return nil, fmt.Errorf("make the receiver: %w", t.scrub.Error(err))
		}
		for i := range made {
			switch {
			case len(c.EmailConfigs) > 0:
				r.inner = append(r.inner, &leaving{inner: guarded{&made[i], c.EmailConfigs[0].Smarthost.Host}})
			case len(c.TelegramConfigs) > 0:
				r.inner = append(r.inner, &leaving{inner: &made[i]})
			default:
				r.inner = append(r.inner, &made[i])
			}
		}
	}
	return r, nil
}

// guarded refuses what Dial would, for a sender that dials by itself.
type guarded struct {
	notify.Notifier
	host string
}

func (g guarded) Notify(ctx context.Context, alerts ...*alert.Alert) notify.NotifyVerdict {
	if err := lookup(ctx, g.host); err != nil {
		return notify.Retry(0, err, notify.DefaultReason)
	}
	return g.Notifier.Notify(ctx, alerts...)
}

// Wrap makes a receiver of an integration that a configuration of Alertmanager's
// describes. Scrub knows its secrets.
func Wrap(inner notify.Integration, scrub *Scrubber, b Build) *Receiver {
	t := &Target{Kind: inner.Name(), scrub: scrub, incident: slices.Contains([]string{"pagerduty", "opsgenie", "victorops", "jira", "incidentio", "sns"}, inner.Name())}
	b.Log = t.scrub.Logger(b.Log)
	r := newReceiver(t, b)
	r.inner = []notify.Notifier{&inner}
	if slices.Contains([]string{"email", "telegram"}, inner.Name()) {
		r.inner[0] = &leaving{inner: &inner}
	}
	return r
}

func newReceiver(t *Target, b Build) *Receiver {
	if b.Burst == 0 {
		b.Burst = defaultBurst
	}
	if b.Every == 0 {
		b.Every = defaultEvery
	}
	if b.Settle == 0 {
		b.Settle = defaultSettle
	}
	if b.Probe == 0 {
		b.Probe = defaultProbe
	}
	if b.Acknowledged == nil {
		b.Acknowledged = func(string) bool { return false }
	}
	if b.Keep == nil {
		b.Keep = func([]byte) {}
	}
	r := &Receiver{target: t, b: b, wake: make(chan struct{}, 1), tokens: float64(b.Burst), at: time.Now(), partly: map[string]map[int]bool{}, missed: missed{untold: map[model.Fingerprint]time.Time{}}}
	var before kept
	if json.Unmarshal(b.Kept, &before) == nil { // what is damaged is as nothing
		r.state.LastSuccess, r.state.FailingSince, r.state.LastError = before.LastSuccess, before.FailingSince, before.LastError
		for _, a := range before.Waiting {
			r.waiting = append(r.waiting, alert.New(a, time.Now(), false))
		}
		r.missed.restore(&before.keptMissed)
	}
	// At the start what Alertmanager has comes first.
	r.asked, r.missed.back = r.at, r.at
	return r
}

// Target is what it was made of.
func (r *Receiver) Target() *Target { return r.target }

// SendResolved implements Alertmanager's notify.ResolvedSender.
func (r *Receiver) SendResolved() bool {
	for _, in := range r.inner {
		if rs, ok := in.(notify.ResolvedSender); ok && !rs.SendResolved() {
			return false
		}
	}
	return true
}

// State is a copy of what is known.
func (r *Receiver) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.state
	s.Waiting, s.Missed = len(r.waiting), len(r.missed.digest)+r.missed.more
	return s
}

// keep hands on what must survive, with the lock held.
func (r *Receiver) keep() {
	k := kept{LastSuccess: r.state.LastSuccess, FailingSince: r.state.FailingSince, LastError: r.state.LastError, keptMissed: r.missed.kept()}
	for _, a := range r.waiting {
		k.Waiting = append(k.Waiting, a.Alert)
	}
	if text, err := json.Marshal(k); err == nil {
		r.b.Keep(text)
	}
}

// refill counts the tokens, with the lock held, and says how long it is to the next.
func (r *Receiver) refill() (wait time.Duration) {
	now := time.Now()
	r.tokens = min(float64(r.b.Burst), r.tokens+float64(now.Sub(r.at))/float64(r.b.Every))
	r.at = now
	if r.tokens >= 1 {
		return 0
	}
	return time.Duration((1 - r.tokens) * float64(r.b.Every))
}

// Notify implements Alertmanager's notify.Notifier.
func (r *Receiver) Notify(ctx context.Context, alerts ...*alert.Alert) notify.NotifyVerdict {
	if reason, _ := notify.NotificationReason(ctx); reason == notify.ReasonRepeatIntervalElapsed {
		alerts = slices.DeleteFunc(slices.Clone(alerts), func(a *alert.Alert) bool {
			id := string(a.Annotations[idKey])
			return id != "" && !a.Resolved() && r.b.Acknowledged(id)
		})
	}
	if slices.ContainsFunc(alerts, r.aboutItself) {
		alerts = slices.DeleteFunc(slices.Clone(alerts), r.aboutItself)
	}
	if len(alerts) == 0 {
		return notify.Success()
	}
	r.mu.Lock()
	if rest := time.Until(r.rest); rest > 0 {
		defer r.mu.Unlock()
		return notify.Retry(rest, errRest, notify.DefaultReason)
	}
	r.asked = time.Now()
	wait := r.refill()
	if wait > 0 || len(r.waiting) > 0 {
		defer r.mu.Unlock()
		if r.target.incident {
			return notify.Retry(wait, errRate, notify.DefaultReason)
		}
		r.fold(alerts)
		return notify.Success()
	}
	r.tokens--
	r.mu.Unlock()
	v := r.send(ctx, alerts)
	if v.Err() != nil { // only what arrives counts for the rate
		r.mu.Lock()
		r.tokens++
		r.mu.Unlock()
	}
	return v
}

// FailsRule is the rule that says of a receiver that it fails.
const FailsRule = "TallymanNotifyFails"

// aboutItself reports whether an alert says that this receiver fails: the others tell
// of that.
func (r *Receiver) aboutItself(a *alert.Alert) bool {
	return r.b.Label != "" && a.Labels[model.AlertNameLabel] == FailsRule && string(a.Labels["receiver"]) == r.b.Label
}

// fold puts alerts into the next folded message, with the lock held. Of an alert the
// newest state is told.
func (r *Receiver) fold(alerts []*alert.Alert) {
	r.missed.told(alerts)
	for _, a := range alerts {
		r.state.Folded++
		i := slices.IndexFunc(r.waiting, func(old *alert.Alert) bool { return old.Fingerprint() == a.Fingerprint() })
		if i >= 0 {
			r.waiting[i] = a
		} else if len(r.waiting) < maxFolded {
			r.waiting = append(r.waiting, a)
		}
	}
	r.keep()
	r.nudge()
}

// nudge has Run look what is due. It never blocks.
func (r *Receiver) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// send sends to all parts, and notes what became of it.
func (r *Receiver) send(ctx context.Context, alerts []*alert.Alert) (v notify.NotifyVerdict) {
	id := notificationID(ctx, alerts)
	v = notify.Success()
	for i, in := range r.inner {
		if r.has(id, i) {
			continue
		}
		limited, cancel := unhurried(ctx)
		one := in.Notify(limited, alerts...)
		cancel()
		if one.Err() == nil {
			r.note(id, i)
			continue
		}
		v = one
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := v.Err(); err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			return notify.Retry(0, context.Canceled, notify.ContextCanceledReason) // we stop; nobody failed
		}
		err = r.target.scrub.Error(hint(err))
		r.state.Failed++
		r.missed.failed = now
		if v.Delay() > 0 {
			r.rest = now.Add(min(v.Delay(), maxRest))
		}
		if first := r.state.FailingSince.IsZero(); first || r.state.LastError != err.Error() {
			r.state.LastError = err.Error()
			if first {
				r.state.FailingSince = now
			}
			r.keep()
		}
		if v.ShouldRetry() {
			return notify.Retry(v.Delay(), err, v.Reason())
		}
		return notify.Unrecoverable(err, v.Reason())
	}
	delete(r.partly, id)
	countSent(ctx)
	r.missed.told(alerts)
	if !r.state.FailingSince.IsZero() {
		r.missed.back = now
		r.nudge()
	}
	r.rest, r.tried = time.Time{}, time.Time{}
	r.state.Sent++
	r.state.LastSuccess, r.state.FailingSince = now, time.Time{}
	r.keep()
	return v
}

// unhurried is a context for one try. When we are told to stop, what is being sent has
// stopGrace to be answered: cut off, it would be sent again by the next process.
func unhurried(ctx context.Context) (context.Context, context.CancelFunc) {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.Canceled) {
			select {
			case <-limited.Done():
			case <-time.After(stopGrace):
			}
		}
		cancel()
	})
	return limited, func() {
		stop()
		cancel()
	}
}

// has and note keep, of a notification to several chats, which of them have it: only
// the others are tried again.
func (r *Receiver) has(id string, part int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.partly[id][part]
}

func (r *Receiver) note(id string, part int) {
	if len(r.inner) == 1 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.partly) > maxFolded {
		clear(r.partly)
	}
	if r.partly[id] == nil {
		r.partly[id] = map[int]bool{}
	}
	r.partly[id][part] = true
}

// context is one for messages that come from no group.
func (r *Receiver) context(ctx context.Context, group string, reason notify.NotifyReason) context.Context {
	ctx = notify.WithReceiverName(ctx, r.b.Name)
	ctx = notify.WithGroupKey(ctx, group)
	ctx = notify.WithGroupLabels(ctx, model.LabelSet{})
	ctx = notify.WithRepeatInterval(ctx, time.Hour)
	ctx = notify.WithNow(ctx, time.Now())
	return notify.WithNotificationReason(ctx, reason)
}

// Run sends folded messages and digests until ctx ends. What waits then is kept.
func (r *Receiver) Run(ctx context.Context) error {
	defer func() {
		for _, c := range r.idle {
			c.CloseIdleConnections()
		}
	}()
	for {
		due := time.NewTimer(r.next())
		select {
		case <-ctx.Done():
			due.Stop()
			return nil
		case <-r.wake:
			due.Stop()
		case <-due.C:
			r.sendFolded(ctx)
			r.sendDigest(ctx)
		}
	}
}

// next is how long it is until there may be something to send.
func (r *Receiver) next() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	least := max(r.refill(), time.Until(r.rest))
	if !r.tried.IsZero() {
		least = max(least, tryAgain-time.Since(r.tried))
	}
	switch digest, any := r.digestDue(); {
	case len(r.waiting) > 0:
		return max(least, 0)
	case any:
		return max(least, time.Until(digest), 0)
	}
	return time.Hour
}

// may reports whether something may be sent now, with the lock held.
func (r *Receiver) may() bool { return r.refill() == 0 && !time.Now().Before(r.rest) }

// sendOwn sends a message that is of no group. When it has arrived, arrived is called with
// the lock held; else it is tried again later.
func (r *Receiver) sendOwn(ctx context.Context, key string, reason notify.NotifyReason, alerts []*alert.Alert, arrived func()) {
	v := r.send(r.context(ctx, key, reason), alerts)
	r.mu.Lock()
	defer r.mu.Unlock()
	if v.Err() != nil {
		r.tried = time.Now()
		return
	}
	r.tokens--
	arrived()
	r.keep()
}

func (r *Receiver) sendFolded(ctx context.Context) {
	r.mu.Lock()
	alerts := slices.Clone(r.waiting)
	due := len(alerts) > 0 && r.may()
	r.mu.Unlock()
	if !due {
		return
	}
	r.sendOwn(ctx, foldedKey, notify.ReasonNewAlertsInGroup, alerts, func() {
		r.waiting = slices.DeleteFunc(r.waiting, func(a *alert.Alert) bool { return slices.Contains(alerts, a) })
	})
}

// Test sends a marked message and says what became of it. The text holds no secret.
func (r *Receiver) Test(ctx context.Context) (answer string, err error) {
	now := time.Now()
	a := alert.New(model.Alert{
		Labels:      model.LabelSet{"alertname": "TallymanTest", "severity": "warning"},
		Annotations: model.LabelSet{summaryKey: "this is a test of tallyman's notifications", adviceKey: "nothing; it arrived", testKey: "true"},
		StartsAt:    now,
	}, now, false)
	v := r.send(r.context(ctx, "tallyman/test", notify.ReasonFirstNotification), []*alert.Alert{a})
	if v.Err() != nil {
		return "", v.Err()
	}
	return fmt.Sprintf("%s took it within %d ms", r.target, time.Since(now).Milliseconds()), nil
}
