// SPDX-License-Identifier: Apache-2.0

package postgresql

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgproto3"
	"go.uber.org/goleak"

	"tallyman"
	"tallyman/service/servicetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) { servicetest.Run(t, Kind(), servicetest.Config("PORT", "5432")) }

// answer is what a server says to a statement: names of columns and rows, or a SQLSTATE.
type answer struct {
	columns []string
	rows    [][]string // "NULL" is that
	code    string
}

// server speaks PostgreSQL's protocol.
type server struct {
	version string
	refuse  func(database string) string               // a SQLSTATE for a database that lets nobody in
	say     func(sql string) (answer, bool)            // nothing known is an undefined table
	raw     func(b *pgproto3.Backend, c net.Conn) bool // instead of all else, after the login
	mu      sync.Mutex
	seen    []string
	started []map[string]string
	open    []net.Conn
}

func (s *server) inside(t *testing.T) *servicetest.Inside {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.open = append(s.open, c)
			s.mu.Unlock()
			wg.Go(func() { s.talk(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.hangUp()
		wg.Wait()
	})
	return &servicetest.Inside{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
	}}
}

func (s *server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.open {
		_ = c.Close()
	}
}

func (s *server) talk(c net.Conn) {
	defer c.Close()
	b := pgproto3.NewBackend(c, c)
	m, err := b.ReceiveStartupMessage()
	if err != nil {
		return
	}
	start, ok := m.(*pgproto3.StartupMessage)
	if !ok {
		return
	}
	s.mu.Lock()
	s.started = append(s.started, start.Parameters)
	s.mu.Unlock()
	if s.refuse != nil {
		if code := s.refuse(start.Parameters["database"]); code != "" {
			b.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: code, Message: "no"})
			_ = b.Flush()
			return
		}
	}
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if b.Flush() != nil {
		return
	}
	for {
		m, err := b.Receive()
		if err != nil {
			return
		}
		q, ok := m.(*pgproto3.Query)
		if !ok {
			return
		}
		s.mu.Lock()
		s.seen = append(s.seen, q.String)
		s.mu.Unlock()
		if s.raw != nil && s.raw(b, c) {
			return
		}
		a, ok := answer{}, true
		switch {
		case q.String == "SHOW server_version_num":
			a = answer{columns: []string{"server_version_num"}, rows: [][]string{{s.version}}}
		default:
			if a, ok = s.say(q.String); !ok {
				a.code = "42P01"
			}
		}
		if a.code != "" {
			b.Send(&pgproto3.ErrorResponse{Severity: "ERROR", Code: a.code, Message: "no"})
		} else {
			d := &pgproto3.RowDescription{}
			for _, name := range a.columns {
				d.Fields = append(d.Fields, pgproto3.FieldDescription{Name: []byte(name), DataTypeOID: 25, DataTypeSize: -1, TypeModifier: -1})
			}
			b.Send(d)
			for _, r := range a.rows {
				row := &pgproto3.DataRow{}
				for _, v := range r {
					if v == "NULL" {
						row.Values = append(row.Values, nil)
					} else {
						row.Values = append(row.Values, []byte(v))
					}
				}
				b.Send(row)
			}
			b.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
		}
		b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		if b.Flush() != nil {
			return
		}
	}
}

// basic says the version and nothing else.
func basic(sql string) (answer, bool) {
	if strings.HasPrefix(sql, "SELECT version()") {
		return answer{columns: []string{"version", "short", "started", "replica"}, rows: [][]string{{"PostgreSQL X", "X.1 (Debian)", "1700000000.5", "f"}}}, true
	}
	return answer{}, false
}

func scrape(t *testing.T, in tallyman.Inside, pairs ...string) (*servicetest.Sink, error) {
	t.Helper()
	i, err := open(in, servicetest.Config(pairs...))
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	s := servicetest.NewSink()
	return s, i.Scrape(t.Context(), s)
}

func TestColumnsAreTakenWhereTheyAre(t *testing.T) {
	for name, one := range map[string]struct {
		version string
		views   map[string]answer
		want    map[string]float64
		asked   string
	}{
		"15": {"150004", map[string]answer{
			"pg_catalog.pg_stat_bgwriter": {columns: []string{"checkpoints_timed", "checkpoint_write_time", "buffers_backend"}, rows: [][]string{{"3", "1500", "7"}}},
			"pg_catalog.pg_stat_wal":      {columns: []string{"wal_bytes", "wal_write_time"}, rows: [][]string{{"1000", "250"}}},
		}, map[string]float64{"pg_stat_bgwriter_checkpoints_timed_total": 3, "pg_stat_bgwriter_checkpoint_write_time_total": 1500, "pg_stat_bgwriter_buffers_backend_total": 7, "pg_stat_wal_bytes_total": 1000, "pg_stat_wal_write_seconds_total": 0.25}, "pg_current_wal_lsn"},
		"17": {"170002", map[string]answer{
			"pg_catalog.pg_stat_bgwriter":     {columns: []string{"buffers_clean", "maxwritten_clean", "buffers_alloc"}, rows: [][]string{{"1", "2", "3"}}},
			"pg_catalog.pg_stat_checkpointer": {columns: []string{"num_timed", "num_requested", "write_time"}, rows: [][]string{{"4", "5", "6"}}},
		}, map[string]float64{"pg_stat_bgwriter_buffers_clean_total": 1, "pg_stat_bgwriter_maxwritten_clean_total": 2, "pg_stat_bgwriter_buffers_alloc_total": 3,
			"pg_stat_checkpointer_num_timed_total": 4, "pg_stat_checkpointer_num_requested_total": 5, "pg_stat_checkpointer_write_time_total": 6}, "pg_stat_checkpointer"},
		"18": {"180000", map[string]answer{
			"pg_catalog.pg_stat_wal": {columns: []string{"wal_bytes", "wal_buffers_full"}, rows: [][]string{{"9", "1"}}},
		}, map[string]float64{"pg_stat_wal_bytes_total": 9, "pg_stat_wal_buffers_full_total": 1}, "pg_stat_wal"},
		"9.6": {"90624", map[string]answer{
			"pg_catalog.pg_stat_database": {columns: []string{"datid", "datname", "numbackends", "xact_commit", "stats_reset", "reset"}, rows: [][]string{{"0", "NULL", "NULL", "1", "NULL", "NULL"}, {"12", "shop", "2", "30", "x", "1.5e9"}}},
		}, map[string]float64{`pg_stat_database_xact_commit{datid="0",datname=""}`: 1, `pg_stat_database_numbackends{datid="12",datname="shop"}`: 2,
			`pg_stat_database_xact_commit{datid="12",datname="shop"}`: 30, `pg_stat_database_stats_reset{datid="12",datname="shop"}`: 1.5e9}, "pg_current_xlog_location"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &server{version: one.version, say: func(sql string) (answer, bool) {
				for view, a := range one.views {
					if strings.HasSuffix(sql, "FROM "+view) {
						return a, true
					}
				}
				return basic(sql)
			}}
			s, err := scrape(t, r.inside(t))
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]float64{"pg_up": 1, `pg_static{short_version="X.1",version="PostgreSQL X"}`: 1, "pg_postmaster_start_time_seconds": 1700000000.5, "pg_replication_is_replica": 0}
			for k, v := range one.want {
				want[k] = v
			}
			if d := cmp.Diff(want, s.Values); d != "" {
				t.Errorf("values (-want +got):\n%s", d)
			}
			if all := strings.Join(r.seen, "\n"); !strings.Contains(all, one.asked) || strings.Contains(all, "xlog") && one.version != "90624" || strings.Contains(all, "waldir") && one.version == "90624" {
				t.Errorf("asked %s", all)
			}
			// Nothing of the environment, and a session that can change nothing.
			if d := cmp.Diff(map[string]string{"user": "postgres", "database": "postgres", "application_name": "tallyman", "statement_timeout": "2000", "lock_timeout": "500", "default_transaction_read_only": "on", "client_encoding": "UTF8"}, r.started[0]); d != "" {
				t.Errorf("the session (-want +got):\n%s", d)
			}
		})
	}
}

func TestTheEnvironmentOfTallymanIsNotUsed(t *testing.T) {
	for _, name := range []string{"PGUSER", "PGDATABASE", "PGHOST", "PGPASSWORD", "PGAPPNAME", "PGOPTIONS", "PGTZ"} {
		t.Setenv(name, "tallymans")
	}
	t.Setenv("PGSSLMODE", "verify-full")
	r := &server{version: "150000", say: basic}
	if _, err := scrape(t, r.inside(t)); err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprint(r.started); strings.Contains(text, "tallymans") {
		t.Errorf("started with %s", text)
	}
}

func TestManyTables(t *testing.T) {
	r := &server{version: "150000", say: func(sql string) (answer, bool) {
		if !strings.Contains(sql, "pg_stat_user_tables") {
			return basic(sql)
		}
		a := answer{columns: []string{"schemaname", "relname", "n_live_tup", "relpages", "table_size"}}
		for i := range 1000 {
			size := "NULL"
			if i < maxTables {
				size = fmt.Sprint(1000 - i)
			}
			a.rows = append(a.rows, []string{"public", fmt.Sprintf("t%d", i), "2", fmt.Sprint(1000 - i), size})
		}
		return a, true
	}}
	s, err := scrape(t, r.inside(t))
	if err != nil {
		t.Fatal(err)
	}
	rest := `pg_stat_user_tables_n_live_tup{datname="postgres",relname="__other__",schemaname="__other__"}`
	if s.Values[rest] != 2*(1000-maxTables) || s.Values[`pg_stat_user_tables_table_size_bytes{datname="postgres",relname="t39",schemaname="public"}`] != 961 || len(s.Values) > 2*maxTables+10 {
		t.Errorf("%v in the rest, %d series", s.Values[rest], len(s.Values))
	}
}

func TestAConnectionThatHasEndedIsMadeAnew(t *testing.T) {
	r := &server{version: "150000", say: basic}
	i, err := open(r.inside(t), servicetest.Config())
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	for n := range 3 {
		if err := i.Scrape(t.Context(), servicetest.NewSink()); err != nil {
			t.Errorf("scrape %d: %v", n, err)
		}
		if n == 1 {
			r.hangUp()
		}
	}
	if len(r.started) != 2 {
		t.Errorf("%d connections", len(r.started))
	}
}

func TestFaults(t *testing.T) {
	for name, one := range map[string]struct {
		server *server
		want   tallyman.ServiceFault
	}{
		"password":   {&server{refuse: func(string) string { return "28P01" }}, tallyman.AuthFault},
		"no entry":   {&server{refuse: func(string) string { return "28000" }}, tallyman.AuthFault},
		"starting":   {&server{refuse: func(string) string { return "57P03" }}, tallyman.DialFault},
		"full":       {&server{refuse: func(string) string { return "53300" }}, tallyman.DialFault},
		"old":        {&server{version: "90500"}, tallyman.ConfigFault},
		"too large":  {&server{raw: func(_ *pgproto3.Backend, c net.Conn) bool { _, _ = c.Write([]byte{'D', 0x7f, 0, 0, 0}); return true }}, tallyman.ParseFault},
		"denied all": {&server{version: "150000", say: func(string) (answer, bool) { return answer{code: "42501"}, true }}, tallyman.PermissionFault},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := scrape(t, one.server.inside(t), "PASSWORD", "secret", "USERNAME", "somebody")
			var fault *tallyman.ServiceError
			if !errors.As(err, &fault) || fault.Fault != one.want || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "somebody") {
				t.Errorf("got %v, want %s", err, one.want)
			}
		})
	}
	// Without a database of the login's name there is always postgres.
	r := &server{version: "150000", say: basic, refuse: func(database string) string {
		if database != "postgres" {
			return "3D000"
		}
		return ""
	}}
	in := r.inside(t)
	in.Env = map[string]string{"POSTGRES_USER": "me"}
	if _, err := scrape(t, in); err != nil {
		t.Error(err)
	}
}

func TestLogIn(t *testing.T) {
	for name, one := range map[string]struct {
		env   map[string]string
		pairs []string
		want  login
	}{
		"nothing":    {nil, nil, login{"postgres", "", "postgres"}},
		"official":   {map[string]string{"POSTGRES_USER": "me", "POSTGRES_PASSWORD": "p"}, nil, login{"me", "p", "me"}},
		"database":   {map[string]string{"POSTGRES_DB": "shop"}, nil, login{"postgres", "", "shop"}},
		"bitnami":    {map[string]string{"POSTGRESQL_USERNAME": "me", "POSTGRESQL_PASSWORD": "p", "POSTGRESQL_POSTGRES_PASSWORD": "root", "POSTGRESQL_DATABASE": "shop"}, nil, login{"me", "p", "shop"}},
		"configured": {map[string]string{"POSTGRES_PASSWORD": "p"}, []string{"USERNAME", "tallyman", "PASSWORD", "t"}, login{"tallyman", "t", "postgres"}},
		"elsewhere":  {map[string]string{"POSTGRES_PASSWORD": "p"}, []string{"HOSTNAME", "db"}, login{"postgres", "", "postgres"}},
	} {
		if got := logIn(&servicetest.Inside{Env: one.env}, servicetest.Config(one.pairs...)); got != one.want {
			t.Errorf("%s: %+v, want %+v", name, got, one.want)
		}
	}
}

func TestFind(t *testing.T) {
	for want, in := range map[string]*servicetest.Inside{
		"":                          {F: tallyman.ServiceFacts{Image: "redis"}},
		"PORT=5432":                 {F: tallyman.ServiceFacts{Image: "postgis/postgis"}},
		"PORT=5433":                 {F: tallyman.ServiceFacts{Image: "postgres"}, Env: map[string]string{"PGPORT": "5433"}},
		"PORT=6000":                 {F: tallyman.ServiceFacts{Processes: []tallyman.ServiceProcess{{Name: "postgres", Args: []string{"postgres", "-c", "port=6000"}}}}},
		"SOCKET=/run/.s.PGSQL.5432": {F: tallyman.ServiceFacts{Image: "postgres", Listening: []tallyman.ServiceSocket{{Network: "unix", Path: "/run/.s.PGSQL.5432"}}}},
	} {
		got := ""
		for _, c := range find(in) {
			got += c.Keys()[0] + "=" + c.Text(c.Keys()[0], "")
		}
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestBase(t *testing.T) {
	for unit, want := range map[string]float64{"8kB": 81920, "MB": 10 << 20, "ms": 0.01, "min": 600, "": 10, "B": 10, "s": 10} {
		if got := base(10, unit); got != want {
			t.Errorf("10 %s is %v, want %v", unit, got, want)
		}
	}
	if base(-1, "8kB") != -1 {
		t.Error("-1 has a meaning of its own")
	}
}
