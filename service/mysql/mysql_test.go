// SPDX-License-Identifier: Apache-2.0

package mysql

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"tallyman"
	"tallyman/service/servicetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) {
	servicetest.Run(t, Kind(), servicetest.Config("PORT", "3306", "USERNAME", "me"))
}

// server speaks MySQL's protocol, as far as the plugin needs it.
type server struct {
	login  uint16 // the number of the error that a login meets, 0 for none
	answer func(sql string) (columns []string, rows [][]string, code uint16)
	raw    []byte // in answer to the first statement

	mu    sync.Mutex
	seen  []string
	users []string
}

func (s *server) inside(t *testing.T) *servicetest.Inside {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var open []net.Conn
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			open = append(open, c)
			s.mu.Unlock()
			wg.Go(func() { s.talk(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		s.mu.Unlock()
		wg.Wait()
	})
	return &servicetest.Inside{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
	}}
}

func packet(seq byte, body []byte) []byte {
	return append([]byte{byte(len(body)), byte(len(body) >> 8), byte(len(body) >> 16), seq}, body...)
}

func read(c net.Conn) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	body := make([]byte, int(head[0])|int(head[1])<<8|int(head[2])<<16)
	_, err := io.ReadFull(c, body)
	return body, err
}

func text(v string) []byte {
	if v == "NULL" {
		return []byte{0xfb}
	}
	if len(v) > 250 {
		return append([]byte{0xfc, byte(len(v)), byte(len(v) >> 8)}, v...)
	}
	return append([]byte{byte(len(v))}, v...)
}

func failure(code uint16) []byte {
	return append(binary.LittleEndian.AppendUint16([]byte{0xff}, code), "#HY000no"...)
}

var (
	fine = []byte{0, 0, 0, 2, 0, 0, 0}
	end  = []byte{0xfe, 0, 0, 2, 0}
)

func (s *server) talk(c net.Conn) {
	defer c.Close()
	hello := append([]byte{10}, "8.4.0\x00"...)
	hello = append(hello, 1, 0, 0, 0)
	hello = append(hello, "12345678\x00"...)
	hello = append(hello, 0xff, 0xf7, 33, 2, 0, 0xff, 0x80, 21) // capabilities without TLS
	hello = append(hello, make([]byte, 10)...)
	hello = append(hello, "901234567890\x00mysql_native_password\x00"...)
	if _, err := c.Write(packet(0, hello)); err != nil {
		return
	}
	login, err := read(c)
	if err != nil || len(login) < 33 {
		return
	}
	user, _, _ := bytes.Cut(login[32:], []byte{0})
	s.mu.Lock()
	s.users = append(s.users, string(user))
	s.mu.Unlock()
	if s.login != 0 {
		_, _ = c.Write(packet(2, failure(s.login)))
		return
	}
	if _, err := c.Write(packet(2, fine)); err != nil {
		return
	}
	for {
		b, err := read(c)
		if err != nil || len(b) == 0 || b[0] == 1 {
			return
		}
		sql := string(b[1:])
		s.mu.Lock()
		s.seen = append(s.seen, sql)
		s.mu.Unlock()
		if b[0] != 3 || strings.HasPrefix(sql, "SET ") {
			if _, err := c.Write(packet(1, fine)); err != nil {
				return
			}
			continue
		}
		if s.raw != nil {
			_, _ = c.Write(s.raw)
			return
		}
		columns, rows, code := s.answer(sql)
		if code != 0 {
			if _, err := c.Write(packet(1, failure(code))); err != nil {
				return
			}
			continue
		}
		seq := byte(1)
		var out []byte
		put := func(body []byte) {
			out = append(out, packet(seq, body)...)
			seq++
		}
		put([]byte{byte(len(columns))})
		for _, name := range columns {
			body := append(text("def"), 0, 0, 0)
			body = append(body, text(name)...)
			body = append(body, 0, 12, 33, 0, 0, 1, 0, 0, 253, 0, 0, 0, 0, 0)
			put(body)
		}
		put(end)
		for _, r := range rows {
			var body []byte
			for _, v := range r {
				body = append(body, text(v)...)
			}
			put(body)
		}
		put(end)
		if _, err := c.Write(out); err != nil {
			return
		}
	}
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

func basic(version string, more map[string][][]string) func(string) ([]string, [][]string, uint16) {
	return func(sql string) ([]string, [][]string, uint16) {
		if rows, ok := more[sql]; ok {
			return rows[0], rows[1:], 0
		}
		switch sql {
		case "SELECT VERSION() AS version, @@version_comment AS comment":
			return []string{"version", "comment"}, [][]string{{version, "x"}}, 0
		case "SHOW GLOBAL STATUS", "SHOW GLOBAL VARIABLES":
			return []string{"Variable_name", "Value"}, nil, 0
		}
		return nil, nil, 1227
	}
}

func TestScrape(t *testing.T) {
	r := &server{answer: basic("8.4.0", map[string][][]string{
		"SHOW GLOBAL STATUS": {{"Variable_name", "Value"}, {"Uptime", "9"}, {"Com_select", "5"}, {"Handler_write", "6"}, {"Connection_errors_accept", "1"}, {"Innodb_buffer_pool_pages_data", "3"},
			{"Innodb_buffer_pool_pages_dirty", "2"}, {"Innodb_buffer_pool_pages_flushed", "4"}, {"Innodb_buffer_pool_pages_total", "8"}, {"Innodb_rows_read", "7"}, {"Something_new", "11"}, {"Ssl_cipher", ""}, {"Rsa_public_key", "NULL"}, {"Wsrep_ready", "ON"}},
		"SHOW GLOBAL VARIABLES": {{"Variable_name", "Value"}, {"max_connections", "151"}, {"read_only", "OFF"}, {"innodb_version", "8.4"}, {"datadir", "/x"}},
		"SHOW REPLICA STATUS":   {{"Replica_IO_State", "Source_Host", "Replica_IO_Running", "Replica_SQL_Running", "Seconds_Behind_Source", "Channel_Name", "Source_UUID"}, {"", "first", "Connecting", "Yes", "NULL", "c", "u"}},
	})}
	s, err := scrape(t, r.inside(t), "USERNAME", "me", "PASSWORD", "p")
	if err != nil {
		t.Fatal(err)
	}
	replica := `{channel_name="c",connection_name="",master_host="first",master_uuid="u"}`
	want := map[string]float64{
		"mysql_up": 1, `mysql_version_info{innodb_version="8.4",version="8.4.0",version_comment="x"}`: 1, "mysql_global_status_uptime": 9,
		`mysql_global_status_commands_total{command="select"}`: 5, `mysql_global_status_handlers_total{handler="write"}`: 6, `mysql_global_status_connection_errors_total{error="accept"}`: 1,
		`mysql_global_status_buffer_pool_pages{state="data"}`: 3, "mysql_global_status_buffer_pool_dirty_pages": 2, `mysql_global_status_buffer_pool_page_changes_total{operation="flushed"}`: 4,
		`mysql_global_status_innodb_row_ops_total{operation="read"}`: 7, "mysql_global_status_something_new": 11, "mysql_global_status_wsrep_ready": 1,
		"mysql_global_variables_max_connections": 151, "mysql_global_variables_read_only": 0,
		"mysql_slave_status_slave_io_running" + replica: 0, "mysql_slave_status_slave_sql_running" + replica: 1,
	}
	if d := cmp.Diff(want, s.Values); d != "" {
		t.Errorf("values (-want +got):\n%s", d)
	}
	if s.Types["mysql_global_status_something_new"] != tallyman.Untyped {
		t.Error("what is not known has a type")
	}
	if all := strings.Join(r.seen, "; "); !strings.Contains(all, "MAX_EXECUTION_TIME") || strings.Contains(all, "SLAVE") {
		t.Errorf("asked %s", all)
	}
}

func TestVersions(t *testing.T) {
	for version, want := range map[string]string{"10.11.6-MariaDB-0+deb12u1": "SHOW ALL SLAVES STATUS", "5.7.44": "SHOW SLAVE STATUS", "8.0.21": "SHOW SLAVE STATUS", "8.0.22": "SHOW REPLICA STATUS", "9.1.0-log": "SHOW REPLICA STATUS"} {
		r := &server{answer: basic(version, nil)}
		if _, err := scrape(t, r.inside(t), "USERNAME", "me"); err != nil {
			t.Errorf("%s: %v", version, err) // replication is denied, and that is no failure
		}
		if got := r.seen[len(r.seen)-1]; got != want {
			t.Errorf("%s asks %s, want %s", version, got, want)
		}
	}
}

func TestFaults(t *testing.T) {
	for name, one := range map[string]struct {
		server *server
		want   tallyman.ServiceFault
	}{
		"password":  {&server{login: 1045}, tallyman.AuthFault},
		"host":      {&server{login: 1130}, tallyman.AuthFault},
		"database":  {&server{login: 1049}, tallyman.ConfigFault},
		"full":      {&server{login: 1040}, tallyman.DialFault},
		"denied":    {&server{answer: func(string) ([]string, [][]string, uint16) { return nil, nil, 1227 }}, tallyman.PermissionFault},
		"too large": {&server{raw: []byte{0xff, 0xff, 0x7f, 1}}, tallyman.LimitFault},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := scrape(t, one.server.inside(t), "USERNAME", "somebody", "PASSWORD", "secret")
			var fault *tallyman.ServiceError
			if !errors.As(err, &fault) || fault.Fault != one.want || strings.Contains(err.Error(), "somebody") || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want %s", err, one.want)
			}
			if len(one.server.users) != 1 {
				t.Errorf("%d tries", len(one.server.users))
			}
		})
	}
}

func TestLogins(t *testing.T) {
	for name, one := range map[string]struct {
		in    *servicetest.Inside
		pairs []string
		want  []login
	}{
		"configured": {&servicetest.Inside{Env: map[string]string{"MYSQL_ROOT_PASSWORD": "p"}}, []string{"USERNAME", "me", "PASSWORD", "x"}, []login{{"me", "x", ""}}},
		"elsewhere":  {&servicetest.Inside{Env: map[string]string{"MYSQL_ROOT_PASSWORD": "p"}}, []string{"HOSTNAME", "db"}, []login{{"root", "", ""}}},
		"nothing":    {&servicetest.Inside{}, nil, nil},
		"mysql":      {&servicetest.Inside{F: tallyman.ServiceFacts{Image: "mysql"}, Files: map[string]string{"/run/mysqld/mysqld.sock": ""}, Env: map[string]string{"MYSQL_ROOT_PASSWORD": "p", "MYSQL_USER": "u", "MYSQL_PASSWORD": "q"}}, nil, []login{{"root", "p", ""}, {"u", "q", ""}}},
		"mariadb": {&servicetest.Inside{F: tallyman.ServiceFacts{Image: "mariadb"}, Env: map[string]string{"MARIADB_ROOT_PASSWORD_FILE": "/s"},
			Files: map[string]string{"/run/mysqld/mysqld.sock": "", "/s": "p\n", "/var/lib/mysql/.my-healthcheck.cnf": "[mariadb-client]\nport=3306\nuser=healthcheck\npassword='h'\n"}}, nil,
			[]login{{"root", "", "/run/mysqld/mysqld.sock"}, {"healthcheck", "h", "/run/mysqld/mysqld.sock"}, {"root", "p", ""}}},
		"empty": {&servicetest.Inside{Env: map[string]string{"MYSQL_ALLOW_EMPTY_PASSWORD": "yes"}}, nil, []login{{"root", "", ""}}},
	} {
		if d := cmp.Diff(one.want, logins(one.in, servicetest.Config(one.pairs...)), cmp.AllowUnexported(login{})); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestFind(t *testing.T) {
	for want, f := range map[string]tallyman.ServiceFacts{
		"":                     {Image: "redis"},
		"PORT=3306":            {Image: "percona"},
		"PORT=3307":            {Image: "bitnami/mariadb-galera", Command: []string{"mariadbd", "--port=3307"}},
		"SOCKET=/x/mysql.sock": {Image: "mysql", Listening: []tallyman.ServiceSocket{{Network: "unix", Path: "/x/mysql.sock"}}},
	} {
		got := ""
		for _, c := range find(&servicetest.Inside{F: f}) {
			got += c.Keys()[0] + "=" + c.Text(c.Keys()[0], "")
		}
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func FuzzBounded(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 9, 2, 0, 0, 1, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		whole, parts := &bounded{}, &bounded{}
		want, got := whole.look(b), true
		for i := range b {
			got = got && parts.look(b[i:i+1])
		}
		if want != got {
			t.Errorf("%q: %v whole, %v in parts", b, want, got)
		}
	})
}
