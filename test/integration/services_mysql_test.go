// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"tallyman"
	"tallyman/internal/testkit"
	"tallyman/service/mysql"
	"tallyman/service/servicetest"
)

func TestMySQL(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	image := d.Debian("mariadb", "mariadb-server")
	id := d.StartDebian(image, `mkdir -p /data /run/mysqld /etc/mysql
mariadb-install-db --no-defaults --user=root --datadir=/data --auth-root-authentication-method=socket --skip-test-db
exec mariadbd --no-defaults --user=root --datadir=/data --bind-address=127.0.0.1 --socket=/run/mysqld/mysqld.sock --skip-name-resolve --max-connections=77 --performance-schema=on`, nil)
	c := servicetest.NewContainer(t, d, id)
	c.Scrape(mysql.Kind()) // as root over the socket
	ask := func(sql string) string {
		return d.Cmd("exec", id, "mariadb", "--no-defaults", "-S", "/run/mysqld/mysqld.sock", "-N", "-e", sql)
	}
	ask("CREATE DATABASE shop; CREATE TABLE shop.a (n INT PRIMARY KEY); INSERT INTO shop.a VALUES (1),(2),(3); SELECT * FROM shop.a")
	ask("CREATE USER tallyman@'127.0.0.1' IDENTIFIED BY 'words'; GRANT PROCESS, SLAVE MONITOR ON *.* TO tallyman@'127.0.0.1'; GRANT SELECT ON performance_schema.* TO tallyman@'127.0.0.1'")
	ask("CREATE USER guest@'127.0.0.1' IDENTIFIED BY 'words'")
	ask("CHANGE MASTER 'east' TO MASTER_HOST='127.0.0.2', MASTER_USER='nobody'")
	status := func() map[string]float64 {
		m := map[string]float64{}
		for line := range strings.Lines(ask("SHOW GLOBAL STATUS")) {
			words := strings.Fields(line)
			if len(words) == 2 {
				if v, err := strconv.ParseFloat(words[1], 64); err == nil {
					m[strings.ToLower(words[0])] = v
				}
			}
		}
		return m
	}
	before := status()
	s := c.Scrape(mysql.Kind())
	after := status()
	for _, name := range []string{"uptime", "questions", "queries", "connections", "bytes_received", "bytes_sent", "innodb_buffer_pool_read_requests", "innodb_data_written", "max_used_connections", "open_tables", "slow_queries", "created_tmp_tables"} {
		near(t, s, "mysql_global_status_"+name, before[name], after[name])
	}
	near(t, s, `mysql_global_status_commands_total{command="insert"}`, before["com_insert"], after["com_insert"])
	near(t, s, `mysql_global_status_handlers_total{handler="write"}`, before["handler_write"], after["handler_write"])
	want(t, s, map[string]float64{"mysql_up": 1, "mysql_global_variables_max_connections": 77, `mysql_global_status_commands_total{command="insert"}`: 1, "mysql_global_variables_read_only": 0})
	replica := `{channel_name="",connection_name="east",master_host="127.0.0.2",master_uuid=""}`
	want(t, s, map[string]float64{"mysql_slave_status_slave_io_running" + replica: 0, "mysql_slave_status_slave_sql_running" + replica: 0, "mysql_slave_status_last_errno" + replica: 0})
	if _, ok := s.Values["mysql_slave_status_seconds_behind_master"+replica]; ok {
		t.Error("replication that does not run is behind by a time")
	}
	t.Logf("%d series", len(s.Values))

	least, err := c.ScrapeWith(mysql.Kind(), servicetest.Config("HOSTNAME", "127.0.0.1", "USERNAME", "tallyman", "PASSWORD", "words", "QUERY STATS", "true"))
	if err != nil {
		t.Fatalf("with the least rights: %v", err)
	}
	for name := range shapes(s) {
		if shapes(least)[name] == "" {
			t.Errorf("with the least rights %s is missing", name)
		}
	}
	if shapes(least)["mysql_perf_schema_events_statements_total"] == "" {
		t.Error("no statements")
	}
	if guest, err := c.ScrapeWith(mysql.Kind(), servicetest.Config("HOSTNAME", "127.0.0.1", "USERNAME", "guest", "PASSWORD", "words")); err != nil || guest.Values["mysql_up"] != 1 {
		t.Errorf("without rights: %v", err)
	}
	refused := status()["aborted_connects"]
	var fault *tallyman.ServiceError
	if _, err := c.ScrapeWith(mysql.Kind(), servicetest.Config("HOSTNAME", "127.0.0.1", "USERNAME", "tallyman", "PASSWORD", "wrong")); !errors.As(err, &fault) || fault.Fault != tallyman.AuthFault || strings.Contains(err.Error(), "wrong") {
		t.Errorf("with a wrong password: %v", err)
	}
	if now := status()["aborted_connects"]; now != refused+1 {
		t.Errorf("one try with a wrong password made %v failures", now-refused)
	}

	stands(t, d, c, mysql.Kind(), servicetest.Config())
	sameAsExporter(t, d, c, s, "9104", []string{"-e", "DATA_SOURCE_NAME=tallyman:words@(127.0.0.1:3306)/"}, []string{"prometheus-mysqld-exporter"},
		difference{"-", "mysqld?_exporter_.*", "about the exporter itself"},
		difference{"-", "mysql_global_variables_.*", "those that are not about limits"},
		difference{"-", "mysql_(galera_variables_info|transaction_isolation|info_schema_).*", "left out"},
		difference{"-", "mysql_slave_status_.*", "columns that say nothing of how replication is"},
		difference{"!", `mysql_slave_status_[a-z_]+ unknown(\{.*\}) \| gauge\{.*\}`, "what it has untyped"},
		difference{"!", `mysql_global_(status|variables)_[a-z_]+ unknown\{\} \| (gauge|counter)\{\}`, "what it has untyped"},
	)
}
