// SPDX-License-Identifier: Apache-2.0

// Package postgresql is the plugin POSTGRESQL: it asks PostgreSQL 9.6 and later for what
// its statistics views say.
//
// Views are read whole and their columns taken by name, so that a column which a version
// does not have is left out, and one that has moved is found where it is.
package postgresql

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"tallyman"
	"tallyman/service/ask"
)

const defaultPort = 5432

// Kind is the catalog's entry.
func Kind() tallyman.ServiceKind {
	return tallyman.ServiceKind{
		Name: "POSTGRESQL", Aliases: []string{"POSTGRES", "PGSQL"},
		Summary: "PostgreSQL, TimescaleDB and PostGIS: connections, transactions, tables, locks, checkpoints, WAL and replication",
		Keys: append(append(ask.HostKeys("5432"), ask.SocketKey("/var/run/postgresql/.s.PGSQL.5432")), append(ask.LoginKeys(),
			tallyman.ServiceKey{Name: "DEFAULT DATABASE", Type: tallyman.TextKey, Help: "database to connect to", Default: "the name of the login, else postgres"},
			tallyman.ServiceKey{Name: "DATABASES", Type: tallyman.TextKey, Help: "databases whose tables are told of, 8 at most", Default: "the default database", List: true},
			tallyman.ServiceKey{Name: "GLOBAL STATS", Type: tallyman.BoolKey, Help: "false leaves out what is not of the databases themselves", Default: "true"},
			tallyman.ServiceKey{Name: "QUERY STATS", Type: tallyman.BoolKey, Help: "true tells of the 50 statements that take the most time, from pg_stat_statements", Default: "false"},
			tallyman.ServiceKey{Name: "QUERY CHECK", Type: tallyman.TextKey, Help: "statement that the active check runs, read only", Default: "SELECT 1", Write: true},
			tallyman.ServiceKey{Name: "SSLMODE", Type: tallyman.TextKey, Help: "disable, prefer, require or verify-full", Default: "disable on the container itself, else prefer"},
			tallyman.ServiceKey{Name: "FILE", Type: tallyman.TextKey, Help: "log of the server; taken, and not used yet", List: true},
			tallyman.ServiceKey{Name: "LOG STATEMENT", Type: tallyman.TextKey, Help: "setting of the log; taken, and not used yet"},
			tallyman.ServiceKey{Name: "LOG DURATION", Type: tallyman.TextKey, Help: "setting of the log; taken, and not used yet"},
			tallyman.ServiceKey{Name: "LOG FORMAT", Type: tallyman.TextKey, Help: "log_line_prefix; taken, and not used yet"},
		)...),
		Metrics: metrics(),
		Charts:  charts(),
		Every:   15 * time.Second,
		Find:    find,
		Where:   func(c tallyman.ServiceConfig) string { return ask.Where(c, defaultPort) },
		Check: func(c tallyman.ServiceConfig) error {
			if mode := c.Text("SSLMODE", "prefer"); !slices.Contains(modes, mode) {
				return fmt.Errorf("SSLMODE may be %s", strings.Join(modes, ", "))
			}
			return nil
		},
		Open: open,
		Docs: tallyman.ServiceDocs{
			Detect: "The image is `postgres`, `postgis/postgis`, `timescale/timescaledb*`, `pgvector/pgvector` or `bitnami/postgresql*`, or a process is called `postgres`. The port is that of its command line or of `PGPORT`, else 5432; the socket when nothing listens on TCP.",
			Free: "Everything in the official image, which trusts its own loopback: the login is `POSTGRES_USER` (else `postgres`), the database `POSTGRES_DB`. Where a password is wanted, `POSTGRES_PASSWORD` is used, and for bitnami's images `POSTGRESQL_USERNAME`, `POSTGRESQL_PASSWORD`, `POSTGRESQL_POSTGRES_PASSWORD` and `POSTGRESQL_DATABASE`, each with `_FILE` as well. " +
				"A server that knows its users by their system account (`peer`, as Debian has it) needs a role of its own.",
			Account: "```sql\nCREATE ROLE tallyman LOGIN PASSWORD 'PASSWORD';\nGRANT pg_monitor TO tallyman;\n```\n\n`pg_monitor` is there since PostgreSQL 10. A role without it works, with fewer numbers: what it may not see is left out.",
			Notes: "Each connection is read only, and gives a statement 2 s and a lock half a second. Sizes of databases are asked for every 5 minutes, tables and statements every minute.\n\n" +
				"The names are those of prometheus-community/postgres_exporter, compared with version 0.11 (whose own label `server` is left out everywhere). What differs:\n\n" +
				"- Of `pg_settings_*` those that matter for limits are here, not all of them.\n" +
				"- `pg_stat_activity_count` and `pg_stat_activity_max_tx_duration` have `datname`, `state` and `usename`; states without a session have no series.\n" +
				"- `pg_locks_count` has no series for modes that nobody holds.\n" +
				"- `pg_stat_bgwriter_*` end in `_total`, as in later versions of the exporter; on PostgreSQL 17 and later checkpoints are `pg_stat_checkpointer_*_total`.\n" +
				"- `pg_replication_slots_*` are those of the exporter from 0.20 on.\n" +
				"- Of tables the 40 largest stand alone (of several `DATABASES`, 40 among them), and the rest are summed in `relname=\"" + ask.Other + "\"`; so are databases beyond the 25 with the most commits. Times of the last vacuum are left out.\n" +
				"- `pg_stat_database_active_time` is `pg_stat_database_active_time_seconds_total`, as in later versions; what it has untyped there are counters here. `pg_stat_database_conflicts_*` by reason is left out.\n" +
				"- `pg_stat_user_tables_*`, `pg_replication_*`, `pg_wal_*` and `pg_postmaster_start_time_seconds` are those of later versions, or of its file of queries. `pg_stat_wal_*` are tallyman's own.",
			Example: `[{"PluginType":"POSTGRESQL","Configuration":{"USERNAME":["tallyman"],"PASSWORD":["$/run/secrets/tallyman"],"DEFAULT DATABASE":["shop"],"QUERY STATS":["true"]}}]`,
		},
	}
}

var modes = []string{"disable", "prefer", "require", "verify-full"}

func find(in tallyman.Inside) []tallyman.ServiceConfig {
	f := in.Facts()
	if !f.Is("postgres", "postgis/postgis", "timescale/timescaledb*", "pgvector/pgvector", "bitnami/postgresql*", "*/postgres") && !f.Runs("postgres", "postmaster") {
		return nil
	}
	port := ask.FirstEnv(in, "PGPORT", "POSTGRESQL_PORT_NUMBER")
	for _, p := range f.Processes {
		if p.Name != "postgres" && p.Name != "postmaster" {
			continue
		}
		if v, ok := ask.Flag(p.Args, "-p", "--port"); ok {
			port = v
		}
		for _, arg := range p.Args {
			if v, ok := strings.CutPrefix(arg, "port="); ok {
				port = v
			}
		}
	}
	if port == "" || strings.Trim(port, "0123456789") != "" {
		port = "5432"
	}
	tcp := len(f.Listening) == 0
	for _, s := range f.Listening {
		tcp = tcp || s.Network == "tcp" && fmt.Sprint(s.Port) == port
	}
	if !tcp {
		for _, s := range f.Listening {
			if s.Network == "unix" && strings.HasSuffix(s.Path, "/.s.PGSQL."+port) {
				return []tallyman.ServiceConfig{tallyman.NewServiceConfig(map[string][]string{"SOCKET": {s.Path}})}
			}
		}
	}
	return []tallyman.ServiceConfig{tallyman.NewServiceConfig(map[string][]string{"PORT": {port}})}
}

// login is who connects, and to what.
type login struct{ user, password, database string }

// logIn is the login of a configuration, or otherwise the one that the container has.
func logIn(in tallyman.Inside, c tallyman.ServiceConfig) login {
	l := login{c.Text("USERNAME", ""), c.Text("PASSWORD", ""), c.Text("DEFAULT DATABASE", "")}
	if ask.Local(c) && l.user == "" {
		l.user = ask.FirstEnv(in, "POSTGRES_USER", "POSTGRESQL_USERNAME")
	}
	if l.user == "" {
		l.user = "postgres"
	}
	if ask.Local(c) && l.password == "" && !c.Has("USERNAME") {
		if l.user == "postgres" {
			l.password = ask.FirstEnv(in, "POSTGRES_PASSWORD", "POSTGRESQL_POSTGRES_PASSWORD", "POSTGRESQL_PASSWORD")
		} else {
			l.password = ask.FirstEnv(in, "POSTGRES_PASSWORD", "POSTGRESQL_PASSWORD")
		}
	}
	if ask.Local(c) && l.database == "" && !c.Has("USERNAME") {
		l.database = ask.FirstEnv(in, "POSTGRES_DB", "POSTGRESQL_DATABASE")
	}
	if l.database == "" {
		l.database = l.user
		if c.Has("USERNAME") {
			l.database = "postgres" // a role for monitoring seldom has a database
		}
	}
	return l
}

type instance struct {
	in               tallyman.Inside
	network, address string
	host, mode       string
	login            login
	databases        []string
	global, queries  bool
	check            string
	conn             *conn // the one that is kept, nil without
	tables, sizes    ask.Kept
	statements       ask.Kept
	sessions         ask.Ranking
}

const maxDatabases = 8

func open(in tallyman.Inside, c tallyman.ServiceConfig) (tallyman.Service, error) {
	i := &instance{in: in, host: c.Text("HOSTNAME", "localhost"), login: logIn(in, c), global: c.Bool("GLOBAL STATS", true), queries: c.Bool("QUERY STATS", false),
		check: c.Text("QUERY CHECK", "SELECT 1"), tables: ask.Kept{Every: time.Minute}, sizes: ask.Kept{Every: 5 * time.Minute}, statements: ask.Kept{Every: time.Minute}}
	i.network, i.address = ask.Target(c, defaultPort)
	i.mode = "prefer"
	if ask.Local(c) {
		i.mode = "disable"
	}
	i.mode = c.Text("SSLMODE", i.mode)
	if !slices.Contains(modes, i.mode) {
		return nil, tallyman.Faulty(tallyman.ConfigFault, "Use one of "+strings.Join(modes, ", ")+".", "SSLMODE is none that is known")
	}
	i.databases = c.List("DATABASES")
	if len(i.databases) > maxDatabases {
		return nil, tallyman.Faulty(tallyman.ConfigFault, "Name the ones that matter.", "DATABASES names more than %d databases", maxDatabases)
	}
	return i, nil
}

// Close implements tallyman.Service.
func (i *instance) Close() {
	if i.conn != nil {
		i.conn.close()
		i.conn = nil
	}
}

// Scrape implements tallyman.Service.
func (i *instance) Scrape(ctx context.Context, s tallyman.ServiceSink) error {
	return i.with(ctx, func(c *conn) error { return i.scrape(ctx, c, s) })
}

var _ tallyman.ServiceChecker = (*instance)(nil)

// Check implements tallyman.ServiceChecker.
func (i *instance) Check(ctx context.Context) error {
	return i.with(ctx, func(c *conn) error {
		_, err := c.ask(ctx, i.check)
		return fault(err)
	})
}

// with calls f with the connection that is kept. One that has ended meanwhile is made
// anew once.
func (i *instance) with(ctx context.Context, f func(*conn) error) error {
	kept := i.conn != nil
	if !kept {
		c, err := i.dial(ctx, i.login.database)
		if err != nil {
			return err
		}
		i.conn = c
	}
	err := f(i.conn)
	if !i.conn.pg.IsClosed() {
		return err
	}
	i.Close()
	if err == nil || !kept || ctx.Err() != nil {
		return err
	}
	return i.with(ctx, f)
}
