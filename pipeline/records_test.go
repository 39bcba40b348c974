// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tallyman"
	"tallyman/internal/recordtest"
)

// moody is a sink that fails, or refuses so many records, as told.
type moody struct {
	*recordtest.Store
	mu     sync.Mutex
	err    error
	refuse int
}

func (m *moody) set(err error, refuse int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err, m.refuse = err, refuse
}

func (m *moody) AppendRecords(b *tallyman.RecordBatch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	if err := m.Store.AppendRecords(b); err != nil || m.refuse == 0 {
		return err
	}
	return &tallyman.RefusedError{Records: m.refuse, Err: tallyman.ErrLimit}
}

// lines is a batch of so many records, and a position.
func lines(n int) *tallyman.RecordBatch {
	st := &tallyman.Stream{Labels: []tallyman.Label{{Name: "name", Value: "web"}}}
	return &tallyman.RecordBatch{Streams: []tallyman.StreamRecords{{Stream: st, Records: slices.Repeat([]tallyman.Record{{Time: 1, Line: []byte("x")}}, n)}},
		Positions: []tallyman.Position{{Key: "k", Value: fmt.Sprint(n)}}}
}

// ledgerOf is what became of the records of each source.
func ledgerOf(r *Records) string {
	var out []string
	for _, m := range r.SelfMetrics() {
		if v := m.Read(); v != 0 {
			name := strings.TrimSuffix(strings.TrimPrefix(m.Desc.Name, "tallyman_records_"), "_total")
			for _, l := range m.Labels {
				name += " " + l.Value
			}
			out = append(out, fmt.Sprint(name, " ", v))
		}
	}
	return strings.Join(out, ", ")
}

// received = stored + dropped{reason} + in flight, at every moment.
func TestRecordsLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &moody{Store: recordtest.New()}
		r := NewRecords(sink, slog.New(slog.DiscardHandler))
		files, pushes := r.Intake("files"), r.Intake("pushes")
		want := func(want string) {
			t.Helper()
			if got := ledgerOf(r); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		if err := files.TakeRecords(t.Context(), lines(3)); err != nil {
			t.Fatal(err)
		}
		want("received files 3, stored files 3")

		sink.set(nil, 2)
		if err := files.TakeRecords(t.Context(), lines(5)); !errors.Is(err, tallyman.ErrLimit) {
			t.Errorf("got %v", err)
		}
		want("received files 8, stored files 6, dropped limit files 2")

		// It waits while the store takes nothing, and what is pushed is sent again.
		full := errors.New("disk full")
		sink.set(full, 0)
		done := make(chan error)
		go func() { done <- files.TakeRecords(t.Context(), lines(7)) }()
		time.Sleep(time.Minute)
		want("received files 15, stored files 6, dropped limit files 2, in_flight files 7")
		if err := pushes.AppendRecords(lines(100)); !errors.Is(err, full) {
			t.Errorf("a push: %v", err)
		}
		want("received files 15, stored files 6, dropped limit files 2, in_flight files 7")
		sink.set(nil, 0)
		if err := <-done; err != nil {
			t.Error(err)
		}
		want("received files 15, stored files 13, dropped limit files 2")
		if v, ok := files.Position("k"); !ok || v != "7" || len(files.Positions("k")) != 1 {
			t.Errorf("the position is %q", v)
		}

		sink.set(full, 0)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { done <- files.TakeRecords(ctx, lines(4)) }()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		want("received files 19, stored files 13, dropped limit files 2, dropped read_again files 4")

		sink.set(nil, 1)
		_ = pushes.AppendRecords(lines(2))
		want("received files 19, stored files 13, dropped limit files 2, dropped read_again files 4, received pushes 2, stored pushes 1, dropped limit pushes 1")
	})
}
