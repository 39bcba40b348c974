// SPDX-License-Identifier: Apache-2.0

package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"tallyman"
	"tallyman/service/servicetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) { servicetest.Run(t, Kind(), servicetest.Config("PORT", "6379")) }

// server answers commands as answer has it, in Redis' protocol, and notes them.
type server struct {
	net.Listener
	answer func(words []string) string
	mu     sync.Mutex
	seen   []string
}

func serve(t *testing.T, answer func(words []string) string) *server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Listener: l, answer: answer}
	var wg sync.WaitGroup
	var conns []net.Conn
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			conns = append(conns, c)
			s.mu.Unlock()
			wg.Go(func() { s.talk(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		s.mu.Unlock()
		wg.Wait()
	})
	return s
}

func (s *server) talk(c net.Conn) {
	defer c.Close()
	for r := bufio.NewReader(c); ; {
		var n, size int
		if _, err := fmt.Fscanf(r, "*%d\r\n", &n); err != nil {
			return
		}
		words := make([]string, n)
		for i := range words {
			if _, err := fmt.Fscanf(r, "$%d\r\n", &size); err != nil {
				return
			}
			b := make([]byte, size+2)
			if _, err := io.ReadFull(r, b); err != nil {
				return
			}
			words[i] = string(b[:size])
		}
		s.mu.Lock()
		s.seen = append(s.seen, strings.Join(words, " "))
		s.mu.Unlock()
		if _, err := io.WriteString(c, s.answer(words)); err != nil {
			return
		}
	}
}

func (s *server) inside() *servicetest.Inside {
	return &servicetest.Inside{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", s.Addr().String())
	}}
}

func bulk(text string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) }

const hello = "*2\r\n$5\r\nproto\r\n:2\r\n"

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

const text = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nuptime_in_seconds:50\r\n\r\n# Memory\r\nused_memory:1000\r\nrdb_last_bgsave_status:ok\r\naof_last_write_status:err\r\n" +
	"# Replication\r\nrole:slave\r\nmaster_host:first\r\nmaster_port:6379\r\nmaster_link_status:down\r\nmaster_last_io_seconds_ago:-1\r\nslave0:ip=10.0.0.9,port=6379,state=online,offset=77,lag=1\r\n" +
	"# Commandstats\r\ncmdstat_get:calls=5,usec=2000000,usec_per_call=1.00,rejected_calls=1,failed_calls=2\r\ncmdstat_old:calls=1,usec=1,usec_per_call=1.00\r\n" +
	"# Errorstats\r\nerrorstat_ERR:count=3\r\n# Latencystats\r\nlatency_percentiles_usec_get:p50=1.003,p99.9=2.5\r\n# Keyspace\r\ndb0:keys=10,expires=2,avg_ttl=1500\r\nmodule:name=x\r\nbroken\r\n"

func TestScrape(t *testing.T) {
	r := serve(t, func(words []string) string {
		switch strings.Join(words, " ") {
		case "hello 2":
			return hello
		case "INFO all":
			return bulk(text)
		case "CONFIG GET maxclients":
			return "*2\r\n" + bulk("maxclients") + bulk("10000")
		case "SLOWLOG LEN":
			return ":4\r\n"
		case "LATENCY LATEST":
			return "*1\r\n*4\r\n" + bulk("command") + ":1700000000\r\n:250\r\n:300\r\n"
		}
		return "-ERR unknown command\r\n"
	})
	s, err := scrape(t, r.inside())
	if err != nil {
		t.Fatal(err)
	}
	if s.Values["redis_start_time_seconds"] < 1e9 {
		t.Errorf("start time %v", s.Values["redis_start_time_seconds"])
	}
	delete(s.Values, "redis_start_time_seconds")
	want := map[string]float64{
		"redis_up": 1, "redis_uptime_in_seconds": 50, "redis_memory_used_bytes": 1000, "redis_rdb_last_bgsave_status": 1, "redis_aof_last_write_status": 0,
		`redis_commands_total{cmd="get"}`: 5, `redis_commands_duration_seconds_total{cmd="get"}`: 2, `redis_commands_failed_calls_total{cmd="get"}`: 2, `redis_commands_rejected_calls_total{cmd="get"}`: 1,
		`redis_commands_total{cmd="old"}`: 1, `redis_commands_duration_seconds_total{cmd="old"}`: 1e-6,
		`redis_errors_total{err="ERR"}`: 3, `redis_latency_percentiles_usec{cmd="get",quantile="0.5"}`: 1.003, `redis_latency_percentiles_usec{cmd="get",quantile="0.999"}`: 2.5,
		`redis_db_keys{db="db0"}`: 10, `redis_db_keys_expiring{db="db0"}`: 2, `redis_db_avg_ttl_seconds{db="db0"}`: 1.5,
		`redis_connected_slave_offset_bytes{slave_ip="10.0.0.9",slave_port="6379",slave_state="online"}`: 77, `redis_connected_slave_lag_seconds{slave_ip="10.0.0.9",slave_port="6379",slave_state="online"}`: 1,
		`redis_master_link_up{master_host="first",master_port="6379"}`: 0, `redis_master_last_io_seconds_ago{master_host="first",master_port="6379"}`: -1,
		`redis_slave_info{master_host="first",master_port="6379",read_only=""}`: 1,
		`redis_instance_info{master_replid="",maxmemory_policy="",os="",process_id="",redis_build_id="",redis_mode="standalone",redis_version="7.0.15",role="slave",run_id="",tcp_port=""}`: 1,
		"redis_max_clients": 10000, "redis_slowlog_length": 4, `redis_latency_spike_last{event_name="command"}`: 1700000000, `redis_latency_spike_duration_seconds{event_name="command"}`: 0.25,
	}
	if d := cmp.Diff(want, s.Values); d != "" {
		t.Errorf("values (-want +got):\n%s", d)
	}
	// One connection, and nothing on it but what is documented.
	if d := cmp.Diff([]string{"hello 2", "INFO all", "CONFIG GET maxclients", "CONFIG GET maxmemory", "SLOWLOG LEN", "LATENCY LATEST"}, r.seen); d != "" {
		t.Errorf("sent (-want +got):\n%s", d)
	}
}

func TestSentinel(t *testing.T) {
	r := serve(t, func(words []string) string {
		switch strings.Join(words, " ") {
		case "hello 2":
			return hello
		case "INFO all":
			return bulk("redis_mode:sentinel\r\nsentinel_masters:1\r\nmaster0:name=main,status=ok\r\n")
		case "SENTINEL MASTERS":
			out := "*1\r\n*12\r\n"
			for _, w := range []string{"name", "main", "ip", "10.0.0.1", "port", "6379", "flags", "s_down,master", "num-slaves", "2", "num-other-sentinels", "2"} {
				out += bulk(w)
			}
			return out
		}
		return "-ERR unknown command\r\n"
	})
	s, err := scrape(t, r.inside())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{"redis_sentinel_masters": 1, `redis_sentinel_master_status{master_address="10.0.0.1:6379",master_name="main",master_status="sdown"}`: 0,
		`redis_sentinel_master_slaves{master_address="10.0.0.1:6379",master_name="main"}`: 2, `redis_sentinel_master_sentinels{master_address="10.0.0.1:6379",master_name="main"}`: 3} {
		if got, ok := s.Values[name]; !ok || got != want {
			t.Errorf("%s is %v, %v; want %v", name, got, ok, want)
		}
	}
}

func TestFaults(t *testing.T) {
	for name, one := range map[string]struct {
		answer string
		want   tallyman.ServiceFault
	}{
		"no login":       {"-NOAUTH Authentication required.\r\n", tallyman.AuthFault},
		"wrong password": {"-WRONGPASS invalid username-password pair or user is disabled.\r\n", tallyman.AuthFault},
		"no permission":  {"-NOPERM this user has no permissions to run the 'info' command\r\n", tallyman.PermissionFault},
		"too large":      {"$5000000\r\n", tallyman.LimitFault},
		"too many":       {"*5000000\r\n", tallyman.LimitFault},
		"empty":          {bulk("x"), tallyman.ParseFault},
	} {
		t.Run(name, func(t *testing.T) {
			r := serve(t, func(words []string) string {
				if words[0] == "hello" && one.want != tallyman.AuthFault {
					return hello
				}
				return one.answer
			})
			_, err := scrape(t, r.inside(), "PASSWORD", "secret")
			var fault *tallyman.ServiceError
			if !errors.As(err, &fault) || fault.Fault != one.want || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want %s", err, one.want)
			}
		})
	}
}

func TestFind(t *testing.T) {
	process := func(name string, args ...string) tallyman.ServiceProcess {
		return tallyman.ServiceProcess{Name: name, Args: args}
	}
	for name, one := range map[string]struct {
		facts tallyman.ServiceFacts
		files map[string]string
		want  string
	}{
		"image":        {tallyman.ServiceFacts{Image: "redis"}, nil, "PORT=6379"},
		"other":        {tallyman.ServiceFacts{Image: "nginx"}, nil, ""},
		"title":        {tallyman.ServiceFacts{Processes: []tallyman.ServiceProcess{process("redis-server", "redis-server *:7000")}}, nil, "PORT=7000"},
		"cluster":      {tallyman.ServiceFacts{Processes: []tallyman.ServiceProcess{process("redis-server", "redis-server 127.0.0.1:7000 [cluster]"), process("redis-server", "redis-server 127.0.0.1:7001 [cluster]")}}, nil, "PORT=7000 PORT=7001"},
		"option":       {tallyman.ServiceFacts{Image: "bitnami/redis", Command: []string{"redis-server", "--port", "6380"}}, nil, "PORT=6380"},
		"file":         {tallyman.ServiceFacts{Image: "valkey/valkey", Command: []string{"valkey-server", "/etc/v.conf"}}, map[string]string{"/etc/v.conf": "# port 1\nport 6999\n"}, "PORT=6999"},
		"sentinel":     {tallyman.ServiceFacts{Processes: []tallyman.ServiceProcess{process("redis-sentinel", "redis-sentinel /x")}}, nil, "PORT=26379"},
		"socket alone": {tallyman.ServiceFacts{Processes: []tallyman.ServiceProcess{process("redis-server", "redis-server unixsocket:/run/r.sock")}, Listening: []tallyman.ServiceSocket{{Network: "unix", Path: "/run/r.sock"}}}, nil, "SOCKET=/run/r.sock"},
	} {
		in := &servicetest.Inside{F: one.facts, Files: one.files}
		var got []string
		for _, c := range find(in) {
			for _, k := range c.Keys() {
				got = append(got, k+"="+c.Text(k, ""))
			}
		}
		if strings.Join(got, " ") != one.want {
			t.Errorf("%s: %v, want %s", name, got, one.want)
		}
	}
}

func TestPassword(t *testing.T) {
	for name, one := range map[string]struct {
		in   *servicetest.Inside
		want string
	}{
		"none":     {&servicetest.Inside{}, ""},
		"command":  {&servicetest.Inside{F: tallyman.ServiceFacts{Command: []string{"redis-server", "--requirepass", "a"}}, Env: map[string]string{"REDIS_PASSWORD": "b"}}, "a"},
		"shell":    {&servicetest.Inside{F: tallyman.ServiceFacts{Command: []string{"sh", "-c", `redis-server --requirepass "${PASS}"`}}, Env: map[string]string{"PASS": "f"}}, "f"},
		"variable": {&servicetest.Inside{Env: map[string]string{"REDIS_PASSWORD": "b"}}, "b"},
		"secret":   {&servicetest.Inside{Env: map[string]string{"VALKEY_PASSWORD_FILE": "/run/secrets/p"}, Files: map[string]string{"/run/secrets/p": "c\n"}}, "c"},
		"stack":    {&servicetest.Inside{Env: map[string]string{"REDIS_ARGS": "--requirepass d --save ''"}}, "d"},
		"file":     {&servicetest.Inside{F: tallyman.ServiceFacts{Command: []string{"redis-server", "/c.conf"}}, Files: map[string]string{"/c.conf": "requirepass \"e\"\n"}}, "e"},
	} {
		if got := password(one.in); got != one.want {
			t.Errorf("%s: %q, want %q", name, got, one.want)
		}
	}
}

func FuzzBounded(f *testing.F) {
	f.Add([]byte("$3\r\nabc\r\n*1\r\n:1\r\n"))
	f.Add([]byte("*-1\r\n$-1\r\n+OK\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		// What is looked at in pieces is judged as what is looked at whole.
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

func FuzzRead(f *testing.F) {
	f.Add(text)
	f.Fuzz(func(_ *testing.T, text string) { read(text, servicetest.NewSink(), time.Now()) })
}
