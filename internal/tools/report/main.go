// SPDX-License-Identifier: Apache-2.0

// Command report reads the stream of `go test -json` and prints what a person
// wants to know: each package with its time, tests that take long, the output of
// what failed, every skipped test with its reason, and one line of counts. It
// fails when a test did.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

type result struct {
	output []string
	state  string
}

// slow is how many seconds a test may take without being named.
const slow = 20

func main() {
	failed, err := report(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(2)
	}
	if failed {
		os.Exit(1)
	}
}

func report(in io.Reader, out io.Writer) (failed bool, err error) {
	results := map[string]*result{}
	counts := map[string]int{}
	var skipped []string
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(out, lines.Text()) // not of go test: the go command's own words
			continue
		}
		key := e.Package + " " + e.Test
		r := results[key]
		if r == nil {
			r = &result{}
			results[key] = r
		}
		switch e.Action {
		case "output":
			r.output = append(r.output, e.Output)
		case "build-output":
			fmt.Fprint(out, e.Output)
		case "build-fail":
			failed = true
		case "pass", "fail", "skip":
			r.state = e.Action
			if e.Test == "" {
				if e.Action != "skip" { // of a package: it has no tests
					fmt.Fprintf(out, "%-5s %-45s %.1f s\n", e.Action, e.Package, e.Elapsed)
				}
				if e.Action == "fail" {
					failed = true
					fmt.Fprint(out, strings.Join(r.output, ""))
				}
				continue
			}
			counts[e.Action]++
			if e.Elapsed >= slow && !strings.Contains(e.Test, "/") {
				fmt.Fprintf(out, "slow  %-45s %.1f s\n", e.Test, e.Elapsed)
			}
			switch e.Action {
			case "fail":
				failed = true
				fmt.Fprintf(out, "FAIL  %s %s\n%s", e.Package, e.Test, strings.Join(r.output, ""))
			case "skip":
				skipped = append(skipped, fmt.Sprintf("%s %s: %s", e.Package, e.Test, reason(r.output)))
			}
		}
	}
	if err := lines.Err(); err != nil {
		return true, err
	}
	// A package whose process died leaves tests without an end.
	for key, r := range results {
		if r.state == "" && !strings.HasSuffix(key, " ") && strings.TrimSpace(key) != "" {
			failed = true
			counts["fail"]++
			fmt.Fprintf(out, "FAIL  %s did not end\n%s", key, strings.Join(r.output, ""))
		}
	}
	slices.Sort(skipped)
	for _, s := range skipped {
		fmt.Fprintln(out, "skipped:", s)
	}
	if counts["pass"] == 0 {
		failed = true
		fmt.Fprintln(out, "no test has run")
	}
	fmt.Fprintf(out, "\n%d passed, %d failed, %d skipped\n", counts["pass"], counts["fail"], counts["skip"])
	return failed, nil
}

// reason is what a skipped test said, without the frame that go test adds.
func reason(output []string) string {
	var said []string
	for _, l := range output {
		l = strings.TrimSpace(l)
		if l != "" && !strings.HasPrefix(l, "===") && !strings.HasPrefix(l, "---") {
			said = append(said, l)
		}
	}
	return strings.Join(said, " ")
}
