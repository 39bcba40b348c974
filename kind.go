// SPDX-License-Identifier: Apache-2.0

package tallyman

import "slices"

// SourceKind is one entry of the catalog: what a source of samples is called, what
// it watches, what it produces and how to make one. Each package of a source exports
// one through its function Kind.
type SourceKind struct {
	// Name is the folder's name.
	Name string
	// Summary is one sentence for people.
	Summary string
	// Targets are the kinds of target that may be attached.
	Targets []TargetKind
	// Replaces names the sources whose place it takes: a container is attached
	// only when the first of them cannot reach it, and is then left to it by the
	// others too. When the first can reach it again, it is given back.
	Replaces []string
	// Listed is set for a source of what the inventory knows: it has a container as
	// long as the engine lists it, running or not. Others have it while it runs.
	Listed bool
	// Metrics is the table of every metric the source can produce. One that passes on
	// metrics which only a text names (SourceOptions.Descs) says so in Passes; its table
	// has the others.
	Metrics []*Desc
	Passes  bool
	// Options are the defaults of the kind's own options, a struct; nil for a kind
	// that has none. What is set comes as SourceOptions.Own.
	Options any
	// New makes a source. It opens nothing that belongs to a target. Poll is in its
	// place for a source that has to ask, and so may have to wait, see [Poller].
	New  func(SourceOptions) (Source, error)
	Poll func(SourceOptions) (Poller, error)
}

// Watches reports whether targets of kind k may be attached.
func (k SourceKind) Watches(kind TargetKind) bool { return slices.Contains(k.Targets, kind) }

// RecordKind is one entry of the catalog: what a source of records is called, what
// it produces and how to make one. Each package of a source exports one through its
// function Kind.
type RecordKind struct {
	// Name is the folder's name; the keys of its positions begin with it.
	Name string
	// Summary is one sentence for people.
	Summary string
	// Sources are the values of the label source of its records.
	Sources []string
	// Rank says when it reads the log of a container that others could read too:
	// the lowest that can does. It is 0 for a source that is no [LogReader].
	Rank int
	// Caveat is what a person must know of a log that this source reads because one
	// of a lower rank cannot; a sentence, empty for nothing.
	Caveat string
	// Metrics is the table of every metric of the source's own.
	Metrics []*Desc
	// Options are the defaults of the kind's own options, as for a SourceKind.
	Options any
	// New makes a source. It reads nothing before its Run.
	New func(RecordOptions) (RecordSource, error)
}

// Own are the own options of a kind: what was set, or else the defaults.
func Own[T any](set any, defaults T) T {
	if own, ok := set.(T); ok {
		return own
	}
	return defaults
}
