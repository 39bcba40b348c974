// SPDX-License-Identifier: Apache-2.0

// Package view is how hosts, engines, containers and events look in JSON: in the
// answers of REST and in the messages of the live stream, which are to be the
// same, so neither of the two makes them itself.
//
// Times are milliseconds since the epoch. What is not known is left out.
//
//	v := view.ContainerOf(c)
//	v.Now = view.NowOf(present.Containers[c.ID])
//
// A view holds no more than it is given: the functions look at nothing, keep
// nothing, and may be called concurrently. A view shares the slices and maps of
// what it was made of; neither is changed.
package view

import (
	"tallyman"
	"tallyman/internal/describe"
)

// Servers is the answer of /servers.
type Servers struct {
	Time     int64   `json:"time"`
	Version  string  `json:"version"`
	Auth     bool    `json:"auth"`
	Interval float64 `json:"interval" doc:"Seconds between stored samples"`
	Hosts    []Host  `json:"hosts" doc:"Empty without any engine"`
}

// Host is one host with its engine and its containers.
type Host struct {
	Host   string `json:"host"`
	Engine Engine `json:"engine"`
	HostFigures
	Cores      *float64    `json:"cores,omitempty"`
	Memory     *float64    `json:"memory,omitempty"`
	Containers []Container `json:"containers"`
}

// HostFigures are the numbers of a host that change with each tick.
type HostFigures struct {
	CPU        *float64 `json:"cpu,omitempty" doc:"Cores in use by the whole host"`
	MemoryUsed *float64 `json:"memoryUsed,omitempty"`
	Load1      *float64 `json:"load1,omitempty"`
	DiskUsed   *float64 `json:"diskUsed,omitempty" doc:"Of the fullest file system"`
	DiskSize   *float64 `json:"diskSize,omitempty"`
	DiskAvail  *float64 `json:"diskAvail,omitempty" doc:"What users other than root may still write; it is full when that is 0"`
	DiskMount  string   `json:"diskMount,omitempty"`
	Self       *Cost    `json:"self,omitempty" doc:"What tallyman itself takes"`
}

// Cost is what tallyman takes: cores and bytes.
type Cost struct {
	CPU    *float64 `json:"cpu,omitempty"`
	Memory *float64 `json:"memory,omitempty"`
}

// Engine is the state of a Docker engine.
type Engine struct {
	Name          string `json:"name"`
	Address       string `json:"address"`
	Up            bool   `json:"up"`
	Since         int64  `json:"since,omitempty"`
	LastGood      int64  `json:"lastGood,omitempty"`
	Failure       string `json:"failure,omitempty"`
	Error         string `json:"error,omitempty"`
	Version       string `json:"version,omitempty"`
	APIVersion    string `json:"apiVersion,omitempty"`
	CgroupVersion string `json:"cgroupVersion,omitempty"`
	CgroupDriver  string `json:"cgroupDriver,omitempty"`
	OS            string `json:"os,omitempty"`
	Kernel        string `json:"kernel,omitempty"`
	Remote        bool   `json:"remote,omitempty" doc:"Another machine's, reached over the network"`
	Collect       string `json:"collect,omitempty" doc:"How the numbers of its containers come: from files of control groups (cgroup), or of some at least from the engine's API (api)"`
}

// Container is one container as a row of the page needs it.
type Container struct {
	ID         string             `json:"id"`
	Name       string             `json:"name"`
	Image      string             `json:"image"`
	ImageID    string             `json:"imageId,omitempty"`
	Host       string             `json:"host"`
	Engine     string             `json:"engine"`
	Workload   string             `json:"workload"`
	Project    string             `json:"project,omitempty"`
	Origin     string             `json:"origin"`
	Service    string             `json:"service,omitempty"`
	State      tallyman.State     `json:"state"`
	Health     string             `json:"health,omitempty" doc:"starting, healthy or unhealthy; absent without a health check"`
	ExitCode   *int               `json:"exitCode,omitempty"`
	OOMKilled  bool               `json:"oomKilled,omitempty"`
	Error      string             `json:"error,omitempty"`
	Created    int64              `json:"created,omitempty"`
	Started    int64              `json:"started,omitempty"`
	Finished   int64              `json:"finished,omitempty"`
	GoneAt     int64              `json:"goneAt,omitempty"`
	Restarts   int                `json:"restartCount"`
	Crashes    *Crashes           `json:"crashes,omitempty" doc:"Deaths of late that nobody asked for; absent when there were none"`
	Policy     string             `json:"restartPolicy,omitempty"`
	CPULimit   float64            `json:"cpuLimit,omitempty" doc:"Cores; absent without a limit"`
	MemLimit   int64              `json:"memoryLimit,omitempty" doc:"Bytes; absent without a limit"`
	Network    string             `json:"networkMode,omitempty"`
	Disabled   bool               `json:"disabled,omitempty" doc:"It is listed, but not measured"`
	Collect    string             `json:"collect,omitempty" doc:"How its numbers come: from files of control groups (cgroup) or from the engine's API (api)"`
	CollectWhy string             `json:"collectWhy,omitempty" doc:"Why they come from the API"`
	LastEvent  *Event             `json:"lastEvent,omitempty"`
	Now        *Now               `json:"now,omitempty"`
	Spark      *Spark             `json:"spark,omitempty" doc:"In /servers and in the snapshots of its page"`
	Absent     []tallyman.Absence `json:"absent,omitempty" doc:"What cannot be known of it here, why, and what would change that"`
	*Detail
}

// Crashes are deaths that nobody asked for, of one workload within ten minutes.
// From three on they are a crash loop, whatever the container does at the moment.
type Crashes struct {
	Count    int    `json:"count"`
	First    int64  `json:"first"`
	Last     int64  `json:"last"`
	ExitCode string `json:"exitCode,omitempty" doc:"Of the last one"`
}

// Detail is what only a container's own page needs.
type Detail struct {
	Command   []string           `json:"command,omitempty" doc:"Entrypoint and arguments, without secrets"`
	User      string             `json:"user,omitempty"`
	Ports     []tallyman.Port    `json:"ports,omitempty"`
	Mounts    []tallyman.Mount   `json:"mounts,omitempty"`
	Networks  []tallyman.Network `json:"networks,omitempty"`
	LogDriver string             `json:"logDriver,omitempty"`
	Labels    map[string]string  `json:"labels,omitempty"`
	Tty       bool               `json:"tty,omitempty"`
	Instances []Instance         `json:"instances" doc:"The containers of its workload, in the order of their starts"`
}

// Instance is one container of a workload's life.
type Instance struct {
	ID       string         `json:"id"`
	Image    string         `json:"image"`
	Name     string         `json:"name"`
	Started  int64          `json:"started,omitempty"`
	Ended    int64          `json:"ended,omitempty"`
	State    tallyman.State `json:"state"`
	ExitCode *int           `json:"exitCode,omitempty"`
	Current  bool           `json:"current,omitempty"`
}

// Now is what a container does at present.
type Now struct {
	Time        int64    `json:"t"`
	CPU         *float64 `json:"cpu,omitempty"`
	CPUUser     *float64 `json:"cpuUser,omitempty"`
	CPUSystem   *float64 `json:"cpuSystem,omitempty"`
	Throttled   *float64 `json:"throttled,omitempty"`
	Memory      *float64 `json:"memory,omitempty" doc:"Working set in bytes"`
	MemoryUsage *float64 `json:"memoryUsage,omitempty"`
	Anon        *float64 `json:"anon,omitempty"`
	Cache       *float64 `json:"cache,omitempty"`
	Kernel      *float64 `json:"kernel,omitempty"`
	Swap        *float64 `json:"swap,omitempty"`
	Rx          *float64 `json:"rx,omitempty"`
	Tx          *float64 `json:"tx,omitempty"`
	Pids        *float64 `json:"pids,omitempty"`
	BlkRead     *float64 `json:"blkRead,omitempty" doc:"Block IO, bytes per second"`
	BlkWrite    *float64 `json:"blkWrite,omitempty"`
}

// Spark is the recent past of a row.
type Spark struct {
	CPU    []*float64 `json:"cpu" doc:"Oldest first, spread over the last 15 minutes"`
	Memory []*float64 `json:"memory"`
}

// Event is an event with its words.
type Event struct {
	ID         string            `json:"id"`
	Time       int64             `json:"time"`
	Host       string            `json:"host"`
	Engine     string            `json:"engine,omitempty"`
	Type       string            `json:"type"`
	Action     string            `json:"action"`
	Actor      string            `json:"actor,omitempty"`
	Name       string            `json:"name,omitempty"`
	Image      string            `json:"image,omitempty"`
	Workload   string            `json:"workload,omitempty"`
	Inferred   bool              `json:"inferred,omitempty" doc:"Nobody saw it: it follows from two inventories"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Kind       describe.Kind     `json:"kind" doc:"The mark that it has on a chart"`
	Severity   describe.Severity `json:"severity" doc:"Empty for a plain one"`
	Text       string            `json:"text"`
}
