// SPDX-License-Identifier: Apache-2.0

package postgresql

import (
	"context"
	"fmt"
	"math"
	"strings"

	"tallyman"
	"tallyman/service/ask"
)

// How many of each are told of one by one: databases and tables have some twenty numbers
// each, and an instance 2000 series.
const (
	maxTold       = 25 // databases
	maxTables     = 40
	maxSizes      = 50
	maxSessions   = 40 // by database, state and user
	maxLocks      = 80 // by database and mode
	maxStatements = 50
)

// part is one query of a scrape.
type part struct {
	sql  string
	take func([]row)
}

func (i *instance) scrape(ctx context.Context, c *conn, s tallyman.ServiceSink) error {
	rows, err := c.ask(ctx, `SELECT version() AS version, pg_catalog.current_setting('server_version') AS short, extract(epoch FROM pg_catalog.pg_postmaster_start_time()) AS started, pg_catalog.pg_is_in_recovery() AS replica`)
	if err != nil {
		return fault(err)
	}
	if len(rows) != 1 {
		return tallyman.Faulty(tallyman.ParseFault, "", "it does not say its version")
	}
	s.Add(up, 1)
	short, _, _ := strings.Cut(rows[0]["short"], " ")
	s.Add(static, 1, "version", rows[0]["version"], "short_version", short)
	give(s, rows[0], []column{{"started", started, 0}, {"replica", replica, 0}})

	parts := i.databaseParts(s)
	if i.global {
		parts = append(parts, i.serverParts(c, s)...)
	}
	for _, p := range parts {
		rows, err := c.ask(ctx, p.sql)
		switch {
		case err == nil:
			p.take(rows)
		case !optional(err):
			return fault(err)
		}
	}
	if err := i.sizes.Give(s, func(s tallyman.ServiceSink) error { return i.size(ctx, c, s) }); err != nil {
		return err
	}
	if err := i.tables.Give(s, func(s tallyman.ServiceSink) error { return i.allTables(ctx, c, s) }); err != nil {
		return err
	}
	if i.queries {
		return i.statements.Give(s, func(s tallyman.ServiceSink) error { return i.slowest(ctx, c, s) })
	}
	return nil
}

// give adds the columns that are there.
func give(s tallyman.ServiceSink, r row, columns []column, labels ...string) {
	for _, c := range columns {
		if v, ok := r.number(c.name); ok && !math.IsNaN(v) {
			if c.scale != 0 {
				v *= c.scale
			}
			s.Add(c.desc, v, labels...)
		}
	}
}

// columnsOf makes rows of what ask.Top can sort.
func columnsOf(r row, columns []column) []float64 {
	values := make([]float64, len(columns))
	for i, c := range columns {
		values[i] = math.NaN()
		if v, ok := r.number(c.name); ok {
			values[i] = v
			if c.scale != 0 {
				values[i] *= c.scale
			}
		}
	}
	return values
}

// giveTop adds the largest rows and the sum of the rest.
func giveTop(s tallyman.ServiceSink, rows []ask.Row, n int, columns []column, labels ...string) {
	for _, r := range ask.Top(rows, n) {
		var pairs []string
		for i, name := range labels {
			pairs = append(pairs, name, r.Labels[i])
		}
		for i, c := range columns {
			if !math.IsNaN(r.Values[i]) {
				s.Add(c.desc, r.Values[i], pairs...)
			}
		}
	}
}

// databaseParts ask what databases and sessions do.
func (i *instance) databaseParts(s tallyman.ServiceSink) []part {
	return []part{
		{`SELECT *, extract(epoch FROM stats_reset) AS reset FROM pg_catalog.pg_stat_database`, func(rows []row) {
			var list []ask.Row
			for _, r := range rows {
				commits, _ := r.number("xact_commit")
				list = append(list, ask.Row{Labels: []string{r["datid"], r["datname"]}, Values: columnsOf(r, ofDatabase), Size: commits})
			}
			giveTop(s, list, maxTold, ofDatabase, "datid", "datname")
		}},
		{`SELECT coalesce(datname, '') AS datname, coalesce(state, '') AS state, coalesce(usename, '') AS usename, count(*) AS count, coalesce(max(extract(epoch FROM now() - xact_start)), 0) AS longest
FROM pg_catalog.pg_stat_activity GROUP BY 1, 2, 3`, func(rows []row) {
			columns := []column{{"count", activity, 0}, {"longest", longest, 0}}
			var list []ask.Row
			for _, r := range rows {
				count, _ := r.number("count")
				list = append(list, ask.Row{Labels: []string{r["datname"], r["state"], r["usename"]}, Values: columnsOf(r, columns), Size: count})
			}
			for _, r := range i.sessions.Top(list, maxSessions) {
				s.Add(activity, r.Values[0], "datname", r.Labels[0], "state", r.Labels[1], "usename", r.Labels[2])
				if r.Labels[0] != ask.Other { // a sum of ages is none
					s.Add(longest, r.Values[1], "datname", r.Labels[0], "state", r.Labels[1], "usename", r.Labels[2])
				}
			}
		}},
		{`SELECT d.datname, lower(l.mode) AS mode, count(*) AS count FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database GROUP BY 1, 2`, func(rows []row) {
			var list []ask.Row
			for _, r := range rows {
				count, _ := r.number("count")
				list = append(list, ask.Row{Labels: []string{r["datname"], r["mode"]}, Values: []float64{count}, Size: count})
			}
			giveTop(s, list, maxLocks, []column{{"count", locks, 0}}, "datname", "mode")
		}},
	}
}

// serverParts ask what is of the server and not of a database.
func (i *instance) serverParts(c *conn, s tallyman.ServiceSink) []part {
	plain := func(columns []column) func([]row) {
		return func(rows []row) {
			if len(rows) > 0 {
				give(s, rows[0], columns)
			}
		}
	}
	// Functions have had other names before 10.
	received, replayed, current, diff := "pg_last_wal_receive_lsn", "pg_last_wal_replay_lsn", "pg_current_wal_lsn", "pg_wal_lsn_diff"
	replayedColumn := "replay_lsn"
	if c.version < 100000 {
		received, replayed, current, diff = "pg_last_xlog_receive_location", "pg_last_xlog_replay_location", "pg_current_xlog_location", "pg_xlog_location_diff"
		replayedColumn = "replay_location"
	}
	here := fmt.Sprintf("CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.%s() ELSE pg_catalog.%s() END", received, current)
	parts := []part{
		{`SELECT *, extract(epoch FROM stats_reset) AS reset FROM pg_catalog.pg_stat_bgwriter`, plain(ofWriter)},
		{`SELECT *, extract(epoch FROM now() - last_archived_time) AS age FROM pg_catalog.pg_stat_archiver`, plain(ofArchiver)},
		{fmt.Sprintf(`SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN 0 WHEN pg_catalog.%s() = pg_catalog.%s() THEN 0
ELSE greatest(0, extract(epoch FROM now() - pg_catalog.pg_last_xact_replay_timestamp())) END AS lag`, received, replayed), plain([]column{{"lag", lag, 0}})},
		{fmt.Sprintf(`SELECT r.application_name, coalesce(r.client_addr::text, '') AS client_addr, r.state, coalesce(p.slot_name, '') AS slot_name, pg_catalog.%s(%s, r.%s) AS diff
FROM pg_catalog.pg_stat_replication r LEFT JOIN pg_catalog.pg_replication_slots p ON p.active_pid = r.pid LIMIT %d`, diff, here, replayedColumn, ask.MaxRows), func(rows []row) {
			for _, r := range rows {
				give(s, r, []column{{"diff", lsnDiff, 0}}, "application_name", r["application_name"], "client_addr", r["client_addr"], "state", r["state"], "slot_name", r["slot_name"])
			}
		}},
		{fmt.Sprintf(`SELECT p.*, pg_catalog.%s(%s, restart_lsn) AS diff FROM pg_catalog.pg_replication_slots p LIMIT %d`, diff, here, ask.MaxRows), func(rows []row) {
			for _, r := range rows {
				labels := []string{"slot_name", r["slot_name"], "slot_type", r["slot_type"]}
				give(s, r, []column{{"active", slotIs, 0}, {"diff", slotDiff, 0}, {"safe_wal_size", slotSafe, 0}}, labels...)
				give(s, r, []column{{"active", slotActive, 0}}, labels...)
			}
		}},
		{`SELECT name, setting, coalesce(unit, '') AS unit FROM pg_catalog.pg_settings`, func(rows []row) {
			for _, r := range rows {
				if d := ofSettings[r["name"]]; d != nil {
					if v, ok := r.number("setting"); ok {
						s.Add(d, base(v, r["unit"]))
					}
				}
			}
		}},
	}
	if c.version >= 100000 {
		parts = append(parts, part{`SELECT count(*) AS files, sum(size) AS size FROM pg_catalog.pg_ls_waldir()`, plain([]column{{"files", walFiles, 0}, {"size", walSize, 0}})})
	}
	if c.version >= 140000 {
		parts = append(parts, part{`SELECT * FROM pg_catalog.pg_stat_wal`, plain(ofWAL)})
	}
	if c.version >= 170000 {
		parts = append(parts, part{`SELECT *, extract(epoch FROM stats_reset) AS reset FROM pg_catalog.pg_stat_checkpointer`, plain(ofCheckpointer)})
	}
	return parts
}

// base makes bytes and seconds of a setting; -1 and 0 have meanings of their own.
func base(v float64, unit string) float64 {
	if v < 0 {
		return v
	}
	number, rest := 1.0, strings.TrimLeft(unit, "0123456789")
	if digits := strings.TrimSuffix(unit, rest); digits != "" {
		_, _ = fmt.Sscan(digits, &number)
	}
	switch rest {
	case "B":
	case "kB":
		number *= 1 << 10
	case "MB":
		number *= 1 << 20
	case "GB":
		number *= 1 << 30
	case "ms":
		number /= 1000
	case "min":
		number *= 60
	case "h":
		number *= 3600
	case "d":
		number *= 86400
	}
	return v * number
}

func (i *instance) size(ctx context.Context, c *conn, s tallyman.ServiceSink) error {
	rows, err := c.ask(ctx, `SELECT datname, pg_catalog.pg_database_size(oid) AS size FROM pg_catalog.pg_database WHERE datallowconn AND pg_catalog.has_database_privilege(oid, 'CONNECT')`)
	if err != nil {
		if optional(err) {
			return nil
		}
		return fault(err)
	}
	var list []ask.Row
	for _, r := range rows {
		if v, ok := r.number("size"); ok {
			list = append(list, ask.Row{Labels: []string{r["datname"]}, Values: []float64{v}, Size: v})
		}
	}
	giveTop(s, list, maxSizes, []column{{"size", size, 0}}, "datname")
	return nil
}

// allTables asks for the tables of each database that is to be told of.
func (i *instance) allTables(ctx context.Context, c *conn, s tallyman.ServiceSink) error {
	if len(i.databases) == 0 {
		return i.tablesOf(ctx, c, i.login.database, s)
	}
	for _, name := range i.databases {
		one, err := i.dial(ctx, name)
		if err != nil {
			return err
		}
		err = i.tablesOf(ctx, one, name, s)
		one.close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (i *instance) tablesOf(ctx context.Context, c *conn, database string, s tallyman.ServiceSink) error {
	n := max(5, maxTables/max(1, len(i.databases)))
	rows, err := c.ask(ctx, fmt.Sprintf(`SELECT t.*, io.heap_blks_read, io.heap_blks_hit, io.idx_blks_read, io.idx_blks_hit, c.relpages,
CASE WHEN row_number() OVER (ORDER BY c.relpages DESC, t.relid) <= %d THEN pg_catalog.pg_table_size(t.relid) END AS table_size
FROM pg_catalog.pg_stat_user_tables t JOIN pg_catalog.pg_class c ON c.oid = t.relid LEFT JOIN pg_catalog.pg_statio_user_tables io ON io.relid = t.relid
ORDER BY c.relpages DESC, t.relid LIMIT %d`, n, maxRows))
	if err != nil {
		if optional(err) {
			return nil
		}
		return fault(err)
	}
	var list []ask.Row
	for at, r := range rows {
		// The order is the server's: by size, and the sizes of the rest are not asked for.
		list = append(list, ask.Row{Labels: []string{database, r["schemaname"], r["relname"]}, Values: columnsOf(r, ofTable), Size: float64(-at)})
	}
	top := ask.Top(list, n)
	if len(list) > n { // the database stays told
		top[n].Labels[0] = database
	}
	giveTop(s, top, len(top), ofTable, "datname", "schemaname", "relname")
	return nil
}

// slowest asks for the statements that take the most time.
func (i *instance) slowest(ctx context.Context, c *conn, s tallyman.ServiceSink) error {
	rows, err := c.ask(ctx, `SELECT pg_catalog.quote_ident(n.nspname) AS schema FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements'`)
	if err != nil {
		return fault(err)
	}
	if len(rows) == 0 {
		return tallyman.Faulty(tallyman.ConfigFault, "CREATE EXTENSION pg_stat_statements in that database, or take QUERY STATS out.", "the database has no pg_stat_statements")
	}
	spent := "total_exec_time"
	if c.version < 130000 {
		spent = "total_time"
	}
	rows, err = c.ask(ctx, fmt.Sprintf(`SELECT r.rolname, d.datname, s.queryid, sum(s.calls) AS calls, sum(s.%s) AS time, sum(s.rows) AS rows
FROM %s.pg_stat_statements s JOIN pg_catalog.pg_roles r ON r.oid = s.userid JOIN pg_catalog.pg_database d ON d.oid = s.dbid
WHERE s.queryid IS NOT NULL GROUP BY 1, 2, 3 ORDER BY time DESC LIMIT %d`, spent, rows[0]["schema"], maxStatements))
	if err != nil {
		return fault(err)
	}
	for _, r := range rows {
		give(s, r, []column{{"calls", calls, 0}, {"time", seconds, 0.001}, {"rows", rowsTotal, 0}}, "user", r["rolname"], "datname", r["datname"], "queryid", r["queryid"])
	}
	return nil
}
