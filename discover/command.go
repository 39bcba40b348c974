// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"context"
	"strings"
	"sync"
	"time"

	"tallyman"
)

// commandsLast is for how long after its start the events of a command of tallyman's own
// may come.
const commandsLast = time.Minute

// commands are those that tallyman runs itself in containers of one engine. Their events
// may come before the engine has said how it calls them, so they are known by their words.
type commands struct {
	mu   sync.Mutex
	last map[[2]string]time.Time // by container and command
}

func (c *commands) begin(id, command string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil {
		c.last = map[[2]string]time.Time{}
	}
	now := time.Now()
	for k, t := range c.last {
		if now.Sub(t) > commandsLast {
			delete(c.last, k)
		}
	}
	c.last[[2]string{id, command}] = now
}

func (c *commands) has(id, command string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.last[[2]string{id, command}]
	return ok && time.Since(t) <= commandsLast
}

var _ tallyman.Executor = (*Discovery)(nil)

// Exec implements tallyman.Executor. The events of the command are not told.
func (d *Discovery) Exec(ctx context.Context, engine, id string, argv []string, user string) (tallyman.Execution, error) {
	e, err := d.engineNamed(engine)
	if err != nil {
		return nil, err
	}
	e.commands.begin(id, execCommand(strings.Join(argv, " ")))
	x, err := e.client.Exec(ctx, id, argv, user)
	if err != nil {
		return nil, err
	}
	return x, nil
}
