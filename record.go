// SPDX-License-Identifier: Apache-2.0

package tallyman

import (
	"context"
	"regexp"
)

// Record is one line at a time, with what is known beside it.
type Record struct {
	// Time is in nanoseconds since the epoch.
	Time int64
	// Line is the text as it was written, without its line feed; it may be
	// anything, binary too.
	Line []byte
	// Meta is structured metadata, sorted by name: what belongs to the line
	// and would make too many streams as a label (a container's id, an event's
	// actor …).
	Meta []Label
}

// Stream is a set of labels whose records are kept together, interned by
// whoever writes it: the same stream should come with the same pointer.
// Streams are few and bounded (design: host, source, name, workload, image,
// stream, level); everything else is metadata of a record.
type Stream struct {
	// Labels are sorted by name, unique, and never empty.
	Labels []Label
}

// Label returns the value of a label, empty without one.
func (s *Stream) Label(name string) string { return LabelIn(s.Labels, name) }

// LabelOf is a label of the stream of a record with this metadata, also where the
// store keeps records of many streams in one, see RecordQuery.Matchers.
func LabelOf(s *Stream, meta []Label, name string) string {
	if value, ok := FindLabel(s.Labels, name); ok {
		return value
	}
	return LabelIn(meta, name)
}

// Position is how far a source has read something. It commits in the same
// write as the records that were read up to there, so that the two always
// agree: after a crash nothing is missing and nothing is there twice.
type Position struct {
	// Key names what is read ("containerlog/<id>"), Value is the source's own.
	// An empty Value forgets the position.
	Key, Value string
}

// StreamRecords are records of one stream, in the order in which they are to be kept.
type StreamRecords struct {
	Stream  *Stream
	Records []Record
	// Numbers are those of the records in the order of appending, of what a RecordLog gives;
	// nil for all that is appended. Records whose number is not known share one.
	Numbers []uint64
}

// RecordBatch is what commits together. It belongs to the caller again when
// AppendRecords returns: a store copies what it keeps.
type RecordBatch struct {
	Streams   []StreamRecords
	Positions []Position
}

// MatchType is how a Matcher compares.
type MatchType uint8

// The ways to compare, with LogQL's and PromQL's operators.
const (
	MatchEqual     MatchType = iota // =
	MatchNotEqual                   // !=
	MatchRegexp                     // =~, anchored at both ends
	MatchNotRegexp                  // !~
)

// Matcher selects streams by one label. A label that a stream lacks has the
// empty value.
type Matcher struct {
	Name  string
	Type  MatchType
	Value string
	// Regexp is compiled from ^(?s:Value)$ for the two regexp types.
	Regexp *regexp.Regexp
}

// NewMatcher makes a matcher and compiles its expression.
func NewMatcher(t MatchType, name, value string) (Matcher, error) {
	m := Matcher{Name: name, Type: t, Value: value}
	if t == MatchRegexp || t == MatchNotRegexp {
		// Alone first, so that an error is about what was written.
		if _, err := regexp.Compile(value); err != nil {
			return m, err
		}
		re, err := regexp.Compile("^(?s:" + value + ")$")
		if err != nil {
			return m, err
		}
		m.Regexp = re
	}
	return m, nil
}

// Matches reports whether a label's value is selected.
func (m *Matcher) Matches(value string) bool {
	switch m.Type {
	case MatchEqual:
		return value == m.Value
	case MatchNotEqual:
		return value != m.Value
	case MatchRegexp:
		return m.Regexp.MatchString(value)
	default:
		return !m.Regexp.MatchString(value)
	}
}

// Matches reports whether all matchers select the stream.
func (s *Stream) Matches(matchers []Matcher) bool {
	for i := range matchers {
		if !matchers[i].Matches(s.Label(matchers[i].Name)) {
			return false
		}
	}
	return true
}

// RecordQuery selects records.
type RecordQuery struct {
	// Matchers select by the labels of streams. Where a store keeps records of
	// many streams in one, they find them by the labels that they came with,
	// which such records have as metadata.
	Matchers   []Matcher
	Start, End int64 // nanoseconds; Start inclusive, End exclusive
	// Backward asks for the newest first.
	Backward bool
	// Contains are texts that every wanted line holds, byte for byte. The store
	// uses them to leave out chunks that cannot hold such a line; it may still
	// give lines without them.
	Contains []string
	// NoLines asks for times and lengths only: Record.Line is then a slice of
	// the right length whose bytes mean nothing. NoMeta leaves metadata out.
	NoLines, NoMeta bool
}

// RecordCursor gives the records of one stream, in the order of the query; of
// those with one time in the order in which they were appended (Backward: the
// reverse of that). It is used by one goroutine.
type RecordCursor interface {
	Stream() *Stream
	// Bound is a time that no record still to come lies before (Backward: that
	// none lies behind), told without reading any; ok is false at the end.
	Bound() (t int64, ok bool)
	// Next reads the next records, at least one; io.EOF says that there are no
	// more. They are valid until the following call. A chunk that is damaged
	// is left out and counted in the store's own metrics.
	Next() ([]Record, error)
	// Read is how many bytes of text were unpacked so far.
	Read() int64
	Close()
}

// RecordSink keeps records. Calls may run concurrently.
type RecordSink interface {
	// AppendRecords stores the whole batch, its positions with it. When it
	// returns it survives a kill of the process, and a second later a power cut.
	// Records of one stream need not be in order of time. A *RefusedError says
	// that some records can never be stored and that everything else is; any
	// other error that nothing is, and that the batch may be given again.
	AppendRecords(b *RecordBatch) error
	Positioner
}

// Positioner knows how far sources have read.
type Positioner interface {
	// Position is the value that was last committed under key; ok is false
	// when there is none. Positions are all whose key starts with prefix.
	Position(key string) (value string, ok bool)
	Positions(prefix string) []Position
}

// RecordIntake is where a source gives its records. Calls may run concurrently.
type RecordIntake interface {
	// TakeRecords stores a batch as RecordSink does. While the store takes nothing
	// it waits, until ctx ends: then nothing is stored, and what is in the batch is
	// read again from the positions that were. A *RefusedError is for information:
	// it is counted already.
	TakeRecords(ctx context.Context, b *RecordBatch) error
	Positioner
}

// RecordReader finds records. Calls may run concurrently.
type RecordReader interface {
	// SelectRecords opens a cursor for every stream that may hold records of
	// q; each is to be closed. What was appended before the call is seen.
	SelectRecords(ctx context.Context, q RecordQuery) ([]RecordCursor, error)
	// Streams are the streams that all matchers select and that may hold
	// records in [start, end), in no particular order.
	Streams(ctx context.Context, matchers []Matcher, start, end int64) ([]*Stream, error)
	// Volume is how much the streams hold in [start, end): exact where chunks
	// lie inside, estimated at the two ends. The order is that of Streams.
	Volume(ctx context.Context, matchers []Matcher, start, end int64) ([]StreamVolume, error)
}

// StreamVolume is how much one stream holds.
type StreamVolume struct {
	Stream         *Stream
	Bytes, Records int64 // of text
	Chunks         int64
}

// RecordTail is records as they come in.
type RecordTail interface {
	// Next waits for records until ctx ends. dropped counts the records that were
	// lost since the last call because the reader fell behind.
	Next(ctx context.Context) (records []StreamRecords, dropped int, err error)
	Close()
}

// RecordTailer lets a reader follow what is appended.
type RecordTailer interface {
	// TailRecords gives every record of the selected streams that is appended
	// after the call.
	TailRecords(matchers []Matcher) RecordTail
}

// Mark is a place in the order in which records were appended, over all streams: behind
// the record with that number. The first record has number 1.
type Mark uint64

// Gap is records that a reader of a RecordLog should have got, and that are gone: the
// retention took them first, or damage did.
type Gap struct {
	// Records is how many. They may be of any stream: of which ones nobody knows any more.
	Records uint64
	// After and To are marks that they all lie between.
	After, To Mark
}

// RecordLog gives records in the order in which they were appended, and keeps how far
// others have come. Calls may run concurrently.
type RecordLog interface {
	// LastMark is behind what was appended so far.
	LastMark() Mark
	// ReadRecords reads the streams that want selects, from a mark on. Streams of which
	// want gives the same group come in the order in which their records were appended
	// among each other, too. want is called seldom, and has to be quick: nothing is
	// appended meanwhile. Where the store keeps records of many streams in one, want is
	// asked of that one, and the labels that records came with are in their metadata, see
	// LabelOf.
	ReadRecords(after Mark, want func(*Stream) (group string, wanted bool)) RecordLogReader
	// Mark is the one that was last committed under a name; ok is false when there is
	// none.
	Mark(name string) (m Mark, ok bool)
	// CommitMark keeps a mark as AppendRecords keeps a position.
	CommitMark(name string, m Mark) error
}

// RecordLogReader reads a RecordLog. It is used by one goroutine.
type RecordLogReader interface {
	// Next waits until there is something behind what it gave, or until ctx ends. It
	// ends a part at about most bytes of text. io.EOF says that the store was closed. After
	// another error the next call goes on with the same.
	Next(ctx context.Context, most int) (LogPart, error)
	Close()
}

// LogPart is what a RecordLogReader gives at a time. It is valid until the following
// call.
type LogPart struct {
	// Streams are records; those of one group come in the order in which they were
	// appended, here and over all parts. A stream may be there several times.
	Streams []StreamRecords
	// Mark is behind records all of which were given, with this part or before. Between
	// two marks groups come one after the other, so it may be the mark of the part
	// before; and it may move without records, past those of other streams.
	Mark Mark
	// Gap is what is missing before Mark, since the part before.
	Gap Gap
}

// The values of the label source, which says where a record comes from.
const (
	SourceContainer = "container"
	SourceFile      = "file"
	SourceJournal   = "journal"
	SourceEvent     = "event"
	SourceSnapshot  = "snapshot"
	SourceAlarm     = "alarm"
	SourceAudit     = "audit"
	SourceInventory = "inventory"
)

// PreciousSources are those whose records are few and told again by nobody: they are
// kept longer, and go last when the disk is full.
func PreciousSources() []string {
	return []string{SourceEvent, SourceSnapshot, SourceAlarm, SourceAudit}
}
