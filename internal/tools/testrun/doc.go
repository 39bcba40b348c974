// SPDX-License-Identifier: Apache-2.0

// Command testrun is `make test`: it runs the jobs of the plan, some side by side,
// and says at the end what failed.
//
// Jobs of one lane run one after another, lanes run side by side. When all lanes
// have ended the tests that measure run, each with the machine to itself. Then
// every test that failed is run once more, alone. One that passes then is flaky:
// it is named in a line of its own with what it said the first time, and
// counted, and the run is still good, unless there are more than three, or one
// stands twice in the table of docs/testing.md already. Tests that failed twice are
// named at the very end, each with its last lines.
//
// A job is a command, or packages whose tests `go test -json` runs. Whatever a
// job started, and whatever that started, is ended with the run.
//
//	testrun            # everything; writes bin/last-test
//	testrun unit lint  # some jobs
package main
