// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"tallyman"
)

// part is one of the things that tallyman is put together from. What it has none of is
// nil.
type part struct {
	name string
	// run works until ctx ends; an error of it ends tallyman.
	run func(ctx context.Context) error
	// metrics are the numbers that it keeps about itself.
	metrics []tallyman.SelfMetric
	// absences are what it cannot tell of a target.
	absences func(t tallyman.TargetKey) []tallyman.Absence
	// close ends what was opened with it, after run.
	close func() error
}

// group is all parts, in the order in which they start: who is needed by others comes
// before them. They end in the reverse of that.
type group struct {
	parts  []part
	failed chan error
}

func (g *group) add(p part) { g.parts = append(g.parts, p) }

// metrics are the numbers of all parts that were added so far.
func (g *group) metrics() (out []tallyman.SelfMetric) {
	for _, p := range g.parts {
		out = append(out, p.metrics...)
	}
	return out
}

// absences are what no part can tell of a target.
func (g *group) absences(t tallyman.TargetKey) (out []tallyman.Absence) {
	for _, p := range g.parts {
		if p.absences != nil {
			out = append(out, p.absences(t)...)
		}
	}
	return out
}

// start starts every part. stop ends them, the last one first, and returns what went
// wrong on the way; g.failed tells of that before.
func (g *group) start(ctx context.Context) (stop func() error) {
	g.failed = make(chan error, len(g.parts))
	var ends []func()
	for _, p := range g.parts {
		if p.run == nil {
			continue
		}
		// A part that others need goes on until they have ended.
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := p.run(ctx); err != nil {
				g.failed <- fmt.Errorf("%s: %w", p.name, err)
			}
		})
		ends = append(ends, func() { cancel(); wg.Wait() })
	}
	return func() (err error) {
		for _, end := range slices.Backward(ends) {
			end()
		}
		for {
			select {
			case e := <-g.failed:
				err = errors.Join(err, e)
			default:
				return err
			}
		}
	}
}

// close closes every part, the last one first.
func (g *group) close() (err error) {
	for _, p := range slices.Backward(g.parts) {
		if p.close != nil {
			if e := p.close(); e != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", p.name, e))
			}
		}
	}
	return err
}
