// SPDX-License-Identifier: Apache-2.0

// Package top shows hosts and containers in a terminal, live: sorted, filtered, grouped by
// project, with the log of one. It shows what a tallyman tells, over its live stream, and
// collects nothing itself.
//
// What it shows was written by strangers: names, images, log lines. Nothing of it reaches the
// terminal that could control it.
package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"tallyman/api/view"
)

// Options are how it begins.
type Options struct {
	// Filter is the words that are looked for, All shows stopped containers too, Group
	// groups by project.
	Filter     string
	All, Group bool
}

// framesPerSecond is how often the screen may change.
const framesPerSecond = 10

// Run shows the tallyman of a client on a terminal until the user quits or ctx ends.
func Run(ctx context.Context, c *Client, o Options, in io.Reader, out io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	m := newModel(ctx, c, o)
	p := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithAltScreen(), tea.WithFPS(framesPerSecond), tea.WithoutSignalHandler())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Follow(ctx, func(msg any) { p.Send(msg) })
	}()
	_, err := p.Run()
	stop()
	<-done
	if errors.Is(err, tea.ErrProgramKilled) || errors.Is(err, context.Canceled) {
		return nil // it was ended from outside
	}
	return err
}

// Once prints the table once, all rows and without colours, for a program or a file.
func Once(ctx context.Context, c *Client, o Options, width int, out io.Writer) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	m := newModel(ctx, c, o)
	m.width = width
	var result error
	// Rates are known from the second round on.
	ticks := 0
	c.Follow(ctx, func(msg any) {
		switch msg := msg.(type) {
		case Lost:
			result = fmt.Errorf("no answer: %w", msg.Err)
			stop(nil)
		case view.Servers:
			m.take(msg)
		case Tick:
			m.take(msg)
			if ticks++; ticks >= 2 {
				stop(nil)
			}
		default:
			m.take(msg)
		}
	})
	if result != nil {
		return result
	}
	m.height = m.head() + 1 + max(len(m.rows), 1)
	m.selected, m.offset = "", 0
	lines := strings.Split(ansi.Strip(m.View()), "\n")
	for _, line := range lines[:len(lines)-1] { // without the keys
		if _, err := fmt.Fprintln(out, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	return nil
}
