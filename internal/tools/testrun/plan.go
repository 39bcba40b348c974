// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A job is a part of the run.
type job struct {
	name string
	lane string // jobs of a lane run one after another; those of "" at the end, alone
	dir  string
	env  []string // beside that of the run

	// A command, which fails or not,
	argv []string
	// or packages, whose tests are run with these flags of go test.
	packages, flags []string

	// gentle jobs use the processors that others leave over: they compute, and
	// beside them are tests that look at the clock.
	gentle bool
}

// alone are the tests of the engine's suites that measure, or that others would
// disturb, with the reason.
var alone = map[string]map[string]string{
	"integration": {
		"TestHundredContainersComeAndGo":     "fills the machine with what a hundred containers do",
		"TestHostCounters":                   "reads the whole machine's counters twice and wants what lies between",
		"TestHostGauges":                     "compares the whole machine's memory",
		"TestFileSystemsBesideDf":            "compares what is free, which everybody writes to",
		"TestMachineBesideTheRootCgroup":     "compares the whole machine's counters",
		"TestAgentInAContainerEqualsTheHost": "compares the whole machine's counters",
		"TestFilesFromTheAgent":              "wants the host's files out of reach, which they are not beside a browser: it gives up its own rights",
	},
	"torture": {
		"TestFloodAndEndlessLine": "looks at delay and memory under a load that fills the machine",
		"TestThousandCycles":      "compares descriptors, which every container of the engine takes",
		"TestTermUnderAFlood":     "looks at the clock under a load that fills the machine",
	},
}

// waiting are the tests of the engine's suites that take most of a minute or more
// and wait for nearly all of it. They run beside the others from the start, so that
// no suite ends with one of them alone.
var waiting = map[string][]string{
	"torture":     {"TestTooFewDescriptors", "TestAlarmsOverKills", "TestServicesOverRestarts"},
	"integration": {"TestAgentWithFewerRights", "TestBadDay", "TestJournal", "TestLogsOfEveryDriver", "TestStatsAPIEqualsTheKernelsFiles"},
	"e2e":         {"TestAlarms", "TestDoctor", "TestLook"},
}

// plan is everything that make test runs.
func plan(root string) ([]job, error) {
	unit, err := packages(root)
	if err != nil {
		return nil, err
	}
	without, err := withoutRace(root)
	if err != nil {
		return nil, err
	}
	race := job{name: "unit", lane: "code", dir: root, gentle: true, env: []string{"CGO_ENABLED=1"}, packages: unit, flags: []string{"-race", "-short", "-vet=off"}}
	if _, err := exec.LookPath("gcc"); err != nil && os.Getenv("CI") != "true" {
		fmt.Println("no gcc: the unit tests run without the race detector")
		race.env, race.flags = nil, race.flags[1:] // without -race
	}
	tool := []string{"go", "tool", "-modfile=internal/tools/go.mod", "staticcheck"}
	jobs := []job{
		{name: "gofmt", lane: "code", dir: root, argv: []string{"sh", "-c", `bad=$(gofmt -l $(git ls-files -co --exclude-standard '*.go' | xargs ls 2>/dev/null)); [ -z "$bad" ] || { echo "not formatted:" $bad; exit 1; }`}},
		{name: "vet", lane: "code", dir: root, gentle: true, argv: []string{"sh", "-c", "go vet ./... && cd internal/tools && go vet ./..."}},
		{name: "web", lane: "code", dir: root + "/web", gentle: true, argv: []string{"npm", "test", "--silent"}},
		{name: "guard", lane: "code", dir: root, gentle: true, packages: []string{"./test/guard"}, flags: []string{"-count=1", "-vet=off"}},
		{name: "tools", lane: "code", dir: root + "/internal/tools", gentle: true, packages: []string{"./..."}, flags: []string{"-vet=off"}},
		race,
		{name: "staticcheck", lane: "code", dir: root, gentle: true, argv: append(tool, "./...")},
	}
	for _, pkg := range slices.Sorted(maps.Keys(without)) {
		jobs = append(jobs, job{name: "allocations", lane: "code", dir: root, packages: []string{pkg}, flags: []string{"-vet=off", "-run", anyOf(without[pkg])}})
	}
	binary := filepath.Join(root, "bin/tallyman")
	// One after another: side by side they fill two cores, and a test of one sees
	// the containers of the others. Chromium is last, when the code lane has ended.
	for _, s := range []struct{ name, parallel string }{{"torture", "3"}, {"integration", "6"}, {"bench", "1"}, {"e2e", "4"}} {
		j := job{
			name: s.name, lane: "engine", dir: root, env: []string{"TEST_TALLYMAN_BINARY=" + binary, "TEST_UI=1"}, packages: []string{"./test/" + s.name},
			flags: []string{"-count=1", "-vet=off", "-timeout", "15m", "-parallel", s.parallel},
		}
		apart := func(name, lane string, tests []string) {
			if len(tests) > 0 {
				some := j
				some.name, some.lane, some.flags = s.name+", "+name, lane, append(slices.Clone(j.flags), "-run", anyOf(tests))
				jobs = append(jobs, some)
			}
		}
		last := slices.Sorted(maps.Keys(alone[s.name]))
		apart("alone", "", last)
		apart("waiting", "waiting", waiting[s.name])
		if out := slices.Concat(last, waiting[s.name]); len(out) > 0 {
			j.flags = append(j.flags, "-skip", anyOf(out))
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

// anyOf is the pattern of go test's -run and -skip for just these tests.
func anyOf(tests []string) string { return "^(" + strings.Join(tests, "|") + ")$" }

// packages are all whose tests need neither an engine nor a browser.
func packages(root string) (unit []string, err error) {
	cmd := exec.Command("go", "list", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	for p := range strings.FieldsSeq(string(out)) {
		if !strings.Contains(p, "/test/") {
			unit = append(unit, p)
		}
	}
	return unit, nil
}

var (
	noRace   = regexp.MustCompile(`(?m)^//go:build !race$`)
	function = regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9_]+)\(`)
)

// withoutRace are the tests that are not built with the race detector, which
// allocates by itself, by package.
func withoutRace(root string) (map[string][]string, error) {
	cmd := exec.Command("git", "ls-files", "-co", "--exclude-standard", "*_test.go")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	tests := map[string][]string{}
	for name := range strings.FieldsSeq(string(out)) {
		text, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // removed, and not committed yet
		}
		if err != nil {
			return nil, err
		}
		if !noRace.Match(text) {
			continue
		}
		pkg := "./" + filepath.Dir(name)
		for _, m := range function.FindAllSubmatch(text, -1) {
			tests[pkg] = append(tests[pkg], string(m[1]))
		}
	}
	return tests, nil
}
