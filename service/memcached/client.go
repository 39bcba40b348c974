// SPDX-License-Identifier: Apache-2.0

package memcached

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"tallyman"
)

const (
	maxLine   = 8 << 10
	maxAnswer = 4 << 20
)

// client speaks the text protocol on one connection.
type client struct {
	conn net.Conn
	r    *bufio.Reader
	stop func() bool
}

// dial connects and logs in.
func (i *instance) dial(ctx context.Context) (*client, error) {
	if i.binary {
		return nil, tallyman.Faulty(tallyman.AuthFault, "Start memcached with -Y and a file of logins in place of -S.", "it wants SASL, for which only the binary protocol will do")
	}
	conn, err := i.in.DialContext(ctx, i.network, i.address)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, r: bufio.NewReaderSize(conn, maxLine)}
	c.stop = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	if i.user == "" {
		return c, nil
	}
	login := i.user + " " + i.password
	line, err := "", error(nil)
	if _, err = fmt.Fprintf(conn, "set login 0 0 %d\r\n%s\r\n", len(login), login); err == nil {
		line, err = c.line()
	}
	switch {
	case err != nil:
	case line == "STORED":
		return c, nil
	default:
		err = refused(line)
	}
	c.close()
	return nil, err
}

func (c *client) close() {
	c.stop()
	_ = c.conn.Close()
}

func (c *client) line() (string, error) {
	b, err := c.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", fmt.Errorf("a line of the answer: %w", tallyman.ErrLimit)
	}
	if errors.Is(err, io.EOF) {
		return "", tallyman.Faulty(tallyman.ParseFault, "", "it closes the connection before it has answered")
	}
	return strings.TrimRight(string(b), "\r\n"), err
}

// ask sends a command and returns the lines of the answer, without the last one where
// that only ends it.
func (c *client) ask(command string) (lines []string, err error) {
	if _, err := fmt.Fprintf(c.conn, "%s\r\n", command); err != nil {
		return nil, err
	}
	word, _, _ := strings.Cut(command, " ")
	for size := 0; ; {
		line, err := c.line()
		if err != nil {
			return nil, err
		}
		if size += len(line); size > maxAnswer {
			return nil, &tallyman.ServiceError{Fault: tallyman.LimitFault, Err: fmt.Errorf("the answer to %s: %w", word, tallyman.ErrLimit)}
		}
		switch {
		case line == "END" || line == "RESET" || line == "MN":
			return lines, nil
		case strings.HasPrefix(line, "ERROR"), strings.HasPrefix(line, "CLIENT_ERROR"), strings.HasPrefix(line, "SERVER_ERROR"):
			return nil, refused(line)
		}
		lines = append(lines, line)
		if word == "version" {
			return lines, nil
		}
	}
}

// refused is the error of an answer that is none.
func refused(line string) error {
	if strings.Contains(line, "unauthenticated") || strings.Contains(line, "authentication") {
		return tallyman.Faulty(tallyman.AuthFault, "Set USERNAME and PASSWORD as they stand in the file of -Y.", "it refuses the login")
	}
	return tallyman.Faulty(tallyman.ParseFault, "", "it answers %.60q", line)
}

// stats reads the lines of statistics.
func stats(lines []string) map[string]string {
	m := make(map[string]string, len(lines))
	for _, line := range lines {
		if rest, ok := strings.CutPrefix(line, "STAT "); ok {
			name, value, _ := strings.Cut(rest, " ")
			m[name] = value
		}
	}
	return m
}
