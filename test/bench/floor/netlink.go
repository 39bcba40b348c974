// SPDX-License-Identifier: Apache-2.0

package floor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

var order = binary.NativeEndian

// hostNet reads the host's ends of all veth pairs with one dump.
type hostNet struct {
	socket int
	dump   []byte
	of     map[uint32]*container // by the host's interface index
}

// tcp counts the connections of one network namespace by state.
type tcp struct {
	diag, sockstat, sockstat6, snmp int
	States                          [13]uint64
}

func (f *Floor) openNetlink() error {
	f.net = &hostNet{of: map[uint32]*container{}, dump: request(12, unix.RTM_GETSTATS, unix.NLM_F_DUMP)}
	order.PutUint32(f.net.dump[24:], 1) // IFLA_STATS_LINK_64
	links := request(16, unix.RTM_GETLINK, unix.NLM_F_DUMP)
	var err error
	if f.net.socket, err = socket(unix.NETLINK_ROUTE); err != nil {
		return err
	}
	for _, c := range f.containers {
		route, diag := -1, -1
		err := inNamespace(c.pid, func() (err error) {
			if route, err = socket(unix.NETLINK_ROUTE); err != nil {
				return err
			}
			diag, err = socket(unix.NETLINK_INET_DIAG)
			return err
		})
		if err != nil {
			return err
		}
		exchange(route, links, f.buf, func(b []byte) {
			attributes(b[16:], func(typ uint16, v []byte) {
				if typ == unix.IFLA_LINK {
					f.net.of[order.Uint32(v)] = c
				}
			})
		})
		_ = unix.Close(route)
		if f.rows&TCP == 0 {
			_ = unix.Close(diag)
			continue
		}
		c.tcp = &tcp{diag: diag}
		for name, fd := range map[string]*int{"sockstat": &c.tcp.sockstat, "sockstat6": &c.tcp.sockstat6, "snmp": &c.tcp.snmp} {
			if *fd, err = unix.Open(fmt.Sprintf("/proc/%d/net/%s", c.pid, name), unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
				*fd = -1
			}
		}
	}
	return nil
}

func (h *hostNet) read(buf []byte) {
	exchange(h.socket, h.dump, buf, func(b []byte) {
		c := h.of[order.Uint32(b[4:])]
		if c == nil {
			return
		}
		attributes(b[12:], func(typ uint16, v []byte) {
			if typ == 1 && len(v) >= 64 {
				for i := range c.Net {
					c.Net[i] = order.Uint64(v[i*8:])
				}
			}
		})
	})
}

func (h *hostNet) close() {
	if h != nil {
		_ = unix.Close(h.socket)
	}
}

func (t *tcp) close() {
	if t == nil {
		return
	}
	for _, fd := range []int{t.diag, t.sockstat, t.sockstat6, t.snmp} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

var (
	listeners = diagRequest(1 << 10)
	rest      = diagRequest(0xfff &^ (1<<1 | 1<<6 | 1<<10)) // neither ESTABLISHED nor TIME_WAIT nor LISTEN
)

// read gives the exact counts, but lets the kernel skip the two states that
// can be many: ESTABLISHED follows from snmp and TIME_WAIT from sockstat.
func (t *tcp) read(buf []byte) {
	t.States = [13]uint64{}
	inuse := field(t.sockstat, buf, "TCP: inuse ")
	waiting := field(t.sockstat, buf, " tw ")
	inuse += field(t.sockstat6, buf, "TCP6: inuse ")
	if inuse+waiting == 0 {
		return
	}
	exchange(t.diag, listeners, buf, func(b []byte) { t.States[10]++ })
	if waiting == 0 && t.States[10] >= inuse {
		return
	}
	current := t.established(buf)
	mini := uint64(0) // FIN_WAIT2 kept in the small form of TIME_WAIT
	exchange(t.diag, rest, buf, func(b []byte) {
		if int(b[1]) < len(t.States) {
			t.States[b[1]]++
			if b[1] == 5 && b[2] == 3 {
				mini++
			}
		}
	})
	if current > t.States[8] {
		t.States[1] = current - t.States[8]
	}
	if waiting > mini {
		t.States[6] = waiting - mini
	}
}

// field reads the number after key.
func field(fd int, buf []byte, key string) uint64 {
	if fd < 0 {
		return 0
	}
	n := pread(fd, buf)
	if n <= 0 {
		return 0
	}
	i := bytes.Index(buf[:n], []byte(key))
	if i < 0 {
		return 0
	}
	v, _ := digits(buf[i+len(key) : n])
	return v
}

// established is CurrEstab of snmp: ESTABLISHED and CLOSE_WAIT.
func (t *tcp) established(buf []byte) uint64 {
	n := pread(t.snmp, buf)
	if n <= 0 {
		return 0
	}
	b := buf[:n]
	for range 2 { // the line of names, then that of numbers
		i := bytes.Index(b, []byte("\nTcp: "))
		if i < 0 {
			return 0
		}
		b = b[i+6:]
	}
	for range 8 {
		i := bytes.IndexByte(b, ' ')
		if i < 0 {
			return 0
		}
		b = b[i+1:]
	}
	v, _ := digits(b)
	return v
}

// inNamespace runs f on a thread that is in the network namespace of pid. A
// thread that cannot come back is thrown away.
func inNamespace(pid int, f func() error) error {
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		failed <- func() error {
			self, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(self)
			other, err := unix.Open(fmt.Sprintf("/proc/%d/ns/net", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(other)
			if err := unix.Setns(other, unix.CLONE_NEWNET); err != nil {
				return err
			}
			err = f()
			if back := unix.Setns(self, unix.CLONE_NEWNET); back != nil {
				return errors.Join(err, back)
			}
			runtime.UnlockOSThread()
			return err
		}()
	}()
	return <-failed
}

func socket(protocol int) (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return -1, err
	}
	return fd, unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

func request(body int, typ, flags uint16) []byte {
	b := make([]byte, 16+body)
	order.PutUint32(b, uint32(len(b)))
	order.PutUint16(b[4:], typ)
	order.PutUint16(b[6:], flags|unix.NLM_F_REQUEST)
	return b
}

// diagRequest is the old TCPDIAG_GETSOCK, which walks once for both families.
func diagRequest(states uint32) []byte {
	b := request(60, 18, unix.NLM_F_DUMP)
	b[16] = unix.AF_INET
	order.PutUint32(b[16+4+48:], states)
	return b
}

// exchange sends a dump request and gives the body of each answer to f.
func exchange(fd int, req, buf []byte, f func(body []byte)) {
	if _, _, e := unix.Syscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&req[0])), uintptr(len(req)), 0, 0, 0); e != 0 {
		return
	}
	for {
		r, _, e := unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0, 0)
		if e != 0 || int(r) <= 0 {
			return
		}
		for b := buf[:r]; len(b) >= 16; {
			n := int(order.Uint32(b))
			typ := order.Uint16(b[4:])
			if n < 16 || n > len(b) || typ == unix.NLMSG_DONE || typ == unix.NLMSG_ERROR {
				return
			}
			f(b[16:n])
			b = b[min((n+3)&^3, len(b)):]
		}
	}
}

func attributes(b []byte, f func(typ uint16, v []byte)) {
	for len(b) >= 4 {
		n := int(order.Uint16(b))
		if n < 4 || n > len(b) {
			return
		}
		f(order.Uint16(b[2:]), b[4:n])
		b = b[min((n+3)&^3, len(b)):]
	}
}
