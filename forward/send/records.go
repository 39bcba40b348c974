// SPDX-License-Identifier: Apache-2.0

package send

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"tallyman"
	"tallyman/forward/queue"
	"tallyman/internal/fsx"
)

const (
	mostText  = 1 << 20 // of a request, unpacked
	leastText = 16 << 10
	mostTo    = 50_000 // streams that are remembered
	cutMark   = "… [cut by tallyman]"
)

// RecordOptions say which records are sent, and from where.
type RecordOptions struct {
	// Name is what the settings call the destination; its mark is kept under it.
	Name string
	// ID is what the ids of this tallyman's records begin with, where a destination has ids.
	ID string
	// Log is where records come from.
	Log tallyman.RecordLog
	// Note is a file that says that the destination has a mark, so that it is told when that
	// is lost; empty for none.
	Note string
	// Only selects streams: those that all matchers of one of them select; empty for all.
	Only [][]tallyman.Matcher
	// MostLine is how many bytes of a line are sent; 0 for all.
	MostLine int
	// Gap is told what was lost before it was read; nil for nobody.
	Gap func(tallyman.Gap)
	// Logger is told when states change; nil is silent.
	Logger *slog.Logger
	// Every is how often it is looked for something new at most, 0 for each second. Line is for
	// tests.
	Every time.Duration
	Line  LineOptions
}

// Item is a record on its way. S is what a sink makes of a stream.
type Item[S any] struct {
	To *S
	// Number is that of the record in its store, 0 when it is not known.
	Number uint64
	Time   int64 // Unix nanoseconds
	Line   []byte
	Meta   []tallyman.Label // of the record
	Size   int              // for the sink
}

// RecordSink sends records to one kind of destination.
type RecordSink[S any] interface {
	// Stream makes what records of a stream have in common there. Those of which group is
	// the same go in the order in which they were appended.
	Stream(s *tallyman.Stream) (to *S, group string)
	// Deliver sends items until the destination has taken or refused each, which the sink
	// counts. It calls confirmed when that is so of them and of all before, at once or in a
	// later call of it. The error is that ctx has ended.
	Deliver(ctx context.Context, items []Item[S], confirmed func()) error
}

// Idler is a sink that has something to do while nothing is to be sent.
type Idler interface {
	// Idle is called when nothing came for a while after something was delivered, and again
	// while it says that there is more to do. It is called a last time when Run ends, with a
	// ctx that has ended.
	Idle(ctx context.Context) (more bool)
}

// AppendUID appends an id that a record has each time it is sent, and no other has: the
// installation's, the record's number and its time. It is empty when nobody knows its number.
func (i *Item[S]) AppendUID(dst []byte, id string) []byte {
	if i.Number == 0 {
		return dst
	}
	dst = append(append(dst, id...), '-')
	dst = strconv.AppendUint(dst, i.Number, 10)
	return strconv.AppendInt(append(dst, '-'), i.Time, 16)
}

// ProbeLine asks a destination whether it takes anything.
const ProbeLine = "tallyman asks whether anything is taken"

// OwnItem is a line of tallyman's own, of now, that is in no store.
func OwnItem[S any](sink RecordSink[S], host, name, line string) Item[S] {
	to, _ := sink.Stream(&tallyman.Stream{Labels: []tallyman.Label{{Name: "host", Value: host}, {Name: "name", Value: name}, {Name: "source", Value: "tallyman"}}})
	return Item[S]{To: to, Time: time.Now().UnixNano(), Line: []byte(line)}
}

// TestItem is a line that says that it is a test, with an id.
func TestItem[S any](sink RecordSink[S], host, id string) Item[S] {
	one := OwnItem(sink, host, "tallyman-test", "This is a test of tallyman on "+host)
	one.Meta = []tallyman.Label{{Name: "id", Value: id}}
	return one
}

// LineOptions are those of the line to the destination.
func (o *RecordOptions) LineOptions() LineOptions {
	return o.Line.of(o.Name, o.Logger)
}

// RecordSender reads records and hands them to a sink.
type RecordSender[S any] struct {
	opt    RecordOptions
	sink   RecordSink[S]
	ledger *Ledger
	size   *Size
	to     map[*tallyman.Stream]*S
	all    []Item[S]

	dropped atomic.Uint64
	mark    atomic.Uint64
	clean   atomic.Int64 // all that was appended before is sent, nanoseconds
}

// NewRecordSender makes one. The size is that of requests in bytes of text; nil for the
// usual one.
func NewRecordSender[S any](o RecordOptions, sink RecordSink[S], ledger *Ledger, size *Size) *RecordSender[S] {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Every = cmp.Or(o.Every, time.Second)
	if size == nil {
		size = NewTextSize()
	}
	return &RecordSender[S]{opt: o, sink: sink, ledger: ledger, size: size, to: map[*tallyman.Stream]*S{}}
}

// NewTextSize is the usual size of requests, in bytes of text.
func NewTextSize() *Size { return NewSize(mostText, leastText) }

// Run sends until ctx ends. The destination may be away at any time; that is no error.
func (r *RecordSender[S]) Run(ctx context.Context) error {
	mark, known := r.begin()
	r.mark.Store(uint64(mark))
	r.clean.Store(time.Now().UnixNano())
	in := r.opt.Log.ReadRecords(mark, r.want)
	defer in.Close()
	idler, _ := r.sink.(Idler)
	if idler != nil {
		defer func() { idler.Idle(ctx) }()
	}
	busy := false // something was delivered since Idle
	committed, first := mark, true
	for {
		begin, last := time.Now(), r.opt.Log.LastMark()
		p, err := r.next(ctx, in, busy && idler != nil)
		switch {
		case ctx.Err() != nil || errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, context.DeadlineExceeded):
			busy = idler.Idle(ctx)
			continue
		case err != nil:
			r.opt.Logger.Error("records cannot be read, to be sent on; they are tried again", "err", err)
			if !wait(ctx, 10*r.opt.Every) {
				return nil
			}
			continue
		}
		items, bytes := r.Items(p.Streams)
		if first && len(items) > 0 {
			first = false
			if t := items[0].Time; known && t < r.clean.Load() {
				r.clean.Store(t)
			}
		}
		busy = busy || len(items) > 0
		n := len(items)
		err = r.sink.Deliver(ctx, items, func() {
			// Without records the mark may wait: what is read again then costs little.
			if p.Mark != committed && (n > 0 || p.Gap.Records > 0 || p.Mark-committed > 1000) {
				if r.commit(p.Mark) {
					committed = p.Mark
				}
			}
			r.mark.Store(uint64(p.Mark))
			if p.Mark >= last {
				r.clean.Store(begin.UnixNano())
			}
		})
		if err != nil {
			return nil
		}
		if p.Gap.Records > 0 {
			r.dropped.Add(p.Gap.Records)
			r.opt.Logger.Warn("records were gone before they could be sent on", "records", p.Gap.Records)
			if r.opt.Gap != nil {
				r.opt.Gap(p.Gap)
			}
		}
		if bytes < r.size.Now()/2 && p.Mark >= last && !wait(ctx, r.opt.Every) {
			return nil
		}
	}
}

// next reads a part; when the sink is to be told of idleness it waits for a while only.
func (r *RecordSender[S]) next(ctx context.Context, in tallyman.RecordLogReader, tell bool) (tallyman.LogPart, error) {
	if tell {
		limited, cancel := context.WithTimeout(ctx, 3*r.opt.Every)
		defer cancel()
		ctx = limited
	}
	return in.Next(ctx, r.size.Now())
}

// begin is where to begin. A new destination begins now; one whose mark is lost, too, and
// that is told.
func (r *RecordSender[S]) begin() (mark tallyman.Mark, known bool) {
	last := r.opt.Log.LastMark()
	mark, known = r.opt.Log.Mark(r.opt.Name)
	noted := r.noted()
	switch {
	case known && mark > last:
		r.ledger.Lost(fmt.Sprintf("The store of records has lost its end: up to number %d was sent, and it has %d. What came between is gone.", mark, last))
		mark = last
	case !known && noted:
		r.ledger.Lost(fmt.Sprintf("How far was sent was lost at %s with the log of the store of records. What came before is not sent on.", time.Now().UTC().Format("2006-01-02 15:04:05 MST")))
	}
	if !known {
		mark = last
	}
	r.commit(mark)
	if r.opt.Note != "" && !noted {
		text := fmt.Appendf(nil, "tallyman sends records to %s since %s; its mark is in the store of records\n", r.opt.Name, time.Now().UTC().Format(time.RFC3339))
		if err := fsx.WriteFile(r.opt.Note, text, 0o600); err != nil {
			r.opt.Logger.Warn("that a destination is known cannot be noted", "err", err)
		}
	}
	return mark, known
}

func (r *RecordSender[S]) noted() bool {
	if r.opt.Note == "" {
		return false
	}
	_, err := os.Stat(r.opt.Note)
	return !errors.Is(err, fs.ErrNotExist)
}

// commit keeps the mark. When that fails what follows is sent again after a restart.
func (r *RecordSender[S]) commit(m tallyman.Mark) bool {
	err := r.opt.Log.CommitMark(r.opt.Name, m)
	if err != nil {
		r.opt.Logger.Warn("how far was sent cannot be kept; after a restart some is sent again", "err", err)
	}
	return err == nil
}

// want says whether records of a stream are sent, and in which group.
func (r *RecordSender[S]) want(s *tallyman.Stream) (string, bool) {
	mixed := s.Label("overflow") != ""
	if len(r.opt.Only) > 0 && !mixed && !slices.ContainsFunc(r.opt.Only, s.Matches) {
		return "", false
	}
	_, group := r.sink.Stream(s)
	return group, true
}

// fits reports whether a record of a stream that others fell into is wanted.
func (r *RecordSender[S]) fits(s *tallyman.Stream, record *tallyman.Record) bool {
	return slices.ContainsFunc(r.opt.Only, func(matchers []tallyman.Matcher) bool {
		return !slices.ContainsFunc(matchers, func(m tallyman.Matcher) bool { return !m.Matches(tallyman.LabelOf(s, record.Meta, m.Name)) })
	})
}

// Items are records as they go out, which are counted as read, and the bytes of their text.
// They are good until the next call.
func (r *RecordSender[S]) Items(groups []tallyman.StreamRecords) (items []Item[S], bytes int) {
	items = r.all[:0]
	if len(r.to) > mostTo {
		clear(r.to)
	}
	for _, g := range groups {
		to := r.to[g.Stream]
		if to == nil {
			to, _ = r.sink.Stream(g.Stream)
			r.to[g.Stream] = to
		}
		sift := len(r.opt.Only) > 0 && g.Stream.Label("overflow") != ""
		for i := range g.Records {
			record := &g.Records[i]
			if sift && !r.fits(g.Stream, record) {
				continue
			}
			line := r.cut(record.Line)
			bytes += len(line)
			one := Item[S]{To: to, Time: record.Time, Line: line, Meta: record.Meta}
			// Records of old chunks do not know theirs, and share one.
			if n := g.Numbers; i < len(n) && (i == 0 || n[i-1] != n[i]) && (i+1 >= len(n) || n[i+1] != n[i]) {
				one.Number = n[i]
			}
			items = append(items, one)
		}
	}
	r.all = items
	r.ledger.Read(len(items))
	return items, bytes
}

// cut is as much of a line as is sent.
func (r *RecordSender[S]) cut(line []byte) []byte {
	if r.opt.MostLine == 0 || len(line) <= r.opt.MostLine {
		return line
	}
	r.ledger.Cut()
	n := r.opt.MostLine - len(cutMark)
	for back := 0; back < utf8.UTFMax && n > 0 && !utf8.RuneStart(line[n]); back++ {
		n--
	}
	return bytes.Join([][]byte{line[:n], []byte(cutMark)}, nil)
}

// Counts are those of the [Ledger].
func (r *RecordSender[S]) Counts() (read, sent uint64, refused map[string]uint64) {
	return r.ledger.Counts()
}

// Stats are those of now.
func (r *RecordSender[S]) Stats(state queue.State) Stats {
	out := r.ledger.Stats(state)
	if r.opt.Log == nil {
		return out
	}
	out.Dropped, out.Lag = r.dropped.Load(), r.lag()
	if last := uint64(r.opt.Log.LastMark()); last > r.mark.Load() {
		out.Waiting = last - r.mark.Load()
	}
	return out
}

// lag is for how long something waits.
func (r *RecordSender[S]) lag() time.Duration {
	clean := r.clean.Load()
	if clean == 0 || uint64(r.opt.Log.LastMark()) <= r.mark.Load() {
		return 0
	}
	return max(0, time.Since(time.Unix(0, clean)))
}

// SelfMetrics are the sender's own numbers.
func (r *RecordSender[S]) SelfMetrics() []tallyman.SelfMetric {
	return append(r.ledger.SelfMetrics(),
		queue.LagMetric(r.opt.Name, Records, func() float64 { return r.lag().Seconds() }),
		queue.DroppedMetric(r.opt.Name, Records, "retention", func() float64 { return float64(r.dropped.Load()) }))
}
