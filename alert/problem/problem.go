// SPDX-License-Identifier: Apache-2.0

// Package problem makes episodes of what happens: a container that dies ten times in a
// minute is one problem, and one that somebody has stopped is none.
//
//	events, containers, engines ──► Machine ──► Opened, Changed, Closed
//	                                  │
//	                            Next: when a timer is due
//
// # Identity
//
// A problem is of a workload on a host; the container's id is data. A workload has at
// most one problem of its life at a time, whose kind may change while it is open
// (crash, then restart_loop), and beside it at most one each of unhealthy, paused and
// oom_inside. An engine has at most one, down or silent (nothing comes from the tallyman of
// its host), and a host one, disk_full: tallyman has no room
// there to keep anything, so that what rules would look at is not known.
//
// # Asked for, or not
//
// A death is asked for when the engine was told to send a signal that ends
// (discover sets the attribute asked), when docker stop, restart or, of a container that
// does not remove itself, rm follows within five seconds, when the engine or the host
// was started after it, or when it ended with 0 and nothing restarts it. Such a death
// ends the problems of its workload.
//
// # Time
//
// The machine has no clock: each call is given the time, and [Machine.Next] says when
// to call [Machine.Tick]. A death is held for five seconds before it is judged, so that
// what follows it is known, and several that come fast are one. While an engine is down
// all timers of its containers stand still.
//
// The machine does no I/O, never blocks, and is not safe for concurrent use. What it
// keeps is bounded: deaths of ten minutes, at most 32, for each workload that exists or
// has an open problem.
package problem

import (
	"time"
)

// Kind is what is wrong.
type Kind string

// The kinds of problem. Those up to JobFailed are of the life of a workload, of which
// one is open at most.
const (
	Crash       Kind = "crash"
	OOM         Kind = "oom"
	RestartLoop Kind = "restart_loop"
	NotRunning  Kind = "not_running"
	NotStarted  Kind = "not_started"
	JobFailed   Kind = "job_failed"

	Unhealthy Kind = "unhealthy"
	Paused    Kind = "paused"
	OOMInside Kind = "oom_inside"

	EngineDown Kind = "down"
	HostSilent Kind = "silent" // as EngineDown, of an engine on a host whose tallyman is silent
	DiskFull   Kind = "disk_full"
)

// Kinds are those of workloads.
func Kinds() []Kind {
	return []Kind{Crash, OOM, RestartLoop, NotRunning, NotStarted, JobFailed, Unhealthy, Paused, OOMInside}
}

// Classes of workloads: a service is one that something keeps running or that Compose
// or Swarm knows; others are plain.
const (
	Service = "service"
	Plain   = "plain"
)

// Problem is one problem, open or ended.
type Problem struct {
	Kind Kind   `json:"kind"`
	Host string `json:"host"`
	// Workload is empty for a problem of an engine or a host. Project is the Compose project or
	// Swarm stack, else the workload.
	Workload string `json:"workload,omitempty"`
	Project  string `json:"project,omitempty"`
	Engine   string `json:"engine,omitempty"`
	Class    string `json:"class,omitempty"`
	// Since is when it was opened, Began when the episode began that it is a stage of.
	Since time.Time `json:"since"`
	Began time.Time `json:"began"`
	// Container, Name and Image are those of the newest container that had it.
	Container string `json:"container,omitempty"`
	Name      string `json:"name,omitempty"`
	Image     string `json:"image,omitempty"`
	// Deaths of the episode that nobody asked for, the last of them at Died.
	Deaths   int       `json:"deaths,omitempty"`
	Died     time.Time `json:"died,omitzero"`
	ExitCode string    `json:"exitCode,omitempty"` // empty when not known
	// OOM is set when the kernel killed it for want of memory.
	OOM bool `json:"oom,omitempty"`
	// Text is the engine's own, of a start that failed.
	Text string `json:"text,omitempty"`
	// GaveUp is set when the engine starts it no more.
	GaveUp bool `json:"gaveUp,omitempty"`
	// Turns is how often the health turned bad, or a child was killed.
	Turns int `json:"turns,omitempty"`
	// Already is set for what was so when it was first seen.
	Already bool `json:"already,omitempty"`
	// Longest is the longest life of the episode.
	Longest time.Duration `json:"longest,omitempty"`

	// Ended and Reason are set once it has ended.
	Ended  time.Time `json:"ended,omitzero"`
	Reason string    `json:"reason,omitempty"`
}

// Op is what became of a problem.
type Op string

// The changes of a problem.
const (
	Opened  Op = "opened"
	Changed Op = "changed" // what is known of it, not its kind
	Closed  Op = "closed"
)

// Change tells of one problem.
type Change struct {
	Op      Op
	Problem Problem
}

// The times of the state machine.
const (
	hold          = 5 * time.Second  // before a death is judged
	loopWindow    = 10 * time.Minute // in which three deaths are a loop
	loopDeaths    = 3
	restarting    = time.Minute // in this state is a loop
	healthyAgain  = time.Minute // running without a break
	loopLeast     = 10 * time.Minute
	loopMost      = time.Hour
	startFails    = 10 * time.Second
	lost          = 2 * time.Minute // after the engine answers
	longBefore    = time.Hour       // up before an outage
	sick          = 30 * time.Second
	wellAfterFlap = 5 * time.Minute
	flapWindow    = 15 * time.Minute
	flapTurns     = 3
	pausedFor     = 5 * time.Minute
	oomQuiet      = 15 * time.Minute
	removedItself = 15 * time.Minute
	jobLife       = 10 * time.Minute
	jobsPerHour   = 60
	engineNear    = time.Minute // around its start or end
	engineDown    = 45 * time.Second
	engineUp      = 30 * time.Second
	roomGone      = 30 * time.Second
	roomAgain     = time.Minute

	maxDeaths   = 32
	maxProblems = 5000
)
