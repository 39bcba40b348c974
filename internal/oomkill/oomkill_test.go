// SPDX-License-Identifier: Apache-2.0

package oomkill

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var (
	id    = strings.Repeat("0123456789abcdef", 4)
	outer = strings.Repeat("fedcba9876543210", 4)
	noon  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// As kernels write them, one kill each; what the joiner makes of them.
func TestKernels(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  []Kill
	}{
		{"6.1, cgroup v1, driver cgroupfs", []string{
			"tail invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
			"memory: usage 20480kB, limit 20480kB, failcnt 21",
			"[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name",
			"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=" + id + ",mems_allowed=0,oom_memcg=/docker/" + id + ",task_memcg=/docker/" + id + ",task=tail,pid=27329,uid=0",
			"Memory cgroup out of memory: Killed process 27329 (tail) total-vm:22232kB, anon-rss:19968kB, file-rss:1296kB, shmem-rss:0kB, UID:0 pgtables:84kB oom_score_adj:0",
			"oom_reaper: reaped process 27329 (tail), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB",
		}, []Kill{{Time: noon, Pid: 27329, Task: "tail", Cgroup: "/docker/" + id, Containers: []string{id}, Limit: "/docker/" + id, Anonymous: 19968 << 10}}},
		{"5.10, cgroup v2, driver systemd", []string{
			"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=docker-" + id + ".scope,mems_allowed=0,oom_memcg=/system.slice/docker-" + id + ".scope,task_memcg=/system.slice/docker-" + id + ".scope,task=java,pid=811,uid=1000",
			"Memory cgroup out of memory: Killed process 811 (java) total-vm:3145728kB, anon-rss:500000kB, file-rss:0kB, shmem-rss:4kB, UID:1000 pgtables:1500kB oom_score_adj:0",
		}, []Kill{{Time: noon, Pid: 811, Task: "java", Cgroup: "/system.slice/docker-" + id + ".scope", Containers: []string{id}, Limit: "/system.slice/docker-" + id + ".scope", Anonymous: 500000 << 10}}},
		{"5.4, the limit of a slice above it", []string{
			"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0-1,oom_memcg=/kubepods/burstable,task_memcg=/kubepods/burstable/pod8b8f5f0e-0a4b-4a3c-9d57-1c1ddc4ba7ac/" + id + ",task=node,pid=5,uid=0",
			"Memory cgroup out of memory: Killed process 5 (node) total-vm:1kB, anon-rss:2kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:4kB oom_score_adj:985",
		}, []Kill{{Time: noon, Pid: 5, Task: "node", Cgroup: "/kubepods/burstable/pod8b8f5f0e-0a4b-4a3c-9d57-1c1ddc4ba7ac/" + id, Containers: []string{id}, Limit: "/kubepods/burstable", Anonymous: 2 << 10}}},
		{"6.8, the machine has none left", []string{
			"oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/docker/" + id + ",task=stress,pid=77,uid=0",
			"Out of memory: Killed process 77 (stress) total-vm:8000000kB, anon-rss:7000000kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0",
		}, []Kill{{Time: noon, Pid: 77, Task: "stress", Cgroup: "/docker/" + id, Containers: []string{id}, Machine: true, Anonymous: 7000000 << 10}}},
		{"6.8, a process outside of containers", []string{
			"oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/user.slice/user-1000.slice/session-2.scope,task=firefox,pid=9,uid=1000",
			"Out of memory: Killed process 9 (firefox) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB, UID:1000 pgtables:1kB oom_score_adj:0",
		}, []Kill{{Time: noon, Pid: 9, Task: "firefox", Cgroup: "/user.slice/user-1000.slice/session-2.scope", Machine: true, Anonymous: 1 << 10}}},
		{"4.19, cgroup v1", []string{
			"Task in /docker/" + id + " killed as a result of limit of /docker/" + id,
			"memory: usage 65536kB, limit 65536kB, failcnt 31",
			"Memory cgroup stats for /docker/" + id + ": cache:0KB rss:65000KB",
			"Memory cgroup out of memory: Kill process 4711 (python3) score 1021 or sacrifice child",
			"Killed process 4711 (python3) total-vm:131072kB, anon-rss:65000kB, file-rss:3000kB, shmem-rss:0kB",
		}, []Kill{{Time: noon, Pid: 4711, Task: "python3", Cgroup: "/docker/" + id, Containers: []string{id}, Limit: "/docker/" + id, Anonymous: 65000 << 10}}},
		{"4.19, the machine has none left: where it was is not told", []string{
			"Out of memory: Kill process 12 (mysqld) score 700 or sacrifice child",
			"Killed process 12 (mysqld) total-vm:9kB, anon-rss:8kB, file-rss:0kB, shmem-rss:0kB",
		}, []Kill{{Time: noon, Pid: 12, Task: "mysqld", Anonymous: 8 << 10}}},
		{"4.18 of RHEL 8, podman", []string{
			"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=libpod-" + id + ".scope,mems_allowed=0,oom_memcg=/machine.slice/libpod-" + id + ".scope,task_memcg=/machine.slice/libpod-" + id + ".scope,task=sh,pid=3,uid=0",
			"Memory cgroup out of memory: Killed process 3 (sh), UID 0, total-vm:3kB, anon-rss:2kB, file-rss:1kB, shmem-rss:0kB",
		}, []Kill{{Time: noon, Pid: 3, Task: "sh", Cgroup: "/machine.slice/libpod-" + id + ".scope", Containers: []string{id}, Limit: "/machine.slice/libpod-" + id + ".scope", Anonymous: 2 << 10}}},
		{"6.1, memory.oom.group: all of the cgroup", []string{
			"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/docker/" + id + ",task_memcg=/docker/" + id + ",task=a,pid=1,uid=0",
			"Memory cgroup out of memory: Killed process 1 (a) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0",
			"Tasks in /docker/" + id + " are going to be killed due to memory.oom.group set",
			"Memory cgroup out of memory: Killed process 1 (a) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0",
			"Memory cgroup out of memory: Killed process 2 (b) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0",
			"Memory cgroup out of memory: Killed process 3 (c) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0",
		}, []Kill{
			{Time: noon, Pid: 1, Task: "a", Cgroup: "/docker/" + id, Containers: []string{id}, Limit: "/docker/" + id, Anonymous: 1 << 10},
			{Time: noon, Pid: 2, Task: "b", Cgroup: "/docker/" + id, Containers: []string{id}, Anonymous: 1 << 10},
			{Time: noon, Pid: 3, Task: "c", Cgroup: "/docker/" + id, Containers: []string{id}, Anonymous: 1 << 10},
		}},
		{"a container within a container, and a cgroup of its own", []string{
			"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/docker/" + outer + "/docker/" + id + ",task_memcg=/docker/" + outer + "/docker/" + id + "/inner,task=x,pid=1,uid=0",
		}, []Kill{{Time: noon, Pid: 1, Task: "x", Cgroup: "/docker/" + outer + "/docker/" + id + "/inner", Containers: []string{id, outer}, Limit: "/docker/" + outer + "/docker/" + id}}},
		{"processes with names like the kernel's words", []string{
			"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/docker/" + id + ",task_memcg=/docker/" + id + ",task=,pid=1,uid=0,a,pid=2,uid=0",
			"Memory cgroup out of memory: Killed process 2 (,pid=1,uid=0,a) total-vm:1kB, anon-rss:5kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0",
			"Memory cgroup out of memory: Killed process 3 (x) total-vm:0) total-vm:1kB, anon-rss:7kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0",
		}, []Kill{
			{Time: noon, Pid: 2, Task: ",pid=1,uid=0,a", Cgroup: "/docker/" + id, Containers: []string{id}, Limit: "/docker/" + id, Anonymous: 5 << 10},
			{Time: noon, Pid: 3, Task: "x) total-vm:0", Anonymous: 7 << 10},
		}},
		{"nothing of it", []string{"", "oom-kill:", "oom-kill:task_memcg=/a,task=b", "Killed process", "Killed process x (y) total-vm:1kB", "Killed process 9 (y", "Task in /docker", "Tasks in /a are fine", "docker0: port 6(veth51e9582) entered disabled state"}, nil},
	} {
		var j Joiner
		for _, l := range c.lines {
			j.Take(noon, []byte(l))
		}
		if d := cmp.Diff(c.want, j.Kills, cmpopts.IgnoreFields(Kill{}, "Lines"), cmpopts.IgnoreUnexported(Kill{})); d != "" {
			t.Errorf("%s: (-want +got)\n%s", c.name, d)
		}
	}
}

// A line of an older kill is not joined with a later one: pids are used again.
func TestLinesFarApart(t *testing.T) {
	var j Joiner
	j.Take(noon, []byte("Task in /docker/"+id+" killed as a result of limit of /docker/"+id))
	j.Take(noon.Add(time.Minute), []byte("Killed process 7 (x) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB"))
	j.Take(noon.Add(time.Hour), []byte("Killed process 7 (y) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB"))
	if len(j.Kills) != 2 || j.Kills[0].Cgroup != "" || j.Kills[1].Task != "y" {
		t.Errorf("got %+v", j.Kills)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/docker/" + id + ",task_memcg=/docker/" + id + ",task=a,pid=1,uid=0"))
	f.Add([]byte("Memory cgroup out of memory: Killed process 1 (a) total-vm:1kB, anon-rss:1kB, file-rss:0kB"))
	f.Add([]byte("Task in /docker/x killed as a result of limit of /docker/x"))
	f.Add([]byte("Tasks in /docker/x are going to be killed due to memory.oom.group set"))
	f.Fuzz(func(t *testing.T, line []byte) {
		s, ok := parse(line)
		if ok && (s.pid < 0 || s.pid == 0 && s.killed && !strings.Contains(string(line), "process 0")) {
			t.Errorf("%q gives %+v", line, s)
		}
		var j Joiner
		j.Take(noon, line)
	})
}
