// SPDX-License-Identifier: Apache-2.0

package tallyman

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"slices"
	"time"
)

// Source produces the samples of the targets attached to it. All calls come
// from one goroutine, so a source needs no locks.
type Source interface {
	// Attach starts to watch t: it opens what is kept open and interns the
	// series. ErrGone says that the target vanished meanwhile, which is not a
	// failure; any other error means that nothing of t can be collected.
	Attach(t *Target) error
	// Detach closes everything of t. Detaching an unknown target does nothing.
	Detach(t *Target)
	// Collect appends one sample of every value known now to b. A value that
	// cannot be read is left out, never replaced. It must not block and, in
	// the steady state, not allocate.
	Collect(b *Batch)
	// Close detaches every target.
	Close() error
}

// PartCollector is a Source that can be asked for some of its targets between two
// rounds: for those that may be gone before the next one.
type PartCollector interface {
	// CollectPart is Collect for these targets alone. One that is not attached is left out.
	CollectPart(b *Batch, targets []*Target)
}

// Absence says why a value cannot be known for a target, and what would
// unlock it.
type Absence struct {
	// Code is what programs decide by; the words are for people.
	Code AbsenceCode `json:"code,omitempty"`
	// What names the value in a person's words: "network", "block IO".
	What string `json:"what"`
	// Reason is one sentence; Unlock is the flag, mount or setting that would
	// help, empty when nothing would. What is to be pasted stands in backticks where
	// words are around it.
	Reason string `json:"reason"`
	Unlock string `json:"unlock,omitempty"`
}

// AbsenceCode sorts absences.
type AbsenceCode string

// The kinds of absence.
const (
	// Lacking is anything that is in the way.
	Lacking AbsenceCode = ""
	// Shared is what belongs to the host or to another container, and stands there.
	Shared AbsenceCode = "shared"
	// None is what there is not, as the container or the host was made.
	None AbsenceCode = "none"
	// Later is what comes by itself.
	Later AbsenceCode = "later"
	// Elsewhere is what cannot be reached from here, and perhaps in another way.
	Elsewhere AbsenceCode = "elsewhere"
)

// Absentee is a Source that can say what it does not know.
type Absentee interface {
	// Absences are the values of t that this source would give but cannot.
	// Like every call of a source it comes from the collecting goroutine.
	Absences(t *Target) []Absence
}

// SourceOptions is what every source of samples gets.
type SourceOptions struct {
	Log *slog.Logger
	// Proc, Sys and Cgroup are where the host's /proc, /sys and cgroup file
	// systems (/sys/fs/cgroup) are found.
	Proc, Sys, Cgroup string
	// Init is the directory of the host's first process under Proc, empty when
	// it cannot be seen; the host's network and mounts are read there.
	Init string
	// Root is where the host's own root directory is found, "/" outside of a
	// container; empty when it cannot be reached.
	Root string
	// Path says where a path of the host is found from here, empty when it is not.
	Path func(name string) string
	// Memory is the host's physical memory in bytes, 0 when not known.
	Memory uint64
	// Interval is the time between stored samples.
	Interval time.Duration
	// Engines are asked for what only an engine knows; nil without one.
	Engines Engines
	// Descs are the descriptions of metrics that only a text names.
	Descs *Descs
	// Own are the options of the kind itself, see SourceKind.Options.
	Own any
}

// Engines asks the Docker engines that discovery knows, by their configured names.
// All calls but EngineState, EngineRemote and EngineAddress block until the
// engine has answered or ctx ends.
type Engines interface {
	// EngineState is what is known of an engine without asking it; ok is false before the
	// first ping, and for one that is not configured.
	EngineState(engine string) (s EngineState, ok bool)
	// EngineRemote reports whether an engine is reached over the network, so that its
	// containers are likely those of another machine.
	EngineRemote(engine string) bool
	// EngineAddress is where an engine is reached, in the form of DOCKER_HOST; empty
	// for one that is not known.
	EngineAddress(engine string) string
	// EngineStats asks for the statistics of a container and decodes the answer,
	// JSON, into what into points to.
	EngineStats(ctx context.Context, engine, id string, into any) error
	// EngineSize asks for the size in bytes of the writable layer of a container,
	// which costs the engine much.
	EngineSize(ctx context.Context, engine, id string) (int64, error)
	// EngineDisk asks for what the engine keeps on its disk, which costs it much.
	EngineDisk(ctx context.Context, engine string) (EngineDisk, error)
	// EngineLogs follows the log of a container from a time on; the caller closes it.
	EngineLogs(ctx context.Context, engine, id string, since time.Time) (io.ReadCloser, error)
	// EngineDocument and EngineImage ask for the inspection of a container and of an
	// image, JSON.
	EngineDocument(ctx context.Context, engine, id string) (json.RawMessage, error)
	EngineImage(ctx context.Context, engine, id string) (json.RawMessage, error)
}

// EngineState is how an engine is, from discovery's pings and inventory.
type EngineState struct {
	EngineStatus
	// UpFor is for how long it has answered in all, KnownFor for how long that is known.
	UpFor, KnownFor time.Duration
	// Latency is how long the last ping took that it answered.
	Latency time.Duration
	// Clock is by how much the engine's clock is ahead of this machine's, negative when it
	// is behind, as the last ping told: to the second, and never more than it is. It is
	// known while the engine answers.
	Clock      time.Duration
	ClockKnown bool
	// OOMs is how often it has told, since tallyman began, that the kernel killed in one
	// of its containers for want of memory.
	OOMs uint64
	// Containers are those that it has now, by state and image.
	Containers map[ImageState]int
}

// EngineDisk is what an engine keeps on its disk.
type EngineDisk struct {
	// Shares are by what they are: images, containers (their writable layers), volumes,
	// build_cache.
	Shares map[string]DiskShare
	// Volumes are bytes by name, of the volumes whose driver says so.
	Volumes map[string]int64
}

// DiskShare is one kind of what an engine keeps: how many there are, how many of them are in
// use, their bytes, and the bytes of those that nobody uses.
type DiskShare struct {
	Count, Active, Bytes, Reclaimable int64
}

// ImageState is a state of containers of an image.
type ImageState struct {
	Image string
	State State
}

// SelfMetric is one number that a part of tallyman keeps about itself.
type SelfMetric struct {
	Desc   *Desc
	Labels []Label
	// Read returns the present value. It is called from the collecting
	// goroutine, must not block and not allocate.
	Read func() float64
}

// DescsOf are the descriptions of numbers, each once, in their order.
func DescsOf(m []SelfMetric) (out []*Desc) {
	for _, one := range m {
		if !slices.Contains(out, one.Desc) {
			out = append(out, one.Desc)
		}
	}
	return out
}

// SelfMetered is a part of tallyman that keeps numbers about itself.
type SelfMetered interface {
	SelfMetrics() []SelfMetric
}

// SelfExporter is a Source that makes samples of what other parts keep about
// themselves. Export is called once, before the first target is attached.
type SelfExporter interface {
	Export(m []SelfMetric)
}

// Executor runs commands in containers, through their engines.
type Executor interface {
	// Exec starts a command in a container as a user, the container's own when empty. The
	// caller closes it. It blocks until the engine has started it or ctx ends; ctx is also
	// that of the output.
	Exec(ctx context.Context, engine, id string, argv []string, user string) (Execution, error)
}

// Execution is a command that runs in a container. Read gives its output in the engine's
// frames, and ends with it.
type Execution interface {
	io.ReadCloser
	// Status is the host's pid of the command, 0 when it is not known, and its exit code
	// when it does not run any more.
	Status(ctx context.Context) (pid, code int, running bool, err error)
}
