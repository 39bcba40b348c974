// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tallyman/internal/testkit"
)

// disk is the whole disk under a folder, as "254:0" and "/dev/vda".
func disk(t *testing.T, dir string) (number, name string) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		t.Fatal(err)
	}
	at, err := filepath.EvalSymlinks(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)))
	if err != nil {
		t.Skipf("%s lies on no block device: %v", dir, err)
	}
	if _, err := os.Stat(filepath.Join(at, "partition")); err == nil {
		at = filepath.Dir(at)
	}
	return strings.TrimSpace(testkit.ReadText(t, filepath.Join(at, "dev"))), "/dev/" + filepath.Base(at)
}

// blockIO is the block IO of a cgroup on one disk, read by hand. A cgroup
// without a line has done nothing.
func blockIO(t *testing.T, v1, v2, number, name string) map[string]float64 {
	t.Helper()
	m := map[string]float64{}
	for _, key := range []string{"reads_bytes", "writes_bytes", "reads", "writes"} {
		m["container_fs_"+key+`_total{device="`+name+`"}`] = 0
	}
	set := func(key, value string) { m["container_fs_"+key+`_total{device="`+name+`"}`] = testkit.Number(t, value) }
	if v2Only() {
		for line := range strings.Lines(testkit.ReadText(t, filepath.Join("/sys/fs/cgroup", v2, "io.stat"))) {
			f := strings.Fields(line)
			if len(f) == 0 || f[0] != number {
				continue
			}
			for _, word := range f[1:] {
				key, value, _ := strings.Cut(word, "=")
				if to := map[string]string{"rbytes": "reads_bytes", "wbytes": "writes_bytes", "rios": "reads", "wios": "writes"}[key]; to != "" {
					set(to, value)
				}
			}
		}
		return m
	}
	for file, suffix := range map[string]string{"service_bytes": "_bytes", "serviced": ""} {
		for line := range strings.Lines(testkit.ReadText(t, filepath.Join("/sys/fs/cgroup/blkio", v1, "blkio.throttle.io_"+file+"_recursive"))) {
			switch f := strings.Fields(line); {
			case len(f) != 3 || f[0] != number:
			case f[1] == "Read":
				set("reads"+suffix, f[2])
			case f[1] == "Write":
				set("writes"+suffix, f[2])
			}
		}
	}
	return m
}

// counted reports whether the kernel counts the block IO of cgroups on a disk.
func counted(t *testing.T, number string) bool {
	t.Helper()
	name := "/sys/fs/cgroup/blkio/blkio.throttle.io_service_bytes_recursive"
	if v2Only() {
		name = "/sys/fs/cgroup/io.stat"
	}
	return strings.Contains("\n"+testkit.ReadText(t, name), "\n"+number+" ")
}

type absent struct{ What, Reason, Unlock string }

func absences(p *testkit.Program, id string) map[string]absent { return absencesOf(&p.Client, id) }

func absencesOf(p *testkit.Client, id string) map[string]absent {
	var c struct{ Absent []absent }
	p.JSON("/api/tallyman/v1/containers/"+id, &c)
	m := map[string]absent{}
	for _, a := range c.Absent {
		m[a.What] = a
	}
	return m
}

func blockSeries(t *testing.T, p *testkit.Program, id string) (names []string) {
	t.Helper()
	for name := range exposed(t, p, id) {
		if strings.HasPrefix(name, "container_fs_") {
			names = append(names, name)
		}
	}
	return names
}

const transfer = 20 << 20

// transfers writes 20 MiB through to the disk and reads them past the cache.
const transfers = "dd if=/dev/zero of=/tmp/f bs=1048576 count=20 oflag=direct conv=fsync && dd if=/tmp/f of=/dev/null bs=1048576 iflag=direct && echo done; sleep 600"

func TestBlockIO(t *testing.T) {
	d := testkit.NewDocker(t)
	number, name := disk(t, d.Cmd("info", "-f", "{{.DockerRootDir}}"))
	p := testkit.StartProgram(t, testkit.DataDir(t))
	early := d.Start(nil, "sleep", "600")
	shown := func(id string) {
		testkit.Eventually(t, 10*time.Second, "the container is exposed", func() error {
			if len(exposed(t, p, id)) == 0 {
				return fmt.Errorf("nothing of %s", id)
			}
			return nil
		})
	}
	shown(early)

	before := counted(t, number)
	options := []string{"--device-read-bps", name + ":10gb"}
	switch {
	case v2Only():
		options = nil // nothing needs to be switched on
	case before:
		t.Logf("the kernel counts on %s already: what is unknown before is not tested on this boot", name)
	default:
		t.Logf("the kernel does not count on %s yet", name)
		if names := blockSeries(t, p, early); len(names) != 0 {
			t.Errorf("%v are exposed although nobody counts", names)
		}
		a := absences(p, early)["block IO"]
		if !strings.Contains(a.Reason, name) || !strings.Contains(a.Unlock, "--device-read-bps "+name) {
			t.Errorf("absent = %+v, want the block IO with its reason and what unlocks it", a)
		}
	}

	id := d.Start(options, "sh", "-c", transfers)
	testkit.Eventually(t, 30*time.Second, "20 MiB are written and read", func() error {
		if out := d.Cmd("logs", id); !strings.Contains(out, "done") {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	shown(id)
	files, earlyFiles := filesOf(t, d, id), filesOf(t, d, early)
	equalOnceQuiet(t, p, id, func() map[string]float64 { return blockIO(t, files.v1["blkio"], files.unified, number, name) })
	got := exposed(t, p, id)
	read, written := got[`container_fs_reads_bytes_total{device="`+name+`"}`], got[`container_fs_writes_bytes_total{device="`+name+`"}`]
	t.Logf("%s: read %.0f bytes in %.0f, written %.0f bytes in %.0f", name, read, got[`container_fs_reads_total{device="`+name+`"}`],
		written, got[`container_fs_writes_total{device="`+name+`"}`])
	if read < transfer || read > 2*transfer || written < transfer || written > 2*transfer {
		t.Errorf("read %v, written %v bytes, want %d and little more", read, written, transfer)
	}
	if a, ok := absences(p, id)["block IO"]; ok && strings.Contains(a.Reason, name) {
		t.Errorf("absent = %+v although it is counted", a)
	}
	testkit.Eventually(t, 15*time.Second, "the container is in PromQL", func() error {
		if n := len(p.Query(`container_fs_reads_bytes_total{device="` + name + `",id="/docker/` + id + `"}`)); n != 1 {
			return fmt.Errorf("%d series", n)
		}
		return nil
	})

	// The container that was there before is counted too, from then on, and
	// what it has not done is 0.
	equalOnceQuiet(t, p, early, func() map[string]float64 {
		return blockIO(t, earlyFiles.v1["blkio"], earlyFiles.unified, number, name)
	})
	if before || v2Only() {
		return
	}
	testkit.Eventually(t, 75*time.Second, "the reason goes", func() error {
		if a, ok := absences(p, early)["block IO"]; ok && strings.Contains(a.Reason, name) {
			return fmt.Errorf("%+v", a)
		}
		return nil
	})
}

// The page's figures: bytes per second now, and the columns of a chart.
func TestBlockIOOfThePage(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	number, _ := disk(t, d.Cmd("info", "-f", "{{.DockerRootDir}}"))
	if !counted(t, number) {
		t.Skipf("the kernel does not count the block IO of cgroups on %s", number)
	}
	id := d.Start(nil, "sh", "-c", "while :; do dd if=/dev/zero of=/tmp/f bs=1048576 count=2 oflag=direct; dd if=/tmp/f of=/dev/null bs=1048576 count=2 iflag=direct; sleep 0.2; done 2>/dev/null")
	p := testkit.StartProgram(t, testkit.DataDir(t), "--interval", "1s")
	files := filesOf(t, d, id)
	_, name := disk(t, d.Cmd("info", "-f", "{{.DockerRootDir}}"))
	bytes := func() (read, written float64) {
		m := blockIO(t, files.v1["blkio"], files.unified, number, name)
		return m[`container_fs_reads_bytes_total{device="`+name+`"}`], m[`container_fs_writes_bytes_total{device="`+name+`"}`]
	}
	time.Sleep(2 * time.Second)
	start := time.Now()
	r0, w0 := bytes()
	time.Sleep(8 * time.Second)
	r1, w1 := bytes()
	end := time.Now()
	seconds := end.Sub(start).Seconds()
	var h struct{ Series map[string][]*float64 }
	p.JSON(fmt.Sprintf("/api/tallyman/v1/history?host=%s&workload=%s&start=%d&end=%d&points=1",
		url.QueryEscape(hostOf(p)), url.QueryEscape(containers(p)[id].Workload), start.UnixMilli(), end.UnixMilli()), &h)
	for column, want := range map[string]float64{"blkRead": (r1 - r0) / seconds, "blkWrite": (w1 - w0) / seconds} {
		if len(h.Series[column]) == 0 || h.Series[column][0] == nil {
			t.Fatalf("the history has no column %s: %v", column, h.Series)
		}
		within(t, column, *h.Series[column][0], want, 0.25)
	}
	var c struct {
		Now struct{ BlkRead, BlkWrite *float64 }
	}
	p.JSON("/api/tallyman/v1/containers/"+id, &c)
	if c.Now.BlkRead == nil || c.Now.BlkWrite == nil || *c.Now.BlkWrite <= 0 {
		t.Errorf("now = %+v, want both", c.Now)
	} else {
		t.Logf("now: %.0f B/s read, %.0f B/s written", *c.Now.BlkRead, *c.Now.BlkWrite)
	}
}
