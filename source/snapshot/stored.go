// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"

	"tallyman"
)

// load reads which snapshots are stored.
func (s *Source) load(ctx context.Context) error {
	newest := map[string]int64{}
	q := tallyman.RecordQuery{Matchers: []tallyman.Matcher{{Name: "source", Value: "snapshot"}}, Start: math.MinInt64, End: math.MaxInt64, NoLines: true}
	return each(ctx, s.o.Stored, q, func(st *tallyman.Stream, r *tallyman.Record) {
		hash := meta(r, "hash")
		if id := meta(r, "image_id"); id != "" {
			bound(s.images)
			s.images[tallyman.LabelOf(st, r.Meta, "host")+" "+id] = true
			return
		}
		id := meta(r, "container_id")
		if id == "" || hash == "" {
			return
		}
		if at, ok := newest[id]; !ok || r.Time >= at {
			newest[id] = r.Time
			bound(s.stored)
			s.stored[id] = hash
		}
		w := workload{tallyman.LabelOf(st, r.Meta, "host"), tallyman.LabelOf(st, r.Meta, "workload")}
		if l, ok := s.last[w]; !ok || r.Time >= l.at {
			s.last[w] = snapshot{id: id, hash: hash, at: r.Time}
		}
	})
}

// read finds a snapshot of a workload; nil when it is no longer stored.
func (s *Source) read(ctx context.Context, w workload, n snapshot) (line []byte, err error) {
	q := tallyman.RecordQuery{Start: n.at, End: n.at + 1, Matchers: []tallyman.Matcher{
		{Name: "source", Value: "snapshot"}, {Name: "host", Value: w.host}, {Name: "workload", Value: w.key},
	}}
	err = each(ctx, s.o.Stored, q, func(_ *tallyman.Stream, r *tallyman.Record) {
		if meta(r, "hash") == n.hash {
			line = bytes.Clone(r.Line)
		}
	})
	return line, err
}

func meta(r *tallyman.Record, name string) string {
	for _, l := range r.Meta {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

// each calls f for every record of a query, stream by stream.
func each(ctx context.Context, store tallyman.RecordReader, q tallyman.RecordQuery, f func(*tallyman.Stream, *tallyman.Record)) error {
	cursors, err := store.SelectRecords(ctx, q)
	if err != nil {
		return err
	}
	for _, c := range cursors {
		defer c.Close()
	}
	for _, c := range cursors {
		for {
			records, err := c.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			for i := range records {
				f(c.Stream(), &records[i])
			}
		}
		c.Close()
	}
	return nil
}
