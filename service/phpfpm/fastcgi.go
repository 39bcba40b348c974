// SPDX-License-Identifier: Apache-2.0

package phpfpm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"tallyman"
)

// The types of FastCGI's records.
const (
	beginRequest = 1
	endRequest   = 3
	params       = 4
	stdin        = 5
	stdout       = 6
)

const maxAnswer = 1 << 20

// record appends a record of the one request that a connection carries:
//
//	version 1 | type | request 0 1 | length, two bytes | padding 0 | 0 | content
func record(b []byte, typ byte, content []byte) []byte {
	b = append(b, 1, typ, 0, 1)
	b = binary.BigEndian.AppendUint16(b, uint16(len(content)))
	return append(append(b, 0, 0), content...)
}

// pair appends a name and a value, both shorter than 128 bytes or with four bytes of
// length.
func pair(b []byte, name, value string) []byte {
	for _, s := range []string{name, value} {
		if len(s) < 128 {
			b = append(b, byte(len(s)))
		} else {
			b = binary.BigEndian.AppendUint32(b, uint32(len(s))|1<<31)
		}
	}
	return append(append(b, name...), value...)
}

// request asks for a path and reads head and body of the answer.
func request(c io.ReadWriter, path, query string) (head string, body []byte, err error) {
	if len(path) > 1024 {
		return "", nil, tallyman.Faulty(tallyman.ConfigFault, "", "the path of the status is too long")
	}
	var env []byte
	for _, p := range [][2]string{{"SCRIPT_NAME", path}, {"SCRIPT_FILENAME", path}, {"REQUEST_URI", path + "?" + query}, {"QUERY_STRING", query}, {"REQUEST_METHOD", "GET"},
		{"SERVER_PROTOCOL", "HTTP/1.1"}, {"GATEWAY_INTERFACE", "CGI/1.1"}, {"SERVER_SOFTWARE", "tallyman"}, {"REMOTE_ADDR", "127.0.0.1"}} {
		env = pair(env, p[0], p[1])
	}
	b := record(nil, beginRequest, []byte{0, 1, 0, 0, 0, 0, 0, 0}) // a responder; the connection ends with the request
	b = record(record(b, params, env), params, nil)
	if _, err := c.Write(record(b, stdin, nil)); err != nil {
		return "", nil, err
	}
	var out []byte
	for {
		var h [8]byte
		if _, err := io.ReadFull(c, h[:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = tallyman.Faulty(tallyman.ParseFault, "", "it ends the connection before it has answered")
			}
			return "", nil, err
		}
		if h[0] != 1 {
			return "", nil, tallyman.Faulty(tallyman.ParseFault, "Set PORT or SOCKET to that of PHP-FPM.", "it does not speak FastCGI")
		}
		content := make([]byte, int(binary.BigEndian.Uint16(h[4:]))+int(h[6])) // 64 KiB at most
		if _, err := io.ReadFull(c, content); err != nil {
			return "", nil, err
		}
		switch content = content[:len(content)-int(h[6])]; h[1] {
		case stdout:
			if out = append(out, content...); len(out) > maxAnswer {
				return "", nil, &tallyman.ServiceError{Fault: tallyman.LimitFault, Err: fmt.Errorf("the answer: %w", tallyman.ErrLimit)}
			}
		case endRequest:
			before, after, ok := bytes.Cut(out, []byte("\r\n\r\n"))
			if !ok {
				before, after, _ = bytes.Cut(out, []byte("\n\n"))
			}
			return string(before), after, nil
		}
	}
}
