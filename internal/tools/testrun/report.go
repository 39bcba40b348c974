// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// event is a line of go test -json.
type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

// key is a test, or with no name a package.
type key struct{ pkg, test string }

func (k key) String() string { return strings.TrimSuffix(k.pkg+" "+k.test, " ") }

// top is the test that a part of it belongs to.
func (k key) top() key {
	k.test, _, _ = strings.Cut(k.test, "/")
	return k
}

// result is what became of a test.
type result struct {
	output []string
	state  string // pass, fail, skip or, when the process died, nothing
}

// outcome is what came of a job.
type outcome struct {
	job     job
	took    time.Duration
	err     error
	said    []string // by a command, or by the go command
	results map[key]*result
	broken  bool // something could not be built
}

// slow is how many seconds a test may take without being named.
const slow = 20

// event takes an event, and says what is of interest while it runs.
func (o *outcome) event(e event, rep *report) {
	if e.Action == "build-output" {
		o.said = append(o.said, e.Output)
		rep.say("%s", e.Output)
		return
	}
	if e.Action == "build-fail" {
		o.broken = true
		return
	}
	k := key{e.Package, e.Test}
	if o.results == nil {
		o.results = map[key]*result{}
	}
	r := o.results[k]
	if r == nil {
		r = &result{}
		o.results[k] = r
	}
	switch e.Action {
	case "output":
		r.output = append(r.output, e.Output)
	case "pass", "fail", "skip":
		r.state = e.Action
		switch {
		case e.Test == "" && e.Action != "skip": // a package that is skipped has no tests
			rep.say("%-5s %-45s %.1f s\n", e.Action, e.Package, e.Elapsed)
		case strings.Contains(e.Test, "/") || e.Test == "":
		case e.Action == "fail":
			rep.say("fail  %s %.1f s\n%s", k, e.Elapsed, strings.Join(o.all(k), ""))
		case e.Elapsed >= slow:
			rep.say("slow  %-45s %.1f s\n", e.Test, e.Elapsed)
		}
	}
}

// all is the output of a test with that of its parts.
func (o *outcome) all(top key) (lines []string) {
	parts := slices.SortedFunc(maps.Keys(o.results), func(a, b key) int { return cmp.Or(cmp.Compare(a.pkg, b.pkg), cmp.Compare(a.test, b.test)) })
	for _, k := range parts {
		if k.test != "" && k.top() == top && k != top {
			lines = append(lines, o.results[k].output...)
		}
	}
	if r := o.results[top]; r != nil {
		lines = append(lines, r.output...)
	}
	return lines
}

// A failure is what is run again.
type failure struct {
	job  job // that runs just this
	key  key
	said []string
	// once is why it is not run again.
	once string
}

func (f failure) name() string {
	if f.job.packages == nil {
		return f.job.name
	}
	return f.key.String()
}

// failures are the tests of an outcome that failed. A package whose process died,
// or that failed without a test, is one, for what it has not run is unknown.
func (o *outcome) failures() (list []failure) {
	if o.job.packages == nil {
		if o.err != nil {
			list = append(list, failure{job: o.job, said: append(o.said, o.err.Error()+"\n")})
		}
		return list
	}
	inPackage := map[string][]failure{}
	died := map[string]key{}
	for k, r := range o.results {
		if k.test == "" || k != k.top() || r.state == "pass" || r.state == "skip" {
			continue
		}
		j := o.job
		j.packages, j.flags = []string{k.pkg}, append(without(j.flags, "-run", "-skip"), "-run", anyOf([]string{k.test}), "-count=1")
		inPackage[k.pkg] = append(inPackage[k.pkg], failure{job: j, key: k, said: o.all(k)})
		if r.state == "" {
			died[k.pkg] = k
		}
	}
	for k, r := range o.results {
		if k.test != "" || r.state == "pass" || r.state == "skip" {
			continue
		}
		if _, dead := died[k.pkg]; dead || len(inPackage[k.pkg]) == 0 {
			j := o.job
			j.packages, j.flags = []string{k.pkg}, append(slices.Clone(j.flags), "-count=1")
			whole := failure{job: j, key: k, said: r.output}
			if dead {
				whole.key = died[k.pkg]
				whole.said = append(o.all(whole.key), r.output...)
			}
			if o.broken && !dead {
				whole.said, whole.once = append(o.said, r.output...), "it cannot be built"
			}
			inPackage[k.pkg] = []failure{whole}
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(inPackage)) {
		list = append(list, inPackage[pkg]...)
	}
	if len(list) == 0 && o.err != nil { // the go command itself
		list = append(list, failure{job: o.job, key: key{o.job.name, ""}, said: append(o.said, o.err.Error()+"\n"), once: "no test has run"})
	}
	slices.SortFunc(list, func(a, b failure) int { return strings.Compare(a.name(), b.name()) })
	return list
}

// without takes flags that have a value away.
func without(flags []string, names ...string) (out []string) {
	for i := 0; i < len(flags); i++ {
		if slices.Contains(names, flags[i]) {
			i++
			continue
		}
		out = append(out, flags[i])
	}
	return out
}

// report is what is known of the run so far.
type report struct {
	mu  sync.Mutex // over all of it
	out io.Writer

	states   map[string]string // of each test and command: pass, fail, flaky or skip
	reasons  []string          // of what was skipped
	times    []string          // of the jobs
	failed   []failure
	flaky    []failure
	recorded map[string]int // how often a test stands in the table of flaky ones
}

func newReport(out io.Writer, recorded map[string]int) *report {
	return &report{out: out, recorded: recorded, states: map[string]string{}}
}

func (r *report) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.out, format, args...)
}

// first takes the outcome of a job of the plan.
func (r *report) first(o outcome) {
	failures := o.failures()
	word := "done"
	if len(failures) > 0 {
		word = "fail"
	}
	r.say("%-5s %-45s %.1f s\n", word, o.job.name, o.took.Seconds())
	if o.job.packages == nil && len(failures) > 0 {
		r.say("%s", strings.Join(o.said, ""))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.times = append(r.times, fmt.Sprintf("%s %.0f s", o.job.name, o.took.Seconds()))
	r.take(o)
	r.failed = append(r.failed, failures...)
	for _, f := range failures {
		r.states[f.name()] = "fail"
	}
}

// take notes what became of each test.
func (r *report) take(o outcome) {
	if o.job.packages == nil {
		r.states[o.job.name] = "pass" // if not, it is a failure
	}
	for k, res := range o.results {
		switch {
		case k.test == "":
		case res.state == "pass":
			r.states[k.String()] = "pass"
		case res.state == "skip":
			r.states[k.String()] = "skip"
			r.reasons = append(r.reasons, fmt.Sprintf("%s: %s", k, reason(res.output)))
		default:
			r.states[k.String()] = "fail"
		}
	}
}

// mostAgain is how many failures are looked at again; with more the run has
// failed in any case.
const mostAgain = 12

// again gives what is to be run once more, and keeps the rest as failed.
func (r *report) again() (list []failure) {
	all := r.failed
	r.failed = nil
	for _, f := range all {
		if f.once == "" && len(list) == mostAgain {
			f.once = fmt.Sprintf("more than %d failed", mostAgain)
		}
		if f.once != "" {
			r.failed = append(r.failed, f)
		} else {
			list = append(list, f)
		}
	}
	return list
}

// second takes the outcome of a failure that was run again.
func (r *report) second(f failure, o outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	failures := o.failures()
	r.take(o)
	for _, again := range failures {
		r.states[again.name()] = "fail"
	}
	switch {
	case len(failures) > 0:
		r.failed = append(r.failed, failures...)
	case f.job.packages != nil && o.results[f.key] == nil && o.results[key{f.key.pkg, ""}] == nil:
		f.once = "it was not there the second time"
		r.failed = append(r.failed, f)
	default:
		for name := range r.states { // its parts with it
			if strings.HasPrefix(name, f.name()+"/") && r.states[name] == "fail" {
				r.states[name] = "pass"
			}
		}
		r.states[f.name()] = "flaky"
		r.flaky = append(r.flaky, f)
	}
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
