// SPDX-License-Identifier: Apache-2.0

package services

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"tallyman"
	"tallyman/attach/inside"
	"tallyman/internal/clip"
)

const (
	retryFirst, retryMost = 10 * time.Second, 5 * time.Minute
	// authEvery is how often a refused login is tried: three times an hour lock no account.
	authEvery = 20 * time.Minute
	// quarantine is how long one is left alone that makes too many new series.
	quarantine = time.Hour
	// timeout is for one scrape, when nothing else is set.
	timeout = 10 * time.Second
	// least is the shortest time between two scrapes.
	least = 5 * time.Second
)

// instance is one plugin in one container. Its methods may be called from any goroutine.
type instance struct {
	s        *Services
	id       string // of the target
	identity string // within the container
	wish     tallyman.ServiceWish
	view     *inside.View
	label    string
	every    time.Duration
	limit    time.Duration

	mu     sync.Mutex
	status tallyman.ServiceStatus
	wasUp  bool
	ran    bool                  // the first run was told of
	told   tallyman.ServiceState // the last that there was an event of
}

// session asks for an instance, from when it is attached until its container ends or is
// paused. It belongs to the collector's goroutine for it.
type session struct {
	*instance
	service  tallyman.Service
	failures int
	next     time.Time
	book     *book
	errors   map[tallyman.ServiceFault]float64
}

var _ tallyman.Paced = (*session)(nil)

// newInstance makes one; nothing is opened.
func (s *Services) newInstance(l *life, room *inside.Room, w tallyman.ServiceWish) *instance {
	c := l.container
	where := w.Where()
	i := &instance{s: s, wish: w, view: room.View(s.policy(w.Origin)), identity: w.Kind.Name + " " + where, label: labelOf(c.Name, where)}
	if name := w.Config.Text("NAME", ""); name != "" {
		i.label = name
	}
	i.id = c.ID + " " + i.identity
	i.every = max(w.Config.Duration("INTERVAL", w.Kind.Every), least)
	i.limit = w.Config.Duration("TIMEOUT", cmp.Or(w.Kind.Timeout, timeout))
	i.status = tallyman.ServiceStatus{Type: w.Kind.Name, Instance: i.label, Where: where, Origin: w.Origin, Source: w.Source, Container: c.ID, Name: c.Name,
		Host: c.Host, Workload: c.Workload.Key, State: tallyman.ServicePending, Since: time.Now(), Every: i.every}
	return i
}

// labelOf is the label instance: the container's name and the port or path that is asked, or
// the address of what is not the container's own.
func labelOf(container, where string) string {
	if _, err := strconv.ParseUint(where, 10, 16); err == nil || strings.HasPrefix(where, "/") {
		return container + ":" + where
	}
	host, port, path := "", "", ""
	if u, err := url.Parse(where); err == nil && u.Host != "" {
		host, port, path = u.Hostname(), u.Port(), u.Path
		if port == "" {
			port = map[string]string{"https": "443"}[u.Scheme]
		}
		if port == "" {
			port = "80"
		}
	} else if h, p, err := net.SplitHostPort(where); err == nil {
		host, port = h, p
	} else {
		return container + ":" + where
	}
	ip, err := netip.ParseAddr(host)
	if host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return where
	}
	if path == "/" || path == "/metrics" {
		path = ""
	}
	return container + ":" + port + path
}

// attached begins to ask, for the series of a target.
func (i *instance) attached(t *tallyman.Target) *session {
	return &session{instance: i, book: newBook(i, t), errors: map[tallyman.ServiceFault]float64{}}
}

func (i *instance) setPaused(paused bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case paused && i.status.State != tallyman.ServicePaused:
		i.status.State, i.status.Since = tallyman.ServicePaused, time.Now()
	case !paused && i.status.State == tallyman.ServicePaused:
		i.status.State, i.status.Since = tallyman.ServicePending, time.Now()
	}
}

func (i *instance) everUp() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.wasUp
}

// Status is what is known of it.
func (i *instance) Status() tallyman.ServiceStatus {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.status
}

// Pause implements tallyman.Paced.
func (i *session) Pause() time.Duration {
	if i.next.IsZero() { // the first
		c := i.view.Container()
		if wait := time.Until(c.Started.Add(settle)); wait > 0 {
			return wait
		}
		return rand.N(min(i.every, settle)) // those of a hundred containers not all at once
	}
	return time.Until(i.next)
}

// Absences implements tallyman.Poll.
func (i *instance) Absences() []tallyman.Absence {
	switch s := i.Status(); s.State {
	case tallyman.ServiceUp:
		return nil
	case tallyman.ServicePending:
		return []tallyman.Absence{{Code: tallyman.Later, What: s.Type, Reason: "It was not asked yet."}}
	default:
		return []tallyman.Absence{{What: s.Type, Reason: s.Reason, Unlock: s.Fix}}
	}
}

// Close implements tallyman.Poll.
func (i *session) Close() {
	if i.service != nil {
		i.service.Close()
		i.service = nil
	}
}

// Poll scrapes once. It never fails itself: what went wrong is a value.
func (i *session) Poll(ctx context.Context, b *tallyman.Batch) error {
	i.book.begin()
	started := time.Now()
	err := i.scrape(ctx)
	took := time.Since(started)
	if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ctx.Err() // it is not wanted any more
	}
	if err == nil {
		err = i.book.over(i.wish)
	}
	fault, reason, fix := judge(err)
	plugin := []string{"plugin", strings.ToLower(i.wish.Kind.Name)}
	if err != nil {
		i.errors[fault]++
		i.book.begin() // nothing of it counts
	}
	series := len(i.book.samples)
	i.book.plain(pluginUp, boolean(err == nil), plugin...)
	i.book.plain(pluginRefused, boolean(fault == tallyman.AuthFault), plugin...)
	i.book.plain(pluginDuration, took.Seconds(), plugin...)
	for _, f := range faults { // in one order, so that rounds are alike
		if n := i.errors[f]; n > 0 {
			i.book.plain(pluginErrors, n, append(plugin, "reason", string(f))...)
		}
	}
	i.book.plain(pluginSeries, float64(series), plugin...)
	i.book.plain(pluginDropped, i.book.droppedAll, plugin...)
	if err == nil {
		i.check(ctx, plugin)
	}
	b.Samples = append(b.Samples, i.book.samples...)
	i.book.end()
	i.after(started, took, series, fault, reason, fix)
	return nil
}

// scrape opens what is not open and asks.
func (i *session) scrape(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, i.limit)
	defer cancel()
	defer func() {
		if r := recover(); r != nil {
			i.s.count.panics.Add(1)
			i.s.o.Log.Error("a fault has ended a scrape", "plugin", i.wish.Kind.Name, "instance", i.label, "panic", r, "stack", string(debug.Stack()))
			err = tallyman.Faulty(tallyman.ParseFault, "", "a fault of tallyman has ended it; its log has the details")
			i.Close()
		}
	}()
	if until := i.book.quarantined; time.Now().Before(until) {
		return tallyman.Faulty(tallyman.LimitFault, "", "its series come and go too fast; it is left alone until %s", until.Format("15:04"))
	}
	if i.service == nil {
		config, err := i.s.o.Resolve(i.view, &i.wish)
		if err != nil {
			return err
		}
		if i.service, err = i.wish.Kind.Open(i.view, config); err != nil {
			i.service = nil
			return err
		}
	}
	if i.wish.Kind.Runs && i.wish.Origin == tallyman.FromImageLabel && i.first() {
		i.s.o.Emit(event(i.view.Container(), "exec", time.Now(), map[string]string{"plugin": strings.ToLower(i.wish.Kind.Name), "source": i.wish.Source, "command": i.wish.Where()}))
	}
	err = i.service.Scrape(ctx, i.book)
	if err != nil && ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	return err
}

// first reports whether nothing of the instance has run yet.
func (i *instance) first() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	defer func() { i.ran = true }()
	return !i.ran
}

// check uses the service as its clients do.
func (i *session) check(ctx context.Context, plugin []string) {
	c, ok := i.service.(tallyman.ServiceChecker)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, i.limit)
	defer cancel()
	started := time.Now()
	err := func() (err error) {
		defer func() {
			if r := recover(); r != nil {
				i.s.count.panics.Add(1)
				err = fmt.Errorf("a fault of tallyman: %v", r)
			}
		}()
		return c.Check(ctx)
	}()
	i.book.plain(checkUp, boolean(err == nil), plugin...)
	if err == nil {
		i.book.plain(checkDuration, time.Since(started).Seconds(), plugin...)
	}
}

// after keeps what came of a scrape, tells of a change, and plans the next.
func (i *session) after(started time.Time, took time.Duration, series int, fault tallyman.ServiceFault, reason, fix string) {
	state := tallyman.ServiceUp
	switch fault {
	case "":
		i.failures, i.next = 0, started.Add(i.every)
	case tallyman.AuthFault:
		state = tallyman.ServiceAuth
		i.next = time.Now().Add(authEvery)
		i.Close() // its references are looked up again
	default:
		state = tallyman.ServiceDown
		pause := min(retryFirst<<min(i.failures, 10), retryMost)
		i.failures++
		i.next = time.Now().Add(max(pause-rand.N(pause/10), min(i.every, retryFirst)))
		if fault == tallyman.ConfigFault {
			i.Close()
		}
	}
	i.mu.Lock()
	before, c := i.status.State, i.view.Container()
	if before != state && before != tallyman.ServicePaused {
		i.status.State, i.status.Since = state, time.Now()
	}
	i.status.Fault, i.status.Reason, i.status.Fix, i.status.Note = fault, reason, fix, ""
	if err := i.view.Degraded(); err != nil && fault == "" {
		i.status.Note = "Its address on the bridge is asked in place of its loopback: " + err.Error()
	}
	if fault == "" {
		i.status.Scraped, i.status.Took, i.status.Series, i.status.Dropped = started, took, series, i.book.dropped
		i.wasUp = true
	} else {
		i.status.Series = 0
	}
	last := i.told
	i.told = state
	i.mu.Unlock()
	// That one is up that was there before tallyman is no news.
	if last == state || last == "" && state == tallyman.ServiceUp && c.Started.Before(i.s.began) {
		return
	}
	a := map[string]string{"plugin": strings.ToLower(i.wish.Kind.Name), "instance": i.label}
	if reason != "" {
		a["reason"] = reason
	}
	i.s.o.Emit(event(c, string(state), time.Now(), a))
}

// faults are all there are.
var faults = []tallyman.ServiceFault{tallyman.DialFault, tallyman.AuthFault, tallyman.TimeoutFault, tallyman.ParseFault, tallyman.PermissionFault, tallyman.LimitFault, tallyman.ConfigFault}

// judge says what an error means.
func judge(err error) (fault tallyman.ServiceFault, reason, fix string) {
	if err == nil {
		return "", "", ""
	}
	var e *tallyman.ServiceError
	var dns *net.DNSError
	var op *net.OpError
	var call *os.SyscallError
	switch timedOut := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded); {
	case errors.As(err, &e):
		return e.Fault, sentence(e.Error()), e.Fix
	case timedOut:
		return tallyman.TimeoutFault, "There was no answer in time.", ""
	case errors.Is(err, tallyman.ErrForbidden):
		return tallyman.PermissionFault, sentence(err.Error()), ""
	case errors.Is(err, tallyman.ErrLimit):
		return tallyman.LimitFault, sentence(err.Error()), ""
	case errors.Is(err, unix.ECONNREFUSED):
		return tallyman.DialFault, "Nothing listens there (connection refused).", ""
	case errors.As(err, &dns), errors.As(err, &op), errors.As(err, &call), errors.Is(err, os.ErrNotExist):
		return tallyman.DialFault, sentence(err.Error()), ""
	}
	return tallyman.ParseFault, sentence(err.Error()), ""
}

// sentence is an error's text as people read it.
func sentence(text string) string {
	text = clip.Text(strings.TrimSpace(text), 500)
	if text == "" {
		return text
	}
	if !strings.HasPrefix(text, "http") {
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
