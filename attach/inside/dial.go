// SPDX-License-Identifier: Apache-2.0

package inside

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tallyman"
	"tallyman/internal/nsx"
)

// dialTimeout is for one address.
const dialTimeout = 2 * time.Second

// DialContext implements tallyman.Inside.
func (v *View) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	switch network {
	case "unix":
		return v.room.dialUnix(ctx, address)
	case "tcp", "tcp4", "tcp6", "udp":
	default:
		return nil, fmt.Errorf("dial: the network %q is not known", network)
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, tallyman.Faulty(tallyman.ConfigFault, "", "the address is none: %w", err)
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil || port == 0 {
		return nil, tallyman.Faulty(tallyman.ConfigFault, "", "the port is no number from 1 to 65535")
	}
	ips, err := v.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	var first error
	for _, ip := range ips {
		if err := v.may(ip, uint16(port)); err != nil {
			return nil, err
		}
		conn, err := v.room.dial(ctx, network, netip.AddrPortFrom(ip, uint16(port)))
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = err
		}
	}
	// A server may listen on the container's own address and not on its loopback.
	if errors.Is(first, unix.ECONNREFUSED) && ips[0].IsLoopback() && network != "udp" {
		for _, other := range v.room.listensElsewhere(uint16(port)) {
			ip, err := netip.ParseAddr(other)
			if err != nil || v.may(ip, uint16(port)) != nil {
				continue
			}
			if conn, err := v.room.dial(ctx, network, netip.AddrPortFrom(ip, uint16(port))); err == nil {
				return conn, nil
			}
		}
	}
	return nil, first
}

// may says why an instance may not go to an address.
func (v *View) may(ip netip.Addr, port uint16) error {
	switch {
	case ip.IsLinkLocalUnicast():
		if !v.policy.LinkLocal {
			return tallyman.Faulty(tallyman.PermissionFault, "", "%s is a link-local address: %w", ip, tallyman.ErrForbidden)
		}
	case ip.IsLoopback():
		if v.room.shared {
			return v.room.owns(port)
		}
	case !v.room.own(ip) && !v.policy.Elsewhere:
		return tallyman.Faulty(tallyman.PermissionFault, "Write a rule in the configuration; or plugins.elsewhere for labels of docker run.", "%s is outside of the container: %w", ip, tallyman.ErrForbidden)
	}
	return nil
}

// own reports whether an address is the container's.
func (r *Room) own(ip netip.Addr) bool {
	if r.shared {
		return false
	}
	for _, n := range r.container.Networks {
		for _, text := range []string{n.IP, n.IPv6} {
			if own, err := netip.ParseAddr(text); err == nil && own.Unmap() == ip {
				return true
			}
		}
	}
	return false
}

// dial connects from inside the container's network, or to its bridge's address for want of
// the right to enter.
func (r *Room) dial(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	family, typ := unix.AF_INET, unix.SOCK_STREAM
	var sa unix.Sockaddr = &unix.SockaddrInet4{Port: int(to.Port()), Addr: [4]byte{127, 0, 0, 1}}
	if to.Addr().Is4() {
		sa = &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	} else {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
	}
	if network == "udp" {
		typ = unix.SOCK_DGRAM
	}
	fd, err := r.socket(family, typ)
	if err != nil {
		if conn, ok := r.dialBridge(ctx, network, to, err); ok {
			return conn, nil
		}
		return nil, denied(err)
	}
	return connect(ctx, fd, sa)
}

// socket makes a socket in the container's network.
func (r *Room) socket(family, typ int) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.process == nil {
		return -1, r.why
	}
	return r.process.Socket(family, typ|unix.SOCK_NONBLOCK, 0)
}

// dialBridge connects to the container's address on its bridge, where another process of
// the machine may go, in place of its loopback.
func (r *Room) dialBridge(ctx context.Context, network string, to netip.AddrPort, why error) (net.Conn, bool) {
	if !nsx.Denied(why) && !errors.Is(why, tallyman.ErrGone) || r.shared {
		return nil, false
	}
	var targets []string
	if to.Addr().IsLoopback() {
		for _, n := range r.container.Networks {
			targets = append(targets, slices.DeleteFunc([]string{n.IP, n.IPv6}, func(ip string) bool { return ip == "" })...)
		}
	} else {
		targets = []string{to.Addr().String()}
	}
	for _, ip := range targets {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(ip, strconv.Itoa(int(to.Port()))))
		if err == nil {
			r.mu.Lock()
			r.bridge, r.why = true, denied(why)
			r.mu.Unlock()
			return conn, true
		}
	}
	return nil, false
}

// dialUnix connects to a unix socket of the container: a path, or @ and an abstract name.
func (r *Room) dialUnix(ctx context.Context, name string) (net.Conn, error) {
	if strings.HasPrefix(name, "@") {
		if r.shared {
			return nil, tallyman.Faulty(tallyman.PermissionFault, "", "an abstract socket of a network that is shared: %w", tallyman.ErrForbidden)
		}
		fd, err := r.socket(unix.AF_UNIX, unix.SOCK_STREAM)
		if err != nil {
			return nil, denied(err)
		}
		return connect(ctx, fd, &unix.SockaddrUnix{Name: name})
	}
	root, err := r.root()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	at, err := root.Path(name)
	if err != nil {
		return nil, err
	}
	defer unix.Close(at)
	var st unix.Stat_t
	if err := unix.Fstat(at, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return nil, tallyman.Faulty(tallyman.ConfigFault, "", "%s is no socket", name)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("make a socket: %w", err)
	}
	return connect(ctx, fd, &unix.SockaddrUnix{Name: "/proc/self/fd/" + strconv.Itoa(at)})
}

// connect connects a socket, which it takes.
func connect(ctx context.Context, fd int, sa unix.Sockaddr) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close() // net has its own
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = f.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	started := false
	var result error
	err = raw.Write(func(fd uintptr) bool {
		if !started {
			started = true
			result = unix.Connect(int(fd), sa)
			return result != unix.EINPROGRESS
		}
		code, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		switch {
		case err != nil:
			result = err
		case code != 0:
			result = unix.Errno(code)
		default:
			if _, err := unix.Getpeername(int(fd)); err == unix.ENOTCONN {
				return false // woken for nothing
			}
			result = nil
		}
		return true
	})
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, err
	case result != nil:
		return nil, os.NewSyscallError("connect", result)
	}
	return net.FileConn(f)
}
