// SPDX-License-Identifier: Apache-2.0

package dockerapi

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/moby/moby/client"
)

var execID = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Execution is a command that runs in a container. Its output comes in frames, as that of
// Logs without a terminal.
type Execution struct {
	io.ReadCloser
	c  *Client
	id string
}

// Exec runs a command in a container, without a terminal and not privileged, as a user or,
// when that is empty, as the container's own. The error wraps ErrNotFound when the engine
// does not have the container. ctx is that of the output, too. The caller closes it, which
// does not end the command.
func (c *Client) Exec(ctx context.Context, id string, argv []string, user string) (*Execution, error) {
	if !ValidID(id) {
		return nil, &Error{Failure: Answered, Call: "exec", Text: ErrInvalidID.Error(), err: ErrInvalidID}
	}
	c.calls[CallExec].Add(1)
	call := "exec in " + id[:12]
	t := &trip{}
	made, err := c.api.ExecCreate(withTrip(ctx, t), id, client.ExecCreateOptions{Cmd: argv, User: user, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return nil, c.classify(ctx, call, err, t)
	}
	if !execID.MatchString(made.ID) {
		return nil, &Error{Failure: Answered, Call: call, Text: ErrInvalidID.Error(), err: ErrInvalidID}
	}
	// The library would take over the connection; the engine also answers as to any other
	// request, and then the guard sees it.
	t = &trip{}
	r, err := http.NewRequestWithContext(withTrip(ctx, t), http.MethodPost, c.scheme+"://engine"+c.path+"/v"+c.api.ClientVersion()+"/exec/"+made.ID+"/start", strings.NewReader(`{"Detach":false,"Tty":false}`))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, c.classify(ctx, call, err, t)
	}
	if answer.StatusCode >= 300 {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 4096))
		answer.Body.Close()
		return nil, &Error{Failure: Answered, Call: call, Text: bound(string(text)), err: fmt.Errorf("status %s", answer.Status)}
	}
	return &Execution{answer.Body, c, made.ID}, nil
}

// ID is the engine's for the command.
func (e *Execution) ID() string { return e.id }

// Status is the host's pid of the command, 0 when it is not known, and its exit code when
// it does not run any more.
func (e *Execution) Status(ctx context.Context) (pid, code int, running bool, err error) {
	var out struct {
		Running  bool
		ExitCode *int
		Pid      int
	}
	t := &trip{out: &out}
	if _, err := e.c.api.ExecInspect(withTrip(ctx, t), e.id, client.ExecInspectOptions{}); err != nil {
		return 0, 0, false, e.c.classify(ctx, "inspect of a command", err, t)
	}
	if out.ExitCode != nil {
		code = *out.ExitCode
	}
	return out.Pid, code, out.Running, nil
}
