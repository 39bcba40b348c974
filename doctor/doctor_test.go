// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman"
	"tallyman/internal/fsx"
	"tallyman/internal/nsx"
)

// fake is everything that a doctor asks.
type fake struct {
	containers []*tallyman.Container
	engines    []tallyman.EngineStatus
	absent     map[string][]tallyman.Absence
	instead    map[string]string
	readings   []tallyman.Reading
}

func (f *fake) Containers() []*tallyman.Container                      { return f.containers }
func (f *fake) Container(string) (*tallyman.Container, bool)           { return nil, false }
func (f *fake) Engines() []tallyman.EngineStatus                       { return f.engines }
func (f *fake) Latest([]tallyman.Reading) ([]tallyman.Reading, uint64) { return f.readings, 1 }

func (f *fake) doctor(t *testing.T, change func(*Options)) *Doctor {
	o := Options{
		Host: "harbor", Logs: true, Inventory: f, Readings: f, Space: fsx.NewSpace(t.TempDir()), Data: "/data",
		Absences: func(t tallyman.TargetKey) []tallyman.Absence { return f.absent[t.ID] },
		Replaced: func(id string) (string, bool) {
			r, ok := f.instead[id]
			return r, ok
		},
	}
	if change != nil {
		change(&o)
	}
	return New(o)
}

func (f *fake) own(name string, v float64, labels ...tallyman.Label) {
	s := (&tallyman.Target{Kind: tallyman.SelfTarget}).Series(&tallyman.Desc{Name: name}, labels...)
	f.readings = append(f.readings, tallyman.Reading{Series: s, Value: v, Time: 2000, Before: v - 1, BeforeTime: 1000})
}

func running(id string) *tallyman.Container {
	return &tallyman.Container{ID: id, Engine: "local", State: tallyman.Running, Pid: 1}
}

// states are the features of a report in short.
func states(r *Report) map[string]string {
	out := map[string]string{}
	for _, f := range r.Features {
		out[f.ID] = strings.TrimSpace(string(f.State) + " " + f.Unlock)
	}
	return out
}

func TestEverythingWorks(t *testing.T) {
	f := &fake{containers: []*tallyman.Container{running("a")}, engines: []tallyman.EngineStatus{{Name: "local", Up: true, Version: "20.10.24", APIVersion: "1.41", Address: "unix:///s"}}}
	r := f.doctor(t, nil).Report()
	for _, x := range r.Features {
		if x.State != Works || x.Reason != "" || x.Unlock != "" {
			t.Errorf("%+v, want that it works", x)
		}
	}
	if r.Where != "binary" || r.Disk == nil || len(r.Dropped) != 0 {
		t.Errorf("%+v", r)
	}
	if d := r.Features[0].Detail; d != "Docker 20.10.24, API 1.41, 1 containers, unix:///s" {
		t.Errorf("the engine's detail is %q", d)
	}
}

func TestWhatDoesNotWorkIsSaidWithItsReason(t *testing.T) {
	shared := tallyman.Absence{Code: tallyman.Shared, What: "network", Reason: "It shares the network of the host."} // as it wants to
	io := tallyman.Absence{What: "block IO", Reason: "The kernel does not count it.", Unlock: "a throttle rule"}
	f := &fake{
		containers: []*tallyman.Container{running("a"), running("b"), {ID: "c", State: tallyman.Exited}},
		engines: []tallyman.EngineStatus{
			{Name: "local", Since: time.UnixMilli(0), Address: "unix:///var/run/docker.sock", Error: "no socket at unix:///var/run/docker.sock"},
			{Name: "far", Address: "tcp://far:2376"},
		},
		absent: map[string][]tallyman.Absence{
			"a": {shared, io, {Code: tallyman.Shared, What: "shared memory", Reason: "It shares the memory of the host."}, {Code: tallyman.None, What: "shared memory", Reason: "It has no shared memory (--ipc none)."}, {What: "TCP states", Reason: "no right", Unlock: "--cap-add SYS_ADMIN --cap-add SYS_PTRACE"}}, "b": {io, {What: "swap", Reason: "off", Unlock: "swapaccount=1"}, {Code: tallyman.Later, What: "size", Reason: "It was not this one's turn yet."}},
			"harbor": {{What: "file systems", Reason: "not reached", Unlock: "--pid=host"}, {What: "network", Reason: "not seen"}, {What: "sockets", Reason: "not seen"}, {Code: tallyman.None, What: "sensors", Reason: "It has none."}}, "/": {{What: "file systems", Reason: "again"}, {What: "cores", Reason: "not told"}},
		},
		instead: map[string]string{"b": "its process cannot be seen"},
	}
	r := f.doctor(t, func(o *Options) {
		o.Container, o.MemoryLimit, o.FilesLimit, o.NoAuth = true, 64<<20, 100, true
	}).Report()
	want := map[string]string{
		"engine/local": "off -v /var/run/docker.sock:/var/run/docker.sock:ro", "engine/far": "unknown",
		"container/cpu":     "partly --pid=host --cgroupns=host -v /sys/fs/cgroup:/host/sys/fs/cgroup:ro",
		"container/network": "works", "container/tcp": "partly --cap-add SYS_ADMIN --cap-add SYS_PTRACE", "container/shm": "works", "container/pressure": "works", "container/logs": "works", "container/blockio": "off a throttle rule", "container/swap": "partly swapaccount=1",
		"host/cpu": "works", "host/filesystems": "off --pid=host", "host/disks": "works", "host/network": "off", "host/pressure": "works", "host/cores": "off",
		"storage/space": "works", "self/login": "off no_auth: false", "self/memory": "partly -m 96m", "self/files": "partly --ulimit nofile=65536",
	}
	if d := cmp.Diff(want, states(r)); d != "" {
		t.Errorf("features (-want +got):\n%s", d)
	}
	for _, x := range r.Features {
		if x.State != Works && x.Reason == "" {
			t.Errorf("%s is %s without a reason", x.ID, x.State)
		}
	}
}

// What an engine is without is told apart: what it measures of itself, and what
// it keeps on its disk. Neither is more than an extra.
func TestWhatAnEngineIsWithout(t *testing.T) {
	f := &fake{
		engines: []tallyman.EngineStatus{{Name: "a", Up: true, Version: "1"}, {Name: "b", Up: true, Version: "1"}, {Name: "c", Up: true, Version: "1"}, {Name: "d", Up: true, Version: "1"}},
		absent: map[string][]tallyman.Absence{
			"a": {{Code: tallyman.Later, What: "what the engine keeps on its disk", Reason: "It was not asked yet."}},
			"b": {{What: "what the engine keeps on its disk", Reason: "no answer", Unlock: "x"}, {Code: tallyman.None, What: "the engine's own metrics", Reason: "It has none."}},
			"c": {{Code: tallyman.Lacking, What: "the engine's own metrics", Reason: "not seen", Unlock: "-v y"}},
		},
	}
	got := states(f.doctor(t, nil).Report())
	maps.DeleteFunc(got, func(id, _ string) bool { return !strings.HasPrefix(id, "engine/") || strings.Count(id, "/") < 2 })
	want := map[string]string{
		"engine/a/metrics": "works", "engine/a/disk": "unknown", "engine/b/disk": "partly x",
		"engine/c/metrics": "partly -v y", "engine/c/disk": "works", "engine/d/metrics": "works", "engine/d/disk": "works",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("features (-want +got):\n%s", d)
	}
}

// The rights are tried on a container that is not tallyman's own.
func TestRights(t *testing.T) {
	own, other := running("a"), running("b")
	own.Pid, other.Pid = 7, 8
	f := &fake{containers: []*tallyman.Container{own, other}}
	r := f.doctor(t, func(o *Options) {
		o.Container, o.Pid = true, 7
		o.Try = func(pid int) map[nsx.Right]error {
			if pid != 8 {
				t.Errorf("tried on %d", pid)
			}
			return map[nsx.Right]error{nsx.Look: nsx.ErrPtrace, nsx.Enter: nsx.ErrAdmin}
		}
	}).Report()
	got := map[string]string{}
	for id, s := range states(r) {
		if strings.HasPrefix(id, "right/") {
			got[id] = s
		}
	}
	if d := cmp.Diff(map[string]string{"right/see": "works", "right/look": "off --cap-add SYS_PTRACE",
		"right/enter": "off --cap-add SYS_PTRACE --cap-add SYS_ADMIN", "right/read": "works"}, got); d != "" {
		t.Errorf("rights (-want +got):\n%s", d)
	}
}

func TestCostAndDrops(t *testing.T) {
	f := &fake{}
	l := func(kv ...string) (out []tallyman.Label) {
		for i := 0; i < len(kv); i += 2 {
			out = append(out, tallyman.Label{Name: kv[i], Value: kv[i+1]})
		}
		return out
	}
	f.own("process_cpu_seconds_total", 5)
	f.own("tallyman_anonymous_memory_bytes", 1<<20)
	f.own("tallyman_daemon_cpu_seconds_total", 9, l("process", "dockerd")...)
	f.own("tallyman_engine_calls_total", 3, l("call", "list", "engine", "local")...)
	f.own("tallyman_engine_calls_total", 7, l("call", "ping", "engine", "local")...)
	f.own("tallyman_samples_dropped_total", 40, l("reason", "disk_full", "store", "metric")...)
	f.own("tallyman_samples_dropped_total", 0, l("reason", "clock", "store", "metric")...)
	f.own("tallyman_discover_events_dropped_total", 99, l("engine", "local", "reason", "health_check")...)
	f.own("tallyman_discover_events_dropped_total", 2, l("engine", "local", "reason", "overflow")...)
	f.own("tallyman_discover_events_dropped_total", 3, l("engine", "far", "reason", "overflow")...)
	r := f.doctor(t, nil).Report()
	if d := cmp.Diff([]Dropped{
		{What: "samples", Reason: "disk_full", Count: 40, Next: next["disk_full"]},
		{What: "events", Reason: "overflow", Count: 5, Next: next["overflow"]},
	}, r.Dropped); d != "" {
		t.Errorf("dropped (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]Call{{"local", "ping", 7}, {"local", "list", 3}}, r.Cost.Calls); d != "" {
		t.Errorf("calls (-want +got):\n%s", d)
	}
	if r.Cost.CPU == nil || *r.Cost.CPU != 1 || len(r.Cost.Daemons) != 1 || *r.Cost.Daemons[0].CPU != 1 || r.Cost.Files != nil {
		t.Errorf("cost %+v", r.Cost)
	}
}

// Streams that share one are said, with the setting that helps.
func TestStreams(t *testing.T) {
	since := time.Date(2026, 3, 1, 8, 15, 0, 0, time.UTC)
	f := func(want Feature, shares ...Share) {
		t.Helper()
		d := (&fake{}).doctor(t, func(o *Options) { o.Shares = func() []Share { return shares } })
		want.ID, want.Group, want.Name = "storage/streams", Storage, "Streams of logs and events"
		for _, got := range d.Report().Features {
			if got.ID == want.ID {
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
				return
			}
		}
		t.Errorf("no %s", want.ID)
	}
	containers := Share{Name: "containers", Streams: 20, Limit: 100, Memory: 1 << 20, MemoryLimit: 4 << 20, Setting: "limits.streams.containers"}
	pushes := Share{Name: "pushes", Streams: 50, Limit: 50, Memory: 2 << 20, MemoryLimit: 4 << 20, Setting: "limits.streams.pushes", Overflowed: 7}
	f(Feature{State: Works, Detail: "20 streams in 1 MiB of memory"}, containers)
	f(Feature{State: Works, Detail: "70 streams in 3 MiB of memory; 7 lines of more streams are kept together"}, containers, pushes)
	pushes.Since = since
	f(Feature{State: Partly, Detail: "70 streams in 3 MiB of memory; 7 lines of more streams are kept together",
		Reason: "Since 2026-03-01 08:15:00 UTC the limit of 50 streams of pushes is reached: lines of new ones are kept together, in one stream for each level, and are found by the same labels.",
		Unlock: "limits.streams.pushes: 200"}, containers, pushes)
	containers.Since, containers.Overflowed = since, 3
	f(Feature{State: Partly, Detail: "20 streams in 1 MiB of memory; 3 lines of more streams are kept together",
		Reason: "Since 2026-03-01 08:15:00 UTC the limit of 4 MiB for streams of containers is reached: lines of new ones are kept together, in one stream for each level, and are found by the same labels.",
		Unlock: "limits.streams.memory: 256MiB"}, containers)
}

func TestForwards(t *testing.T) {
	at := time.Date(2026, 11, 28, 15, 0, 0, 0, time.UTC)
	f := &fake{}
	f.own("tallyman_forward_dropped_total", 7, tallyman.Label{Name: "reason", Value: "buffer_full"})
	r := f.doctor(t, func(o *Options) {
		o.Forwards = func() []Forward {
			return []Forward{{ID: "new", To: "a:1"}, {ID: "up", To: "b:1", Up: true, Sent: 3},
				{ID: "picky", To: "d:1", Up: true, Sent: 3, Refused: 2, Lost: 1, Refusal: "d:1 answers with 400.", Mend: "a setting"},
				{ID: "away", To: "c:1", Since: at, Reason: "connection refused", Waiting: 2, Oldest: at}}
		}
	}).Report()
	got := states(r)
	if got["forward/new"] != "unknown" || got["forward/up"] != "works" || got["forward/away"] != "partly" {
		t.Errorf("%v", got)
	}
	if picky := r.Features[len(r.Features)-2]; picky.State != Partly || picky.Detail != "d:1, 3 sent, 2 refused, 1 gone before they were sent" || !strings.HasSuffix(picky.Reason, ": d:1 answers with 400.") || picky.Unlock != "a setting" {
		t.Errorf("%+v", picky)
	}
	last := r.Features[len(r.Features)-1]
	if last.Detail != "c:1, 0 sent, 2 wait since 2026-11-28 15:00:00 UTC" || !strings.Contains(last.Reason, "since 2026-11-28 15:00:00 UTC; what is to be sent waits on the disk: connection refused.") {
		t.Errorf("%+v", last)
	}
	if want := []Dropped{{"messages to others", "buffer_full", 7, next["buffer_full"]}}; !cmp.Equal(r.Dropped, want) {
		t.Errorf("%+v", r.Dropped)
	}
}

// A host that sends here works; a silent one does not, and it is said since when; of one that
// never sent nothing is known.
func TestAgents(t *testing.T) {
	at := time.Date(2026, 11, 28, 15, 0, 0, 0, time.UTC)
	r := (&fake{}).doctor(t, func(o *Options) {
		o.Agents = func() []Agent {
			return []Agent{{Host: "new"}, {Host: "web-1", Heard: at}, {Host: "db-1", Heard: at, Silent: true}}
		}
	}).Report()
	if got := states(r); !strings.HasPrefix(got["agent/new"], "unknown ") || got["agent/web-1"] != "works" || !strings.HasPrefix(got["agent/db-1"], "off ") {
		t.Errorf("%v", got)
	}
	if last := r.Features[len(r.Features)-1]; !strings.Contains(last.Reason, "since 2026-11-28 15:00:00 UTC") || !strings.Contains(last.Unlock, "doctor") {
		t.Errorf("%+v", last)
	}
}
