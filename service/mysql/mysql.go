// SPDX-License-Identifier: Apache-2.0

// Package mysql is the plugin MYSQL: it asks MySQL, MariaDB and Percona Server for their
// status, their variables, replication and, when wanted, their slowest statements.
package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"tallyman"
	"tallyman/service/ask"
)

const defaultPort = 3306

// fix is what helps against a login that is refused.
const fix = "CREATE USER tallyman@'%' IDENTIFIED BY '…'; GRANT PROCESS, REPLICATION CLIENT ON *.* TO tallyman@'%'; and set USERNAME and PASSWORD."

var tlsModes = []string{"false", "true", "skip-verify", "preferred"}

// Kind is the catalog's entry.
func Kind() tallyman.ServiceKind {
	return tallyman.ServiceKind{
		Name: "MYSQL", Aliases: []string{"MARIADB", "PERCONA"},
		Summary: "MySQL, MariaDB and Percona Server: connections, statements, InnoDB, replication",
		Keys: append(append(ask.HostKeys("3306"), ask.SocketKey("/run/mysqld/mysqld.sock")), append(ask.LoginKeys(),
			tallyman.ServiceKey{Name: "DEFAULT DATABASE", Type: tallyman.TextKey, Help: "database to connect to"},
			tallyman.ServiceKey{Name: "QUERY STATS", Type: tallyman.BoolKey, Help: "true tells of the 50 statements that take the most time, from performance_schema", Default: "false"},
			tallyman.ServiceKey{Name: "QUERY CHECK", Type: tallyman.TextKey, Help: "statement that the active check runs", Default: "SELECT 1", Write: true},
			tallyman.ServiceKey{Name: "TLS", Type: tallyman.TextKey, Help: "false, true, skip-verify or preferred", Default: "false on the container itself, else preferred"},
		)...),
		Metrics: metrics(),
		Charts:  charts(),
		Every:   15 * time.Second,
		Find:    find,
		Where:   func(c tallyman.ServiceConfig) string { return ask.Where(c, defaultPort) },
		Check: func(c tallyman.ServiceConfig) error {
			if !slices.Contains(tlsModes, c.Text("TLS", "false")) {
				return fmt.Errorf("TLS may be %s", strings.Join(tlsModes, ", "))
			}
			return nil
		},
		Open: open,
		Docs: tallyman.ServiceDocs{
			Detect: "The image is `mysql`, `mariadb`, `percona*`, `bitnami/mysql*`, `bitnami/mariadb*` or `linuxserver/mariadb`, or a process is called `mysqld` or `mariadbd`. The port is that of its command line, else 3306; the socket when nothing listens on TCP.",
			Free: "Everything, with the first of these logins that the server takes (each is tried once, four at most): MariaDB's `root` over its socket, without a password; the account of its health check (`.my-healthcheck.cnf` beside the data); the one of `/etc/mysql/debian.cnf`; `root` with `MYSQL_ROOT_PASSWORD` or `MARIADB_ROOT_PASSWORD` (`_FILE` as well), or without a password where that is allowed; `MYSQL_USER` or `MARIADB_USER` with its password. " +
				"With a random password of root, make an account.",
			Account: "```sql\nCREATE USER tallyman@'%' IDENTIFIED BY 'PASSWORD';\nGRANT PROCESS, REPLICATION CLIENT ON *.* TO tallyman@'%';\nGRANT SELECT ON performance_schema.* TO tallyman@'%';\n```\n\nMariaDB from 10.5 on wants `SLAVE MONITOR` in place of `REPLICATION CLIENT`. The last line is for `QUERY STATS` alone. An account without any right works, with the status alone.",
			Notes: "A statement has 2 s where the server knows such a limit, and waits 2 s for a lock.\n\n" +
				"The names are those of prometheus/mysqld_exporter, compared with version 0.14. What differs:\n\n" +
				"- What it leaves untyped has its type here where that is known.\n" +
				"- Of `mysql_global_variables_*` those that matter for limits are here, not all of them.\n" +
				"- Replication has the same names on all versions: `mysql_slave_status_seconds_behind_master` also where the server says `Seconds_Behind_Source`; of its columns those are here that say how it is.\n" +
				"- `mysql_global_status_innodb_row_ops_total` is there where the server still counts it: MariaDB from 10.6 on does not.\n" +
				"- `mysql_info_schema_*`, `mysql_galera_variables_info`, `mysql_exporter_*` and `mysql_transaction_isolation` are left out.\n" +
				"- `mysql_perf_schema_events_statements_*` come with `QUERY STATS`, for the 50 slowest.",
			Example: `[{"PluginType":"MYSQL","Configuration":{"USERNAME":["tallyman"],"PASSWORD":["$/run/secrets/tallyman"],"QUERY STATS":["true"]}}]`,
		},
	}
}

var servers = []string{"mysqld", "mariadbd"}

var sockets = []string{"/run/mysqld/mysqld.sock", "/var/run/mysqld/mysqld.sock", "/tmp/mysql.sock", "/var/lib/mysql/mysql.sock", "/opt/bitnami/mariadb/tmp/mysql.sock", "/opt/bitnami/mysql/tmp/mysql.sock"}

func find(in tallyman.Inside) []tallyman.ServiceConfig {
	f := in.Facts()
	if !f.Is("mysql", "mariadb", "percona*", "percona/percona-server", "percona/percona-xtradb-cluster", "bitnami/mysql*", "bitnami/mariadb*", "linuxserver/mariadb", "*/mysql", "*/mariadb", "mysql/mysql-server") && !f.Runs(servers...) {
		return nil
	}
	port := "3306"
	lines := [][]string{f.Command}
	for _, p := range f.Processes {
		if slices.Contains(servers, p.Name) {
			lines = append(lines, p.Args)
		}
	}
	for _, args := range lines {
		if v, ok := ask.Flag(args, "--port", "-P"); ok && strings.Trim(v, "0123456789") == "" {
			port = v
		}
	}
	tcp := len(f.Listening) == 0
	for _, s := range f.Listening {
		tcp = tcp || s.Network == "tcp" && fmt.Sprint(s.Port) == port
	}
	if s := socket(in); !tcp && s != "" {
		return []tallyman.ServiceConfig{tallyman.NewServiceConfig(map[string][]string{"SOCKET": {s}})}
	}
	return []tallyman.ServiceConfig{tallyman.NewServiceConfig(map[string][]string{"PORT": {port}})}
}

// socket is the server's unix socket, empty when there is none.
func socket(in tallyman.Inside) string {
	for _, s := range in.Facts().Listening {
		if base := path.Base(s.Path); s.Network == "unix" && (base == "mysqld.sock" || base == "mysql.sock" || base == "mariadb.sock") {
			return s.Path
		}
	}
	for _, s := range sockets {
		if _, err := in.Stat(s); err == nil {
			return s
		}
	}
	return ""
}

// login is one way to log in; socket is set for one that goes over the unix socket.
type login struct{ user, password, socket string }

const maxLogins = 4

// logins are those of a configuration, or otherwise those that the container has.
func logins(in tallyman.Inside, c tallyman.ServiceConfig) (list []login) {
	if c.Has("USERNAME") || !ask.Local(c) {
		return []login{{c.Text("USERNAME", "root"), c.Text("PASSWORD", ""), ""}}
	}
	add := func(l login) {
		if l.user != "" && len(list) < maxLogins && !slices.Contains(list, l) {
			list = append(list, l)
		}
	}
	over := socket(in)
	f := in.Facts()
	maria := f.Is("mariadb", "bitnami/mariadb*", "linuxserver/mariadb", "*/mariadb") || f.Runs("mariadbd")
	if maria && over != "" {
		add(login{"root", "", over})
	}
	for _, name := range []string{"/var/lib/mysql/.my-healthcheck.cnf", "/etc/mysql/debian.cnf"} {
		if text, err := in.ReadFile(name); err == nil {
			user, password := client(string(text))
			add(login{user, password, over})
		}
	}
	if p := ask.FirstEnv(in, "MARIADB_ROOT_PASSWORD", "MYSQL_ROOT_PASSWORD"); p != "" {
		add(login{"root", p, ""})
	}
	for _, name := range []string{"MARIADB_ALLOW_EMPTY_ROOT_PASSWORD", "MARIADB_ALLOW_EMPTY_PASSWORD", "MYSQL_ALLOW_EMPTY_PASSWORD", "ALLOW_EMPTY_PASSWORD"} {
		if v, _ := in.Getenv(name); v != "" && v != "0" && v != "no" && v != "false" {
			add(login{"root", "", ""})
		}
	}
	add(login{ask.FirstEnv(in, "MARIADB_USER", "MYSQL_USER"), ask.FirstEnv(in, "MARIADB_PASSWORD", "MYSQL_PASSWORD"), ""})
	return list
}

// client reads user and password of an option file.
func client(text string) (user, password string) {
	for line := range strings.Lines(text) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch v = strings.Trim(strings.TrimSpace(v), `"'`); strings.TrimSpace(k) {
		case "user":
			if user == "" {
				user = v
			}
		case "password":
			if password == "" {
				password = v
			}
		}
	}
	return user, password
}

type instance struct {
	in               tallyman.Inside
	network, address string
	host             string
	tls, database    string
	logins           []login
	queries          bool
	check            string
	db               *sql.DB // with the login that was taken, nil without
	statements       ask.Kept
	over             atomic.Bool // a packet was too large
}

func open(in tallyman.Inside, c tallyman.ServiceConfig) (tallyman.Service, error) {
	i := &instance{in: in, host: c.Text("HOSTNAME", "localhost"), database: c.Text("DEFAULT DATABASE", ""), logins: logins(in, c), queries: c.Bool("QUERY STATS", false),
		check: c.Text("QUERY CHECK", "SELECT 1"), statements: ask.Kept{Every: time.Minute}}
	i.network, i.address = ask.Target(c, defaultPort)
	i.tls = "preferred"
	if ask.Local(c) {
		i.tls = "false"
	}
	i.tls = c.Text("TLS", i.tls)
	if !slices.Contains(tlsModes, i.tls) {
		return nil, tallyman.Faulty(tallyman.ConfigFault, "Use one of "+strings.Join(tlsModes, ", ")+".", "TLS is none that is known")
	}
	return i, nil
}

// Close implements tallyman.Service.
func (i *instance) Close() {
	if i.db != nil {
		_ = i.db.Close()
		i.db = nil
	}
}

var _ tallyman.ServiceChecker = (*instance)(nil)

// Check implements tallyman.ServiceChecker.
func (i *instance) Check(ctx context.Context) error {
	c, err := i.conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	rows, err := c.QueryContext(ctx, i.check)
	if err != nil {
		return fault(err)
	}
	defer rows.Close()
	for n := 0; n < maxRows && rows.Next(); n++ {
	}
	return fault(rows.Err())
}
