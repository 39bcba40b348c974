// SPDX-License-Identifier: Apache-2.0

package enginedisk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tallyman"
	"tallyman/source/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answers is an engine.
type answers struct {
	tallyman.Engines
	disk tallyman.EngineDisk
	err  error
}

func (a *answers) EngineDisk(ctx context.Context, engine string) (tallyman.EngineDisk, error) {
	if engine != "local" {
		return tallyman.EngineDisk{}, fmt.Errorf("asked for %q", engine)
	}
	return a.disk, errors.Join(a.err, ctx.Err())
}

func target() *tallyman.Target {
	return &tallyman.Target{Kind: tallyman.EngineTarget, ID: "local", Labels: []tallyman.Label{{Name: "engine", Value: "local"}, {Name: "host", Value: "h"}}}
}

func engine() *answers {
	return &answers{disk: tallyman.EngineDisk{Volumes: map[string]int64{"data": 77, "empty": 0}, Shares: map[string]tallyman.DiskShare{
		"images": {Count: 5, Active: 2, Bytes: 1000, Reclaimable: 600}, "containers": {Count: 3, Active: 1, Bytes: 30, Reclaimable: -1}, "volumes": {Count: 2, Active: 1, Bytes: 77},
	}}}
}

func open(t *testing.T, e tallyman.Engines, own Options) *disk {
	t.Helper()
	s, err := New(tallyman.SourceOptions{Engines: e, Own: own})
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Open(target())
	if err != nil {
		t.Fatal(err)
	}
	return p.(*disk)
}

func values(t *testing.T, d *disk) map[string]float64 {
	t.Helper()
	var b tallyman.Batch
	_ = d.Poll(t.Context(), &b) // the caller looks at the absences
	out := map[string]float64{}
	for _, s := range b.Samples {
		for _, l := range s.Series.Labels {
			if l.Name == "what" || l.Name == "volume" {
				out[s.Series.Desc.Name+" "+l.Value] = s.Value
			}
		}
	}
	return out
}

func TestContract(t *testing.T) {
	sourcetest.RunPoller(t, Kind(), func(t *testing.T) (tallyman.Poller, []*tallyman.Target) {
		return open(t, engine(), defaults).source, []*tallyman.Target{target()}
	})
}

func TestDisk(t *testing.T) {
	e := engine()
	d := open(t, e, defaults)
	if a := d.Absences(); len(a) != 1 || a[0].Code != tallyman.Later {
		t.Errorf("before the first answer: %v", a)
	}
	got := values(t, d)
	for name, want := range map[string]float64{"docker_disk_bytes images": 1000, "docker_disk_reclaimable_bytes images": 600, "docker_disk_objects images": 5, "docker_disk_objects_active images": 2,
		"docker_disk_bytes containers": 30, "docker_disk_reclaimable_bytes volumes": 0, "docker_volume_bytes data": 77, "docker_volume_bytes empty": 0} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v (there: %v), want %v", name, v, ok, want)
		}
	}
	for _, name := range []string{"docker_disk_bytes build_cache", "docker_disk_reclaimable_bytes containers"} {
		if v, ok := got[name]; ok {
			t.Errorf("%s is %v, and nobody knows it", name, v)
		}
	}
	if a := d.Absences(); len(a) > 0 {
		t.Errorf("absent: %v", a)
	}
	for i := range 2 * maxVolumes {
		e.disk.Volumes[fmt.Sprint("v", i)] = int64(i)
	}
	got = values(t, d)
	n := 0
	for name := range got {
		if strings.HasPrefix(name, "docker_volume_bytes ") {
			n++
		}
	}
	if _, ok := got["docker_volume_bytes v199"]; n != maxVolumes || !ok || len(d.volumes) != maxVolumes {
		t.Errorf("of many volumes there are %d, and %d kept", n, len(d.volumes))
	}
	e.err = errors.New("a disk usage operation is already running")
	if got := values(t, d); len(got) > 0 || !strings.Contains(d.Absences()[0].Reason, "already running") {
		t.Errorf("it failed: %v, %v", got, d.Absences())
	}
}

func TestOptions(t *testing.T) {
	if (Options{Every: time.Second}).Check() == nil || (Options{}).Check() != nil || defaults.Check() != nil {
		t.Error("a time is judged wrongly")
	}
	if a := open(t, engine(), Options{}).Absences(); len(a) != 1 || !strings.Contains(a[0].Reason, "switches it off") {
		t.Errorf("switched off: %v", a)
	}
}
