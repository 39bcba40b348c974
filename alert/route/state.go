// SPDX-License-Identifier: Apache-2.0

package route

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/nflog"
	"github.com/prometheus/alertmanager/nflog/nflogpb"
	amnotify "github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/alertmanager/silence/silencepb"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/types/known/timestamppb"

	"tallyman/alert/book"
	"tallyman/alert/notify"
)

// Prefixes of the keys of kind Notified.
const (
	logKey   = "log/"
	tryKey   = "try/"
	endedKey = "ended/"
)

// Bounds of silences.
const (
	maxSilences     = 1000
	maxSilenceBytes = 64 << 10
	leastRetention  = 120 * time.Hour
)

// newLog makes the notification log over the book. Alertmanager hands each entry to its
// broadcast before Log returns, and there it is written. A write that fails is counted by
// the book, and the entry holds until the process ends.
func newLog(b *book.Book, retention time.Duration, log *slog.Logger, reg prometheus.Registerer) (*nflog.Log, error) {
	l, err := nflog.New(nflog.Options{Retention: retention, Logger: log, Metrics: reg})
	if err != nil {
		return nil, fmt.Errorf("make the notification log: %w", err)
	}
	for key, value := range b.All(book.Notified) {
		if !strings.HasPrefix(key, logKey) {
			continue
		}
		if err := l.Merge(value); err != nil {
			log.Warn("an entry of the notification log cannot be read and is left out", "err", err)
			_ = b.Delete(book.Notified, key) // the book counts what fails
		}
	}
	l.SetBroadcast(func(entry []byte) {
		e, err := decodeEntry(entry)
		if err == nil {
			err = b.Put(book.Notified, logKey+keyOf(e.Entry), entry)
			settleTry(b, keyOf(e.Entry), func(hash uint64) bool {
				return slices.Contains(e.Entry.FiringAlerts, hash) || slices.Contains(e.Entry.ResolvedAlerts, hash)
			})
		}
		if err != nil {
			log.Warn("a notification was sent and not noted; after a restart it is sent again", "err", err)
		}
	})
	return l, nil
}

func decodeEntry(b []byte) (*nflogpb.MeshEntry, error) {
	e := &nflogpb.MeshEntry{}
	if err := protodelim.UnmarshalFrom(bytes.NewReader(b), e); err != nil {
		return nil, fmt.Errorf("read an entry of the notification log: %w", err)
	}
	if e.Entry == nil || e.Entry.Receiver == nil {
		return nil, fmt.Errorf("read an entry of the notification log: %w", nflog.ErrInvalidState)
	}
	return e, nil
}

// keyOf is short, however long the names of strangers are.
func keyOf(e *nflogpb.Entry) string {
	r := e.Receiver
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%d", e.GroupKey, r.GroupName, r.Integration, r.Idx))
	return hex.EncodeToString(sum[:16])
}

// newSilences makes the silences over the book.
func newSilences(b *book.Book, log *slog.Logger, reg prometheus.Registerer) (*silence.Silences, error) {
	s, err := silence.New(silence.Options{
		Retention: leastRetention, Logger: log, Metrics: reg,
		Limits: silence.Limits{MaxSilences: func() int { return maxSilences }, MaxSilenceSizeBytes: func() int { return maxSilenceBytes }},
	})
	if err != nil {
		return nil, fmt.Errorf("make the silences: %w", err)
	}
	for key, value := range b.All(book.Silences) {
		if err := s.Merge(value); err != nil {
			log.Warn("a silence cannot be read and is left out", "err", err)
			_ = b.Delete(book.Silences, key) // the book counts what fails
		}
	}
	s.SetBroadcast(func(value []byte) {
		m, err := decodeSilence(value)
		if err == nil {
			err = b.Put(book.Silences, m.Silence.Id, value)
		}
		if err != nil {
			log.Warn("a silence holds only until the next restart", "err", err)
		}
	})
	return s, nil
}

func decodeSilence(b []byte) (*silencepb.MeshSilence, error) {
	m := &silencepb.MeshSilence{}
	if err := protodelim.UnmarshalFrom(bytes.NewReader(b), m); err != nil {
		return nil, fmt.Errorf("read a silence: %w", err)
	}
	if m.Silence == nil {
		return nil, fmt.Errorf("read a silence: %w", silence.ErrInvalidState)
	}
	return m, nil
}

// hashOf is how Alertmanager's notification log names an alert.
func hashOf(set model.LabelSet) uint64 {
	var names []model.LabelName
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	var b []byte
	for _, name := range names {
		b = append(append(b, name...), 0xff)
		b = append(append(b, set[name]...), 0xff)
	}
	return xxhash.Sum64(b)
}

// attempt notes, while a notification of new alarms is sent, that it is. Killed between
// the receiver's answer and the entry in the log, the next process knows that the receiver
// may have heard of them: if one has ended meanwhile, its end is told.
type attempt struct {
	*notify.Receiver
	r    *Router
	recv *nflogpb.Receiver
}

// Notify implements Alertmanager's notify.Notifier.
func (a attempt) Notify(ctx context.Context, alerts ...*alert.Alert) amnotify.NotifyVerdict {
	group, _ := amnotify.GroupKey(ctx)
	firing, _ := amnotify.FiringAlerts(ctx)
	entry := &nflogpb.MeshEntry{
		Entry:     &nflogpb.Entry{Receiver: a.recv, GroupKey: []byte(group), Timestamp: timestamppb.Now(), FiringAlerts: firing},
		ExpiresAt: timestamppb.New(time.Now().Add(leastRetention)),
	}
	key, b := keyOf(entry.Entry), a.r.o.Book
	before, err := decodeEntry(b.Get(book.Notified, logKey+key))
	if err == nil && !slices.ContainsFunc(firing, func(hash uint64) bool { return !slices.Contains(before.Entry.FiringAlerts, hash) }) {
		return a.Receiver.Notify(ctx, alerts...) // it knows of all of them
	}
	end := a.r.begin(key)
	defer end()
	earlier := b.Get(book.Notified, tryKey+key)
	if e, err := decodeEntry(earlier); err == nil { // the process before was killed while it told of these
		entry.Entry.FiringAlerts = append(slices.Clone(firing), e.Entry.FiringAlerts...)
	}
	if text := encodeEntry(entry); text != nil {
		_ = b.Put(book.Notified, tryKey+key, text) // the book counts what fails
	}
	v := a.Receiver.Notify(ctx, alerts...)
	switch {
	case v.Err() == nil: // the log will say so
	case earlier == nil:
		_ = b.Delete(book.Notified, tryKey+key)
	default:
		_ = b.Put(book.Notified, tryKey+key, earlier)
	}
	return v
}

// begin says that a try is under way until end, so that nobody settles it meanwhile.
func (r *Router) begin(key string) (end func()) {
	r.tries.Lock()
	defer r.tries.Unlock()
	r.trying[key] = true
	return func() {
		r.tries.Lock()
		defer r.tries.Unlock()
		delete(r.trying, key)
	}
}

// settleTry forgets of a try the alerts whose fate is known.
func settleTry(b *book.Book, key string, known func(hash uint64) bool) {
	text := b.Get(book.Notified, tryKey+key)
	if text == nil {
		return
	}
	e, err := decodeEntry(text)
	if err == nil {
		e.Entry.FiringAlerts = slices.DeleteFunc(e.Entry.FiringAlerts, known)
	}
	if err != nil || len(e.Entry.FiringAlerts) == 0 {
		_ = b.Delete(book.Notified, tryKey+key) // the book counts what fails
		return
	}
	_ = b.Put(book.Notified, tryKey+key, encodeEntry(e))
}

func encodeEntry(e *nflogpb.MeshEntry) []byte {
	var b bytes.Buffer
	if _, err := protodelim.MarshalTo(&b, e); err != nil {
		return nil
	}
	return b.Bytes()
}

// settleTries settles what the process before was sending when it was killed: of alarms
// that have ended since, the log says that they were told, so that their end is. The others
// are sent again, under the same name; until they are, their try stands, for this process
// may be killed, or they may end, before that.
func (r *Router) settleTries(ended func(hash uint64) bool) {
	r.tries.Lock()
	defer r.tries.Unlock()
	for key, value := range r.o.Book.All(book.Notified) {
		rest, ok := strings.CutPrefix(key, tryKey)
		if !ok || r.trying[rest] {
			continue
		}
		e, err := decodeEntry(value)
		if err != nil || !r.known[e.Entry.Receiver.GroupName] {
			_ = r.o.Book.Delete(book.Notified, key) // the book counts what fails
			continue
		}
		e.Entry.FiringAlerts = slices.DeleteFunc(e.Entry.FiringAlerts, func(hash uint64) bool { return !ended(hash) })
		if len(e.Entry.FiringAlerts) == 0 {
			continue
		}
		if before, err := decodeEntry(r.o.Book.Get(book.Notified, logKey+rest)); err == nil {
			e.Entry.FiringAlerts = append(e.Entry.FiringAlerts, before.Entry.FiringAlerts...)
			e.Entry.ResolvedAlerts, e.Entry.ReceiverData = before.Entry.ResolvedAlerts, before.Entry.ReceiverData
		}
		e.Entry.Timestamp = timestamppb.Now()
		if err := r.log.Merge(encodeEntry(e)); err != nil { // which writes it to the book
			r.o.Log.Warn("the end of an alarm may not be told", "err", err)
		}
	}
}

// told are the alerts of which receivers think that they fire, by the log, or may.
func (r *Router) told() map[uint64]bool {
	out := map[uint64]bool{}
	for _, of := range r.toldBy() {
		maps.Copy(out, of)
	}
	return out
}

// toldBy are the same by receiver.
func (r *Router) toldBy() map[string]map[uint64]bool {
	out := map[string]map[uint64]bool{}
	for key, value := range r.o.Book.All(book.Notified) {
		if strings.HasPrefix(key, endedKey) {
			continue
		}
		e, err := decodeEntry(value)
		if err != nil || !r.known[e.Entry.Receiver.GroupName] || e.ExpiresAt.AsTime().Before(time.Now()) {
			continue
		}
		name := e.Entry.Receiver.GroupName
		if out[name] == nil {
			out[name] = map[uint64]bool{}
		}
		for _, hash := range e.Entry.FiringAlerts {
			out[name][hash] = true
		}
	}
	return out
}

// keepEnded notes an alarm that has ended until everybody who was told of it knows.
func (r *Router) keepEnded(n Notice, set model.LabelSet) {
	text, err := json.Marshal(n)
	if err == nil {
		err = r.o.Book.Put(book.Notified, endedKey+set.Fingerprint().String(), text)
	}
	if err != nil {
		r.o.Log.Warn("the end of an alarm was not noted; killed before it is sent it would be forgotten", "err", err)
	}
}

// ended gives the alarms that have ended and of which somebody does not know it yet, and
// forgets the others.
func (r *Router) ended() (out []Notice) {
	told := r.told()
	for key, value := range r.o.Book.All(book.Notified) {
		if !strings.HasPrefix(key, endedKey) {
			continue
		}
		var n Notice
		if err := json.Unmarshal(value, &n); err != nil || !told[hashOf(labelSet(n.Labels))] {
			if time.Since(n.Ended) > r.settle { // a send may be under way
				_ = r.o.Book.Delete(book.Notified, key) // the book counts what fails
			}
			continue
		}
		out = append(out, n)
	}
	return out
}

// forget deletes what has expired from the book.
func (r *Router) forget() {
	now := time.Now()
	if _, err := r.log.GC(); err != nil {
		r.o.Log.Warn("old entries of the notification log are kept", "err", err)
	}
	if _, err := r.silences.GC(); err != nil {
		r.o.Log.Warn("old silences are kept", "err", err)
	}
	for key, value := range r.o.Book.All(book.Notified) {
		if e, err := decodeEntry(value); !strings.HasPrefix(key, endedKey) && (err != nil || !e.ExpiresAt.AsTime().After(now)) {
			_ = r.o.Book.Delete(book.Notified, key) // the book counts what fails
		}
	}
	for key, value := range r.o.Book.All(book.Silences) {
		if m, err := decodeSilence(value); err != nil || !m.ExpiresAt.AsTime().After(now) {
			_ = r.o.Book.Delete(book.Silences, key)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	fire := map[string]bool{}
	for _, id := range r.ids {
		fire[id] = true
	}
	for id := range r.acknowledged {
		if !fire[id] {
			delete(r.acknowledged, id)
			_ = r.o.Book.Delete(book.Acknowledged, id)
		}
	}
}
