// SPDX-License-Identifier: Apache-2.0

package example

import (
	"cmp"
	"path/filepath"
	"slices"
	"strconv"

	"tallyman"
	"tallyman/internal/kread"
)

var oomScore = &tallyman.Desc{Name: "container_example_oom_score", Type: tallyman.Gauge,
	Help: "How likely the kernel ends the container's first process when memory is short, 0 to 1000", Origin: tallyman.Origin{V1: "/proc/<pid>/oom_score"}}

// Read is a source of a number that the kernel tells at once.
func Read() tallyman.SourceKind {
	return tallyman.SourceKind{
		Name:    "example_read",
		Summary: "How likely the kernel ends each container when memory is short",
		Targets: []tallyman.TargetKind{tallyman.ContainerTarget},
		Metrics: []*tallyman.Desc{oomScore},
		New: func(o tallyman.SourceOptions) (tallyman.Source, error) {
			return &reader{proc: o.Proc, buf: make([]byte, 64)}, nil
		},
	}
}

// reader keeps one file open for each container. All its calls come from one goroutine.
type reader struct {
	proc string
	list []*score // sorted by id, so that rounds are alike
	buf  []byte
}

var _ tallyman.Source = (*reader)(nil)

type score struct {
	id     string
	file   kread.File
	series *tallyman.Series
}

// Attach opens the file and interns the series.
func (r *reader) Attach(t *tallyman.Target) error {
	f, err := kread.Open(filepath.Join(r.proc, strconv.Itoa(t.Container.Pid), "oom_score"))
	if err != nil {
		return err // attach says it, and tries again
	}
	at, _ := r.find(t)
	r.list = slices.Insert(r.list, at, &score{t.ID, f, t.Series(oomScore)})
	return nil
}

func (r *reader) find(t *tallyman.Target) (int, bool) {
	return slices.BinarySearchFunc(r.list, t.ID, func(s *score, id string) int { return cmp.Compare(s.id, id) })
}

// Detach closes the file.
func (r *reader) Detach(t *tallyman.Target) {
	if at, ok := r.find(t); ok {
		r.list[at].file.Close()
		r.list = slices.Delete(r.list, at, at+1)
	}
}

// Collect reads every file once.
func (r *reader) Collect(b *tallyman.Batch) {
	for _, s := range r.list {
		// Nothing is read of a process that has ended: then there is no value, not 0.
		if v, digits := kread.Uint(s.file.Read(r.buf)); digits > 0 {
			b.Add(s.series, float64(v))
		}
	}
}

// Close closes every file.
func (r *reader) Close() error {
	for _, s := range r.list {
		s.file.Close()
	}
	r.list = nil
	return nil
}
