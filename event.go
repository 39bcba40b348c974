// SPDX-License-Identifier: Apache-2.0

package tallyman

import (
	"context"
	"time"
)

// Event is something that happened. Type and Action are Docker's words
// (docs.docker.com/reference/cli/docker/system/events), plus the type "engine"
// with the actions "up" and "down" and the type "tallyman" for its own.
type Event struct {
	// ID is the same each time the same event is seen, also after a restart.
	ID     string    `json:"id"`
	Time   time.Time `json:"time"`
	Host   string    `json:"host"`
	Engine string    `json:"engine,omitempty"`
	Type   string    `json:"type"`
	// Action is the bare word: the command of "exec_create: sh -c …" and the
	// state of "health_status: healthy" are attributes ("command", "health").
	Action string `json:"action"`
	// Actor is the id of the container, image, network …
	Actor    string `json:"actor,omitempty"`
	Name     string `json:"name,omitempty"`
	Image    string `json:"image,omitempty"`
	Workload string `json:"workload,omitempty"`
	// Inferred marks what nobody saw: it follows from two inventories.
	Inferred bool `json:"inferred,omitempty"`
	// Attributes that tallyman knows: exitCode, signal, oomKilled, execID,
	// command, health, oldName, container, volume driver … Labels of the
	// container, which the engine mixes in, are left out.
	Attributes map[string]string `json:"attributes,omitempty"`
}

// EventQuery selects events. The zero value selects all; every filled field
// narrows it.
type EventQuery struct {
	Start, End time.Time // Start inclusive, End exclusive
	Types      []string
	Actions    []string
	Host       string
	// Container is a full id, Workload a workload key, Image an image name.
	Container, Workload, Image string
	// Text must occur in the name, image, action or an attribute, case-insensitively.
	Text string
	// Limit is the greatest number of events returned, 0 for 1,000.
	Limit int
	// Before continues an earlier answer: only events older than the one with
	// this id (in store order) are returned.
	Before string
}

// EventStore keeps events and finds them again. Calls may run concurrently.
type EventStore interface {
	// AppendEvents stores events durably enough to survive a kill of the
	// process when it returns. An event whose ID is stored already is
	// skipped, so appending twice is harmless.
	AppendEvents(events []Event) error
	// Events returns the selected events, newest first. more reports that
	// the limit cut the answer.
	Events(ctx context.Context, q EventQuery) (events []Event, more bool, err error)
	Close() error
}
