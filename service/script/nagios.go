// SPDX-License-Identifier: Apache-2.0

package script

import (
	"math"
	"regexp"
	"strconv"
	"strings"

	"tallyman"
)

// value is a number with its unit, as Nagios plugins write them.
var value = regexp.MustCompile(`^(-?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)([a-zA-Z%]*)$`)

// scales make base units of Nagios'.
var scales = map[string]float64{"": 1, "s": 1, "ms": 1e-3, "us": 1e-6, "%": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "c": 1}

// nagios takes the exit code of a check and its performance data; it returns how many of
// those could not be followed.
func (i *instance) nagios(r tallyman.ExecResult, s tallyman.ServiceSink) (wrong int) {
	code := r.Code
	if code < 0 || code > 3 {
		code = 3
	}
	s.Add(state, float64(code), "script", i.name)
	first, _, _ := strings.Cut(string(r.Stdout), "\n")
	_, data, _ := strings.Cut(first, "|")
	for data = strings.TrimSpace(data); data != ""; {
		var label string
		if strings.HasPrefix(data, "'") {
			end := strings.Index(data[1:], "'=")
			if end < 0 {
				return wrong + 1
			}
			label, data = data[1:end+1], data[end+3:]
		} else {
			name, rest, ok := strings.Cut(data, "=")
			if !ok {
				return wrong + 1
			}
			label, data = name, rest
		}
		var one string
		one, data, _ = strings.Cut(data, " ")
		data = strings.TrimSpace(data)
		number, _, _ := strings.Cut(one, ";")
		m := value.FindStringSubmatch(number)
		if m == nil {
			wrong++
			continue
		}
		scale, ok := scales[strings.ToLower(m[2])]
		v, err := strconv.ParseFloat(m[1], 64)
		if !ok || err != nil || math.IsInf(v, 0) {
			wrong++
			continue
		}
		s.Add(perfdata, v*scale, "script", i.name, "label", label)
	}
	return wrong
}
