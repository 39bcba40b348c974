// SPDX-License-Identifier: Apache-2.0

package host

import (
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tallyman"
)

var (
	now              = gauge("node_time_seconds", "seconds", "Unix time of the host's clock")
	zoneOffset       = gauge("node_time_zone_offset_seconds", "seconds", "How far the host's time zone is ahead of UTC")
	clocksources     = gauge("node_time_clocksource_available_info", "", "Always 1; the clocks that the kernel can use")
	clocksourceInUse = gauge("node_time_clocksource_current_info", "", "Always 1; the clock that the kernel uses")
)

// timeCollector is the time of the round, so that its samples and it are one.
var timeCollector = collector{
	name: "time", what: "time", descs: []*tallyman.Desc{now},
	open: func(s *Source) reading {
		return func(to *sink) error {
			to.Add(now, float64(s.now.UnixMilli())/1000)
			return nil
		}
	},
}

// zoneCollector is a part of time in node_exporter, that changes twice a year.
var zoneCollector = collector{
	name: "clocksource", what: "clock sources", every: time.Minute, descs: []*tallyman.Desc{zoneOffset, clocksources, clocksourceInUse},
	open: func(s *Source) reading {
		return func(to *sink) error {
			zone := s.zone()
			if zone != nil {
				name, offset := time.Now().In(zone).Zone()
				to.Add(zoneOffset, float64(offset), "time_zone", name)
			}
			dirs, _ := filepath.Glob(filepath.Join(s.o.Sys, "devices/system/clocksource/clocksource[0-9]*"))
			for i, dir := range dirs {
				device := strconv.Itoa(i)
				all, _ := text(filepath.Join(dir, "available_clocksource"))
				for _, name := range strings.Fields(all) {
					to.Add(clocksources, 1, "device", device, "clocksource", name)
				}
				if current, ok := text(filepath.Join(dir, "current_clocksource")); ok {
					to.Add(clocksourceInUse, 1, "device", device, "clocksource", current)
				}
			}
			switch {
			case len(dirs) == 0:
				return none("There is nothing about clock sources in /sys.")
			case zone == nil:
				return errNoRoot
			}
			return nil
		}
	},
}

// maxZone bounds the file of a time zone.
const maxZone = 1 << 20

// zone is the host's time zone, nil when it is not known. A host without the file has UTC.
func (s *Source) zone() *time.Location {
	if s.o.Root == "" {
		return nil
	}
	data, err := s.rootFile("etc/localtime", maxZone)
	if err != nil {
		return time.UTC
	}
	zone, err := time.LoadLocationFromTZData("", data)
	if err != nil {
		return time.UTC
	}
	return zone
}

// The fields of adjtimex.
var timexDescs = []*tallyman.Desc{
	gauge("node_timex_sync_status", "", "Whether the kernel's clock is kept right by a program for that: 1 or 0"),
	gauge("node_timex_offset_seconds", "seconds", "How far the clock is from what it is kept right by"),
	gauge("node_timex_frequency_adjustment_ratio", "", "By how much the clock is made faster or slower"),
	gauge("node_timex_maxerror_seconds", "seconds", "By how much the clock may be wrong at most, as the kernel reckons"),
	gauge("node_timex_estimated_error_seconds", "seconds", "By how much the clock is wrong, as is estimated"),
	gauge("node_timex_status", "", "The bits of the clock's status (STA_* of adjtimex)"),
	gauge("node_timex_loop_time_constant", "", "How stiff the loop is that keeps the clock right"),
	gauge("node_timex_tick_seconds", "seconds", "Time between two ticks of the clock"),
	gauge("node_timex_pps_frequency_hertz", "hertz", "Frequency of the pulse per second"),
	gauge("node_timex_pps_jitter_seconds", "seconds", "Jitter of the pulse per second"),
	gauge("node_timex_pps_shift_seconds", "seconds", "Duration of the interval of the pulse per second"),
	gauge("node_timex_pps_stability_hertz", "hertz", "Average of the latest changes of the frequency of the pulse per second"),
	counter("node_timex_pps_jitter_total", "", "How often the jitter of the pulse per second was over its limit"),
	counter("node_timex_pps_calibration_total", "", "Calibrations of the pulse per second"),
	counter("node_timex_pps_error_total", "", "Calibrations of the pulse per second that failed"),
	counter("node_timex_pps_stability_exceeded_total", "", "How often the stability of the pulse per second was over its limit"),
	gauge("node_timex_tai_offset_seconds", "seconds", "How far International Atomic Time is ahead of UTC"),
}

// timexValues are the values in the order of timexDescs.
func timexValues(t *unix.Timex, synced bool) [17]float64 {
	unit := 1e6 // of offset and jitter
	if t.Status&unix.STA_NANO != 0 {
		unit = 1e9
	}
	const ppm = 65536 * 1e6 // scaled parts per million
	return [...]float64{
		number(synced), float64(t.Offset) / unit, 1 + float64(t.Freq)/ppm, float64(t.Maxerror) / 1e6, float64(t.Esterror) / 1e6, float64(t.Status),
		float64(t.Constant), float64(t.Tick) / 1e6, float64(t.Ppsfreq) / ppm, float64(t.Jitter) / unit, float64(t.Shift), float64(t.Stabil) / ppm,
		float64(t.Jitcnt), float64(t.Calcnt), float64(t.Errcnt), float64(t.Stbcnt), float64(t.Tai),
	}
}

var timexCollector = collector{
	name: "timex", what: "clock", descs: timexDescs,
	open: func(s *Source) reading {
		return func(to *sink) error {
			var t unix.Timex // modes 0: nothing is changed, for which no right is needed
			state, err := s.clock(&t)
			if err != nil {
				return &lack{tallyman.Lacking, "The kernel does not tell about its clock: adjtimex: " + err.Error() + ".", "a seccomp profile that allows adjtimex, as Docker's own does"}
			}
			for i, v := range timexValues(&t, state != unix.TIME_ERROR) {
				to.Add(timexDescs[i], v)
			}
			return nil
		}
	},
}
