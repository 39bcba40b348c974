// SPDX-License-Identifier: Apache-2.0

package beanstalkd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"tallyman"
	"tallyman/service/ask"
)

const (
	maxLine = 4 << 10  // the line before an answer
	maxTube = 16 << 10 // what is said of one tube
	maxName = 200      // of a tube, as the server has it
)

// wrongPort is what to do where something else seems to answer.
const wrongPort = "Set PORT to the one on which beanstalkd listens."

// client talks to a server over one connection. It is not for concurrent use; close ends
// it.
type client struct {
	conn net.Conn
	r    *bufio.Reader
	stop func() bool
}

func dial(ctx context.Context, in tallyman.Inside, network, address string) (*client, error) {
	conn, err := in.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, r: bufio.NewReaderSize(conn, maxLine)}
	c.stop = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return c, nil
}

func (c *client) close() {
	c.stop()
	_ = c.conn.Close()
}

// send sends commands in one piece: answers come in their order.
func (c *client) send(commands ...string) error {
	_, err := io.WriteString(c.conn, strings.Join(commands, "\r\n")+"\r\n")
	return err
}

// line reads one line.
func (c *client) line() (string, error) {
	b, err := c.r.ReadSlice('\n')
	switch {
	case err == nil:
		return strings.TrimRight(string(b), "\r\n"), nil
	case errors.Is(err, bufio.ErrBufferFull):
		return "", tallyman.Faulty(tallyman.ParseFault, wrongPort, "its answer has a line of more than %d bytes", maxLine)
	}
	return "", cutOff(err)
}

// errGone is an answer that says: there is no such tube.
var errGone = errors.New("there is no such tube")

// document reads the answer to a command: a line with its length, and that many bytes,
// most of all.
func (c *client) document(command string, most int) ([]byte, error) {
	line, err := c.line()
	if err != nil {
		return nil, err
	}
	n, err := length(line)
	switch {
	case err != nil:
		return nil, err
	case n > most:
		return nil, tallyman.Faulty(tallyman.LimitFault, "", "its answer to %s has %d bytes, and at most %d are read", command, n, most)
	}
	// It grows with what comes, not with what was announced.
	b, err := io.ReadAll(io.LimitReader(c.r, int64(n)+2))
	switch {
	case err != nil:
		return nil, cutOff(err)
	case len(b) < n+2:
		return nil, cutOff(io.EOF)
	case b[n] != '\r' || b[n+1] != '\n':
		return nil, tallyman.Faulty(tallyman.ParseFault, wrongPort, "its answer to %s does not end where it should", command)
	}
	return b[:n], nil
}

func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		return tallyman.Faulty(tallyman.ParseFault, wrongPort, "it closes the connection before it has answered")
	}
	return err
}

// length reads the line before a document.
func length(line string) (int, error) {
	if rest, ok := strings.CutPrefix(line, "OK "); ok {
		// 31 bits are more than is ever read.
		if n, err := strconv.ParseUint(rest, 10, 31); err == nil {
			return int(n), nil
		}
	}
	switch line {
	case "NOT_FOUND":
		return 0, errGone
	case "OUT_OF_MEMORY":
		return 0, tallyman.Faulty(tallyman.ParseFault, "Give its container more memory, or let workers empty its tubes.", "it has no memory left for an answer")
	case "INTERNAL_ERROR":
		return 0, tallyman.Faulty(tallyman.ParseFault, "Look into its log.", "it tells of an error within itself")
	}
	return 0, tallyman.Faulty(tallyman.ParseFault, wrongPort, "it answers %s", strconv.QuoteToASCII(line[:min(len(line), 60)]))
}

// fields reads a document of names and values, as "name: value" in lines. This is all the
// YAML that beanstalkd writes; a reader of YAML would take a tube called null for
// nothing, and follow references.
func fields(document []byte) map[string]string {
	m := map[string]string{}
	for line := range bytes.Lines(document) {
		if name, value, ok := strings.Cut(strings.TrimRight(string(line), "\r\n"), ": "); ok {
			m[name] = unquoted(value)
		}
	}
	return m
}

// tubes reads a document that lists tubes, the first most of them. A name that no server
// has is left out: it would be part of a command.
func tubes(document []byte, most int) (names []string) {
	for line := range bytes.Lines(document) {
		name, ok := strings.CutPrefix(strings.TrimRight(string(line), "\r\n"), "- ")
		if name = unquoted(name); !ok || !isTube(name) {
			continue
		}
		if len(names) == most {
			break
		}
		names = append(names, name)
	}
	return names
}

// unquoted is a value without its quotes, which newer servers put around texts.
func unquoted(value string) string {
	if n := len(value); n > 1 && value[0] == '"' && value[n-1] == '"' {
		return value[1 : n-1]
	}
	return value
}

// isTube reports whether beanstalkd would take a name for a tube.
func isTube(name string) bool {
	if name == "" || len(name) > maxName || name[0] == '-' {
		return false
	}
	for _, c := range []byte(name) {
		if (c|0x20) >= 'a' && (c|0x20) <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-+/;.$_()", c) >= 0 {
			continue
		}
		return false
	}
	return true
}

// number reads a value; true and false are 1 and 0.
func number(text string) (float64, bool) {
	switch text {
	case "true":
		return 1, true
	case "false":
		return 0, true
	}
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil && !math.IsNaN(v) && !math.IsInf(v, 0)
}

// ask sends a command and reads its document.
func (c *client) ask(command string) ([]byte, error) {
	if err := c.send(command); err != nil {
		return nil, err
	}
	b, err := c.document(command, ask.MaxBody)
	if errors.Is(err, errGone) {
		return nil, tallyman.Faulty(tallyman.ParseFault, wrongPort, "it does not know %s", command)
	}
	return b, err
}

// using asks which tube it uses, which costs a server nothing.
func (c *client) using() error {
	if err := c.send("list-tube-used"); err != nil {
		return err
	}
	line, err := c.line()
	if err == nil && !strings.HasPrefix(line, "USING ") {
		if _, err = length(line); err == nil || errors.Is(err, errGone) {
			err = tallyman.Faulty(tallyman.ParseFault, wrongPort, "it answers %s", strconv.QuoteToASCII(line[:min(len(line), 60)]))
		}
	}
	return err
}
