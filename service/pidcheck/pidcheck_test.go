// SPDX-License-Identifier: Apache-2.0

package pidcheck

import (
	"testing"
	"time"

	"tallyman"
	"tallyman/service/servicetest"
)

func TestContract(t *testing.T) { servicetest.Run(t, Kind(), servicetest.Config("PROCESS", "x")) }

func TestScrape(t *testing.T) {
	in := &servicetest.Inside{
		F: tallyman.ServiceFacts{Processes: []tallyman.ServiceProcess{
			{Pid: 1001, Inner: 1, Name: "nginx", Args: []string{"nginx: master process nginx"}, Started: time.Now().Add(-time.Hour)},
			{Pid: 1002, Inner: 7, Name: "nginx", Args: []string{"nginx: worker process"}, Started: time.Now().Add(-time.Minute)},
			{Pid: 1003, Inner: 8, Name: "gone", Zombie: true, Args: []string{"gone"}},
		}},
		Files: map[string]string{"/run/a.pid": "7\n", "/run/old.pid": "99\n", "/run/host.pid": "1002", "/run/bad.pid": "x"},
	}
	for name, one := range map[string]struct {
		pairs []string
		n     float64
		age   time.Duration
	}{
		"name":            {[]string{"PROCESS", "nginx"}, 2, time.Hour},
		"expression":      {[]string{"PROCESS", "^nginx: worker"}, 1, time.Minute},
		"none":            {[]string{"PROCESS", "^apache$"}, 0, 0},
		"zombie":          {[]string{"PROCESS", "gone"}, 0, 0},
		"file":            {[]string{"PID FILE", "/run/a.pid"}, 1, time.Minute},
		"stale file":      {[]string{"PID FILE", "/run/old.pid"}, 0, 0},
		"no file":         {[]string{"PID FILE", "/run/no.pid"}, 0, 0},
		"broken file":     {[]string{"PID FILE", "/run/bad.pid"}, 0, 0},
		"the host's view": {[]string{"PID FILE", "/run/host.pid"}, 0, 0},
	} {
		i, err := open(in, servicetest.Config(one.pairs...))
		if err != nil {
			t.Fatal(err)
		}
		s := servicetest.NewSink()
		if err := i.Scrape(t.Context(), s); err != nil || s.Values["process_check_count"] != one.n || s.Values["process_check_up"] != min(one.n, 1) {
			t.Errorf("%s: %v, %v", name, s.Values, err)
		}
		if got, ok := s.Values["process_check_uptime_seconds"]; ok != (one.n > 0) || got < one.age.Seconds() || got > one.age.Seconds()+600 {
			t.Errorf("%s: age %v, %v", name, got, ok)
		}
	}
	for _, pairs := range [][]string{nil, {"PROCESS", "("}} {
		if _, err := open(in, servicetest.Config(pairs...)); err == nil {
			t.Errorf("%v is taken", pairs)
		}
	}
}
