// SPDX-License-Identifier: Apache-2.0

package tallyman

import (
	"slices"
	"time"
)

// TargetKind is what sort of thing a target is.
type TargetKind string

// The kinds of target.
const (
	// HostTarget is the machine in node_exporter's names, MachineTarget the
	// same machine as cAdvisor shows it: machine_* and the series of id="/".
	HostTarget      TargetKind = "host"
	MachineTarget   TargetKind = "machine"
	ContainerTarget TargetKind = "container"
	// EngineTarget is a Docker engine itself, by its configured name.
	EngineTarget TargetKind = "engine"
	SelfTarget   TargetKind = "self"
	// ServiceTarget is a service in a container, that a plugin asks.
	ServiceTarget TargetKind = "service"
)

// Target is one thing that is watched. It is immutable once attached: a
// container that restarts or is renamed becomes a new target.
type Target struct {
	Kind TargetKind
	// ID is the container's full id, the engine's name, or the host's name.
	ID string
	// Job and Instance are the labels that a Prometheus scrape would have
	// given; stored series carry them, tallyman's own /metrics does not.
	Job, Instance string
	// Labels are on every series of the target, sorted by name, and not changed
	// once there is one: series without labels of their own share them.
	Labels []Label
	// Container is set for a ContainerTarget and for a ServiceTarget.
	Container *Container
}

// TargetKey names a target among all others.
type TargetKey struct {
	Kind TargetKind
	ID   string
}

// Key names the target.
func (t *Target) Key() TargetKey { return TargetKey{t.Kind, t.ID} }

// Key names the target that a container is.
func (c *Container) Key() TargetKey { return TargetKey{ContainerTarget, c.ID} }

// Series makes the series of metric d for this target, with extra labels of
// its own. Call it when the target is attached, never once per sample.
func (t *Target) Series(d *Desc, extra ...Label) *Series {
	if len(extra) == 0 {
		return &Series{Desc: d, Target: t, Labels: t.Labels}
	}
	labels := make([]Label, 0, len(t.Labels)+len(extra))
	labels = append(append(labels, t.Labels...), extra...)
	SortLabels(labels)
	return &Series{Desc: d, Target: t, Labels: labels}
}

// State is a container's state, in Docker's words, and Gone for one that the
// engine no longer has.
type State string

// The states of a container.
const (
	Created    State = "created"
	Running    State = "running"
	Paused     State = "paused"
	Restarting State = "restarting"
	Removing   State = "removing"
	Exited     State = "exited"
	Dead       State = "dead"
	Gone       State = "gone"
	// Unknown is that of a container on another host whose tallyman is silent.
	Unknown State = "unknown"
)

// Values are all states.
func (State) Values() []string {
	return []string{string(Created), string(Running), string(Paused), string(Restarting), string(Removing), string(Exited), string(Dead), string(Gone), string(Unknown)}
}

// Workload is the identity of a container that survives its re-creation: the
// Compose project, service and number, the Swarm stack, service and slot, or
// else the container's name.
type Workload struct {
	// Key is unique on a host and stands in the label "workload":
	// "shop/api/1" for Compose, "shop/shop_api/2" for Swarm, "name" else.
	Key string `json:"key"`
	// Project is the Compose project or Swarm stack, empty for others.
	Project string `json:"project,omitempty"`
	// Origin is "compose", "swarm" or "name".
	Origin  string `json:"origin"`
	Service string `json:"service,omitempty"`
	// OneOff is set for what docker compose run starts: a container beside the
	// service, neither a replica of it nor what another one has become.
	OneOff bool `json:"oneOff,omitempty"`
}

// Container is what the engine says about one container, at one moment. A
// published Container is never changed; a change is a new value.
type Container struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"` // without the leading slash
	Image    string   `json:"image"`
	ImageID  string   `json:"imageId,omitempty"`
	Host     string   `json:"host"`
	Engine   string   `json:"engine"`
	Workload Workload `json:"workload"`

	State  State  `json:"state"`
	Health string `json:"health,omitempty"` // starting, healthy, unhealthy; empty without a health check
	// ExitCode is that of the last exit; meaningful when Finished is set. Of a
	// container that runs again the engine no longer has it: ExitUnknown is set
	// when nobody saw it end.
	ExitCode    int    `json:"exitCode"`
	ExitUnknown bool   `json:"exitUnknown,omitempty"`
	OOMKilled   bool   `json:"oomKilled,omitempty"`
	Error       string `json:"error,omitempty"`
	// Pid is the host's pid of the container's init, 0 when it has none.
	Pid int `json:"pid,omitempty"`

	Created  time.Time `json:"created,omitzero"`
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	GoneAt   time.Time `json:"goneAt,omitzero"` // when it was removed, for State Gone

	RestartCount  int    `json:"restartCount"`
	RestartPolicy string `json:"restartPolicy,omitempty"`

	// CPULimit is in cores, MemoryLimit in bytes; 0 means no limit. CPUQuota
	// and CPUPeriod are in microseconds, 0 when not set.
	CPULimit    float64 `json:"cpuLimit,omitempty"`
	CPUQuota    int64   `json:"cpuQuota,omitempty"`
	CPUPeriod   int64   `json:"cpuPeriod,omitempty"`
	CPUShares   int64   `json:"cpuShares,omitempty"`
	MemoryLimit int64   `json:"memoryLimit,omitempty"`
	// CPUSet are the CPUs that it may run on, as "0-3,5"; empty for all.
	CPUSet string `json:"cpuSet,omitempty"`
	// MemoryReservation is the soft limit in bytes, MemorySwap that of memory
	// and swap together, PidsLimit that of tasks; 0 means no limit.
	MemoryReservation int64 `json:"memoryReservation,omitempty"`
	MemorySwap        int64 `json:"memorySwap,omitempty"`
	PidsLimit         int64 `json:"pidsLimit,omitempty"`

	NetworkMode string    `json:"networkMode,omitempty"`
	IpcMode     string    `json:"ipcMode,omitempty"` // private, shareable, none, host, container:<id>
	Networks    []Network `json:"networks,omitempty"`
	Ports       []Port    `json:"ports,omitempty"`
	Mounts      []Mount   `json:"mounts,omitempty"`
	Command     []string  `json:"command,omitempty"` // entrypoint and arguments, secrets redacted
	User        string    `json:"user,omitempty"`
	LogDriver   string    `json:"logDriver,omitempty"`
	Tty         bool      `json:"tty,omitempty"`
	OpenStdin   bool      `json:"openStdin,omitempty"`
	// StopSignal is what docker stop sends, empty for SIGTERM; StopTimeout is after how
	// many seconds SIGKILL follows, 0 for the engine's 10.
	StopSignal  string `json:"stopSignal,omitempty"`
	StopTimeout int    `json:"stopTimeout,omitempty"`
	// AutoRemove is set for one that the engine removes as soon as it has ended.
	AutoRemove bool              `json:"autoRemove,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	// HealthTest is the health check's command as exec events show it, empty
	// without one.
	HealthTest string `json:"healthTest,omitempty"`
	// Disabled is set by the label tallyman.enable=false and by the settings
	// include and exclude: the container is listed and nothing else.
	Disabled bool `json:"disabled,omitempty"`
	// Remote is set for a container of which another tallyman tells: nothing of it can be read
	// here.
	Remote bool `json:"remote,omitempty"`
}

// Alive reports whether the container has processes whose cgroup and network
// namespace can be read, here or by the tallyman that tells of it.
func (c *Container) Alive() bool {
	return (c.Pid > 0 || c.Remote) && (c.State == Running || c.State == Paused)
}

// Label returns the value of a container label, and the empty string without one.
func (c *Container) Label(key string) string { return c.Labels[key] }

// Clone returns a copy that may be changed: the slices and the map are its own.
func (c *Container) Clone() *Container {
	n := *c
	n.Networks = slices.Clone(c.Networks)
	n.Ports = slices.Clone(c.Ports)
	n.Mounts = slices.Clone(c.Mounts)
	n.Command = slices.Clone(c.Command)
	if c.Labels != nil {
		n.Labels = make(map[string]string, len(c.Labels))
		for k, v := range c.Labels {
			n.Labels[k] = v
		}
	}
	return &n
}

// Network is one network a container is connected to.
type Network struct {
	Name string `json:"name"`
	IP   string `json:"ip,omitempty"`
	IPv6 string `json:"ipv6,omitempty"`
}

// Port is one exposed port; HostPort is 0 when it is not published.
type Port struct {
	Port     uint16 `json:"port"`
	Protocol string `json:"protocol"`
	HostIP   string `json:"hostIp,omitempty"`
	HostPort uint16 `json:"hostPort,omitempty"`
}

// Mount is one mount of a container.
type Mount struct {
	Type        string `json:"type"` // bind, volume, tmpfs …
	Source      string `json:"source,omitempty"`
	Destination string `json:"destination"`
	ReadOnly    bool   `json:"readOnly,omitempty"`
}

// EngineFailure is why an engine counts as down.
type EngineFailure string

// The ways in which an engine fails. A slow engine still accepts connections
// but gives no good answer.
const (
	EngineRefused EngineFailure = "refused"
	EngineSlow    EngineFailure = "slow"
	EngineError   EngineFailure = "error"
	// EngineSilent is that of an engine on another host whose tallyman is silent.
	EngineSilent EngineFailure = "silent"
)

// EngineStatus is what is known about one Docker engine.
type EngineStatus struct {
	Name    string `json:"name"`    // the configured name, "local" for the default
	Address string `json:"address"` // as DOCKER_HOST has it
	Host    string `json:"host"`
	// Remote is set for an engine that is reached over the network: its containers are
	// likely those of another machine.
	Remote bool `json:"remote,omitempty"`
	Up     bool `json:"up"`
	// Since is when Up last changed, LastGood when it last answered well.
	Since    time.Time     `json:"since,omitzero"`
	LastGood time.Time     `json:"lastGood,omitzero"`
	Failure  EngineFailure `json:"failure,omitempty"`
	Error    string        `json:"error,omitempty"`
	// Listed is when the inventory was last reconciled with the engine.
	Listed time.Time `json:"listed,omitzero"`

	Version       string `json:"version,omitempty"`
	Driver        string `json:"driver,omitempty"` // that stores images and layers
	LiveRestore   bool   `json:"liveRestore,omitempty"`
	APIVersion    string `json:"apiVersion,omitempty"`
	OS            string `json:"os,omitempty"`
	Kernel        string `json:"kernel,omitempty"`
	CgroupVersion string `json:"cgroupVersion,omitempty"`
	CgroupDriver  string `json:"cgroupDriver,omitempty"`
	Root          string `json:"root,omitempty"` // the engine's data directory on its machine
	CPUs          int    `json:"cpus,omitempty"`
	Memory        int64  `json:"memory,omitempty"` // bytes
}

// Inventory is the present state of everything that discovery knows. Calls may
// run concurrently; what they return is shared and must not be changed.
type Inventory interface {
	// Containers are all known containers, gone ones too, sorted by host and name.
	Containers() []*Container
	// Container finds one by its full id, or by host-wide unique name or id
	// prefix of at least 12 digits; a living one wins over a gone one.
	Container(ref string) (*Container, bool)
	Engines() []EngineStatus
}

// ContainerObserver is told of containers as discovery learns of them, in order and
// from one goroutine per engine. As for all observers: it returns quickly and
// changes nothing that it is given.
type ContainerObserver interface {
	// ObserveContainer is called when a container appears, changes or goes.
	ObserveContainer(c *Container)
}

// OOMObserver is told that the kernel has killed in a container for want of memory, as
// soon as its engine says so. Its cgroup may be gone in a tenth of a second, so nothing
// about the container is looked up before. It must not block.
type OOMObserver interface {
	ObserveOOM(id string)
}

// EngineObserver is told what discovery learns of engines.
type EngineObserver interface {
	ObserveEngine(e EngineStatus)
}

// EventObserver is told of events, each once, in the order of their engine.
type EventObserver interface {
	ObserveEvent(e Event)
}
