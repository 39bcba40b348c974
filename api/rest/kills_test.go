// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tallyman"
)

// A kill gets the name of the innermost container that is known.
func TestKills(t *testing.T) {
	web, unknown := strings.Repeat("ab", 32), strings.Repeat("cd", 32)
	k := newKept(t, &tallyman.Container{ID: web, Name: "shop-web-1", Host: "a", Workload: tallyman.Workload{Key: "shop/web/1"}})
	line := func(minute int, format string, a ...any) tallyman.Record {
		return tallyman.Record{Time: epoch.Add(time.Duration(minute) * time.Minute).UnixNano(), Line: fmt.Appendf(nil, format, a...)}
	}
	const summary = "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=%s,task=%s,pid=%d,uid=0"
	kernel := func(host string, records ...tallyman.Record) tallyman.StreamRecords {
		return tallyman.StreamRecords{Records: records, Stream: &tallyman.Stream{Labels: []tallyman.Label{{Name: "host", Value: host}, {Name: "source", Value: "journal"}, {Name: "unit", Value: "kernel"}}}}
	}
	if err := k.records.AppendRecords(&tallyman.RecordBatch{Streams: []tallyman.StreamRecords{
		kernel("a", line(1, summary, "/docker/"+web+"/docker/"+unknown, "inner", 1), line(2, summary, "/docker/"+unknown, "gone", 2),
			line(3, "Memory cgroup stats for /docker/x: 1kB, still fine"), line(4, summary, "/user.slice", "outside", 3), line(99, summary, "/late", "late", 4)),
		kernel("b", line(2, summary, "/docker/"+web, "elsewhere", 5)),
	}}); err != nil {
		t.Fatal(err)
	}
	at := func(minute int) int64 { return epoch.Add(time.Duration(minute) * time.Minute).UnixMilli() }
	want := []Kill{
		{Time: at(1), Container: web, Name: "shop-web-1", Workload: "shop/web/1", Task: "inner", Pid: 1, Cgroup: "/docker/" + web + "/docker/" + unknown, Machine: true},
		{Time: at(2), Container: unknown, Task: "gone", Pid: 2, Cgroup: "/docker/" + unknown, Machine: true},
		{Time: at(4), Task: "outside", Pid: 3, Cgroup: "/user.slice", Machine: true},
	}
	var got killsAnswer
	if code := k.ask(fmt.Sprintf("kills?host=a&start=%d&end=%d", at(0), at(60)), &got); code != http.StatusOK {
		t.Fatal(code)
	}
	if d := cmp.Diff(want, got.Kills, cmpopts.IgnoreFields(Kill{}, "Lines")); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if code := k.ask("kills", &got); code != http.StatusBadRequest {
		t.Errorf("without a host: %d", code)
	}
}
