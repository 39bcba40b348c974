// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TCP makes TCP sockets in chosen states, in whatever network its sockets are.
// They are closed at the end of the test.
type TCP struct {
	t      testing.TB
	family int
	socket func(family, typ, protocol int) (int, error)
	fds    []int
}

// NewTCP makes sockets of a family with socket. Those of AF_INET6 speak IPv4, since
// many containers have no IPv6 address.
func NewTCP(t testing.TB, family int, socket func(family, typ, protocol int) (int, error)) *TCP {
	k := &TCP{t: t, family: family, socket: socket}
	t.Cleanup(func() {
		for _, fd := range k.fds {
			_ = unix.Close(fd)
		}
	})
	return k
}

// must fails the test.
func (k *TCP) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

// Loopback switches the loopback interface of a new network on.
func (k *TCP) Loopback() {
	k.t.Helper()
	fd := k.make()
	r, err := unix.NewIfreq("lo")
	k.must(err)
	k.must(unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, r))
	r.SetUint16(r.Uint16() | unix.IFF_UP)
	k.must(unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r))
}

func (k *TCP) make() int {
	k.t.Helper()
	fd, err := k.socket(k.family, unix.SOCK_STREAM, 0)
	k.must(err)
	k.fds = append(k.fds, fd)
	return fd
}

// small gives a socket small buffers, which are soon full.
func (k *TCP) small(fd int) {
	k.t.Helper()
	k.must(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4096))
	k.must(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4096))
}

func (k *TCP) address(port int) unix.Sockaddr {
	if k.family == unix.AF_INET {
		return &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
	}
	return &unix.SockaddrInet6{Port: port, Addr: [16]byte{10: 255, 11: 255, 12: 127, 15: 1}}
}

// Listener is a listening socket.
type Listener struct {
	k    *TCP
	fd   int
	addr unix.Sockaddr
}

// Listen makes a listening socket that takes so many connections which nobody
// accepts. With late it takes a connection only once data has come: until then
// it is half open.
func (k *TCP) Listen(backlog int, late bool) *Listener {
	k.t.Helper()
	l := &Listener{k: k, fd: k.make()}
	k.must(unix.Bind(l.fd, k.address(0)))
	if late {
		k.must(unix.SetsockoptInt(l.fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 60))
	}
	k.small(l.fd)
	k.must(unix.Listen(l.fd, backlog))
	own, err := unix.Getsockname(l.fd)
	k.must(err)
	switch a := own.(type) {
	case *unix.SockaddrInet4:
		l.addr = k.address(a.Port)
	case *unix.SockaddrInet6:
		l.addr = k.address(a.Port)
	}
	return l
}

// Dial makes the connecting end of a connection, which may not come about.
func (l *Listener) Dial() int {
	l.k.t.Helper()
	fd := l.k.make()
	l.k.must(unix.SetNonblock(fd, true))
	l.k.small(fd)
	if err := unix.Connect(fd, l.addr); !errors.Is(err, unix.EINPROGRESS) {
		l.k.must(err)
	}
	return fd
}

// Pair makes both ends of a connection.
func (l *Listener) Pair() (client, server int) {
	l.k.t.Helper()
	client = l.Dial()
	server, _, err := unix.Accept4(l.fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	l.k.must(err)
	l.k.fds = append(l.k.fds, server)
	return client, server
}

// Fill sends through fd until no more goes and the other end takes nothing more,
// so that what follows must wait.
func (k *TCP) Fill(fd int) {
	k.t.Helper()
	b := make([]byte, 1<<14)
	for last := time.Now(); time.Since(last) < 100*time.Millisecond; {
		n, err := unix.Write(fd, b)
		switch {
		case n > 0:
			last = time.Now()
		case errors.Is(err, unix.EAGAIN):
			time.Sleep(5 * time.Millisecond)
		case err != nil:
			k.t.Fatal(err)
		}
	}
}

// Shut ends what fd sends.
func (k *TCP) Shut(fd int) {
	k.t.Helper()
	k.must(unix.Shutdown(fd, unix.SHUT_WR))
}

// Close closes fd now.
func (k *TCP) Close(fd int) {
	k.t.Helper()
	for i, one := range k.fds {
		if one == fd {
			k.fds = append(k.fds[:i], k.fds[i+1:]...)
			k.must(unix.Close(fd))
			return
		}
	}
}

// EveryState makes, with so many connections of each sort, a socket in every
// state that TCP has, but CLOSE, in which a socket is in no table.
func (k *TCP) EveryState(connections int) {
	k.t.Helper()
	l := k.Listen(128, false)
	for range connections {
		l.Pair() // ESTABLISHED, twice
	}
	for range 2 {
		client, _ := l.Pair()
		k.Shut(client) // FIN_WAIT2 and CLOSE_WAIT
	}
	client, _ := l.Pair()
	k.Close(client) // the small form of FIN_WAIT2, and CLOSE_WAIT
	for range 3 {
		client, server := l.Pair()
		k.Close(client)
		k.Close(server) // TIME_WAIT
	}
	client, _ = l.Pair()
	k.Fill(client)
	k.Close(client) // FIN_WAIT1: its end waits behind data that nobody reads
	client, server := l.Pair()
	k.Shut(client)
	k.Fill(server)
	k.Close(server) // LAST_ACK, in the same way
	client, server = l.Pair()
	k.Fill(server)
	k.Shut(server)
	k.Shut(client) // CLOSING: both have ended, one end waits behind data
	late := k.Listen(8, true)
	late.Dial()
	late.Dial() // SYN_RECV, until data comes
	full := k.Listen(0, false)
	for range 3 {
		full.Dial() // the first is taken, SYN_SENT the others
	}
}
