// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	good, err := testrun(ctx, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "testrun:", err)
		os.Exit(2)
	}
	if !good {
		os.Exit(1)
	}
}

// testrun runs the named jobs, or all, of the tree it is called in.
func testrun(ctx context.Context, names []string) (good bool, err error) {
	root, err := os.Getwd()
	if err != nil {
		return false, err
	}
	if _, err := os.Stat(filepath.Join(root, "internal/tools/testrun")); err != nil {
		return false, errors.New("call it in the root of the tree")
	}
	jobs, err := plan(root)
	if err != nil {
		return false, err
	}
	for _, n := range names {
		if !slices.ContainsFunc(jobs, func(j job) bool { return j.name == n }) {
			return false, fmt.Errorf("there is no job %s", n)
		}
	}
	if len(names) > 0 {
		jobs = slices.DeleteFunc(jobs, func(j job) bool { return !slices.Contains(names, j.name) })
	}
	record, err := os.ReadFile(filepath.Join(root, "docs/testing.md"))
	if err != nil {
		return false, err
	}
	commit, tree := revision(root) // what is tested, not what it becomes meanwhile
	start := time.Now()
	rep := newReport(os.Stdout, seen(string(record)))
	run(ctx, jobs, rep)
	end := rep.finish(time.Since(start), ctx.Err() != nil)
	if len(names) == 0 {
		if err := end.write(filepath.Join(root, "bin/last-test"), commit, tree); err != nil {
			return false, err
		}
	}
	return end.good, nil
}
