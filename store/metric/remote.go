// SPDX-License-Identifier: Apache-2.0

package metric

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"tallyman"
)

var _ tallyman.RemoteStore = (*Store)(nil)

// remote is what the store keeps of a series of others.
type remote struct {
	opened uint64 // references are good for one opening of the TSDB
	entry
}

// AppendRemote implements tallyman.RemoteStore.
func (s *Store) AppendRemote(samples []tallyman.RemoteSample) error {
	if s.o.Space != nil {
		if err := s.o.Space.Check(); err != nil {
			return err
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return errClosed
	}
	app := s.db.AppenderV2(context.Background())
	for i := range samples {
		one := &samples[i]
		r, ok := one.Series.Stored.(*remote)
		if !ok {
			r = &remote{entry: entry{labels: remoteLabels(one.Series.Labels)}}
			one.Series.Stored = r
		}
		if r.opened != s.opened {
			r.opened, r.ref = s.opened, 0
		}
		ref, err := app.Append(r.ref, r.labels, 0, one.Time, one.Value, nil, nil, storage.AOptions{})
		switch {
		case err == nil:
			r.ref = ref
		case errors.Is(err, storage.ErrDuplicateSampleForTimestamp):
			one.Refused = tallyman.RemoteRepeated
		case errors.Is(err, storage.ErrOutOfBounds), errors.Is(err, storage.ErrTooOldSample):
			one.Refused = tallyman.RemoteTooOld
		case errors.Is(err, storage.ErrOutOfOrderSample):
			one.Refused = tallyman.RemoteOrder
		default:
			return errors.Join(fmt.Errorf("append what others sent to the metric store: %w", err), app.Rollback())
		}
	}
	if err := app.Commit(); err != nil {
		return fmt.Errorf("commit what others sent to the metric store: %w", err)
	}
	return nil
}

// remoteLabels are labels as the library has them, which keep nothing else in memory.
func remoteLabels(from []tallyman.Label) labels.Labels {
	b := labels.NewScratchBuilder(len(from))
	for _, l := range from {
		b.Add(strings.Clone(l.Name), strings.Clone(l.Value))
	}
	return b.Labels()
}
