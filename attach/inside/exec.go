// SPDX-License-Identifier: Apache-2.0

package inside

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"tallyman"
)

const (
	maxStdout = 256 << 10 // bytes
	maxStderr = 16 << 10
	// grace is what a command has after it was told to end.
	grace = 2 * time.Second
	// ending is how long is waited for one that was killed.
	ending = 10 * time.Second
)

// errRunning says that a command could not be ended, so that its place is not free.
var errRunning = errors.New("a run before could not be ended")

// Exec implements tallyman.Inside.
func (v *View) Exec(ctx context.Context, argv []string, o tallyman.ExecOptions) (out tallyman.ExecResult, err error) {
	switch {
	case len(argv) == 0:
		return out, tallyman.Faulty(tallyman.ConfigFault, "", "there is no command")
	case !v.policy.Exec || v.room.o.Executor == nil:
		return out, tallyman.Faulty(tallyman.PermissionFault, "", "commands: %w", tallyman.ErrForbidden)
	case o.User != "" && !v.policy.User:
		return out, tallyman.Faulty(tallyman.PermissionFault, "", "another user: %w", tallyman.ErrForbidden)
	}
	v.running.Lock() // one at a time for each instance
	defer v.running.Unlock()
	if v.left != nil {
		if !v.room.end(ctx, v.left) {
			return out, errRunning
		}
		v.left = nil
	}
	if v.room.o.Execs != nil {
		select {
		case v.room.o.Execs <- struct{}{}:
			defer func() { <-v.room.o.Execs }()
		case <-ctx.Done():
			return out, ctx.Err()
		}
	}
	c := v.room.container
	// The command goes on when ctx ends, until it was killed.
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	e, err := v.room.o.Executor.Exec(life, c.Engine, c.ID, argv, o.User)
	if err != nil {
		return out, err
	}
	defer e.Close()
	type result struct {
		out tallyman.ExecResult
		err error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		r.out.Stdout, r.out.Stderr, r.err = frames(e, cmp.Or(o.Stdout, maxStdout), cmp.Or(o.Stderr, maxStderr))
		done <- r
	}()
	var r result
	select {
	case r = <-done:
	case <-ctx.Done():
		r.err = ctx.Err()
	}
	if r.err != nil {
		after, cancel := context.WithTimeout(life, ending)
		defer cancel()
		stopped := v.room.end(after, e)
		e.Close()
		if ctx.Err() != nil {
			<-done
		}
		if !stopped {
			v.left = e
			return out, errors.Join(r.err, errRunning)
		}
		return r.out, r.err
	}
	_, code, _, err := e.Status(life)
	r.out.Code = code
	return r.out, err
}

// frames reads what a command prints: a header of 8 bytes with the stream and the length
// stands before each piece.
func frames(r io.Reader, most, mostErr int) (stdout, stderr []byte, err error) {
	var out, errs bytes.Buffer
	var head [8]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return out.Bytes(), errs.Bytes(), err
		}
		n := int64(binary.BigEndian.Uint32(head[4:]))
		if head[0] == 2 {
			// Of what goes wrong the end counts, and it never ends a command.
			if _, err := io.CopyN(&tail{&errs, mostErr}, r, n); err != nil {
				return out.Bytes(), errs.Bytes(), err
			}
			continue
		}
		if int64(out.Len())+n > int64(most) {
			return out.Bytes(), errs.Bytes(), tallyman.Faulty(tallyman.LimitFault, "", "it prints more than %d KiB", most>>10)
		}
		if _, err := io.CopyN(&out, r, n); err != nil {
			return out.Bytes(), errs.Bytes(), err
		}
	}
}

// tail keeps the last bytes.
type tail struct {
	b    *bytes.Buffer
	most int
}

func (t *tail) Write(p []byte) (int, error) {
	t.b.Write(p)
	if over := t.b.Len() - t.most; over > 0 {
		t.b.Next(over)
	}
	return len(p), nil
}

// end ends a command with all that it has started, and reports whether it has. One that has
// only just been asked for may not have a process yet.
func (r *Room) end(ctx context.Context, e tallyman.Execution) bool {
	kill := time.Now().Add(grace)
	for told := false; ; {
		pid, _, running, err := e.Status(ctx)
		switch late := time.Now().After(kill); {
		case err == nil && !running:
			return true
		case err != nil || pid <= 0 || !r.inContainer(pid):
		case late:
			r.kill(pid, unix.SIGKILL)
		case !told:
			r.kill(pid, unix.SIGTERM)
			told = true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// inContainer reports whether a process of this machine is one of the container.
func (r *Room) inContainer(pid int) bool {
	return bytes.Contains(r.text(64<<10, strconv.Itoa(pid), "cgroup"), []byte(r.container.ID))
}

// kill sends a signal to a process and to those that it has started, each held by a
// descriptor so that no other can have got its number.
func (r *Room) kill(pid int, signal unix.Signal) {
	todo := []int{pid}
	for i := 0; i < len(todo); i++ {
		todo = r.children(todo, todo[i])
	}
	for _, one := range todo {
		fd, err := unix.PidfdOpen(one, 0)
		if err != nil {
			continue
		}
		if r.inContainer(one) {
			_ = unix.PidfdSendSignal(fd, signal, nil, 0)
		}
		_ = unix.Close(fd)
	}
}
