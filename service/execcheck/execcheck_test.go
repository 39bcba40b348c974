// SPDX-License-Identifier: Apache-2.0

package execcheck

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"tallyman"
	"tallyman/service/servicetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) { servicetest.Run(t, Kind(), servicetest.Config("COMMAND", "true")) }

func TestScrape(t *testing.T) {
	var next tallyman.ExecResult
	var fail error
	var argv []string
	in := &servicetest.Inside{Run: func(_ context.Context, a []string, _ tallyman.ExecOptions) (tallyman.ExecResult, error) {
		argv = a
		return next, fail
	}}
	i, err := open(in, servicetest.Config("COMMAND", "sh -c 'exit 3'"))
	if err != nil {
		t.Fatal(err)
	}
	var events []string
	step := func(ctx context.Context, want map[string]float64) {
		t.Helper()
		s := servicetest.NewSink()
		if err := i.Scrape(ctx, s); err != nil {
			t.Fatal(err)
		}
		if s.Values[`check_duration_seconds{check="sh -c 'exit 3'"}`] <= 0 {
			t.Error("no duration")
		}
		delete(s.Values, `check_duration_seconds{check="sh -c 'exit 3'"}`)
		if d := cmp.Diff(want, s.Values); d != "" {
			t.Errorf("values (-want +got):\n%s", d)
		}
		events = append(events, s.Events...)
	}
	of := func(up, failed float64, code ...float64) map[string]float64 {
		const check = `{check="sh -c 'exit 3'"}`
		m := map[string]float64{"check_up" + check: up, "check_failed" + check: failed}
		if len(code) > 0 {
			m["check_exit_code"+check] = code[0]
		}
		return m
	}
	step(t.Context(), of(1, 0, 0))
	next = tallyman.ExecResult{Code: 3, Stdout: []byte(strings.Repeat("x", 2000) + "\npassword=sesame the end\n")}
	step(t.Context(), of(0, 0, 3))
	step(t.Context(), of(0, 0, 3))
	if len(events) > 0 {
		t.Errorf("two bad outcomes are told: %v", events)
	}
	step(t.Context(), of(0, 1, 3))
	step(t.Context(), of(0, 1, 3))
	next = tallyman.ExecResult{}
	step(t.Context(), of(1, 0, 0))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	fail = context.Canceled
	step(ended, of(0, 0))
	step(ended, of(0, 0))
	step(ended, of(0, 1))
	if len(events) != 3 || !strings.HasPrefix(events[0], "check down check=sh -c 'exit 3' exit_code=3 failures=3 output=xxx") || !strings.HasSuffix(events[0], " the end") || strings.Contains(events[0], "sesame") ||
		events[1] != "check up check=sh -c 'exit 3' exit_code=0" || events[2] != "check down check=sh -c 'exit 3' failures=3 reason=timeout" {
		t.Errorf("events %q", events)
	}
	if d := cmp.Diff([]string{"sh", "-c", "exit 3"}, argv); d != "" {
		t.Errorf("run (-want +got):\n%s", d)
	}
	fail = tallyman.ErrForbidden
	if err := i.Scrape(t.Context(), servicetest.NewSink()); !errors.Is(err, tallyman.ErrForbidden) {
		t.Errorf("got %v", err)
	}
}
