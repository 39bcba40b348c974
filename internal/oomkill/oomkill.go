// SPDX-License-Identifier: Apache-2.0

// Package oomkill reads in the kernel's messages which processes it killed for want of
// memory, and in which containers. It is the one place that knows these messages: the
// engine tells only that memory ran out in a container, not in which process, and nothing
// of a process that was killed beside the first.
//
// The kernel writes several lines for one kill, and others between them:
//
//	oom-kill:constraint=CONSTRAINT_MEMCG,…,oom_memcg=/docker/<id>,task_memcg=/docker/<id>,task=python,pid=123,uid=0
//	Memory cgroup out of memory: Killed process 123 (python) total-vm:…kB, anon-rss:65000kB, …
//
// Kernels before 5.0 say "Task in /docker/<id> killed as a result of limit of …" in place of
// the first, without a pid. The lines are joined by the pid, or by their order:
//
//	kills, err := oomkill.Find(ctx, records, "harbor", from, to)
//	for _, k := range kills {
//		fmt.Println(k.Time, k.Task, k.Containers)
//	}
//
// What it returns belongs to the caller. Find may be called concurrently, as far as the
// records may be read so. Names of processes are whatever they call themselves; whoever
// shows them escapes them.
package oomkill

import (
	"bytes"
	"context"
	"slices"
	"time"

	"tallyman"
	"tallyman/internal/clip"
	"tallyman/internal/recordwalk"
)

// Kill is a process that the kernel killed for want of memory.
type Kill struct {
	Time time.Time
	Pid  int
	// Task is what the process called itself, at most 15 bytes.
	Task string
	// Cgroup is where it was, Containers the ids in that path, the innermost first; both
	// are empty when the kernel did not say it.
	Cgroup     string
	Containers []string
	// Machine is set when the whole machine had no memory left, and Limit, the cgroup
	// whose limit was met, when it was that of a cgroup. Neither is when it is not known.
	Machine bool
	Limit   string
	// Anonymous is the memory in bytes that the process had for itself, 0 when not known.
	Anonymous int64
	// Lines are those that told of it.
	Lines []string

	told bool // the line of the kill itself was there
}

const (
	// together is how far apart the lines of one kill may be.
	together = 20 * time.Second
	// most are the kills, and walked the lines of the kernel, of one answer.
	most   = 200
	walked = 50_000
	// longest is how much of a line is kept.
	longest = 512
)

// Find finds the kills on a host between two times, oldest first, at most 200: the newest.
func Find(ctx context.Context, records tallyman.RecordReader, host string, from, to time.Time) ([]Kill, error) {
	type line struct {
		at   time.Time
		text []byte
	}
	var lines []line
	n := 0
	q := tallyman.RecordQuery{
		Start: from.UnixNano(), End: to.UnixNano(), Backward: true, NoMeta: true,
		Matchers: []tallyman.Matcher{{Name: "source", Value: tallyman.SourceJournal}, {Name: "host", Value: host}, {Name: "unit", Value: "kernel"}},
		Contains: []string{"ill"}, // what all of these lines have: kill, Kill, killed
	}
	for f, err := range recordwalk.ByTime(ctx, records, q) {
		if err != nil {
			return nil, err
		}
		if _, ok := parse(bytes.TrimSpace(f.Record.Line)); ok {
			lines = append(lines, line{time.Unix(0, f.Record.Time), bytes.Clone(bytes.TrimSpace(f.Record.Line))})
		}
		if n++; n == walked || len(lines) == 3*most {
			break
		}
	}
	var j Joiner
	for _, l := range slices.Backward(lines) {
		j.Take(l.at, l.text)
	}
	return j.Kills[max(0, len(j.Kills)-most):], nil
}

// Joiner joins the lines of kills, which it is given in the order of their times.
type Joiner struct {
	// Kills are those so far.
	Kills []Kill

	// of a kernel that does not name the process: the cgroup of the next one
	before said
	at     time.Time
	line   string
}

// Take takes a line; any other than those of kills is left alone.
func (j *Joiner) Take(at time.Time, text []byte) {
	s, ok := parse(text)
	if !ok {
		return
	}
	line := clip.Text(string(text), longest)
	if s.pid == 0 {
		if s.group && j.fresh(at) && j.before.cgroup != "" {
			return // the limit was told before; the group says no more of where
		}
		j.before, j.at, j.line = s, at, line
		return
	}
	if !s.killed {
		k := Kill{Time: at, Pid: s.pid, Task: s.task, Lines: []string{line}}
		k.place(s)
		j.Kills = append(j.Kills, k)
		j.at = time.Time{}
		return
	}
	for i := len(j.Kills) - 1; i >= 0 && at.Sub(j.Kills[i].Time) <= together; i-- {
		if k := &j.Kills[i]; k.Pid == s.pid {
			if !k.told { // the first of a group is told twice
				k.told, k.Anonymous, k.Lines = true, s.anon, append(k.Lines, line)
			}
			return
		}
	}
	k := Kill{Time: at, Pid: s.pid, Task: s.task, Anonymous: s.anon, Lines: []string{line}, told: true}
	if j.fresh(at) {
		k.place(j.before)
		k.Lines = []string{j.line, line}
		if !j.before.group { // of a group all are killed, else one
			j.at = time.Time{}
		}
	}
	j.Kills = append(j.Kills, k)
}

func (j *Joiner) fresh(at time.Time) bool { return !j.at.IsZero() && at.Sub(j.at) <= together }

func (k *Kill) place(s said) {
	k.Cgroup, k.Containers = s.cgroup, containers(s.cgroup)
	k.Limit, k.Machine = s.limit, s.limit == "" && !s.group
}
