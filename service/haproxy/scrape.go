// SPDX-License-Identifier: Apache-2.0

package haproxy

import (
	"context"
	"encoding/csv"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"tallyman"
	"tallyman/internal/exposition"
	"tallyman/service/ask"
)

// fromExporter asks HAProxy's own exporter.
func (i *instance) fromExporter(ctx context.Context) (objects, error) {
	var sink exporterSink
	e := ask.Exposition{Reader: exposition.Reader{Keep: func(name string) bool { return known[name] != nil }}}
	if _, err := e.Scrape(ctx, i.client, i.url, &sink); err != nil {
		return objects{}, err
	}
	if len(sink.all.list) == 0 {
		return objects{}, tallyman.Faulty(tallyman.ParseFault, "Set STATS URL to the address of HAProxy's exporter.", "its metrics are not those of HAProxy")
	}
	return sink.all, nil
}

// exporterSink makes objects of the exporter's series.
type exporterSink struct{ all objects }

func (s *exporterSink) Desc(name string, _ tallyman.MetricType, _ string) *tallyman.Desc {
	return known[name]
}

func (s *exporterSink) Event(string, string, time.Time, map[string]string) {}

func (s *exporterSink) Add(d *tallyman.Desc, v float64, labels ...string) {
	level, _, _ := strings.Cut(strings.TrimPrefix(d.Name, "haproxy_"), "_")
	var proxy, server, label, text string
	for i := 0; i+1 < len(labels); i += 2 {
		switch labels[i] {
		case "proxy":
			proxy = labels[i+1]
		case "server":
			server = labels[i+1]
		default:
			label, text = labels[i], labels[i+1]
		}
	}
	if math.IsNaN(v) || v == 0 && strings.HasSuffix(d.Name, "_check_status") {
		return
	}
	s.all.at(level, proxy, server).add(d, v, label, text)
}

// fromPage asks the stats page.
func (i *instance) fromPage(ctx context.Context) (all objects, err error) {
	a, err := i.client.Get(ctx, i.url)
	if err != nil {
		return all, err
	}
	return all, statistics(string(a.Body), &all)
}

// fromSocket asks the stats socket.
func (i *instance) fromSocket(ctx context.Context) (all objects, err error) {
	text, err := i.talk(ctx, "show info")
	if err != nil {
		return all, err
	}
	process(text, &all)
	if text, err = i.talk(ctx, "show stat"); err != nil {
		return all, err
	}
	return all, statistics(text, &all)
}

// talk sends a line on a connection of its own and reads until it ends.
func (i *instance) talk(ctx context.Context, line string) (string, error) {
	conn, err := i.in.DialContext(ctx, "unix", i.socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(conn, ask.MaxBody+1))
	switch {
	case err != nil:
		return "", err
	case len(b) > ask.MaxBody:
		return "", tallyman.Faulty(tallyman.LimitFault, "", "the answer to %s is larger than %d MiB", line, ask.MaxBody>>20)
	case strings.HasPrefix(string(b), "Permission denied"):
		return "", tallyman.Faulty(tallyman.PermissionFault, "Give the stats socket the level user.", "the stats socket refuses %s", line)
	}
	return string(b), nil
}

// process reads the answer to "show info".
func process(text string, all *objects) {
	m := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		m[name] = strings.TrimSpace(value)
	}
	o := all.at("process", "", "")
	for _, p := range ofProcess {
		if v, err := strconv.ParseFloat(m[p.line], 64); err == nil {
			o.add(known["haproxy_process_"+p.name], v, "", "")
		}
	}
	if m["Version"] != "" {
		o.add(known["haproxy_process_build_info"], 1, "version", m["Version"])
	}
}

// statistics reads the statistics as CSV: names of columns first, behind "# ".
func statistics(text string, all *objects) error {
	wrong := tallyman.Faulty(tallyman.ParseFault, "Set STATS URL to the address of the stats page.", "the page is not that of HAProxy's statistics")
	text = strings.TrimLeft(text, "\r\n ")
	if !strings.HasPrefix(text, "# pxname,svname,") {
		return wrong
	}
	r := csv.NewReader(strings.NewReader(text[2:]))
	r.FieldsPerRecord, r.LazyQuotes, r.ReuseRecord = -1, true, true
	var columns map[string]int
	for {
		record, err := r.Read()
		switch {
		case err == io.EOF && columns != nil:
			return nil
		case err != nil:
			return wrong
		case columns == nil:
			columns = map[string]int{}
			for i, name := range record {
				columns[name] = i
			}
			if _, ok := columns["type"]; !ok {
				return wrong
			}
			continue
		}
		row(func(name string) string {
			if i, ok := columns[name]; ok && i < len(record) {
				return strings.Clone(record[i])
			}
			return ""
		}, all)
	}
}

var states = map[byte][]string{'f': {"DOWN", "UP"}, 'b': {"DOWN", "UP"}, 's': {"DOWN", "UP", "MAINT", "DRAIN", "NOLB"}}

// row reads one line of the statistics.
func row(get func(string) string, all *objects) {
	kind := map[string]byte{"0": 'f', "1": 'b', "2": 's'}[get("type")]
	if kind == 0 {
		return // a listener
	}
	server := ""
	if kind == 's' {
		server = get("svname")
	}
	o := all.at(levels[kind], get("pxname"), server)
	for _, f := range fields {
		text := get(f.column)
		if text == "" || !strings.ContainsRune(f.of, rune(kind)) {
			continue
		}
		d := known["haproxy_"+levels[kind]+"_"+f.name]
		switch f.column {
		case "status":
			state, _, _ := strings.Cut(text, " ")
			if state == "OPEN" || state == "no" { // without a check
				state = "UP"
			}
			for _, one := range states[kind] {
				v := 0.0
				if one == state {
					v = 1
				}
				o.add(d, v, "state", one)
			}
			continue
		case "check_status":
			o.add(d, 1, "state", strings.TrimPrefix(text, "* "))
			continue
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			continue
		}
		if f.scale != 0 {
			v *= f.scale
		}
		if code, ok := strings.CutPrefix(f.column, "hrsp_"); ok {
			o.add(d, v, "code", code)
			continue
		}
		o.add(d, v, "", "")
	}
}
