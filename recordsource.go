// SPDX-License-Identifier: Apache-2.0

package tallyman

import (
	"context"
	"log/slog"
)

// RecordSource reads records and gives them to RecordOptions.Records. What else it can
// do is found by its type: [ContainerObserver], [EngineObserver] and [EventObserver] are
// told from the start on, before Run too; [LogReader], [RecordAbsentee], [SelfMetered] and
// [Looker] may be called from any goroutine at any time.
type RecordSource interface {
	// Run reads until ctx ends, and leaves nothing behind. An error says that it
	// cannot go on; what is only absent is no error.
	Run(ctx context.Context) error
}

// RecordAbsentee is a RecordSource that can say what it does not read.
type RecordAbsentee interface {
	// Absences are the records of a container or of the host that this source would
	// give but cannot.
	Absences(t TargetKey) []Absence
}

// Looker is a RecordSource that can find out what it could read without reading it.
type Looker interface {
	Look(ctx context.Context) error
}

// LogReader is a RecordSource that reads the logs of containers. Who reads which is
// decided by the ranks of the kinds; a source asks [LogAssignment].
type LogReader interface {
	// LogAbsence says why this source cannot read the log of a container, nil when it
	// can; known is false as long as that is not found out. With the code Elsewhere
	// the next one is asked; with another code nobody can.
	LogAbsence(c *Container) (why *Absence, known bool)
	// ReadsLog reports whether it reads the log of a container, or has read it.
	ReadsLog(id string) bool
}

// LogAssignment says which source of records reads the log of a container.
type LogAssignment interface {
	// Assigned is what is known of a container, nil for one that nobody knows, and
	// whether the asking source is to read its log; known is false as long as that is
	// not decided.
	Assigned(id string) (c *Container, mine, known bool)
}

// RecordOptions is what every source of records gets.
type RecordOptions struct {
	Log *slog.Logger
	// Host is the name of this machine.
	Host string
	// InContainer is set when tallyman runs in a container, which may lack programs
	// and folders that its host has.
	InContainer bool
	// Proc is where the host's /proc is found.
	Proc string
	// Path is where a path of the host is found from here, Below the directory below
	// which it is; empty when it is not.
	Path, Below func(path string) string
	// Data is the directory of what tallyman keeps.
	Data string
	// Records is where the records go; Stored finds those that were kept before.
	Records RecordIntake
	Stored  RecordReader
	// Emit takes an event.
	Emit func(Event)
	// Engines are asked for what only an engine knows.
	Engines Engines
	// Logs says whose logs this source reads.
	Logs LogAssignment
	// Own are the options of the kind itself, see RecordKind.Options.
	Own any
}
