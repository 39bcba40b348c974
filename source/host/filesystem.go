// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tallyman"
	"tallyman/internal/cadvisor"
)

// The series of a file system, and the bounds of asking for it.
const (
	fsSize = iota
	fsFree
	fsAvail
	fsFiles
	fsFilesFree
	fsReadOnly
	fsError
	fsCount

	// maxFilesystems bounds the mounts that are watched, and with that the
	// goroutines that may hang.
	maxFilesystems = 64
	// answerWithin is how long a round waits for the answers.
	answerWithin = 50 * time.Millisecond
)

var filesystemDescs = [fsCount]*tallyman.Desc{
	fsSize:      gauge("node_filesystem_size_bytes", "bytes", "Size of the file system"),
	fsFree:      gauge("node_filesystem_free_bytes", "bytes", "Free space, what is reserved for root included"),
	fsAvail:     gauge("node_filesystem_avail_bytes", "bytes", "Free space for users other than root"),
	fsFiles:     gauge("node_filesystem_files", "", "Inodes"),
	fsFilesFree: gauge("node_filesystem_files_free", "", "Free inodes"),
	fsReadOnly:  gauge("node_filesystem_readonly", "", "1 when it is mounted read-only, else 0"),
	fsError:     gauge("node_filesystem_device_error", "", "1 when the file system did not tell its size, else 0"),
}

// machineFilesystemDescs are cAdvisor's, of the whole machine.
var machineFilesystemDescs = [...]*tallyman.Desc{
	cadvisor.FSUsage,
	gauge("container_fs_limit_bytes", "bytes", "Size of a file system"),
	gauge("container_fs_inodes_total", "", "Inodes of a file system"),
	gauge("container_fs_inodes_free", "", "Free inodes of a file system"),
}

// space is what a file system told.
type space struct {
	size, free, avail float64
	files, filesFree  float64
}

// filesystem is a mount that is watched.
type filesystem struct {
	mount
	host    []*tallyman.Series
	machine []*tallyman.Series
	// asked is when the call that runs now was begun, zero when none runs.
	asked time.Time
	// late is set when an answer took too long; then no round waits for it.
	late, awaited bool
	// answered is set when told or err is of this round.
	answered bool
	told     space
	err      error
}

// answer is what a call of statfs gave.
type answer struct {
	of   *filesystem
	told space
	err  error
	took time.Duration
}

// filesystems asks the mounts of the host.
type filesystems struct {
	off     bool
	root    string
	source  string
	mounts  int // descriptor of mountinfo, which tells of changes; -1 when closed
	read    time.Time
	text    string // of mountinfo, as it was read last
	err     error
	list    []*filesystem
	beyond  int // mounts that are too many
	running int // calls that run
	waiting int // of them those that this round waits for
	answers chan answer
	within  time.Duration
	statfs  func(string, *unix.Statfs_t) error
}

// newFilesystems asks for the mounts of the process whose directory is init.
func newFilesystems(init, root string) *filesystems {
	return &filesystems{
		root: root, source: filepath.Join(init, "mountinfo"), mounts: -1, within: answerWithin, statfs: unix.Statfs,
		answers: make(chan answer, maxFilesystems), // so that a late call ends without a reader
	}
}

// ask starts a call for each mount that has none running.
func (f *filesystems) ask(now time.Time) {
	for _, one := range f.list {
		one.answered, one.awaited = false, false
	}
	f.drain()
	if f.off || f.root == "" || f.source == "mountinfo" {
		return
	}
	if f.changed(now) {
		f.refresh()
	}
	f.waiting = 0
	for _, one := range f.list {
		if !one.asked.IsZero() || f.running >= maxFilesystems {
			continue
		}
		one.asked = now
		f.running++
		if one.awaited = !one.late; one.awaited {
			f.waiting++
		}
		go f.call(one, filepath.Join(f.root, one.point))
	}
}

func (f *filesystems) call(of *filesystem, path string) {
	start := time.Now()
	var st unix.Statfs_t
	err := f.statfs(path, &st)
	unit := float64(st.Frsize)
	if unit == 0 {
		unit = float64(st.Bsize)
	}
	f.answers <- answer{of: of, err: err, took: time.Since(start), told: space{
		size: float64(st.Blocks) * unit, free: float64(st.Bfree) * unit, avail: float64(st.Bavail) * unit,
		files: float64(st.Files), filesFree: float64(st.Ffree),
	}}
}

// drain takes the answers that are there.
func (f *filesystems) drain() {
	for {
		select {
		case a := <-f.answers:
			f.take(a)
		default:
			return
		}
	}
}

func (f *filesystems) take(a answer) {
	f.running--
	a.of.asked = time.Time{}
	a.of.answered, a.of.told, a.of.err = true, a.told, a.err
	a.of.late = a.took > f.within
	if a.of.awaited {
		a.of.awaited = false
		f.waiting--
	}
}

// wait takes the answers of this round, as long as none is late.
func (f *filesystems) wait() {
	f.drain()
	if f.waiting == 0 {
		return
	}
	timer := time.NewTimer(f.within)
	defer timer.Stop()
	for f.waiting > 0 {
		select {
		case a := <-f.answers:
			f.take(a)
		case <-timer.C:
			for _, one := range f.list {
				one.late = one.late || !one.asked.IsZero()
			}
			return
		}
	}
}

// readEvery is how old the list of mounts may be, whatever the kernel says.
const readEvery = time.Minute

// changed reports whether the mounts may have changed since the last round: a
// hundred containers are as many lines, and nothing else in a round is longer.
// The kernel tells it by poll, see proc(5); an ordinary file tells nothing.
func (f *filesystems) changed(now time.Time) bool {
	if f.mounts < 0 {
		var st unix.Stat_t
		fd, err := unix.Open(f.source, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return true
		}
		if unix.Fstat(fd, &st) != nil || st.Size > 0 {
			_ = unix.Close(fd)
			return true
		}
		f.mounts = fd
		f.read = now
		return true
	}
	asked := [1]unix.PollFd{{Fd: int32(f.mounts), Events: unix.POLLPRI}}
	n, err := unix.Poll(asked[:], 0)
	if err == nil && n == 0 && f.err == nil && now.Sub(f.read) < readEvery && !now.Before(f.read) {
		return false
	}
	f.read = now
	return true
}

func (f *filesystems) close() {
	if f.mounts >= 0 {
		_ = unix.Close(f.mounts)
		f.mounts = -1
	}
}

// refresh reads the mounts and keeps those that are known already.
func (f *filesystems) refresh() {
	b, err := os.ReadFile(f.source)
	f.err = err
	if err != nil {
		f.list, f.text = nil, ""
		return
	}
	if string(b) == f.text {
		return
	}
	f.text = string(b)
	known := map[mount]*filesystem{}
	for _, one := range f.list {
		known[one.mount] = one
	}
	all := parseMounts(f.text)
	f.beyond = max(0, len(all)-maxFilesystems)
	f.list = nil
	for _, m := range all[:len(all)-f.beyond] {
		one := known[m]
		if one == nil {
			one = &filesystem{mount: m}
		}
		f.list = append(f.list, one)
	}
}

// collectHost adds the file systems in node_exporter's names.
func (f *filesystems) collectHost(t *tallyman.Target, b *tallyman.Batch) {
	for _, one := range f.list {
		if one.host == nil || one.host[0].Target != t {
			one.host = nil
			for _, d := range filesystemDescs {
				one.host = append(one.host, t.Series(d, tallyman.Label{Name: "device", Value: one.device},
					tallyman.Label{Name: "fstype", Value: one.fstype}, tallyman.Label{Name: "mountpoint", Value: one.point}))
			}
		}
		b.Add(one.host[fsReadOnly], number(one.readOnly))
		ok := one.answered && one.err == nil
		b.Add(one.host[fsError], number(!ok))
		if !ok {
			continue
		}
		for i, v := range [...]float64{fsSize: one.told.size, fsFree: one.told.free, fsAvail: one.told.avail, fsFiles: one.told.files, fsFilesFree: one.told.filesFree} {
			b.Add(one.host[i], v)
		}
	}
}

// collectMachine adds the file systems that lie on a disk in cAdvisor's names,
// each device once, by the shortest of its mount points.
func (f *filesystems) collectMachine(t *tallyman.Target, b *tallyman.Batch) {
	for i, one := range f.list {
		if !one.answered || one.err != nil || !one.onDisk() || f.again(i) {
			continue
		}
		if one.machine == nil || one.machine[0].Target != t {
			one.machine = nil
			for _, d := range machineFilesystemDescs {
				one.machine = append(one.machine, t.Series(d, tallyman.Label{Name: "device", Value: one.device}, tallyman.Label{Name: "id", Value: "/"}))
			}
		}
		for i, v := range [...]float64{one.told.size - one.told.free, one.told.size, one.told.files, one.told.filesFree} {
			b.Add(one.machine[i], v)
		}
	}
}

// onDisk reports whether the file system is a device's, and not memory or
// another host's.
func (one *filesystem) onDisk() bool {
	return strings.HasPrefix(one.device, "/dev/") || one.fstype == "zfs"
}

// again reports whether the device of list[i] has a shorter mount point too, or
// an equal one before it.
func (f *filesystems) again(i int) bool {
	for j, other := range f.list {
		if other.device == f.list[i].device && (len(other.point) < len(f.list[i].point) || len(other.point) == len(f.list[i].point) && j < i) {
			return true
		}
	}
	return false
}

// absences says which file systems are not known.
func (f *filesystems) absences(now time.Time) (a []tallyman.Absence) {
	if f.off {
		return []tallyman.Absence{switchedOff("file systems")}
	}
	if f.source == "mountinfo" {
		return []tallyman.Absence{{What: "file systems", Reason: "The host's first process, which tells of its mounts, cannot be seen from here.", Unlock: "--pid=host"}}
	}
	if f.root == "" {
		return []tallyman.Absence{{What: "file systems", Reason: "The root directory of the host cannot be reached from here.",
			Unlock: unlockRoot}}
	}
	if f.err != nil {
		return []tallyman.Absence{{What: "file systems", Reason: "The mounts of the host cannot be read: " + f.err.Error() + ".", Unlock: "--pid=host"}}
	}
	for _, one := range f.list {
		switch {
		case !one.answered && !one.asked.IsZero():
			a = append(a, tallyman.Absence{What: "file system " + one.point,
				Reason: fmt.Sprintf("%s (%s) has not told its size for %s.", one.device, one.fstype, now.Sub(one.asked).Round(time.Second)),
				Unlock: "bring its server back, or umount -l " + strings.ReplaceAll(one.point, "`", "'")})
		case one.err != nil:
			a = append(a, tallyman.Absence{What: "file system " + one.point, Reason: fmt.Sprintf("It does not tell its size: %v.", one.err)})
		}
	}
	if f.beyond > 0 {
		a = append(a, tallyman.Absence{What: "file systems", Reason: fmt.Sprintf("%d more are mounted; %d are watched.", f.beyond, maxFilesystems)})
	}
	return a
}
