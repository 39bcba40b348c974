// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"tallyman"
	"tallyman/service/ask"
)

var byInfo = func() map[string]*tallyman.Desc {
	m := map[string]*tallyman.Desc{}
	for _, f := range fields {
		m[f.info] = f.desc
	}
	return m
}()

const (
	maxCommands = 100 // that are told of one by one; each has seven numbers
	maxKinds    = 128 // of errors, and replicas
)

// Scrape implements tallyman.Service.
func (i *instance) Scrape(ctx context.Context, s tallyman.ServiceSink) error {
	text, err := i.client.Do(ctx, "INFO", "all").Text()
	if err != nil {
		return fault(err)
	}
	facts := read(text, s, time.Now())
	if len(facts) == 0 {
		return tallyman.Faulty(tallyman.ParseFault, "", "INFO has nothing that is known")
	}
	s.Add(up, 1)
	if facts["redis_mode"] == "sentinel" {
		return i.sentinel(ctx, s)
	}
	// What follows can be denied or renamed; it is left out then.
	if _, ok := facts["maxclients"]; !ok {
		i.config(ctx, s, "maxclients", maxClients)
	}
	if _, ok := facts["maxmemory"]; !ok {
		i.config(ctx, s, "maxmemory", memoryMax)
	}
	if n, err := i.client.Do(ctx, "SLOWLOG", "LEN").Int64(); err == nil {
		s.Add(slowlog, float64(n))
	}
	if list, err := i.client.Do(ctx, "LATENCY", "LATEST").Slice(); err == nil {
		spikes(list, s)
	}
	return ctx.Err()
}

// config asks for one setting.
func (i *instance) config(ctx context.Context, s tallyman.ServiceSink, name string, d *tallyman.Desc) {
	list, err := i.client.Do(ctx, "CONFIG", "GET", name).Slice()
	if err != nil || len(list) < 2 {
		return
	}
	if v, err := strconv.ParseFloat(fmt.Sprint(list[1]), 64); err == nil {
		s.Add(d, v)
	}
}

// spikes reads the answer to LATENCY LATEST: event, time, last and worst in milliseconds.
func spikes(list []any, s tallyman.ServiceSink) {
	for _, one := range list {
		event, ok := one.([]any)
		if !ok || len(event) < 3 {
			continue
		}
		name := fmt.Sprint(event[0])
		if at, ok := event[1].(int64); ok {
			s.Add(spikeLast, float64(at), "event_name", name)
		}
		if ms, ok := event[2].(int64); ok {
			s.Add(spikeDuration, float64(ms)/1000, "event_name", name)
		}
	}
}

// sentinel asks for the primaries that it watches.
func (i *instance) sentinel(ctx context.Context, s tallyman.ServiceSink) error {
	list, err := i.client.Do(ctx, "SENTINEL", "MASTERS").Slice()
	if err != nil {
		return fault(err)
	}
	for at, one := range list {
		words, ok := one.([]any)
		if !ok || at >= ask.MaxRows {
			break
		}
		m := map[string]string{}
		for j := 0; j+1 < len(words); j += 2 {
			m[fmt.Sprint(words[j])] = fmt.Sprint(words[j+1])
		}
		address := m["ip"] + ":" + m["port"]
		status, well := "ok", 1.0
		for flag := range strings.SplitSeq(m["flags"], ",") {
			if flag == "s_down" || flag == "o_down" {
				status, well = strings.ReplaceAll(flag, "_", ""), 0
			}
		}
		s.Add(sentinelMaster, well, "master_name", m["name"], "master_address", address, "master_status", status)
		if n, err := strconv.ParseFloat(m["num-slaves"], 64); err == nil {
			s.Add(sentinelSlaves, n, "master_name", m["name"], "master_address", address)
		}
		if n, err := strconv.ParseFloat(m["num-other-sentinels"], 64); err == nil {
			s.Add(sentinelSentinels, n+1, "master_name", m["name"], "master_address", address)
		}
	}
	return nil
}

// read gives what the text of INFO says to s, and returns its plain fields.
func read(text string, s tallyman.ServiceSink, now time.Time) map[string]string {
	facts := map[string]string{}
	var databases, calls []ask.Row
	latencies := map[string]string{}
	kinds, replicas := 0, 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		if cmd, ok := strings.CutPrefix(name, "cmdstat_"); ok {
			m := pairs(value)
			row := ask.Row{Labels: []string{cmd}, Values: []float64{number(m["calls"]), number(m["usec"]) / 1e6, number(m["failed_calls"]), number(m["rejected_calls"])}}
			row.Size = row.Values[0]
			calls = append(calls, row)
			continue
		}
		if kind, ok := strings.CutPrefix(name, "errorstat_"); ok {
			if kinds++; kinds <= maxKinds {
				add(s, errorReplies, number(pairs(value)["count"]), "err", kind)
			}
			continue
		}
		if cmd, ok := strings.CutPrefix(name, "latency_percentiles_usec_"); ok {
			latencies[cmd] = value
			continue
		}
		if strings.HasPrefix(name, "db") && strings.HasPrefix(value, "keys=") {
			m := pairs(value)
			row := ask.Row{Labels: []string{name}, Values: []float64{number(m["keys"]), number(m["expires"]), number(m["avg_ttl"]) / 1000}}
			row.Size = row.Values[0]
			databases = append(databases, row)
			continue
		}
		if n := strings.TrimPrefix(name, "slave"); n != name && n != "" && strings.Trim(n, "0123456789") == "" {
			if replicas++; replicas > maxKinds {
				continue
			}
			m := pairs(value)
			labels := []string{"slave_ip", m["ip"], "slave_port", m["port"], "slave_state", m["state"]}
			add(s, slaveOffset, number(m["offset"]), labels...)
			add(s, slaveLag, number(m["lag"]), labels...)
			continue
		}
		facts[name] = value
		if d := byInfo[name]; d != nil {
			add(s, d, number(value))
		}
	}
	if len(facts) == 0 {
		return nil
	}
	for _, row := range ask.Top(databases, ask.MaxRows) {
		for i, d := range []*tallyman.Desc{dbKeys, dbExpiring, dbTTL} {
			if row.Labels[0] != ask.Other || d != dbTTL { // an average of averages is none
				add(s, d, row.Values[i], "db", row.Labels[0])
			}
		}
	}
	for _, row := range ask.Top(calls, maxCommands) {
		for p, v := range pairs(latencies[row.Labels[0]]) {
			if q := number(strings.TrimPrefix(p, "p")); !math.IsNaN(q) {
				add(s, percentiles, number(v), "cmd", row.Labels[0], "quantile", strconv.FormatFloat(q/100, 'g', 6, 64))
			}
		}
		for i, d := range []*tallyman.Desc{commands, commandSeconds, commandsFailed, commandsRejected} {
			add(s, d, row.Values[i], "cmd", row.Labels[0])
		}
	}
	if up := number(facts["uptime_in_seconds"]); !math.IsNaN(up) {
		s.Add(startTime, float64(now.Unix())-up)
	}
	add(s, fork, number(facts["latest_fork_usec"])/1e6)
	labels := []string{"role", facts["role"]}
	for _, name := range []string{"redis_version", "redis_build_id", "redis_mode", "os", "maxmemory_policy", "tcp_port", "run_id", "process_id", "master_replid"} {
		labels = append(labels, name, facts[name])
	}
	if v := facts["valkey_version"]; v != "" {
		labels = append(labels, "valkey_version", v)
	}
	s.Add(info, 1, labels...)
	if facts["role"] == "slave" {
		primary := []string{"master_host", facts["master_host"], "master_port", facts["master_port"]}
		s.Add(slaveInfo, 1, append(primary, "read_only", facts["slave_read_only"])...)
		if status := facts["master_link_status"]; status != "" {
			v := 0.0
			if status == "up" {
				v = 1
			}
			s.Add(masterLink, v, primary...)
		}
		add(s, masterIO, number(facts["master_last_io_seconds_ago"]), primary...)
		add(s, masterSync, number(facts["master_sync_in_progress"]), primary...)
		add(s, replOffset, number(facts["slave_repl_offset"]), primary...)
	}
	return facts
}

// add gives a value that is there.
func add(s tallyman.ServiceSink, d *tallyman.Desc, v float64, labels ...string) {
	if !math.IsNaN(v) {
		s.Add(d, v, labels...)
	}
}

// number reads a value of INFO, NaN when it is none.
func number(text string) float64 {
	switch text {
	case "ok":
		return 1
	case "err", "fail":
		return 0
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return math.NaN()
	}
	return v
}

var _ tallyman.ServiceChecker = (*instance)(nil)
