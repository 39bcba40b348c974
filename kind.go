// SPDX-License-Identifier: Apache-2.0

package tallyman

// SourceKind is one entry of the catalog: what a source is called, what it
// watches, what it produces and how to make one. Each source package exports
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
	// Metrics is the table of every metric the source can produce.
	Metrics []*Desc
	// New makes a source. It opens nothing that belongs to a target.
	New func(SourceOptions) (Source, error)
}

// Watches reports whether targets of kind k may be attached.
func (k SourceKind) Watches(kind TargetKind) bool {
	for _, t := range k.Targets {
		if t == kind {
			return true
		}
	}
	return false
}
