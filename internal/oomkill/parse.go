// SPDX-License-Identifier: Apache-2.0

package oomkill

import (
	"bytes"
	"regexp"
	"strconv"
)

// said is what one line of the kernel's tells of a kill.
type said struct {
	// pid is 0 in lines that do not name one.
	pid  int
	task string
	// cgroup is where the task was; empty in the lines that tell of the kill itself.
	cgroup string
	// limit is the cgroup whose limit was met; empty when the machine itself had no
	// memory left, or the line does not tell.
	limit string
	// killed is set for the line that tells of the kill, with what the process had.
	killed bool
	anon   int64 // bytes
	// group is set for the cgroup of which everything is killed.
	group bool
}

// parse reads a line; ok is false for any other. The names in it are those of processes,
// which call themselves as they like: commas, brackets and words of the kernel's are in
// some, so a line is read from what the kernel writes around them.
func parse(line []byte) (s said, ok bool) {
	switch {
	case bytes.HasPrefix(line, []byte("oom-kill:")):
		return parseSummary(line)
	case bytes.HasPrefix(line, []byte("Task in ")):
		return parseTask(line)
	case bytes.HasPrefix(line, []byte("Tasks in ")):
		rest, found := bytes.CutSuffix(line[len("Tasks in "):], []byte(" are going to be killed due to memory.oom.group set"))
		return said{cgroup: string(rest), group: true}, found && len(rest) > 0
	}
	for _, before := range []string{"Memory cgroup out of memory: ", "Out of memory: ", "Out of memory (oom_kill_allocating_task): "} {
		if rest, found := bytes.CutPrefix(line, []byte(before)); found {
			line = rest
			break
		}
	}
	return parseKilled(line)
}

// parseSummary reads what kernels since 5.0 say:
//
//	oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=…,mems_allowed=0,oom_memcg=/docker/…,task_memcg=/docker/…,task=python,pid=123,uid=0
//
// and global_oom in place of oom_memcg when the whole machine had no memory left.
func parseSummary(line []byte) (s said, ok bool) {
	head, rest, ok := bytes.Cut(line, []byte("task_memcg="))
	if !ok {
		return s, false
	}
	if _, limit, found := bytes.Cut(head, []byte("oom_memcg=")); found {
		s.limit = string(bytes.TrimSuffix(limit, []byte(",")))
	}
	cgroup, task, ok := bytes.Cut(rest, []byte(",task="))
	if !ok {
		return s, false
	}
	uid := bytes.LastIndex(task, []byte(",uid="))
	if uid < 0 {
		return s, false
	}
	pid := bytes.LastIndex(task[:uid], []byte(",pid="))
	if pid < 0 {
		return s, false
	}
	s.cgroup, s.task = string(cgroup), string(task[:pid])
	s.pid, ok = number(task[pid+len(",pid=") : uid])
	return s, ok
}

// parseTask reads what kernels before 5.0 say:
//
//	Task in /docker/… killed as a result of limit of /docker/…
func parseTask(line []byte) (s said, ok bool) {
	cgroup, limit, ok := bytes.Cut(line[len("Task in "):], []byte(" killed as a result of limit of "))
	return said{cgroup: string(cgroup), limit: string(limit)}, ok && len(cgroup) > 0
}

// parseKilled reads the line of the kill itself, without what stands before it:
//
//	Killed process 123 (python) total-vm:131072kB, anon-rss:65000kB, file-rss:3000kB, shmem-rss:0kB, UID:0 pgtables:172kB oom_score_adj:0
//
// Kernels before 5.0 announce it by one with "Kill process 123 (python) score 995 or
// sacrifice child", which tells nothing more.
func parseKilled(line []byte) (s said, ok bool) {
	rest, ok := bytes.CutPrefix(line, []byte("Killed process "))
	if !ok {
		return s, false
	}
	pid, rest, ok := bytes.Cut(rest, []byte(" ("))
	end := bytes.LastIndex(rest, []byte(") total-vm:"))
	if !ok || end < 0 {
		end = bytes.LastIndex(rest, []byte("), UID ")) // of some distributions: (python), UID 1000, total-vm:…
		if end < 0 {
			return s, false
		}
	}
	s.killed, s.task = true, string(rest[:end])
	if _, anon, found := bytes.Cut(rest[end:], []byte("anon-rss:")); found {
		if digits, _, found := bytes.Cut(anon, []byte("kB")); found {
			if n, ok := number(digits); ok {
				s.anon = int64(n) << 10
			}
		}
	}
	s.pid, ok = number(pid)
	return s, ok
}

func number(b []byte) (int, bool) {
	n, err := strconv.ParseUint(string(b), 10, 40)
	return int(n), err == nil
}

var ids = regexp.MustCompile(`[0-9a-f]{64}`)

// containers are the ids in the path of a cgroup, the innermost first: a container may
// have cgroups of its own, and an engine may run in a container. All drivers have the
// whole id in it: /docker/<id>, /system.slice/docker-<id>.scope,
// /user.slice/…/libpod-<id>.scope, /kubepods/burstable/pod…/<id>.
func containers(cgroup string) []string {
	all := ids.FindAllString(cgroup, -1)
	for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
		all[i], all[j] = all[j], all[i]
	}
	return all
}
