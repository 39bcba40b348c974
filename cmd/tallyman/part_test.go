// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"tallyman"
)

// Parts end in the reverse of the order in which they were added, each when those that
// need it have ended, and close the same way.
func TestPartsEndInReverse(t *testing.T) {
	var mu sync.Mutex
	var said []string
	say := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, what)
	}
	g := &group{}
	for _, name := range []string{"store", "source", "page"} {
		g.add(part{
			name: name,
			run: func(ctx context.Context) error {
				<-ctx.Done()
				say("end " + name)
				if name == "source" {
					return errors.New("it was torn off")
				}
				return nil
			},
			metrics:  []tallyman.SelfMetric{{Desc: &tallyman.Desc{Name: name}}},
			absences: func(t tallyman.TargetKey) []tallyman.Absence { return []tallyman.Absence{{What: name + " of " + t.ID}} },
			close:    func() error { say("close " + name); return nil },
		})
	}
	g.add(part{name: "words"}) // that only is there
	ctx, cancel := context.WithCancel(t.Context())
	stop := g.start(ctx)
	cancel() // only asks for the end
	if err := stop(); err == nil || err.Error() != "source: it was torn off" {
		t.Errorf("stop: %v", err)
	}
	if err := g.close(); err != nil {
		t.Error(err)
	}
	if got, want := strings.Join(said, ", "), "end page, end source, end store, close page, close source, close store"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
	if a := g.absences(tallyman.TargetKey{ID: "x"}); len(a) != 3 || a[2].What != "page of x" || len(g.metrics()) != 3 {
		t.Errorf("absences %v, %d metrics", a, len(g.metrics()))
	}
}
