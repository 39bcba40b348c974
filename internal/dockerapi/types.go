// SPDX-License-Identifier: Apache-2.0

package dockerapi

import (
	"strings"
	"time"
)

// Ping is the answer of /_ping.
type Ping struct {
	APIVersion string // the newest the engine speaks, as "1.41"
	OSType     string
	// ClockOffset is by how much the engine's clock is ahead of this machine's, at
	// least; see [clockOffset]. ClockKnown is false when the answer has no time.
	ClockOffset time.Duration
	ClockKnown  bool
}

// Info is what /info says about the engine and its host.
type Info struct {
	ID              string
	Name            string // the host's
	DockerRootDir   string
	ServerVersion   string
	OperatingSystem string
	KernelVersion   string
	CgroupVersion   string
	CgroupDriver    string
	Driver          string // that stores images and layers
	// LiveRestore is set when containers go on while the engine is away.
	LiveRestore bool `json:"LiveRestoreEnabled"`
	NCPU        int
	MemTotal    int64 // bytes
	// SystemTime is the engine's clock when it answered, RFC 3339.
	SystemTime string
}

// Disk is what an engine keeps on its disk.
type Disk struct {
	Images, Containers, Volumes, BuildCache DiskShare
	// VolumeSizes are bytes by name, of the volumes whose driver says so.
	VolumeSizes map[string]int64
}

// DiskShare is one kind of what an engine keeps: how many there are, how many of them are
// used, their bytes, and those that nobody uses.
type DiskShare struct {
	Count, Active, Bytes, Reclaimable int64
}

// Summary is one container in a list.
type Summary struct {
	ID      string `json:"Id"`
	Names   []string
	Image   string
	ImageID string
	Created int64 // Unix seconds
	Labels  map[string]string
	State   string
	Status  string // for people: "Up 5 minutes (healthy)"
}

// Health is the outcome of the health check, empty without one.
func (s *Summary) Health() string {
	for _, one := range []struct{ in, word string }{{"(healthy)", "healthy"}, {"(unhealthy)", "unhealthy"}, {"(health: starting)", "starting"}} {
		if strings.HasSuffix(s.Status, one.in) {
			return one.word
		}
	}
	return ""
}

// Details is the inspection of one container. What an engine leaves out is the
// zero value; the parts that may be missing as a whole are pointers.
type Details struct {
	ID              string `json:"Id"`
	Created         string // RFC 3339
	Path            string
	Args            []string
	State           *State
	Image           string // the image's id
	Name            string // with a leading slash
	RestartCount    int
	HostConfig      *HostConfig
	Mounts          []Mount
	Config          *Config
	NetworkSettings *NetworkSettings
}

// State is the state of an inspected container.
type State struct {
	Status     string
	Running    bool
	Paused     bool
	Restarting bool
	OOMKilled  bool
	Dead       bool
	Pid        int
	ExitCode   int
	Error      string
	StartedAt  string // RFC 3339, "0001-01-01T00:00:00Z" for never
	FinishedAt string
	Health     *struct{ Status string }
}

// HostConfig is the part of the configuration that depends on the host.
type HostConfig struct {
	NetworkMode   string
	IpcMode       string
	AutoRemove    bool
	RestartPolicy struct {
		Name              string
		MaximumRetryCount int
	}
	LogConfig struct{ Type string }
	NanoCPUs  int64 `json:"NanoCpus"`
	CPUQuota  int64 `json:"CpuQuota"`  // microseconds
	CPUPeriod int64 `json:"CpuPeriod"` // microseconds
	CPUShares int64 `json:"CpuShares"`
	Memory    int64 // bytes
	// MemorySwap is of memory and swap together in bytes, -1 for no limit;
	// MemoryReservation in bytes; PidsLimit null, 0 or -1 for no limit.
	MemorySwap        int64
	MemoryReservation int64
	PidsLimit         *int64
	CPUSet            string `json:"CpusetCpus"`
}

// Config is the part of the configuration that belongs to the container.
type Config struct {
	Image       string
	User        string
	Tty         bool
	OpenStdin   bool
	StopSignal  string
	StopTimeout *int // seconds
	Labels      map[string]string
	Entrypoint  []string
	Cmd         []string
	Shell       []string
	Healthcheck *struct{ Test []string }
}

// Mount is one mount point.
type Mount struct {
	Type, Name, Source, Destination string
	RW                              bool
}

// NetworkSettings are a container's networks and ports.
type NetworkSettings struct {
	Networks map[string]*Endpoint
	// Ports are keyed by "80/tcp"; an exposed port without a binding has none.
	Ports map[string][]Binding
}

// Endpoint is a container's connection to one network.
type Endpoint struct {
	IPAddress         string
	GlobalIPv6Address string
}

// Binding publishes a port on the host.
type Binding struct {
	HostIP   string `json:"HostIp"`
	HostPort string
}

// Event is one raw event. All of it comes from outside and is to be distrusted:
// the attributes of a container event hold its labels, which replace the
// engine's own attributes of the same name except "image" and "name".
type Event struct {
	Type, Action string
	Actor        string // the id
	Attributes   map[string]string
	Scope        string
	Time         time.Time
}
