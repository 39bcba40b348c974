// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"bytes"
	"context"
	"math"

	"tallyman"
	"tallyman/internal/recordwalk"
)

// load reads which snapshots are stored.
func (s *Source) load(ctx context.Context) error {
	newest := map[string]int64{}
	q := tallyman.RecordQuery{Matchers: []tallyman.Matcher{{Name: "source", Value: "snapshot"}}, Start: math.MinInt64, End: math.MaxInt64, NoLines: true}
	for f, err := range recordwalk.ByStream(ctx, s.o.Stored, q) {
		if err != nil {
			return err
		}
		st, r := f.Stream, f.Record
		hash, host := tallyman.LabelIn(r.Meta, "hash"), tallyman.LabelOf(st, r.Meta, "host")
		if id := tallyman.LabelIn(r.Meta, "image_id"); id != "" {
			bound(s.images)
			s.images[host+" "+id] = true
			continue
		}
		id := tallyman.LabelIn(r.Meta, "container_id")
		if id == "" || hash == "" {
			continue
		}
		if at, ok := newest[id]; !ok || r.Time >= at {
			newest[id] = r.Time
			bound(s.stored)
			s.stored[id] = hash
		}
		w := workload{host, tallyman.LabelOf(st, r.Meta, "workload")}
		if l, ok := s.last[w]; !ok || r.Time >= l.at {
			s.last[w] = snapshot{id: id, hash: hash, at: r.Time}
		}
	}
	return nil
}

// read finds a snapshot of a workload; nil when it is no longer stored.
func (s *Source) read(ctx context.Context, w workload, n snapshot) (line []byte, err error) {
	q := tallyman.RecordQuery{Start: n.at, End: n.at + 1, Matchers: []tallyman.Matcher{
		{Name: "source", Value: "snapshot"}, {Name: "host", Value: w.host}, {Name: "workload", Value: w.key},
	}}
	for f, err := range recordwalk.ByStream(ctx, s.o.Stored, q) {
		if err != nil {
			return nil, err
		}
		if tallyman.LabelIn(f.Record.Meta, "hash") == n.hash {
			line = bytes.Clone(f.Record.Line)
		}
	}
	return line, nil
}
