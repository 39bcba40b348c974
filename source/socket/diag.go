// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"tallyman/internal/nsx"
)

// The kernel's numbers of TCP states (include/net/tcp_states.h). A half-open
// connection has number 12 inside the kernel; answers call it synRecv.
const (
	established = 1
	synSent     = 2
	synRecv     = 3
	finWait1    = 4
	finWait2    = 5
	timeWait    = 6
	lastAck     = 9
	closing     = 11
	stateCount  = 13
)

// The address families, as places in arrays.
const (
	v4 = iota
	v6
	families
)

// timerTimeWait marks a socket that the kernel keeps in the small form that it has
// for TIME_WAIT.
const timerTimeWait = 3

// The layout of a request and of an answer (include/uapi/linux/inet_diag.h). The
// old request, TCPDIAG_GETSOCK, is the one that walks the table of sockets once
// for both families.
const (
	header      = 16
	getSock     = 18
	requestSize = 60
	statesAt    = header + 52
	answerSize  = 72
	byteCode    = 1 // attribute: a filter
	sourceCond  = 7 // operation of a filter: compare the own address
)

// diag is a kept socket that asks for the TCP sockets of one network namespace.
type diag struct {
	fd  int // descriptor + 1, so that the zero value is closed
	seq uint32
}

// openDiag makes the socket in the network of p.
func openDiag(p *nsx.Process) (diag, error) {
	fd, err := p.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_INET_DIAG)
	if err != nil {
		return diag{}, err
	}
	// The kernel answers at once; should it ever not, collection goes on.
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
		_ = unix.Close(fd)
		return diag{}, fmt.Errorf("set a time limit on a socket: %w", err)
	}
	return diag{fd: fd + 1}, nil
}

func (d *diag) isOpen() bool { return d.fd > 0 }

func (d *diag) close() {
	if d.fd > 0 {
		_ = unix.Close(d.fd - 1)
		d.fd = 0
	}
}

// request makes a request for the sockets in a set of states.
func request(states uint32) []byte {
	b := make([]byte, header+requestSize)
	binary.NativeEndian.PutUint16(b[4:], getSock)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	b[header] = unix.AF_INET
	binary.NativeEndian.PutUint32(b[statesAt:], states)
	return b
}

// requestFamily is request for the sockets of one family only: a filter of one
// operation that compares the family and nothing of the address. Its yes and no
// are how far to jump: just behind the end is a match, which yes must lead to, and
// four bytes farther is none. AF_INET takes sockets of IPv6 with a mapped address
// of IPv4 too; their answers say that they are of IPv6.
func requestFamily(states uint32, family int) []byte {
	const size = 4 + 8 + 16
	b := append(request(states), make([]byte, 4+size)...)
	attr := b[header+requestSize:]
	binary.NativeEndian.PutUint16(attr, 4+size)
	binary.NativeEndian.PutUint16(attr[2:], byteCode)
	op := attr[4:]
	op[0], op[1] = sourceCond, size
	binary.NativeEndian.PutUint16(op[2:], size+4)
	op[4] = unix.AF_INET6
	if family == v4 {
		op[4] = unix.AF_INET
	}
	binary.NativeEndian.PutUint32(op[8:], 1<<32-1) // any port
	return b
}

// tally is how many sockets were answered.
type tally struct {
	states [families][stateCount]uint64
	// small are those of FIN_WAIT2 that the kernel counts as TIME_WAIT.
	small [families]uint64
}

// errAnswer is an answer that cannot be understood.
var errAnswer = errors.New("the kernel's answer about sockets makes no sense")

// walk sends req and adds what the kernel answers to t. buf is for answers.
func (d *diag) walk(req, buf []byte, t *tally) error {
	d.seq++
	binary.NativeEndian.PutUint32(req, uint32(len(req)))
	binary.NativeEndian.PutUint32(req[8:], d.seq)
	if _, _, e := syscall.Syscall6(unix.SYS_SENDTO, uintptr(d.fd-1), uintptr(unsafe.Pointer(&req[0])), uintptr(len(req)), 0, 0, 0); e != 0 {
		return e
	}
	for {
		n, _, e := syscall.Syscall6(unix.SYS_RECVFROM, uintptr(d.fd-1), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), unix.MSG_TRUNC, 0, 0)
		switch {
		case e == unix.EINTR:
			continue
		case e != 0:
			return e
		case int(n) > len(buf) || n == 0:
			return errAnswer
		}
		if end, err := t.add(buf[:n], d.seq); end || err != nil {
			return err
		}
	}
}

// add counts the sockets of one datagram of answers to the request seq; answers to
// others are passed over. end is set behind the last.
func (t *tally) add(b []byte, seq uint32) (end bool, err error) {
	for len(b) > 0 {
		if len(b) < header {
			return true, errAnswer
		}
		size := int(binary.NativeEndian.Uint32(b))
		if size < header || size > len(b) {
			return true, errAnswer
		}
		body := b[header:size]
		if binary.NativeEndian.Uint32(b[8:]) == seq {
			switch binary.NativeEndian.Uint16(b[4:]) {
			case unix.NLMSG_DONE:
				return true, nil
			case unix.NLMSG_ERROR:
				if len(body) < 4 {
					return true, errAnswer
				}
				return true, syscall.Errno(-int32(binary.NativeEndian.Uint32(body)))
			default:
				if len(body) < answerSize {
					return true, errAnswer
				}
				t.one(body)
			}
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return false, nil
}

// one counts a socket: its answer begins with family, state and timer.
func (t *tally) one(b []byte) {
	f := v4
	if b[0] == unix.AF_INET6 {
		f = v6
	}
	state := b[1]
	if state == 12 {
		state = synRecv
	}
	if state >= stateCount {
		return
	}
	t.states[f][state]++
	if state == finWait2 && b[2] == timerTimeWait {
		t.small[f]++
	}
}
