// SPDX-License-Identifier: Apache-2.0

package beanstalkd

import (
	"context"
	"errors"
	"math"
	"strings"

	"tallyman"
	"tallyman/service/ask"
)

const (
	// maxRows is how many tubes are told of one by one: with all of their numbers they
	// stay below what an instance may give.
	maxRows = 100
	// maxAsked is how many tubes are asked for. The server looks through the list of all
	// for each of them, while everybody else waits.
	maxAsked = 2000
	// batch is how many questions are sent in one piece.
	batch = 16
)

func gauge(name, unit, help string) *tallyman.Desc {
	return &tallyman.Desc{Name: "beanstalkd_" + name, Type: tallyman.Gauge, Unit: unit, Help: help}
}

func counter(name, unit, help string) *tallyman.Desc {
	return &tallyman.Desc{Name: "beanstalkd_" + name, Type: tallyman.Counter, Unit: unit, Help: help}
}

// ran is the count of a command.
func ran(command string) *tallyman.Desc {
	return counter("cmd_"+strings.ReplaceAll(command, "-", "_"), "", "Commands "+command)
}

// Those that charts show.
var (
	up          = gauge("up", "", "1 when the last scrape was good")
	version     = gauge("version", "", "1, with the version in a label")
	urgent      = gauge("current_jobs_urgent", "", "Ready jobs with a priority below 1024")
	ready       = gauge("current_jobs_ready", "", "Jobs that wait for a worker")
	reserved    = gauge("current_jobs_reserved", "", "Jobs that workers have taken")
	delayed     = gauge("current_jobs_delayed", "", "Jobs that wait for their time")
	buried      = gauge("current_jobs_buried", "", "Jobs that were put aside until somebody kicks them")
	jobs        = counter("total_jobs", "", "Jobs created")
	timeouts    = counter("job_timeouts", "", "Jobs taken back from workers that had not done them in time")
	connections = gauge("current_connections", "", "Open connections")
	producers   = gauge("current_producers", "", "Open connections that have put a job")
	workers     = gauge("current_workers", "", "Open connections that have reserved a job")
	waiting     = gauge("current_waiting", "", "Open connections that wait for a job")
	deletes     = ran("delete")
	releases    = ran("release")
	buries      = ran("bury")
	kicks       = ran("kick")
	written     = counter("binlog_records_written", "", "Records written to the binlog")
	migrated    = counter("binlog_records_migrated", "", "Records written again to shorten the binlog")
	tubeReady   = gauge("tube_current_jobs_ready", "", "Jobs of each tube that wait for a worker")
	tubeBuried  = gauge("tube_current_jobs_buried", "", "Jobs of each tube that were put aside")
	tubeJobs    = counter("tube_total_jobs", "", "Jobs created in each tube")
	tubePause   = gauge("tube_pause", "seconds", "How long each tube was paused for, 0 when it is not")
	tubeLeft    = gauge("tube_pause_time_left", "seconds", "Time until each tube goes on")
)

type field struct {
	stat string
	desc *tallyman.Desc
}

// ofServer are fields of stats.
var ofServer = []field{
	{"current-jobs-urgent", urgent}, {"current-jobs-ready", ready}, {"current-jobs-reserved", reserved}, {"current-jobs-delayed", delayed}, {"current-jobs-buried", buried},
	{"total-jobs", jobs}, {"job-timeouts", timeouts},
	{"current-connections", connections}, {"current-producers", producers}, {"current-workers", workers}, {"current-waiting", waiting},
	{"total-connections", counter("total_connections", "", "Connections accepted")},
	{"current-tubes", gauge("current_tubes", "", "Tubes that there are")},
	{"max-job-size", gauge("max_job_size", "bytes", "Size of a job that is allowed")},
	{"cmd-delete", deletes}, {"cmd-release", releases}, {"cmd-bury", buries}, {"cmd-kick", kicks},
	{"cmd-put", ran("put")}, {"cmd-reserve", ran("reserve")}, {"cmd-reserve-with-timeout", ran("reserve-with-timeout")}, {"cmd-touch", ran("touch")},
	{"cmd-use", ran("use")}, {"cmd-watch", ran("watch")}, {"cmd-ignore", ran("ignore")},
	{"cmd-peek", ran("peek")}, {"cmd-peek-ready", ran("peek-ready")}, {"cmd-peek-delayed", ran("peek-delayed")}, {"cmd-peek-buried", ran("peek-buried")},
	{"cmd-stats", ran("stats")}, {"cmd-stats-job", ran("stats-job")}, {"cmd-stats-tube", ran("stats-tube")},
	{"cmd-list-tubes", ran("list-tubes")}, {"cmd-list-tube-used", ran("list-tube-used")}, {"cmd-list-tubes-watched", ran("list-tubes-watched")}, {"cmd-pause-tube", ran("pause-tube")},
	{"rusage-utime", counter("rusage_utime", "seconds", "CPU time of the server")},
	{"rusage-stime", counter("rusage_stime", "seconds", "CPU time of the server in the kernel")},
	{"uptime", gauge("uptime", "seconds", "Time since the server started")},
	{"binlog-records-written", written}, {"binlog-records-migrated", migrated},
	{"binlog-oldest-index", gauge("binlog_oldest_index", "", "Number of the oldest file of the binlog that is needed")},
	{"binlog-current-index", gauge("binlog_current_index", "", "Number of the file that is written to, 0 without a binlog")},
	{"binlog-max-size", gauge("binlog_max_size", "bytes", "Size at which a new file of the binlog is begun")},
	{"draining", gauge("draining", "", "1 while new jobs are refused")},
}

// ofTube are fields of stats-tube.
var ofTube = []field{
	{"total-jobs", tubeJobs}, {"current-jobs-ready", tubeReady}, {"current-jobs-buried", tubeBuried}, {"pause", tubePause}, {"pause-time-left", tubeLeft},
	{"current-jobs-urgent", gauge("tube_current_jobs_urgent", "", "Ready jobs of each tube with a priority below 1024")},
	{"current-jobs-reserved", gauge("tube_current_jobs_reserved", "", "Jobs of each tube that workers have taken")},
	{"current-jobs-delayed", gauge("tube_current_jobs_delayed", "", "Jobs of each tube that wait for their time")},
	{"current-using", gauge("tube_current_using", "", "Connections that put their jobs into each tube")},
	{"current-watching", gauge("tube_current_watching", "", "Connections that take jobs from each tube")},
	{"current-waiting", gauge("tube_current_waiting", "", "Connections that wait for a job of each tube")},
	{"cmd-delete", counter("tube_cmd_delete", "", "Jobs of each tube that were deleted")},
	{"cmd-pause-tube", counter("tube_cmd_pause_tube", "", "Times that each tube was paused")},
}

func metrics() []*tallyman.Desc {
	list := []*tallyman.Desc{up, version}
	for _, fields := range [][]field{ofServer, ofTube} {
		for _, f := range fields {
			list = append(list, f.desc)
		}
	}
	return list
}

// Scrape implements tallyman.Service.
func (i *instance) Scrape(ctx context.Context, s tallyman.ServiceSink) error {
	c, err := dial(ctx, i.in, i.network, i.address)
	if err != nil {
		return err
	}
	defer c.close()
	b, err := c.ask("stats")
	if err != nil {
		return err
	}
	server := fields(b)
	if server["version"] == "" {
		return tallyman.Faulty(tallyman.ParseFault, wrongPort, "its statistics have no version")
	}
	if b, err = c.ask("list-tubes"); err != nil {
		return err
	}
	rows, err := c.rows(tubes(b, maxAsked))
	if err != nil {
		return err
	}
	s.Add(up, 1)
	s.Add(version, 1, "version", server["version"])
	for _, f := range ofServer {
		if v, ok := number(server[f.stat]); ok {
			s.Add(f.desc, v)
		}
	}
	for _, row := range i.tubes.Top(rows, maxRows) {
		for at, f := range ofTube {
			v := row.Values[at]
			if math.IsNaN(v) || row.Labels[0] == ask.Other && (f.desc == tubePause || f.desc == tubeLeft) {
				continue // times of several tubes have no sum
			}
			s.Add(f.desc, v, "tube", row.Labels[0])
		}
	}
	return nil
}

// rows asks for tubes. One that has gone in the meantime is left out.
func (c *client) rows(names []string) (rows []ask.Row, err error) {
	for len(names) > 0 {
		some := names[:min(batch, len(names))]
		names = names[len(some):]
		commands := make([]string, len(some))
		for at, name := range some {
			commands[at] = "stats-tube " + name
		}
		if err := c.send(commands...); err != nil {
			return nil, err
		}
		for _, name := range some {
			b, err := c.document("stats-tube", maxTube)
			switch {
			case errors.Is(err, errGone):
			case err != nil:
				return nil, err
			default:
				rows = append(rows, row(name, fields(b)))
			}
		}
	}
	return rows, nil
}

// row is a tube. The largest is the one that has had the most jobs: that changes seldom,
// while by the jobs that wait other tubes would come and go with each scrape.
func row(name string, m map[string]string) ask.Row {
	r := ask.Row{Labels: []string{name}, Values: make([]float64, len(ofTube))}
	for at, f := range ofTube {
		v, ok := number(m[f.stat])
		if !ok {
			v = math.NaN()
		} else if f.desc == tubeJobs {
			r.Size = v
		}
		r.Values[at] = v
	}
	if name == ask.Other {
		r.Size = -1 // it gives way to the sum of the rest
	}
	return r
}
