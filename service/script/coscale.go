// SPDX-License-Identifier: Apache-2.0

package script

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"tallyman"
)

// protocol is what a program has said with -c.
type protocol struct {
	metrics map[string]metric // by id
	events  map[string]kind
}

type metric struct {
	name       string // of the series
	help       string
	counter    bool
	adds       bool // the values are amounts
	dimensions map[string]string
}

type kind struct{ name string }

// id is a number that some programs write as a text.
type id string

// UnmarshalJSON takes both.
func (i *id) UnmarshalJSON(b []byte) error {
	*i = id(strings.Trim(string(b), `"`))
	return nil
}

// readConfig reads what a program prints with -c.
func readConfig(text []byte) (*protocol, error) {
	var c struct {
		Metrics []struct {
			ID                                          id
			Name, Description, Unit, DataType, CalcType string
			Dimensions                                  []struct {
				ID   id
				Name string
			}
		}
		Events []struct {
			ID   id
			Name string
		}
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&c); err != nil {
		return nil, err
	}
	if len(c.Metrics) > maxMetrics || len(c.Events) > maxEvents {
		return nil, fmt.Errorf("it has more than %d metrics or %d events", maxMetrics, maxEvents)
	}
	if len(c.Metrics)+len(c.Events) == 0 {
		return nil, errors.New("it names neither metrics nor events")
	}
	p := &protocol{metrics: map[string]metric{}, events: map[string]kind{}}
	names := map[string]bool{}
	for _, m := range c.Metrics {
		one := metric{name: "script_" + slug(m.Name), help: m.Name, dimensions: map[string]string{}}
		if m.Description != "" {
			one.help = m.Description
		}
		if m.Unit != "" {
			one.help += ", in " + m.Unit
		}
		switch strings.ToUpper(m.DataType) {
		case "COUNTER":
			one.counter = true
		case "COUNT":
			one.counter, one.adds = true, true
		case "GAUGE", "GUAGE", "DOUBLE", "":
			one.counter = strings.EqualFold(m.CalcType, "Difference")
		default:
			return nil, fmt.Errorf("the metric %q has the datatype %.20q; there are GAUGE, DOUBLE, COUNT and COUNTER", m.Name, m.DataType)
		}
		if names[one.name] {
			one.name += "_" + slug(string(m.ID))
		}
		names[one.name] = true
		for _, d := range m.Dimensions {
			one.dimensions[string(d.ID)] = slug(d.Name)
		}
		p.metrics[string(m.ID)] = one
	}
	for _, e := range c.Events {
		p.events[string(e.ID)] = kind{e.Name}
	}
	return p, nil
}

// slug makes a part of a metric's name of a person's words.
func slug(s string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case r == '%':
			b.WriteString("percent")
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "_"):
			b.WriteByte('_')
		}
		if b.Len() > 100 {
			break
		}
	}
	if out := strings.Trim(b.String(), "_"); out != "" {
		return out
	}
	return "value"
}

// data takes what a program prints with -d, and returns how many lines it could not follow.
func (i *instance) data(text string, s tallyman.ServiceSink) (wrong int) {
	now := time.Now()
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		ok := false
		switch line[0] {
		case 'M', 'm':
			ok = i.metricLine(line[1:], s)
		case 'E', 'e':
			ok = i.eventLine(line[1:], now, s)
		}
		if !ok {
			wrong++
		}
	}
	return wrong
}

// metricLine reads `<id> ["<dimension>:<value>,…"] <number>`.
func (i *instance) metricLine(line string, s tallyman.ServiceSink) bool {
	number, rest, ok := strings.Cut(line, " ")
	m, known := i.config.metrics[strings.TrimSpace(number)]
	if !ok || !known {
		return false
	}
	rest = strings.TrimSpace(rest)
	labels := []string{"script", i.name}
	if strings.HasPrefix(rest, `"`) {
		end := strings.LastIndexByte(rest, '"')
		if end == 0 {
			return false
		}
		for _, part := range dimensions(rest[1:end]) {
			at, value, ok := strings.Cut(part, ":")
			name, known := m.dimensions[strings.TrimSpace(at)]
			if !ok || !known {
				return false
			}
			labels = append(labels, name, value)
		}
		rest = strings.TrimSpace(rest[end+1:])
	}
	v, err := strconv.ParseFloat(strings.TrimSuffix(rest, "%"), 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return false
	}
	typ := tallyman.Gauge
	if m.counter {
		typ = tallyman.Counter
	}
	if m.adds {
		key := m.name + "\x00" + strings.Join(labels, "\x00")
		if _, there := i.counts[key]; !there && len(i.counts) >= 10*maxMetrics {
			return false
		}
		i.counts[key] += v
		v = i.counts[key]
	}
	s.Add(s.Desc(m.name, typ, m.help), v, labels...)
	return true
}

// part is where a list of dimensions is split: a value may have commas.
var part = regexp.MustCompile(`,\s*[0-9]+:`)

func dimensions(text string) (out []string) {
	from := 0
	for _, at := range part.FindAllStringIndex(text, -1) {
		out = append(out, text[from:at[0]])
		from = at[0] + 1
	}
	return append(out, strings.TrimSpace(text[from:]))
}

// eventLine reads `<id> <start> <stop> "<message>" "<JSON>" S|A`; the quotes in the JSON are
// not escaped. An event is told once.
func (i *instance) eventLine(line string, now time.Time, s tallyman.ServiceSink) bool {
	f := strings.SplitN(line, " ", 4)
	if len(f) < 4 {
		return false
	}
	e, known := i.config.events[f[0]]
	start, ok := when(f[1], now)
	_, ok2 := when(f[2], now)
	open, middle, end := strings.IndexByte(f[3], '"'), strings.Index(f[3], `" "{`), strings.LastIndexByte(f[3], '}')
	if !known || !ok || !ok2 || open < 0 {
		return false
	}
	a := map[string]string{"event": e.name}
	if middle > open && end > middle {
		a["message"] = f[3][open+1 : middle]
		var more map[string]any
		if json.Unmarshal([]byte(f[3][middle+3:end+1]), &more) != nil {
			return false
		}
		for k, v := range more {
			if len(a) < 20 {
				a["attribute_"+slug(k)] = fmt.Sprint(v)
			}
		}
	} else {
		close := strings.IndexByte(f[3][open+1:], '"')
		if close < 0 {
			return false
		}
		a["message"] = f[3][open+1 : open+1+close]
	}
	if strings.HasSuffix(strings.TrimSpace(f[3]), "A") {
		a["of"] = "application"
	}
	// One that has a time of its own is printed again and again.
	if n, err := strconv.ParseFloat(f[1], 64); err == nil && n > 0 {
		key := [2]string{f[0], f[1] + a["message"]}
		if _, told := i.told[key]; told {
			return true
		}
		if len(i.told) > 1000 {
			clear(i.told)
		}
		i.told[key] = ""
	}
	s.Event("service", "script", start, a)
	return true
}

// when reads seconds since 1970, or from now when they are 0 or less.
func when(s string, now time.Time) (time.Time, bool) {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(n) || math.Abs(n) > 1e11 {
		return time.Time{}, false
	}
	d := time.Duration(n * float64(time.Second))
	if n <= 0 {
		return now.Add(d), true
	}
	return time.Unix(0, int64(n*1e9)), true
}
