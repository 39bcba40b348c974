// SPDX-License-Identifier: Apache-2.0

// Package logsize tells how large the log of each container is on the disk: the files
// that the engine keeps of it, those that were rotated too. A log without a limit
// (max-size) fills a disk that nothing else explains. The name of the series is
// tallyman's own; cAdvisor has these bytes within container_fs_usage_bytes.
//
// # Cost
//
// Once a minute it lists one or two folders for each container and asks for the sizes of
// the files in them. Nothing is read, and no engine is asked.
//
// # What is absent
//
// Logs of other drivers than json-file and local are elsewhere, but for the copy that
// the engine keeps of them for docker logs. Where the engine's folder cannot be reached, the
// reason says so.
package logsize

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"tallyman"
)

// Kind is the catalog's entry.
func Kind() tallyman.SourceKind {
	return tallyman.SourceKind{
		Name:    "logsize",
		Summary: "Size of the log files of each container",
		Targets: []tallyman.TargetKind{tallyman.ContainerTarget},
		Metrics: []*tallyman.Desc{size},
		Poll:    New,
	}
}

const files = "files of the container in the engine's folder"

var size = &tallyman.Desc{
	Name: "container_log_size_bytes", Type: tallyman.Gauge, Unit: "bytes",
	Help:   "Size of the log files of a container, rotated ones included; at most a minute old",
	Origin: tallyman.Origin{V1: files, V2: files},
}

const every = time.Minute

// Source implements tallyman.Poller.
type Source struct {
	engines tallyman.Engines
	path    func(string) string
}

// New makes the source.
func New(o tallyman.SourceOptions) (tallyman.Poller, error) {
	return &Source{o.Engines, o.Path}, nil
}

// Plan looks once a minute.
func (*Source) Plan() tallyman.PollPlan {
	return tallyman.PollPlan{Every: every, First: time.Second, Deadline: 10 * time.Second, Retry: every, RetryMost: 10 * every, Hold: 3, Parallel: 1, Keep: true}
}

// Close has nothing to close.
func (*Source) Close() error { return nil }

// log is the log of one container.
type log struct {
	source *Source
	target *tallyman.Target
	series *tallyman.Series
	absent atomic.Pointer[tallyman.Absence]
}

var (
	_ tallyman.Poller = (*Source)(nil)
	_ tallyman.Poll   = (*log)(nil)
)

// Open begins with a container.
func (s *Source) Open(t *tallyman.Target) (tallyman.Poll, error) {
	l := &log{source: s, target: t, series: t.Series(size)}
	l.absent.Store(&tallyman.Absence{Code: tallyman.Later, What: what, Reason: "Its files were not looked at yet."})
	return l, nil
}

const what = "size of the log"

// Poll adds up the sizes.
func (l *log) Poll(ctx context.Context, b *tallyman.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := l.target.Container
	if c.LogDriver == "none" {
		l.absent.Store(&tallyman.Absence{Code: tallyman.None, What: what, Reason: "It has no log (driver none)."})
		return nil
	}
	dir := l.source.folder(c)
	if dir == "" {
		l.absent.Store(&tallyman.Absence{Code: tallyman.Elsewhere, What: what, Reason: "The folder in which the engine keeps its containers cannot be reached from here.", Unlock: "-v /var/lib/docker/containers:/host/var/lib/docker/containers:ro"})
		return nil
	}
	bytes, found, err := measure(dir, c.ID)
	switch {
	case err != nil:
		l.absent.Store(&tallyman.Absence{What: what, Reason: "Its files cannot be looked at: " + err.Error() + "."})
		return err
	case !found:
		l.absent.Store(&tallyman.Absence{Code: tallyman.None, What: what, Reason: fmt.Sprintf("The engine keeps no file of its log (driver %s).", c.LogDriver)})
		return nil
	}
	l.absent.Store(nil)
	b.Add(l.series, float64(bytes))
	return nil
}

// folder is the container's own, empty when it cannot be reached.
func (s *Source) folder(c *tallyman.Container) string {
	if s.engines == nil || s.path == nil {
		return ""
	}
	e, ok := s.engines.EngineState(c.Engine)
	if !ok || e.Root == "" {
		return ""
	}
	dir := s.path(filepath.Join(e.Root, "containers"))
	if dir == "" {
		return ""
	}
	// The folder of that name may be another machine's.
	if dir = filepath.Join(dir, c.ID); !isFolder(dir) {
		return ""
	}
	return dir
}

func isFolder(dir string) bool {
	st, err := os.Stat(dir)
	return err == nil && st.IsDir()
}

// measure adds up the files of a log: <id>-json.log of the driver json-file, container.log
// of the driver local and container-cached.log of others, with what was rotated away from them.
func measure(dir, id string) (bytes int64, found bool, err error) {
	for _, in := range []struct{ dir, prefix string }{{dir, id + "-json.log"}, {dir, "container-cached.log"}, {filepath.Join(dir, "local-logs"), "container.log"}} {
		entries, err := os.ReadDir(in.dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, false, err
		}
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), in.prefix) || !e.Type().IsRegular() {
				continue
			}
			if info, err := e.Info(); err == nil { // rotated away meanwhile
				bytes, found = bytes+info.Size(), true
			}
		}
	}
	return bytes, found, nil
}

// Absences say why a size is not known.
func (l *log) Absences() []tallyman.Absence {
	if a := l.absent.Load(); a != nil {
		return []tallyman.Absence{*a}
	}
	return nil
}

// Close has nothing to close.
func (*log) Close() {}
