// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/prometheus/procfs/blockdevice"
)

// maxDisks bounds the devices that a container has series for.
const maxDisks = 16

// maxDepth bounds how many layers a stacked device may have.
const maxDepth = 8

// disk is a device whose block IO the kernel counts by cgroup.
type disk struct {
	device
	label string
	bfq   bool // counted by the scheduler bfq, else by the throttle policy or io.stat
}

// disks knows the block devices of the host from /proc/diskstats and /sys.
type disks struct {
	proc, sys string
}

// list is every device that the kernel keeps statistics of, by number.
func (k disks) list() map[device]blockdevice.Diskstats {
	all := map[device]blockdevice.Diskstats{}
	fs, err := blockdevice.NewFS(k.proc, k.proc) // it wants a /sys too, of which nothing is read here
	if err != nil {
		return all
	}
	stats, err := fs.ProcDiskstats()
	if err != nil {
		return all
	}
	for _, s := range stats {
		all[device{s.MajorNumber, s.MinorNumber}] = s
	}
	return all
}

// dir is the device's folder in /sys.
func (k disks) dir(d device) string {
	return filepath.Join(k.sys, "dev/block", fmt.Sprintf("%d:%d", d.major, d.minor))
}

// name is the device's name, without the folder /dev; empty when it has none.
func (k disks) name(d device, all map[device]blockdevice.Diskstats) string {
	if s, ok := all[d]; ok {
		return s.DeviceName
	}
	to, err := os.Readlink(k.dir(d))
	if err != nil {
		return ""
	}
	return strings.ReplaceAll(filepath.Base(to), "!", "/")
}

// below are the whole devices that d is stacked on (device mapper, RAID), at
// every depth.
func (k disks) below(d device) []device {
	var found []device
	k.descend(k.dir(d), &found, 0)
	return found
}

func (k disks) descend(dir string, found *[]device, depth int) {
	names, err := os.ReadDir(filepath.Join(dir, "slaves"))
	if err != nil || depth > maxDepth {
		return
	}
	for _, n := range names {
		slave, err := filepath.EvalSymlinks(filepath.Join(dir, "slaves", n.Name()))
		if err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(slave, "partition")); err == nil {
			slave = filepath.Dir(slave) // what is counted is the whole disk
		}
		text, err := os.ReadFile(filepath.Join(slave, "dev"))
		if err != nil {
			continue
		}
		if one, n := scanDevice(text); n > 0 && !slices.Contains(*found, one) {
			*found = append(*found, one)
			k.descend(slave, found, depth+1)
		}
	}
}

// partition reports whether d is a part of a disk. Without /sys the name tells.
func (k disks) partition(d device, name string) bool {
	if _, err := os.Stat(k.dir(d)); err == nil {
		_, err := os.Stat(filepath.Join(k.dir(d), "partition"))
		return err == nil
	}
	last := name[len(name)-1]
	if last < '0' || last > '9' {
		return false
	}
	base := strings.TrimRight(name, "0123456789")
	if strings.HasPrefix(name, "nvme") || strings.HasPrefix(name, "mmcblk") {
		return strings.HasSuffix(base, "p")
	}
	return !strings.HasPrefix(name, "dm-") && !strings.HasPrefix(name, "md")
}

// memoryDisk reports whether a device called name is no disk but memory.
func memoryDisk(name string) bool {
	return strings.HasPrefix(name, "ram") || strings.HasPrefix(name, "zram")
}

func loopDisk(name string) bool { return strings.HasPrefix(name, "loop") }

// accounted is a device that the root cgroup has counters for.
type accounted struct {
	device
	bfq, busy bool
}

// choose takes those of the accounted devices whose counters may be added up.
// Of stacked devices, which count the same IO once per layer, the lowest one is
// taken; a loop device is left out beside any disk, since its file lies on one.
func (k disks) choose(found []accounted) []disk {
	all := k.list()
	listed := func(d device) bool {
		return slices.ContainsFunc(found, func(a accounted) bool { return a.device == d })
	}
	var chosen, loops []disk
	for _, a := range found {
		name := k.name(a.device, all)
		one := disk{device: a.device, bfq: a.bfq, label: "/dev/" + name}
		if name == "" {
			one.label = fmt.Sprintf("%d:%d", a.major, a.minor)
		}
		switch {
		case memoryDisk(name) || slices.ContainsFunc(k.below(a.device), listed):
		case loopDisk(name):
			if a.busy {
				loops = append(loops, one)
			}
		default:
			chosen = append(chosen, one)
		}
	}
	if len(chosen) == 0 {
		chosen = loops
	}
	return chosen[:min(len(chosen), maxDisks)]
}

// uncounted are the names of the host's disks that have done IO and are not
// among those that the kernel counts by cgroup. all is how many disks there are.
func (k disks) uncounted(found []accounted) (names []string, all int) {
	for d, s := range k.list() {
		name := s.DeviceName
		if name == "" || s.ReadIOs+s.WriteIOs == 0 || memoryDisk(name) || loopDisk(name) ||
			strings.HasPrefix(name, "sr") || strings.HasPrefix(name, "fd") || k.partition(d, name) || len(k.below(d)) > 0 {
			continue
		}
		all++
		if !slices.ContainsFunc(found, func(a accounted) bool { return a.device == d }) {
			names = append(names, "/dev/"+name)
		}
	}
	slices.Sort(names)
	return names, all
}
