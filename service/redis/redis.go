// SPDX-License-Identifier: Apache-2.0

// Package redis is the plugin REDIS: it asks Redis, Valkey, KeyDB and Dragonfly for what
// INFO says, and a sentinel for the masters that it watches.
//
// It reads, and never looks at keys or values. Beside its commands a connection carries
// HELLO, and AUTH where HELLO is refused, and nothing else.
package redis

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"tallyman"
	"tallyman/service/ask"
)

const defaultPort = 6379

// Kind is the catalog's entry.
func Kind() tallyman.ServiceKind {
	return tallyman.ServiceKind{
		Name: "REDIS", Aliases: []string{"REDISDB", "VALKEY", "KEYDB"},
		Summary: "Redis, Valkey, KeyDB and Dragonfly: clients, commands, memory, keys, persistence and replication",
		Keys: append(append(ask.HostKeys("6379"), ask.SocketKey("/run/redis/redis.sock")), append(ask.LoginKeys(),
			tallyman.ServiceKey{Name: "DATABASE", Type: tallyman.NumberKey, Help: "number of the database that COMMAND CHECK uses", Default: "0"},
			tallyman.ServiceKey{Name: "COMMAND CHECK", Type: tallyman.CommandKey, Help: "command that the active check sends in place of PING", Example: "GET health", Write: true},
		)...),
		Metrics: metrics(),
		Charts:  charts(),
		Every:   15 * time.Second,
		Find:    find,
		Where:   func(c tallyman.ServiceConfig) string { return ask.Where(c, defaultPort) },
		Open:    open,
		Docs: tallyman.ServiceDocs{
			Detect: "The image is `redis`, `valkey/valkey`, `bitnami/redis*`, `bitnami/valkey*`, `redis/redis-stack*`, `eqalpha/keydb` or one called `dragonfly`, or a process is called `redis-server`, `valkey-server`, `keydb-server`, `dragonfly` or `redis-sentinel`. The port is the one in its command line or configuration, else 6379 (26379 for a sentinel).",
			Free: "Everything, without a password: tallyman asks from the container's own loopback, which Redis' protected mode lets in. " +
				"A password is taken from where the container has it: `--requirepass` in the command line, `REDIS_PASSWORD`, `VALKEY_PASSWORD` (with `_FILE` as well), `--requirepass` in `REDIS_ARGS`, or `requirepass` in the configuration file that the command line names.",
			Account: "```\nACL SETUSER tallyman on >PASSWORD resetkeys resetchannels -@all +ping +info +config|get +slowlog|len +latency|latest\n```\n\nFor a sentinel add `+sentinel|masters`. Without `CONFIG GET`, `SLOWLOG LEN` and `LATENCY LATEST` those few numbers are left out and all else stays.",
			Notes: "The names are those of oliver006/redis_exporter, compared with version 1.45. What differs:\n\n" +
				"- What only its own process tells is left out: `redis_exporter_*`, `redis_target_scrape_request_errors_total`, `redis_last_key_groups_scrape_duration_milliseconds`.\n" +
				"- `redis_config_maxmemory` and `redis_config_maxclients` are `redis_memory_max_bytes` and `redis_max_clients`; other settings are left out.\n" +
				"- `redis_slowlog_last_id` and `redis_last_slow_execution_duration_seconds` are left out: their command shows what clients have sent. Key lists, client lists and scripts are left out for the same reason, and for what they cost.\n" +
				"- Numbers that only grow are counters here where the exporter has gauges: `redis_replica_resyncs_full`, `redis_replica_partial_resync_*`, `redis_defrag_*`, `redis_expired_time_cap_reached_total`, `redis_aof_delayed_fsync`.\n" +
				"- `redis_latency_percentiles_usec` has its quantiles; sum and count are `redis_commands_duration_seconds_total` and `redis_commands_total`.\n" +
				"- Many fields of Redis 7 are here that the exporter of that version does not know.\n" +
				"- A wrong password counts as two failures in the server's own statistics for one try: go-redis sends `AUTH` after the `HELLO` that was refused.",
			Example: `[{"PluginType":"REDIS","Configuration":{"PORT":["6379"],"PASSWORD":["$REDIS_PASSWORD"]}}]`,
		},
	}
}

var images = []string{"redis", "valkey/valkey", "valkey", "bitnami/redis*", "bitnami/valkey*", "redis/redis-stack*", "eqalpha/keydb", "*/dragonfly", "*/redis", "*/valkey"}

var servers = []string{"redis-server", "valkey-server", "keydb-server", "dragonfly", "redis-sentinel", "valkey-sentinel"}

// find names one instance for each server process, or one by the image.
func find(in tallyman.Inside) (list []tallyman.ServiceConfig) {
	f := in.Facts()
	if !f.Is(images...) && !f.Runs(servers...) {
		return nil
	}
	seen := map[string]bool{}
	add := func(port string) {
		if port != "" && !seen[port] {
			seen[port] = true
			list = append(list, tallyman.NewServiceConfig(map[string][]string{"PORT": {port}}))
		}
	}
	for _, p := range f.Processes {
		for _, name := range servers {
			if p.Name == name {
				add(portOf(in, p.Args, strings.HasSuffix(name, "sentinel")))
			}
		}
	}
	if len(list) == 0 {
		add(portOf(in, f.Command, strings.Contains(strings.Join(f.Command, " "), "sentinel")))
	}
	// A server that listens on a socket alone has port 0.
	var out []tallyman.ServiceConfig
	for _, c := range list {
		if c.Text("PORT", "") != "0" {
			out = append(out, c)
			continue
		}
		for _, s := range f.Listening {
			if s.Network == "unix" && strings.HasSuffix(s.Path, ".sock") {
				out = append(out, tallyman.NewServiceConfig(map[string][]string{"SOCKET": {s.Path}}))
				break
			}
		}
	}
	return out
}

// portOf reads the port of a server from its arguments. A running Redis shows
// "redis-server 127.0.0.1:6379" in their place.
func portOf(in tallyman.Inside, args []string, sentinel bool) string {
	if port, ok := ask.Flag(args, "--port"); ok {
		return port
	}
	for _, word := range strings.Fields(strings.Join(args, " ")) {
		if _, port, err := net.SplitHostPort(strings.TrimSuffix(word, "[sentinel]")); err == nil && port != "" && strings.Trim(port, "0123456789") == "" {
			return port
		}
		if strings.HasPrefix(word, "unixsocket:") {
			return "0"
		}
	}
	if port, ok := directive(in, args, "port"); ok {
		return port
	}
	if sentinel || strings.Contains(strings.Join(args, " "), "--sentinel") {
		return "26379"
	}
	return "6379"
}

// directive reads a line of the configuration file that a command line names.
func directive(in tallyman.Inside, args []string, name string) (string, bool) {
	for _, arg := range args {
		if !strings.HasPrefix(arg, "/") || !strings.HasSuffix(arg, ".conf") {
			continue
		}
		text, err := in.ReadFile(arg)
		if err != nil {
			continue
		}
		value, ok := "", false
		for line := range strings.Lines(string(text)) {
			words := strings.Fields(line)
			if len(words) >= 2 && strings.EqualFold(words[0], name) {
				value, ok = strings.Trim(words[1], `"'`), true
			}
		}
		if ok {
			return value, true
		}
	}
	return "", false
}

// password is what the container itself says of it. A running Redis no longer shows its
// options, but the command that started it does, also one that a shell was given.
func password(in tallyman.Inside) string {
	f := in.Facts()
	lines := [][]string{f.Command}
	for _, p := range f.Processes {
		lines = append(lines, p.Args)
	}
	for _, args := range slices.Clone(lines) {
		lines = append(lines, strings.Fields(strings.Join(args, " ")))
	}
	if args, ok := in.Getenv("REDIS_ARGS"); ok {
		lines = append(lines, strings.Fields(args))
	}
	for _, args := range lines {
		v, ok := ask.Flag(args, "--requirepass")
		if name, reference := strings.CutPrefix(strings.Trim(v, `"'`), "$"); reference {
			v, ok = in.Getenv(strings.Trim(name, "{}"))
		}
		if ok && v != "" {
			return v
		}
	}
	if v := ask.FirstEnv(in, "REDIS_PASSWORD", "VALKEY_PASSWORD"); v != "" {
		return v
	}
	for _, args := range lines {
		if v, ok := directive(in, args, "requirepass"); ok {
			return v
		}
	}
	return ""
}

// quiet keeps the client from writing to standard error: what it has to say comes back
// as errors. It can be told so for all clients alone.
var quiet = sync.OnceFunc(func() { redis.SetLogger(&logging.VoidLogger{}) })

type instance struct {
	client *redis.Client
	check  []any
	end    context.CancelFunc // of connections that are being made
}

func open(in tallyman.Inside, c tallyman.ServiceConfig) (tallyman.Service, error) {
	network, address := ask.Target(c, defaultPort)
	secret := c.Text("PASSWORD", "")
	if secret == "" && ask.Local(c) {
		secret = password(in)
	}
	quiet()
	life, end := context.WithCancel(context.Background())
	i := &instance{check: []any{"PING"}, end: end}
	if c.Has("COMMAND CHECK") {
		i.check = nil
		for _, word := range strings.Fields(c.Text("COMMAND CHECK", "")) {
			i.check = append(i.check, word)
		}
	}
	i.client = redis.NewClient(&redis.Options{
		Network: network, Addr: address, Username: c.Text("USERNAME", ""), Password: secret, DB: int(c.Number("DATABASE", 0)),
		Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) {
			// The client dials beside its caller, whose end it does not tell of.
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(life, cancel)()
			conn, err := in.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &bounded{Conn: conn}, nil
		},
		Protocol: 2, DisableIdentity: true, MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		PoolSize: 1, MaxRetries: -1, DialTimeout: 2 * time.Second, DialerRetries: 1, ContextTimeoutEnabled: true,
	})
	return i, nil
}

// Close implements tallyman.Service.
func (i *instance) Close() {
	i.end()
	_ = i.client.Close()
}

// Check implements tallyman.ServiceChecker.
func (i *instance) Check(ctx context.Context) error {
	err := i.client.Do(ctx, i.check...).Err()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return fault(err)
}

// fault sorts an error.
func fault(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	switch {
	case errors.Is(err, tallyman.ErrLimit):
		return &tallyman.ServiceError{Fault: tallyman.LimitFault, Err: err}
	case strings.HasPrefix(text, "NOAUTH"), strings.Contains(text, "without any password configured"):
		return tallyman.Faulty(tallyman.AuthFault, "Set PASSWORD, and USERNAME for an account of an ACL.", "it wants a login")
	case strings.HasPrefix(text, "WRONGPASS"), strings.HasPrefix(text, "ERR invalid password"):
		return tallyman.Faulty(tallyman.AuthFault, "Set the right PASSWORD, and USERNAME for an account of an ACL.", "it refuses the password")
	case strings.HasPrefix(text, "NOPERM"):
		return tallyman.Faulty(tallyman.PermissionFault, "Give the account +ping and +info.", "its account may not do that")
	case strings.HasPrefix(text, "DENIED"):
		return tallyman.Faulty(tallyman.AuthFault, "Set PASSWORD, or turn protected mode off.", "its protected mode lets nobody in from there")
	}
	return err
}
