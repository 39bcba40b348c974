// SPDX-License-Identifier: Apache-2.0

package record

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"tallyman"
	"tallyman/internal/fsx"
)

// Options say where and for how long.
type Options struct {
	// Dir is the folder of the files; it is made when it is missing.
	Dir string
	// Classes share the store out; the first that matches a stream has it. What
	// none matches goes to a last class "log" of 7 days and 768 MiB, which is
	// made unless the last class matches everything. Empty for
	// [DefaultClasses].
	Classes []Class
	// Shares say how many streams there may be at a time; the first that a stream
	// belongs to counts it. Empty for [DefaultShares]; a last one for all other
	// streams is made unless there is one. A stream goes when the retention has
	// taken its last records.
	Shares []Share
	// StreamMemory is about how many bytes of memory all streams may take, without
	// what the list of their chunks takes; 0 for 64 MiB.
	StreamMemory int64
	// MaxLine is the longest line in bytes, 0 for 1 MiB.
	MaxLine int
	// MaxBatch is the largest batch in bytes as the WAL holds it, 0 for 16 MiB.
	MaxBatch int
	// Space is asked before each append whether there is room; nil is always.
	Space *fsx.Space
	// Log is used for damage and for disk errors that come and go; nil is silent.
	Log *slog.Logger

	now       func() time.Time
	syncEvery time.Duration
	patience  time.Duration // for how long an append waits for a disk that does not keep up
	open      func(name string, flag int, mode fs.FileMode) (file, error)
	walFile   int64 // size at which a new file of the WAL is begun
	walTotal  int64 // size of the WAL from which old files are made free
	segment   int64 // size at which a new segment is begun
	// logRange is how many numbers a reader of the log takes at a time when it is behind.
	// A kill repeats no more than that, and a chunk is read twice when it reaches over
	// the end of a range.
	logRange uint64
}

// Class is a part of the store with a retention of its own.
type Class struct {
	// Name is part of file names: lower-case letters and digits.
	Name string
	// Match selects streams; nil is all.
	Match func(*tallyman.Stream) bool
	// RetentionTime is for how long records are kept, counted from when they
	// were appended, 0 for 7 days.
	RetentionTime time.Duration
	// RetentionSize is how large the segments may grow in bytes, 0 for 768 MiB.
	RetentionSize int64
	// Precious records are the last to go when the file system has no room.
	Precious bool
}

// DefaultClasses keep what happened for 90 days and lines for 7.
func DefaultClasses() []Class {
	return []Class{
		{
			Name: "event", RetentionTime: 90 * 24 * time.Hour, RetentionSize: 256 << 20, Precious: true,
			Match: MatchSource("event", "snapshot", "alarm", "audit"),
		},
		{Name: "log"},
	}
}

// MatchSource selects streams by the label source.
func MatchSource(sources ...string) func(*tallyman.Stream) bool {
	return func(s *tallyman.Stream) bool {
		is := s.Label("source")
		for _, want := range sources {
			if is == want {
				return true
			}
		}
		return false
	}
}

// file is what of an *os.File is written to.
type file interface {
	Write([]byte) (int, error)
	Truncate(int64) error
	Sync() error
	Close() error
}

// Sizes and ages that the format does not depend on.
const (
	chunkText    = 64 << 10 // a chunk is sealed when it has this much text,
	chunkRecords = 16 << 10 // or so many records,
	chunkMeta    = 64 << 10 // or so much metadata,
	chunkIdle    = 10 * time.Minute
	chunkAge     = time.Hour // or is as old as this

	maxLabels     = 64
	maxLabelName  = 256
	maxLabelValue = 4 << 10
	maxMeta       = 64 << 10 // of one record, all names and values
	maxPosition   = 4 << 10  // key and value each
	maxPositions  = 100_000
)

func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, errors.New("no folder given")
	}
	if len(o.Classes) == 0 {
		o.Classes = DefaultClasses()
	}
	if o.Classes[len(o.Classes)-1].Match != nil {
		o.Classes = append(o.Classes[:len(o.Classes):len(o.Classes)], Class{Name: "log"})
	}
	for i := range o.Classes {
		c := &o.Classes[i]
		if c.Name == "" || strings.Trim(c.Name, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			return o, fmt.Errorf("class %q: a name has lower-case letters and digits", c.Name)
		}
		for _, other := range o.Classes[:i] {
			if other.Name == c.Name {
				return o, fmt.Errorf("class %q is there twice", c.Name)
			}
		}
	}
	if len(o.Shares) == 0 {
		o.Shares = DefaultShares()
	}
	if n := len(o.Shares); len(o.Shares[n-1].Sources) > 0 {
		o.Shares = append(o.Shares[:n:n], Share{Name: "other"})
	}
	def := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	defInt := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	defInt(&o.MaxLine, 1<<20)
	defInt(&o.MaxBatch, 16<<20)
	def(&o.StreamMemory, 64<<20)
	def(&o.walFile, 8<<20)
	def(&o.walTotal, 4*o.walFile)
	def(&o.segment, 64<<20)
	o.logRange = cmp.Or(o.logRange, 100_000)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = o.Log.With("source", "store/record")
	if o.now == nil {
		o.now = time.Now
	}
	if o.syncEvery == 0 {
		o.syncEvery = time.Second
	}
	if o.patience == 0 {
		o.patience = 5 * time.Second
	}
	if o.open == nil {
		o.open = func(name string, flag int, mode fs.FileMode) (file, error) { return os.OpenFile(name, flag, mode) }
	}
	return o, nil
}

// LimitError says that something was refused since it, or the store with it,
// would be too large. It is a tallyman.ErrLimit.
type LimitError struct {
	// What is over the limit: "line", "batch" …
	What       string
	Limit, Got int
}

// Error names the limit.
func (e *LimitError) Error() string {
	return fmt.Sprintf("too large: %s: %d, at most %d", e.What, e.Got, e.Limit)
}

// Is makes it a tallyman.ErrLimit.
func (e *LimitError) Is(target error) bool { return target == tallyman.ErrLimit }
