// SPDX-License-Identifier: Apache-2.0

package amqp

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// What is sent beside the queue is sent in order and as it is; what the broker does not take
// is an error that holds no password.
func TestSend(t *testing.T) {
	for name, c := range map[string]struct {
		decide func(n int, m published) verdict
		change func(p *peer)
		want   string // of the error
		taken  int
	}{
		"taken":            {nil, nil, "", 3},
		"returned":         {func(n int, _ published) verdict { return map[bool]verdict{true: giveBack}[n == 2] }, nil, "name a queue in its line", 1},
		"refused":          {func(n int, _ published) verdict { return map[bool]verdict{true: refuse}[n == 2] }, nil, "could not keep", 1},
		"cut off":          {func(n int, _ published) verdict { return map[bool]verdict{true: cutOff}[n == 3] }, nil, "broke", 2},
		"no answer":        {func(n int, _ published) verdict { return hang }, nil, "wait for the broker", 0},
		"another exchange": {nil, func(p *peer) { p.declared = 406 }, "name another in its line", 0},
		"another password": {nil, func(p *peer) { p.password = "other" }, "refuses this user", 0},
		"nobody is there":  {nil, func(p *peer) { p.stop() }, "connect to the broker", 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := newPeer(t, c.decide)
			b.password = "hunter2secret"
			if c.change != nil {
				c.change(b)
			}
			p, err := New(Options{URL: b.url("hunter2secret"), Exchange: "alarms.exchange", RoutingKey: "alarms", Settings: "its line"})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			var messages []Message
			for i := range 3 {
				messages = append(messages, Message{ID: fmt.Sprint(i), Time: at, Body: []byte(fmt.Sprintf("{%d}", i))})
			}
			err = p.Send(ctx, messages...)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2secret") {
				t.Errorf("it tells the password: %v", err)
			}
			if got := b.ids(); !slices.Equal(got, numbers(c.taken)) {
				t.Errorf("taken %q, want %d", got, c.taken)
			}
			if c.want != "" {
				return
			}
			if m := b.got[1]; m.id != "1" || m.body != "{1}" || !m.mandatory || m.mode != 2 || m.contentType != "application/json" || m.timestamp != uint64(at.Unix()) {
				t.Errorf("%+v", m)
			}
		})
	}
}
