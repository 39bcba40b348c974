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
		if s.Values["check_duration_seconds"] < 0 {
			t.Error("no duration")
		}
		delete(s.Values, "check_duration_seconds")
		if d := cmp.Diff(want, s.Values); d != "" {
			t.Errorf("values (-want +got):\n%s", d)
		}
		events = append(events, s.Events...)
	}
	step(t.Context(), map[string]float64{"check_up": 1, "check_exit_code": 0})
	next = tallyman.ExecResult{Code: 3, Stdout: []byte(strings.Repeat("x", 2000) + "the end\n")}
	step(t.Context(), map[string]float64{"check_up": 0, "check_exit_code": 3})
	step(t.Context(), map[string]float64{"check_up": 0, "check_exit_code": 3})
	next = tallyman.ExecResult{}
	step(t.Context(), map[string]float64{"check_up": 1, "check_exit_code": 0})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	fail = context.Canceled
	step(ended, map[string]float64{"check_up": 0})
	want := []string{"check down exit_code=3 output=" + strings.Repeat("x", tail-8) + "the end", "check up exit_code=0", "check down reason=timeout"}
	if d := cmp.Diff(want, events); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"sh", "-c", "exit 3"}, argv); d != "" {
		t.Errorf("run (-want +got):\n%s", d)
	}
	fail = tallyman.ErrForbidden
	if err := i.Scrape(t.Context(), servicetest.NewSink()); !errors.Is(err, tallyman.ErrForbidden) {
		t.Errorf("got %v", err)
	}
}
