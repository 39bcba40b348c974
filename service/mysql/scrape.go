// SPDX-License-Identifier: Apache-2.0

package mysql

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"strconv"
	"strings"

	"tallyman"
)

// Scrape implements tallyman.Service.
func (i *instance) Scrape(ctx context.Context, s tallyman.ServiceSink) error {
	err := i.scrape(ctx, s)
	if i.over.Swap(false) && err != nil {
		return tallyman.Faulty(tallyman.LimitFault, "", "a packet of the server is larger than %d MiB", maxPacket>>20)
	}
	return err
}

func (i *instance) scrape(ctx context.Context, s tallyman.ServiceSink) error {
	c, err := i.conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close() // it goes back and stays open
	rows, err := query(ctx, c, "SELECT VERSION() AS version, @@version_comment AS comment")
	if err != nil {
		return fault(err)
	}
	if len(rows) != 1 {
		return tallyman.Faulty(tallyman.ParseFault, "", "it does not say its version")
	}
	version := rows[0]["version"]
	maria := strings.Contains(version, "MariaDB")
	limit := "SET SESSION MAX_EXECUTION_TIME = 2000"
	if maria {
		limit = "SET SESSION max_statement_time = 2"
	}
	_, _ = c.ExecContext(ctx, limit) // MySQL before 5.7 has none

	state, err := pairs(ctx, c, "SHOW GLOBAL STATUS")
	if err != nil {
		return fault(err)
	}
	set, err := pairs(ctx, c, "SHOW GLOBAL VARIABLES")
	if err != nil {
		return fault(err)
	}
	s.Add(up, 1)
	s.Add(versionInfo, 1, "version", version, "version_comment", rows[0]["comment"], "innodb_version", set["innodb_version"])
	give(s, state)
	for name, d := range variables {
		if v, ok := number(set[name]); ok {
			s.Add(d, v)
		}
	}
	if err := replication(ctx, c, maria, version, s); err != nil {
		return err
	}
	if !i.queries {
		return nil
	}
	if v, ok := number(set["performance_schema"]); ok && v == 0 {
		return tallyman.Faulty(tallyman.ConfigFault, "Start it with performance_schema=ON, or take QUERY STATS out.", "it has no performance_schema")
	}
	return i.statements.Give(s, func(s tallyman.ServiceSink) error { return slowest(ctx, c, s) })
}

// pairs reads an answer of names and values.
func pairs(ctx context.Context, c *sql.Conn, text string) (map[string]string, error) {
	rows, err := query(ctx, c, text)
	if err != nil {
		return nil, err
	}
	m := make(map[string]string, len(rows))
	for _, r := range rows {
		m[lower(r["variable_name"])] = r["value"]
	}
	return m, nil
}

// families are names of GLOBAL STATUS that become a label.
var families = []struct {
	prefix, label string
	desc          *tallyman.Desc
}{
	{"com_", "command", commands},
	{"handler_", "handler", handlers},
	{"connection_errors_", "error", connectionErrors},
	{"innodb_rows_", "operation", rowOps},
	{"performance_schema_", "instrumentation", lost},
}

// give adds what GLOBAL STATUS says.
func give(s tallyman.ServiceSink, state map[string]string) {
names:
	for _, name := range slices.Sorted(maps.Keys(state)) {
		v, ok := number(state[name])
		if !ok {
			continue
		}
		for _, f := range families {
			if value, ok := strings.CutPrefix(name, f.prefix); ok {
				s.Add(f.desc, v, f.label, value)
				continue names
			}
		}
		if page, ok := strings.CutPrefix(name, "innodb_buffer_pool_pages_"); ok {
			switch page {
			case "data", "free", "misc", "old":
				s.Add(poolPages, v, "state", page)
			case "dirty":
				s.Add(dirtyPages, v)
			case "total": // the sum
			default:
				s.Add(pageChanges, v, "operation", page)
			}
			continue
		}
		d := known[name]
		if d == nil {
			d = s.Desc("mysql_global_status_"+name, tallyman.Untyped, "GLOBAL STATUS "+name)
		}
		s.Add(d, v)
	}
	if uuid := state["wsrep_local_state_uuid"]; uuid != "" {
		s.Add(galera, 1, "wsrep_local_state_uuid", uuid, "wsrep_cluster_state_uuid", state["wsrep_cluster_state_uuid"], "wsrep_provider_version", state["wsrep_provider_version"])
	}
}

// number reads a value: words for yes and no are 1 and 0.
func number(text string) (float64, bool) {
	switch lower(text) {
	case "on", "yes", "primary":
		return 1, true
	case "off", "no", "connecting", "preparing", "non-primary", "disconnected":
		return 0, true
	case "", "nan", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity":
		return 0, false
	}
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil
}

// newer reports whether a version is at least major.minor.patch.
func newer(version string, least ...int) bool {
	version, _, _ = strings.Cut(version, "-")
	parts := strings.Split(version, ".")
	for i, want := range least {
		have := 0
		if i < len(parts) {
			have, _ = strconv.Atoi(parts[i])
		}
		if have != want {
			return have > want
		}
	}
	return true
}

// replication asks how far behind a replica is; a server that is none has no rows.
func replication(ctx context.Context, c *sql.Conn, maria bool, version string, s tallyman.ServiceSink) error {
	text := "SHOW SLAVE STATUS"
	switch {
	case maria:
		text = "SHOW ALL SLAVES STATUS"
	case newer(version, 8, 0, 22):
		text = "SHOW REPLICA STATUS"
	}
	rows, err := query(ctx, c, text)
	if err != nil {
		if denied(err) {
			return nil
		}
		return fault(err)
	}
	older := strings.NewReplacer("replica", "slave", "source", "master")
	for _, r := range rows {
		m := map[string]string{}
		for name, value := range r {
			m[older.Replace(name)] = value
		}
		labels := []string{"master_host", m["master_host"], "master_uuid", m["master_uuid"], "channel_name", m["channel_name"], "connection_name", m["connection_name"]}
		for name, d := range ofReplication {
			if v, ok := number(m[name]); ok {
				s.Add(d, v, labels...)
			}
		}
	}
	return nil
}

// slowest asks for the statements that take the most time.
func slowest(ctx context.Context, c *sql.Conn, s tallyman.ServiceSink) error {
	rows, err := query(ctx, c, `SELECT IFNULL(SCHEMA_NAME, 'NONE') AS db, IFNULL(DIGEST, 'NONE') AS digest, IFNULL(LEFT(DIGEST_TEXT, 120), '') AS text,
COUNT_STAR AS calls, SUM_TIMER_WAIT AS picoseconds, SUM_ERRORS AS errors, SUM_ROWS_EXAMINED AS examined, SUM_ROWS_SENT AS sent
FROM performance_schema.events_statements_summary_by_digest ORDER BY SUM_TIMER_WAIT DESC LIMIT 50`)
	if err != nil {
		return fault(err)
	}
	for _, r := range rows {
		labels := []string{"schema", r["db"], "digest", r["digest"], "digest_text", r["text"]}
		for _, one := range []struct {
			column string
			desc   *tallyman.Desc
			scale  float64
		}{{"calls", digestCalls, 1}, {"picoseconds", digestSeconds, 1e-12}, {"errors", digestErrors, 1}, {"examined", digestExamined, 1}, {"sent", digestSent, 1}} {
			if v, ok := number(r[one.column]); ok {
				s.Add(one.desc, v*one.scale, labels...)
			}
		}
	}
	return nil
}
