// SPDX-License-Identifier: Apache-2.0

package example

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"tallyman"
	"tallyman/internal/logstream"
	"tallyman/internal/logtail"
)

// folder of the host in which notes lie, each a file whose name is later in the order of
// names than those before it.
const folder = "/var/spool/notes"

// maxNote is the longest note in bytes; what is beyond is left out and counted.
const maxNote = 64 << 10

// Lines is a source of records: each file of a folder is one.
func Lines() tallyman.RecordKind {
	return tallyman.RecordKind{
		Name:    "example_lines",
		Summary: "Notes that lie as files in /var/spool/notes",
		Sources: []string{tallyman.SourceFile},
		Metrics: tallyman.DescsOf((&notes{}).SelfMetrics()),
		New: func(o tallyman.RecordOptions) (tallyman.RecordSource, error) {
			return &notes{o: o, batch: logtail.NewBatch(o.Records), set: logstream.From(nil, o.Host, tallyman.SourceFile, tallyman.Label{Name: "filename", Value: folder})}, nil
		},
	}
}

type notes struct {
	o      tallyman.RecordOptions
	batch  *logtail.Batch
	set    *logstream.Set
	last   string // the file that was read last
	counts logtail.Counts
	absent atomic.Pointer[tallyman.Absence]
}

var (
	_ tallyman.RecordSource   = (*notes)(nil)
	_ tallyman.RecordAbsentee = (*notes)(nil)
	_ tallyman.SelfMetered    = (*notes)(nil)
	_ logtail.Reader          = (*notes)(nil)
)

const key = "example_lines"

// Position is stored in the same write as the notes up to it, so that after a crash
// none is missing and none is there twice.
func (n *notes) Position() tallyman.Position { return tallyman.Position{Key: key, Value: n.last} }

// Run looks each second until ctx ends.
func (n *notes) Run(ctx context.Context) error {
	n.last, _ = n.o.Records.Position(key)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		n.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look reads what is new. While the store takes nothing, Commit waits: the folder is the
// buffer.
func (n *notes) look(ctx context.Context) {
	dir := n.o.Path(folder)
	entries, err := os.ReadDir(dir)
	if err != nil {
		n.absent.Store(&tallyman.Absence{Code: tallyman.None, What: "notes", Reason: "There is no folder " + folder + "."})
		return
	}
	n.absent.Store(nil)
	for _, e := range entries { // by name
		if e.Name() <= n.last || !e.Type().IsRegular() {
			continue
		}
		text, lost, err := read(filepath.Join(dir, e.Name()))
		if err != nil {
			n.counts.Errors.Add(1)
			continue // one bad file takes no other along
		}
		n.counts.Line(len(text), lost)
		n.batch.Add(n.set.Of(false, text), time.Now().UnixNano(), text, n.set.Meta)
		n.last = e.Name()
		n.batch.Touch(n)
		if n.batch.Bytes >= logtail.CommitAt {
			n.batch.Commit(ctx)
		}
		if ctx.Err() != nil {
			return
		}
	}
	n.batch.Commit(ctx)
}

// read gives at most maxNote bytes, and how many there are beyond.
func read(name string) (text []byte, lost int, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	text, err = io.ReadAll(io.LimitReader(f, maxNote))
	return text, max(int(st.Size())-len(text), 0), err
}

// Absences say why there are no notes.
func (n *notes) Absences(t tallyman.TargetKey) []tallyman.Absence {
	if a := n.absent.Load(); a != nil && t.Kind == tallyman.HostTarget {
		return []tallyman.Absence{*a}
	}
	return nil
}

// SelfMetrics are how much was read, and could not be.
func (n *notes) SelfMetrics() []tallyman.SelfMetric {
	return n.counts.SelfMetrics("tallyman_example_notes", "notes")
}
