// SPDX-License-Identifier: Apache-2.0

package query

import (
	"context"
	"math"
	"testing"
	"time"

	"tallyman"
)

func hostSeries(name string, extra ...tallyman.Label) *tallyman.Series {
	target := &tallyman.Target{Kind: tallyman.HostTarget, ID: "h", Labels: []tallyman.Label{{Name: "host", Value: "h"}}}
	return target.Series(&tallyman.Desc{Name: name}, extra...)
}

// Means are over the time in which the host was watched, so that they add up to a part of
// the host's; the greatest values are those of samples.
func TestUsage(t *testing.T) {
	f := newFixture(t)
	label := func(name, value string) tallyman.Label { return tallyman.Label{Name: name, Value: value} }
	a, b := containerSeries("a", cpuUsed), containerSeries("b", cpuUsed)
	memory := containerSeries("a", memoryUsed)
	eth0, eth1 := containerSeries("a", received, label("interface", "eth0")), containerSeries("a", received, label("interface", "eth1"))
	idle := []*tallyman.Series{hostSeries(cpuTime, label("cpu", "0"), label("mode", "idle")), hostSeries(cpuTime, label("cpu", "1"), label("mode", "idle"))}
	all, free := hostSeries(hostMemory), hostSeries(hostFree)
	for i := range 11 { // 100 s
		at := float64(10 * i)
		used := at * 0.5 // half a core
		if i > 5 {
			used += (at - 50) // one and a half from 50 s on
		}
		f.put(at, a, used)
		if i >= 8 {
			f.put(at, b, (at-80)*0.5) // ran for 20 s
		}
		f.put(at, memory, float64(100+i))
		f.put(at, eth0, 10*at)
		f.put(at, eth1, 20*at)
		f.put(at, idle[0], at)
		f.put(at, idle[1], at*0.25)
		f.put(at, all, 1000)
		f.put(at, free, 400)
	}
	u, err := f.e.Usage(context.Background(), at(0), at(200), 20) // nobody watched in the second half
	if err != nil {
		t.Fatal(err)
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-6 {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	if len(u.Containers) != 2 || u.Containers[0].ID != "a" || u.Containers[0].Workload != "w" || u.Containers[0].Host != "h" {
		t.Fatalf("containers %+v, want a before b", u.Containers)
	}
	ua, ub, h := u.Containers[0], u.Containers[1], u.Hosts["h"]
	near("the mean CPU of a", ua.CPU.Mean, 1)
	near("the greatest CPU of a", ua.CPU.Max, 1.5)
	near("the mean CPU of b", ub.CPU.Mean, 0.1)
	near("the greatest CPU of b", ub.CPU.Max, 0.5)
	near("the mean memory of a", ua.Memory.Mean, 105.5)
	near("the greatest memory of a", ua.Memory.Max, 110)
	near("what a received", ua.Rx.Mean, 30)
	if ua.Ran != 100*time.Second || ub.Ran != 20*time.Second || h.Watched != 100*time.Second {
		t.Errorf("ran %s and %s of %s, want 100 s, 20 s, 100 s", ua.Ran, ub.Ran, h.Watched)
	}
	near("cores", h.Cores, 2)
	near("the CPU of the host", h.CPU.Mean, 0.75)
	near("the memory of the host", h.Memory.Mean, 600)
	near("all memory", h.MemoryTotal, 1000)
	if len(ua.CPU.Points) != 20 || ua.CPU.Points[0] != 0.5 || !math.IsNaN(ua.CPU.Points[15]) || ua.Tx.Known || ub.Memory.Known {
		t.Errorf("points %v, sent %+v; want a value first, none late, and nothing of what has no sample", ua.CPU.Points, ua.Tx)
	}
	if _, err := f.e.Usage(context.Background(), at(1), at(0), 10); err == nil {
		t.Error("a range that ends before it starts is taken")
	}
}
