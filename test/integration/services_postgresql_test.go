// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"tallyman"
	"tallyman/internal/testkit"
	"tallyman/service/postgresql"
	"tallyman/service/servicetest"
)

func TestPostgreSQL(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	image := d.Debian("postgresql", "postgresql-15")
	id := d.StartDebian(image, `mkdir -p /data /var/run/postgresql; chown postgres /data /var/run/postgresql; B=/usr/lib/postgresql/15/bin
su postgres -c "$B/initdb -D /data -A trust -E UTF8 --locale=C -N"
printf 'local all all trust\nhost all guest 127.0.0.1/32 scram-sha-256\nhost all tallyman 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n' >/data/pg_hba.conf
exec su postgres -c "exec $B/postgres -D /data -c listen_addresses=127.0.0.1 -c shared_preload_libraries=pg_stat_statements -c max_connections=50 -c fsync=off"`, []string{"postgres"})
	c := servicetest.NewContainer(t, d, id)
	c.Scrape(postgresql.Kind())
	psql := func(sql string) string {
		return d.Cmd("exec", id, "su", "postgres", "-c", `/usr/lib/postgresql/15/bin/psql -qAt -c "`+sql+`"`)
	}
	psql("CREATE TABLE shop (a int primary key, b text)")
	psql("INSERT INTO shop SELECT n, 'x' FROM generate_series(1, 100) n")
	psql("DELETE FROM shop WHERE a > 90")
	psql("SELECT count(*) FROM shop")
	psql("CREATE EXTENSION pg_stat_statements")
	psql("CREATE ROLE tallyman LOGIN PASSWORD 'words'; GRANT pg_monitor TO tallyman; CREATE ROLE guest LOGIN PASSWORD 'words'")
	psql("SELECT pg_create_physical_replication_slot('standby', true)")
	psql("SELECT pg_stat_force_next_flush()")
	number := func(sql string) float64 {
		v, err := strconv.ParseFloat(psql(sql), 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	values := map[string]string{
		`pg_stat_database_xact_commit{datid="5",datname="postgres"}`:                                  "SELECT xact_commit FROM pg_stat_database WHERE datname = 'postgres'",
		`pg_stat_database_tup_inserted{datid="5",datname="postgres"}`:                                 "SELECT tup_inserted FROM pg_stat_database WHERE datname = 'postgres'",
		`pg_stat_database_blks_hit{datid="5",datname="postgres"}`:                                     "SELECT blks_hit FROM pg_stat_database WHERE datname = 'postgres'",
		`pg_database_size_bytes{datname="postgres"}`:                                                  "SELECT pg_database_size('postgres')",
		"pg_settings_shared_buffers_bytes":                                                            "SELECT pg_size_bytes(current_setting('shared_buffers'))",
		"pg_settings_max_wal_size_bytes":                                                              "SELECT pg_size_bytes(current_setting('max_wal_size'))",
		"pg_wal_size_bytes":                                                                           "SELECT sum(size) FROM pg_ls_waldir()",
		"pg_stat_wal_bytes_total":                                                                     "SELECT wal_bytes FROM pg_stat_wal",
		"pg_stat_bgwriter_buffers_alloc_total":                                                        "SELECT buffers_alloc FROM pg_stat_bgwriter",
		`pg_stat_user_tables_table_size_bytes{datname="postgres",relname="shop",schemaname="public"}`: "SELECT pg_table_size('shop')",
	}
	before := map[string]float64{}
	for series, sql := range values {
		before[series] = number(sql)
	}
	s := c.Scrape(postgresql.Kind())
	for series, sql := range values {
		near(t, s, series, before[series], number(sql))
	}
	table := `{datname="postgres",relname="shop",schemaname="public"}`
	want(t, s, map[string]float64{
		"pg_up": 1, "pg_settings_max_connections": 50, "pg_settings_fsync": 0, "pg_settings_checkpoint_timeout_seconds": 300, "pg_replication_is_replica": 0, "pg_replication_lag_seconds": 0,
		"pg_stat_user_tables_n_tup_ins" + table: 100, "pg_stat_user_tables_n_tup_del" + table: 10, "pg_stat_user_tables_n_live_tup" + table: 90, "pg_stat_user_tables_n_dead_tup" + table: 10,
		`pg_stat_activity_count{datname="postgres",state="active",usename="postgres"}`: 1,
	})
	near(t, s, `pg_locks_count{datname="postgres",mode="accesssharelock"}`, 1, 20)
	slot := `{slot_name="standby",slot_type="physical"}`
	want(t, s, map[string]float64{"pg_replication_slots_slot_is_active" + slot: 0, "pg_replication_slots_active" + slot: 0})
	near(t, s, "pg_replication_slots_pg_wal_lsn_diff"+slot, 0, 16<<20)
	t.Logf("%d series", len(s.Values))
	if v := s.Values[`pg_stat_archiver_archived_count`]; v != 0 {
		t.Errorf("archived %v", v)
	}

	// The role of the documents sees as much.
	least, err := c.ScrapeWith(postgresql.Kind(), servicetest.Config("USERNAME", "tallyman", "PASSWORD", "words", "QUERY STATS", "true"))
	if err != nil {
		t.Fatalf("with the least rights: %v", err)
	}
	for name := range shapes(s) {
		if shapes(least)[name] == "" {
			t.Errorf("with the least rights %s is missing", name)
		}
	}
	calls := 0
	for series := range least.Values {
		if strings.HasPrefix(series, "pg_stat_statements_calls_total{") {
			calls++
		}
	}
	if calls < 5 {
		t.Errorf("%d statements", calls)
	}
	if guest, err := c.ScrapeWith(postgresql.Kind(), servicetest.Config("USERNAME", "guest", "PASSWORD", "words")); err != nil || guest.Values["pg_up"] != 1 {
		t.Errorf("without pg_monitor: %v", err)
	}
	var fault *tallyman.ServiceError
	if _, err := c.ScrapeWith(postgresql.Kind(), servicetest.Config("USERNAME", "tallyman", "PASSWORD", "wrong")); !errors.As(err, &fault) || fault.Fault != tallyman.AuthFault || strings.Contains(err.Error(), "wrong") {
		t.Errorf("with a wrong password: %v", err)
	}

	stands(t, d, c, postgresql.Kind(), servicetest.Config())
	sameAsExporter(t, d, c, s, "9187", []string{"-e", "DATA_SOURCE_NAME=postgresql://postgres@127.0.0.1:5432/postgres?sslmode=disable"}, []string{"prometheus-postgres-exporter"},
		difference{"label", "server", "the label instance says that"},
		difference{"-", "(postgres_exporter|pg_exporter|pg_scrape_collector)_.*", "about the exporter itself"},
		difference{"-", "pg_settings_.*", "those that are not about limits"},
		difference{"-", "pg_stat_database_conflicts_confl_.*", "conflicts are counted in one"},
		difference{"-", "pg_stat_database_active_time .*", "its later name is here"},
		difference{"-", "pg_stat_(database_stats_reset|database_checksum_last_failure|archiver_last_archive_age) .*", "it gives NaN for what never was"},
		difference{"-", "pg_stat_database_checksum_failures .*", "NULL without checksums"},
		difference{"!", `pg_stat_bgwriter_stats_reset_total counter.*`, "a time is no counter"},
		difference{"!", `pg_stat_activity_.*\{datname,state\} \| gauge\{datname,state,usename\}`, "by user as well, as later versions have it"},
		difference{"!", `pg_(static|stat_database_[a-z_]+) unknown.*`, "what it has untyped"},
		difference{"!", `pg_replication_slots_.*\{database,slot_name\} \| gauge\{slot_name,slot_type\}`, "labels of later versions"},
		difference{"+", "pg_(postmaster|replication|stat_database_active_time_seconds_total|stat_user_tables|statio_user_tables|stat_wal|wal_).*", "of later versions, or tallyman's own"},
	)
}
