// SPDX-License-Identifier: Apache-2.0

package inside

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyman"
	"tallyman/internal/fsx"
)

const (
	maxProcesses = 1000
	maxArgs      = 4 << 10   // bytes of the arguments of one process
	maxSockets   = 256 << 10 // bytes of a table of sockets; those that listen come first
	maxOpen      = 4096      // descriptors that are looked at
)

// root is the container's root directory; the caller closes it.
func (r *Room) root() (*fsx.Root, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.process == nil {
		return nil, denied(r.why)
	}
	root, err := r.process.Root()
	return root, denied(err)
}

// text is a small file of the host's /proc.
func (r *Room) text(most int, parts ...string) []byte {
	f, err := os.Open(filepath.Join(append([]string{r.o.Proc}, parts...)...))
	if err != nil {
		return nil
	}
	defer f.Close()
	b := make([]byte, most)
	n := 0
	for n < most {
		m, err := f.Read(b[n:])
		n += m
		if err != nil || m == 0 {
			break
		}
	}
	return b[:n]
}

// processes are those that the container's first one has started, and theirs.
func (r *Room) processes() (list []tallyman.ServiceProcess) {
	todo, boot := []int{r.container.Pid}, r.boot()
	for len(todo) > 0 && len(list) < maxProcesses {
		pid := todo[0]
		todo = todo[1:]
		p, ok := r.one(pid, boot)
		if !ok {
			continue
		}
		list = append(list, p)
		todo = r.children(todo, pid)
	}
	return list
}

// children adds those that a process has started, from any of its threads, to list, which
// has maxProcesses at most.
func (r *Room) children(list []int, pid int) []int {
	dir := strconv.Itoa(pid)
	tasks, err := os.ReadDir(filepath.Join(r.o.Proc, dir, "task"))
	if err != nil {
		return list
	}
	for _, task := range tasks[:min(len(tasks), maxProcesses)] {
		for _, child := range bytes.Fields(r.text(64<<10, dir, "task", task.Name(), "children")) {
			if n, err := strconv.Atoi(string(child)); err == nil && len(list) < maxProcesses {
				list = append(list, n)
			}
		}
	}
	return list
}

// ticks are the kernel's clock ticks a second, as user space sees them on every
// architecture.
const ticks = 100

// one is a process of a machine that started at boot.
func (r *Room) one(pid int, boot time.Time) (p tallyman.ServiceProcess, ok bool) {
	dir := strconv.Itoa(pid)
	stat := string(r.text(4<<10, dir, "stat"))
	open, end := strings.IndexByte(stat, '('), strings.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return p, false
	}
	rest := strings.Fields(stat[end+1:])
	if len(rest) < 20 {
		return p, false
	}
	p = tallyman.ServiceProcess{Pid: pid, Inner: pid, Name: stat[open+1 : end], Zombie: rest[0] == "Z" || rest[0] == "X"}
	if args := r.text(maxArgs, dir, "cmdline"); len(args) > 0 {
		p.Args = strings.Split(strings.TrimRight(string(args), "\x00"), "\x00")
	}
	for line := range strings.Lines(string(r.text(16<<10, dir, "status"))) {
		if ids, ok := strings.CutPrefix(line, "NSpid:"); ok {
			if f := strings.Fields(ids); len(f) > 0 {
				p.Inner, _ = strconv.Atoi(f[len(f)-1])
			}
		}
	}
	if start, err := strconv.ParseInt(rest[19], 10, 64); err == nil {
		p.Started = boot.Add(time.Duration(start) * time.Second / ticks)
	}
	return p, true
}

// boot is when the machine started.
func (r *Room) boot() time.Time {
	for line := range strings.Lines(string(r.text(1<<20, "stat"))) {
		if s, ok := strings.CutPrefix(line, "btime "); ok {
			if n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64); err == nil {
				return time.Unix(n, 0)
			}
		}
	}
	return time.Time{}
}

// listening are the sockets that the container's processes listen on. In a network that is
// shared only those count that one of them holds. It is nil when that cannot be seen.
func (r *Room) listening() []tallyman.ServiceSocket {
	pid := strconv.Itoa(r.container.Pid)
	tcp := r.text(maxSockets, pid, "net", "tcp")
	if tcp == nil {
		return nil
	}
	var own map[string]bool
	if r.shared {
		if own = r.held(); own == nil {
			return nil
		}
	}
	list := []tallyman.ServiceSocket{}
	for _, table := range [][]byte{tcp, r.text(maxSockets, pid, "net", "tcp6")} {
		s := bufio.NewScanner(bytes.NewReader(table))
		for s.Scan() {
			f := strings.Fields(s.Text())
			if len(f) < 10 || f[3] != "0A" || own != nil && !own[f[9]] {
				continue
			}
			if ip, port, ok := address(f[1]); ok {
				list = append(list, tallyman.ServiceSocket{Network: "tcp", IP: ip.String(), Port: port})
			}
		}
	}
	for line := range strings.Lines(string(r.text(maxSockets, pid, "net", "unix"))) {
		f := strings.Fields(line)
		// Flags 00010000 are of a socket that accepts, type 1 is a stream.
		if len(f) == 8 && f[3] == "00010000" && f[4] == "0001" && strings.HasPrefix(f[7], "/") && (own == nil || own[f[6]]) {
			list = append(list, tallyman.ServiceSocket{Network: "unix", Path: f[7]})
		}
	}
	return list
}

// held are the inodes of the sockets that the container's processes hold; nil when none can
// be seen.
func (r *Room) held() map[string]bool {
	own, seen, left := map[string]bool{}, false, maxOpen
	for _, p := range r.processes() {
		dir := filepath.Join(r.o.Proc, strconv.Itoa(p.Pid), "fd")
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		seen = true
		for _, e := range entries[:min(len(entries), left)] {
			to, err := os.Readlink(filepath.Join(dir, e.Name()))
			if inode, ok := strings.CutPrefix(to, "socket:["); err == nil && ok {
				own[strings.TrimSuffix(inode, "]")] = true
			}
		}
		left = max(0, left-len(entries))
	}
	if !seen {
		return nil
	}
	return own
}

// address reads "0100007F:18EB", the kernel's form of an address: words in the machine's
// own order.
func address(s string) (ip netip.Addr, port uint16, ok bool) {
	a, p, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(a)
	n, err2 := strconv.ParseUint(p, 16, 16)
	if err != nil || err2 != nil || len(b) != 4 && len(b) != 16 {
		return ip, 0, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	ip, ok = netip.AddrFromSlice(b)
	return ip.Unmap(), uint16(n), ok
}

// ports are the TCP ports of what an image says that it exposes, sorted.
func ports(exposed []string) (list []uint16) {
	for _, e := range exposed {
		p, proto, _ := strings.Cut(e, "/")
		if n, err := strconv.ParseUint(p, 10, 16); err == nil && (proto == "tcp" || proto == "") {
			list = append(list, uint16(n))
		}
	}
	slices.Sort(list)
	return list
}

// listensElsewhere are the container's addresses on which something listens on a port, but
// for its loopback.
func (r *Room) listensElsewhere(port uint16) (list []string) {
	r.Look()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.facts.Listening {
		if ip, err := netip.ParseAddr(s.IP); s.Network == "tcp" && s.Port == port && err == nil && !ip.IsLoopback() && !ip.IsUnspecified() {
			list = append(list, s.IP)
		}
	}
	return list
}

// owns reports whether the container's own processes listen on a port of a network that it
// shares.
func (r *Room) owns(port uint16) error {
	r.Look()
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.facts.Listening == nil:
		return tallyman.Faulty(tallyman.PermissionFault, "Give tallyman --pid=host and --cap-add SYS_PTRACE.", "it cannot be seen which ports of the network that it shares are the container's own")
	case !r.facts.ListensOn(port):
		return fmt.Errorf("none of the container's own processes listens on port %d of the network that it shares: %w", port, tallyman.ErrForbidden)
	}
	return nil
}
