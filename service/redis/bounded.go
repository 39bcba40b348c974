// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"tallyman"
)

// The client makes room for as much as the server says it will send. So what comes is
// looked at before the client sees it.
const (
	maxReply = 4 << 20   // bytes in answer to what was sent
	maxItems = 64 << 10  // of an array
	maxLine  = 512 << 10 // bytes of one line
)

// bounded is a connection that ends when its server announces, or sends, too much.
type bounded struct {
	net.Conn
	since int  // bytes since the last write
	skip  int  // bytes of a bulk string that are to come
	kind  byte // of the line that is being read, 0 at its start
	line  int  // its length
	n     int  // the number in it
	minus bool
}

// SyscallConn lets the client see that a connection it has kept was closed by the server.
func (c *bounded) SyscallConn() (syscall.RawConn, error) {
	if s, ok := c.Conn.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// Write implements net.Conn.
func (c *bounded) Write(p []byte) (int, error) {
	c.since = 0
	return c.Conn.Write(p)
}

// Read implements net.Conn.
func (c *bounded) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.since += n
	if c.since > maxReply || !c.look(p[:n]) {
		return 0, fmt.Errorf("the answer: %w", tallyman.ErrLimit)
	}
	return n, err
}

// look follows the protocol through b: lines that begin with their kind, of which some
// announce how many bytes or items follow.
func (c *bounded) look(b []byte) bool {
	for len(b) > 0 {
		if c.skip > 0 {
			n := min(c.skip, len(b))
			c.skip, b = c.skip-n, b[n:]
			continue
		}
		x := b[0]
		b = b[1:]
		if c.kind == 0 {
			c.kind, c.line, c.n, c.minus = x, 0, 0, false
			continue
		}
		c.line++
		switch {
		case c.line > maxLine:
			return false
		case x == '-':
			c.minus = true
		case x >= '0' && x <= '9' && c.n <= maxReply:
			c.n = c.n*10 + int(x-'0')
		case x == '\n':
			switch kind := c.kind; {
			case c.minus:
			case kind == '$' || kind == '=' || kind == '!':
				if c.n > maxReply {
					return false
				}
				c.skip = c.n + 2
			case kind == '*' || kind == '~' || kind == '>' || kind == '%' || kind == '|':
				if c.n > maxItems {
					return false
				}
			}
			c.kind = 0
		}
	}
	return true
}
