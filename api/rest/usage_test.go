// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"tallyman"
)

// What ran in a range is there with what it took, also when it is gone; what the inventory
// knows of it stands beside.
func TestUsage(t *testing.T) {
	k := newKept(t, &tallyman.Container{ID: "a", Name: "shop-web-1", Host: "h", State: tallyman.Running, Workload: tallyman.Workload{Key: "shop/web/1", Project: "shop"}})
	store := k.withSamples()
	now := time.Now().Truncate(time.Second)
	for i := range 4 {
		for j, id := range []string{"a", "b"} {
			target := &tallyman.Target{Kind: tallyman.ContainerTarget, ID: id, Labels: []tallyman.Label{{Name: "host", Value: "h"}, {Name: "id", Value: "/docker/" + id}, {Name: "image", Value: "web:1"}, {Name: "name", Value: "name-" + id}, {Name: "workload", Value: id}}}
			cpu := target.Series(&tallyman.Desc{Name: "container_cpu_usage_seconds_total"})
			if _, err := store.AppendSamples(&tallyman.Batch{Time: now.Add(time.Duration(i-3) * time.Second), Samples: []tallyman.Sample{{Series: cpu, Value: float64(i*(j+1)) / 3}}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	var got usageAnswer
	if code := k.ask(fmt.Sprintf("usage?start=%d&end=%d&points=3", now.Add(-3*time.Second).UnixMilli(), now.UnixMilli()), &got); code != http.StatusOK {
		t.Fatal(code)
	}
	if len(got.Containers) != 2 || len(got.Hosts) != 1 || got.Hosts[0].Watched != 3 || got.Hosts[0].CPU != nil {
		t.Fatalf("got %+v, want two containers of one host, whose own counters are not known", got)
	}
	gone, web := got.Containers[0], got.Containers[1]
	if gone.Name != "name-b" || gone.State != tallyman.Gone || gone.Image != "web:1" || web.Name != "shop-web-1" || web.Project != "shop" || web.State != tallyman.Running || web.Memory != nil {
		t.Errorf("got %+v, %+v", gone, web)
	}
	if web.Ran != 3 || len(web.CPU.Points) != 3 || *web.CPU.Points[1] != 0.3333 || gone.CPU.Mean < 0.66 || gone.CPU.Mean > 0.67 {
		t.Errorf("web %+v, gone %+v", web.CPU, gone.CPU)
	}
	for _, bad := range []string{"usage", "usage?start=2&end=1", "usage?start=1&points=0"} {
		if code := k.ask(bad, nil); code != http.StatusBadRequest {
			t.Errorf("%s: %d", bad, code)
		}
	}
}
