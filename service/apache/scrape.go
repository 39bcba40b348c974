// SPDX-License-Identifier: Apache-2.0

package apache

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"tallyman"
)

var (
	up          = gauge("up", "", "1 when the last scrape was good")
	version     = gauge("version", "", "Version as a number: 2.04062 for 2.4.62")
	info        = gauge("info", "", "1, with version and multi-processing module in labels")
	accesses    = counter("accesses_total", "", "Requests")
	kilobytes   = counter("sent_kilobytes_total", "", "KiB sent")
	duration    = counter("duration_ms_total", "", "Time of all requests in milliseconds")
	cpuLoad     = gauge("cpuload", "", "CPU time by time since the start, in percent")
	cpuTime     = counter("cpu_time_ms_total", "", "CPU time in milliseconds, by type")
	uptime      = counter("uptime_seconds_total", "seconds", "Time since the start")
	load        = gauge("load", "", "Load of the machine, by interval")
	workers     = gauge("workers", "", "Workers that are busy and idle")
	processes   = gauge("processes", "", "Processes, by state")
	connections = gauge("connections", "", "Connections, by state")
	scoreboard  = gauge("scoreboard", "", "Workers, by what they do")
	generation  = gauge("generation", "", "Times that the configuration was read, by type")
)

func gauge(name, unit, help string) *tallyman.Desc {
	return &tallyman.Desc{Name: "apache_" + name, Type: tallyman.Gauge, Unit: unit, Help: help}
}

func counter(name, unit, help string) *tallyman.Desc {
	return &tallyman.Desc{Name: "apache_" + name, Type: tallyman.Counter, Unit: unit, Help: help}
}

// parse reads the page for machines: lines of "name: value".
func parse(body []byte) (map[string]string, error) {
	m := map[string]string{}
	for line := range strings.Lines(string(body)) {
		if name, value, ok := strings.Cut(line, ":"); ok && len(name) < 64 && len(m) < 1000 {
			m[name] = strings.TrimSpace(value)
		}
	}
	if m["Scoreboard"] == "" || m["BusyWorkers"] == "" {
		return nil, tallyman.Faulty(tallyman.ParseFault, "Set STATS URL to the location that has the handler server-status, with ?auto.", "the page is not that of mod_status")
	}
	return m, nil
}

// field is a line and its metric.
type field struct {
	line         string
	desc         *tallyman.Desc
	label, value string
}

var fields = []field{
	{"Total Accesses", accesses, "", ""},
	{"Total kBytes", kilobytes, "", ""},
	{"Total Duration", duration, "", ""},
	{"CPULoad", cpuLoad, "", ""},
	{"Uptime", uptime, "", ""},
	{"Load1", load, "interval", "1min"},
	{"Load5", load, "interval", "5min"},
	{"Load15", load, "interval", "15min"},
	{"BusyWorkers", workers, "state", "busy"},
	{"IdleWorkers", workers, "state", "idle"},
	{"Processes", processes, "state", "all"},
	{"Stopping", processes, "state", "stopping"},
	{"ConnsTotal", connections, "state", "total"},
	{"ConnsAsyncWriting", connections, "state", "writing"},
	{"ConnsAsyncKeepAlive", connections, "state", "keepalive"},
	{"ConnsAsyncClosing", connections, "state", "closing"},
	{"ParentServerConfigGeneration", generation, "type", "config"},
	{"ParentServerMPMGeneration", generation, "type", "mpm"},
}

// doing are the letters of the scoreboard.
var doing = []struct{ letter, state string }{
	{"_", "idle"}, {"S", "startup"}, {"R", "read"}, {"W", "reply"}, {"K", "keepalive"}, {"D", "dns"}, {"C", "closing"}, {"L", "logging"}, {"G", "graceful_stop"}, {"I", "idle_cleanup"}, {".", "open_slot"},
}

var numbers = regexp.MustCompile(`Apache/(\d+)\.(\d+)(?:\.(\d+))?`)

// give adds what the page says.
func give(s tallyman.ServiceSink, m map[string]string) {
	s.Add(up, 1)
	for _, f := range fields {
		v, err := strconv.ParseFloat(m[f.line], 64)
		switch {
		case err != nil:
		case f.label == "":
			s.Add(f.desc, v)
		default:
			s.Add(f.desc, v, f.label, f.value)
		}
	}
	for _, one := range []struct{ name, label string }{{"User", "user"}, {"System", "system"}} {
		own, err := strconv.ParseFloat(m["CPU"+one.name], 64)
		children, err2 := strconv.ParseFloat(m["CPUChildren"+one.name], 64)
		if err == nil && err2 == nil {
			s.Add(cpuTime, 1000*(own+children), "type", one.label)
		}
	}
	for _, d := range doing {
		s.Add(scoreboard, float64(strings.Count(m["Scoreboard"], d.letter)), "state", d.state)
	}
	if text := m["ServerVersion"]; text != "" {
		s.Add(info, 1, "version", text, "mpm", m["ServerMPM"])
		if n := numbers.FindStringSubmatch(text); n != nil {
			if v, err := strconv.ParseFloat(fmt.Sprintf("%s.%02s%03s", n[1], n[2], n[3]), 64); err == nil {
				s.Add(version, v)
			}
		}
	}
}
