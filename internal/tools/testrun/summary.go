// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	// lastLines of a failed test are shown at the end.
	lastLines = 30
	// longest is how many bytes of a line are shown there.
	longest = 500
	// mostFlaky tests may be in a good run.
	mostFlaky = 3
	// mostRecorded is how often a test may stand in the table of flaky ones and be
	// flaky again.
	mostRecorded = 2
)

// summary is what is known at the end of a run.
type summary struct {
	good, broken                   bool // broken: somebody ended the run
	passed, failed, flaky, skipped int
	took                           time.Duration
}

// finish prints the end of the output.
func (r *report) finish(took time.Duration, broken bool) summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := summary{took: took, broken: broken}
	for _, state := range r.states {
		switch state {
		case "pass":
			s.passed++
		case "fail":
			s.failed++
		case "flaky":
			s.flaky++
		case "skip":
			s.skipped++
		}
	}
	s.good = len(r.failed) == 0 && s.failed == 0 && s.passed > 0 && !broken
	fmt.Fprintf(r.out, "\n%s\n", strings.Join(r.times, ", "))
	slices.Sort(r.reasons)
	for _, line := range slices.Compact(r.reasons) {
		fmt.Fprintln(r.out, "skipped:", line)
	}
	for _, f := range r.flaky {
		fmt.Fprintf(r.out, "FLAKY %s\n%s", f.name(), tail(f.said))
	}
	for _, f := range r.failed {
		why := ""
		if f.once != "" {
			why = " (not run again: " + f.once + ")"
		}
		fmt.Fprintf(r.out, "FAIL  %s%s\n%s", f.name(), why, tail(f.said))
	}
	if len(r.flaky) > mostFlaky {
		s.good = false
		fmt.Fprintf(r.out, "FAIL  %d tests are flaky; a run is good with %d at most\n", len(r.flaky), mostFlaky)
	}
	for _, f := range r.flaky {
		if name := f.key.test; name != "" && r.recorded[name] >= mostRecorded {
			s.good = false
			fmt.Fprintf(r.out, "FAIL  %s was flaky %d times before, as docs/testing.md says; it is not mended\n", f.name(), r.recorded[name])
		}
	}
	switch {
	case broken:
		fmt.Fprintln(r.out, "the run was ended before its end")
	case s.passed == 0:
		fmt.Fprintln(r.out, "nothing has run")
	}
	fmt.Fprintf(r.out, "\n%d passed, %d failed, %d flaky, %d skipped in %.0f s\n", s.passed, s.failed, s.flaky, s.skipped, took.Seconds())
	return s
}

// tail are the last lines of what a test said, indented.
func tail(said []string) string {
	lines := strings.Split(strings.TrimRight(strings.Join(said, ""), "\n"), "\n")
	lines = lines[max(0, len(lines)-lastLines):]
	for i, l := range lines {
		if len(l) > longest {
			lines[i] = l[:longest] + " …"
		}
	}
	return "    " + strings.Join(lines, "\n    ") + "\n"
}

// flakyRow is a row of the table in docs/testing.md, which has one for each
// time that a test was seen to be flaky: test, date, what was found.
var flakyRow = regexp.MustCompile("(?m)^\\| `((?:Test|Fuzz|Example)[A-Za-z0-9_]*)` \\| \\d{4}-\\d\\d-\\d\\d \\|")

// seen counts the rows of each test.
func seen(document string) map[string]int {
	n := map[string]int{}
	for _, m := range flakyRow.FindAllStringSubmatch(document, -1) {
		n[m[1]]++
	}
	return n
}

// revision is the commit of the tree, and whether the tree is just that.
func revision(root string) (commit, tree string) {
	git := func(args ...string) (string, error) {
		cmd := exec.Command("git", args...)
		cmd.Dir = root
		out, err := cmd.Output()
		return strings.TrimSpace(string(out)), err
	}
	commit, err := git("rev-parse", "HEAD")
	if err != nil {
		return "unknown", "unknown"
	}
	tree = "clean"
	if changed, err := git("status", "--porcelain"); err != nil || changed != "" {
		tree = "dirty"
	}
	return commit, tree
}

// write keeps the summary in a file, a "key: value" on each line.
func (s summary) write(name string, commit, tree string) error {
	result := "failed"
	switch {
	case s.broken:
		result = "ended before its end"
	case s.good:
		result = "passed"
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, fmt.Appendf(nil, "commit: %s\ntree: %s\nresult: %s\npassed: %d\nfailed: %d\nflaky: %d\nskipped: %d\nseconds: %.0f\n",
		commit, tree, result, s.passed, s.failed, s.flaky, s.skipped, s.took.Seconds()), 0o644)
}
