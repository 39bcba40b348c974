// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"

	"tallyman"
	"tallyman/internal/httpx"
	"tallyman/internal/inspect"
	"tallyman/internal/recordwalk"
)

// Snapshot is one kept configuration of a container or an image.
type Snapshot struct {
	Hash       string          `json:"hash"`
	Time       int64           `json:"time"`
	Kind       string          `json:"kind" doc:"container or image"`
	Host       string          `json:"host"`
	ID         string          `json:"id" doc:"Of the container or image"`
	Name       string          `json:"name,omitempty"`
	Workload   string          `json:"workload,omitempty"`
	Image      string          `json:"image,omitempty"`
	ConfigHash string          `json:"configHash,omitempty" doc:"The hash that Docker Compose gives its file's part about the service; of a container that Compose made"`
	Previous   string          `json:"previous,omitempty" doc:"The snapshot before of the same workload"`
	Changes    []string        `json:"changes,omitempty" doc:"The paths that differ from the one before"`
	Config     json.RawMessage `json:"config,omitempty" doc:"The configuration itself, without secrets"`
}

// snapshotsAnswer is the answer of /snapshots.
type snapshotsAnswer struct {
	Snapshots []Snapshot `json:"snapshots"`
	More      bool       `json:"more"`
}

// diffAnswer is the answer of /diff.
type diffAnswer struct {
	A       Snapshot         `json:"a"`
	B       Snapshot         `json:"b"`
	Changes []inspect.Change `json:"changes"`
}

// snapshot is a record of the store; line only when it was asked for.
type snapshot struct {
	at     int64
	stream *tallyman.Stream
	meta   []tallyman.Label
	line   []byte
}

// label is a label of its stream, or its metadata.
func (n *snapshot) label(name string) string { return tallyman.LabelOf(n.stream, n.meta, name) }

func (n *snapshot) view() Snapshot {
	v := Snapshot{Hash: n.label("hash"), Time: n.at / 1e6, Kind: "container", Host: n.label("host"), ID: n.label("container_id"),
		Name: n.label("name"), Workload: n.label("workload"), Image: n.label("image")}
	if id := n.label("image_id"); id != "" {
		v.Kind, v.ID = "image", id
	}
	return v
}

// readSnapshots gives the records of snapshots that q and keep select, the newest
// first.
func (s *Service) readSnapshots(ctx context.Context, q tallyman.RecordQuery, keep func(*snapshot) bool) ([]snapshot, error) {
	q.Matchers = append(q.Matchers, tallyman.Matcher{Name: "source", Value: "snapshot"})
	var out []snapshot
	for f, err := range recordwalk.ByStream(ctx, s.o.Records, q) {
		if err != nil {
			return nil, err
		}
		n := snapshot{at: f.Record.Time, stream: f.Stream, meta: f.Record.Meta}
		if n.label("hash") == "" || !keep(&n) {
			continue
		}
		n.meta = slices.Clone(n.meta)
		if !q.NoLines {
			n.line = bytes.Clone(f.Record.Line)
		}
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b snapshot) int {
		return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(a.label("hash"), b.label("hash")))
	})
	return out, nil
}

// all is every snapshot, without lines.
var all = tallyman.RecordQuery{Start: math.MinInt64, End: math.MaxInt64, NoLines: true}

// text fetches the line of a snapshot.
func (s *Service) text(ctx context.Context, n *snapshot) ([]byte, error) {
	q := tallyman.RecordQuery{Start: n.at, End: n.at + 1}
	for _, l := range n.stream.Labels {
		q.Matchers = append(q.Matchers, tallyman.Matcher{Name: l.Name, Value: l.Value})
	}
	hash := n.label("hash")
	found, err := s.readSnapshots(ctx, q, func(o *snapshot) bool { return o.label("hash") == hash })
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, noSnapshot(hash) // its time was over just now
	}
	return found[0].line, nil
}

func noSnapshot(hash string) error {
	return &httpx.Error{Status: http.StatusNotFound, Code: "not_found",
		Message: "there is no snapshot " + strconv.Quote(hash), Next: "take a hash that /snapshots gives; old snapshots go with retention.events"}
}

// byHash finds one with its line.
func (s *Service) byHash(ctx context.Context, hash string) (*snapshot, error) {
	found, err := s.readSnapshots(ctx, all, func(n *snapshot) bool { return n.label("hash") == hash })
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, noSnapshot(hash)
	}
	n := &found[0]
	n.line, err = s.text(ctx, n)
	return n, err
}

func (s *Service) snapshots(w http.ResponseWriter, r *http.Request) error {
	host, workload, ref, image := r.FormValue("host"), r.FormValue("workload"), r.FormValue("container"), r.FormValue("image")
	limit, err := httpx.Int(r, "limit", 50, 1, 500)
	if err != nil {
		return err
	}
	q := all
	add := func(name, value string) {
		if value != "" {
			q.Matchers = append(q.Matchers, tallyman.Matcher{Name: name, Value: value})
		}
	}
	id := ref
	if c, ok := s.o.Inventory.Container(ref); ok && ref != "" {
		id, host, workload = c.ID, c.Host, cmp.Or(workload, c.Workload.Key)
	}
	switch {
	case ref != "" || workload != "":
		add("workload", workload)
	case image == "":
		return httpx.Bad("workload", "workload, container or image is needed", "give that of a container, as /containers has it")
	}
	add("host", host)
	// With those of other containers of the workload, to tell what changed.
	found, err := s.readSnapshots(r.Context(), q, func(n *snapshot) bool {
		if image != "" {
			return n.label("image_id") != "" && (n.label("image_id") == image || n.label("image") == image)
		}
		return n.label("container_id") != ""
	})
	if err != nil {
		return err
	}
	out := snapshotsAnswer{Snapshots: []Snapshot{}}
	lines := map[string][]byte{}
	line := func(n *snapshot) ([]byte, error) {
		if l, ok := lines[n.label("hash")]; ok {
			return l, nil
		}
		l, err := s.text(r.Context(), n)
		lines[n.label("hash")] = l
		return l, err
	}
	for i := range found {
		n := &found[i]
		if ref != "" && n.label("container_id") != id {
			continue
		}
		if len(out.Snapshots) == limit {
			out.More = true
			break
		}
		v := n.view()
		var b []byte
		if image == "" {
			if b, err = line(n); err != nil {
				return err
			}
			v.ConfigHash = inspect.ConfigHash(b)
		}
		for j := i + 1; j < len(found) && image == ""; j++ {
			before := &found[j]
			if before.label("host") != v.Host || before.label("workload") != v.Workload {
				continue
			}
			a, err := line(before)
			if err != nil {
				return err
			}
			changes, err := inspect.Diff(a, b, inspect.Drift)
			if err != nil {
				return err
			}
			v.Previous = before.label("hash")
			for _, c := range changes {
				v.Changes = append(v.Changes, c.Path)
			}
			break
		}
		delete(lines, v.Hash)
		out.Snapshots = append(out.Snapshots, v)
	}
	httpx.WriteJSON(w, out)
	return nil
}

func (s *Service) snapshot(w http.ResponseWriter, r *http.Request) error {
	n, err := s.byHash(r.Context(), r.PathValue("hash"))
	if err != nil {
		return err
	}
	v := n.view()
	v.Config = n.line
	v.ConfigHash = inspect.ConfigHash(n.line)
	httpx.WriteJSON(w, v)
	return nil
}

func (s *Service) diff(w http.ResponseWriter, r *http.Request) error {
	scope := inspect.Drift
	switch all := r.FormValue("all"); all {
	case "", "false":
	case "true":
		scope = inspect.Everything
	default:
		return httpx.Bad("all", "all is neither true nor false", "give all=true for what differs with every new container too")
	}
	var ends [2]*snapshot
	for i, name := range [...]string{"a", "b"} {
		hash := r.FormValue(name)
		if hash == "" {
			return httpx.Bad(name, "a and b are needed", "give the hashes of two snapshots, as /snapshots has them")
		}
		n, err := s.byHash(r.Context(), hash)
		if err != nil {
			return err
		}
		ends[i] = n
	}
	changes, err := inspect.Diff(ends[0].line, ends[1].line, scope)
	if err != nil {
		return err
	}
	if changes == nil {
		changes = []inspect.Change{}
	}
	httpx.WriteJSON(w, diffAnswer{ends[0].view(), ends[1].view(), changes})
	return nil
}
