// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tallyman"
	"tallyman/internal/testkit"
	"tallyman/service/redis"
	"tallyman/service/servicetest"
)

func TestRedis(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	image := d.Debian("redis", "redis-server", "redis-tools")
	id := d.StartDebian(image, `exec redis-server --save '' --requirepass secret --maxmemory 100mb`, nil)
	c := servicetest.NewContainer(t, d, id)
	c.Scrape(redis.Kind())
	cli := func(words ...string) string {
		return d.Cmd(append([]string{"exec", "-e", "REDISCLI_AUTH=secret", id, "redis-cli"}, words...)...)
	}
	for range 5 {
		cli("set", "a", "b", "EX", "1000")
	}
	cli("get", "a")
	cli("get", "nothing")
	if _, err := d.May("exec", "-e", "REDISCLI_AUTH=secret", id, "redis-cli", "-e", "nonsense"); err == nil {
		t.Error("a command that does not exist was answered")
	}
	info := func() map[string]float64 {
		m := map[string]float64{}
		for line := range strings.Lines(cli("info", "all")) {
			k, v, _ := strings.Cut(strings.TrimSpace(line), ":")
			if n, err := strconv.ParseFloat(v, 64); err == nil {
				m[k] = n
			}
		}
		return m
	}
	// On a busy machine a command of the test's own may be a slow one.
	slow := func() float64 {
		n, err := strconv.ParseFloat(strings.TrimSpace(cli("slowlog", "len")), 64)
		if err != nil {
			t.Error(err)
		}
		return n
	}
	slowBefore, before := slow(), info()
	s := c.Scrape(redis.Kind())
	after := info()
	for field, series := range map[string]string{
		"total_commands_processed": "redis_commands_processed_total", "total_connections_received": "redis_connections_received_total", "total_net_input_bytes": "redis_net_input_bytes_total",
		"used_cpu_sys": "redis_cpu_sys_seconds_total", "used_cpu_user": "redis_cpu_user_seconds_total", "uptime_in_seconds": "redis_uptime_in_seconds", "keyspace_hits": "redis_keyspace_hits_total",
		"maxmemory": "redis_memory_max_bytes", "maxclients": "redis_max_clients", "total_error_replies": "redis_total_error_replies",
	} {
		near(t, s, series, before[field], after[field])
	}
	want(t, s, map[string]float64{
		"redis_up": 1, `redis_commands_total{cmd="set"}`: 5, `redis_commands_total{cmd="get"}`: 2, "redis_keyspace_hits_total": 1, "redis_keyspace_misses_total": 1,
		`redis_db_keys{db="db0"}`: 1, `redis_db_keys_expiring{db="db0"}`: 1, "redis_memory_max_bytes": 100 << 20, "redis_aof_enabled": 0,
	})
	near(t, s, "redis_slowlog_length", slowBefore, slow())
	t.Logf("%d series, %v commands, %v bytes in memory", len(s.Values), s.Values["redis_commands_processed_total"], s.Values["redis_memory_used_bytes"])

	// A wrong password is said, and an account with the rights of the documents is enough.
	var fault *tallyman.ServiceError
	if _, err := c.ScrapeWith(redis.Kind(), servicetest.Config("PASSWORD", "wrong")); !errors.As(err, &fault) || fault.Fault != tallyman.AuthFault {
		t.Errorf("with a wrong password: %v", err)
	}
	cli("acl", "setuser", "tallyman", "on", ">words", "resetkeys", "resetchannels", "-@all", "+ping", "+info", "+config|get", "+slowlog|len", "+latency|latest")
	least, err := c.ScrapeWith(redis.Kind(), servicetest.Config("USERNAME", "tallyman", "PASSWORD", "words"))
	if err != nil || least.Values["redis_max_clients"] == 0 {
		t.Errorf("with the least rights: %v", err)
	}
	if _, ok := least.Values["redis_slowlog_length"]; !ok {
		t.Error("with the least rights the slow log is not seen")
	}

	stands(t, d, c, redis.Kind(), servicetest.Config())
	sameAsExporter(t, d, c, s, "9121", []string{"-e", "REDIS_PASSWORD=secret"}, []string{"prometheus-redis-exporter"},
		difference{"-", "redis_(exporter|target_scrape|last_key_groups)_.*", "about the exporter itself"},
		difference{"-", "redis_config_.*", "limits have names of their own, other settings are left out"},
		difference{"-", "redis_(slowlog_last_id|last_slow_execution_duration_seconds) .*", "the command shows what clients have sent"},
		difference{"-", "redis_latency_percentiles_usec_(count|sum) .*", "they are the commands' own counters"},
		difference{"!", `redis_(replica|defrag|expired_time_cap).* gauge\{\} \| counter\{\}`, "they only grow"},
		difference{"!", "redis_instance_info .*", "a newer label: master_replid"},
		difference{"+", "redis_(current_eviction|evicted_clients|eviction_exceeded|expire_cycle|lazyfreed|mem_|memory_used_|net_repl|number_of|pubsubshard|rdb_last_load|rdb_saves|max_clients).*", "fields of Redis 7 that this exporter does not know"},
	)
}

// A primary, its replica and a sentinel that watches both, all in one container.
func TestRedisReplication(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	image := d.Debian("redis", "redis-server", "redis-tools")
	id := d.StartDebian(image, `printf 'port 26379\nsentinel monitor main 127.0.0.1 6379 1\n' >/tmp/s.conf
redis-server --save '' & redis-server --save '' --port 6380 --replicaof 127.0.0.1 6379 & exec redis-server /tmp/s.conf --sentinel`, nil)
	c := servicetest.NewContainer(t, d, id)
	scrape := func(port string) (*servicetest.Sink, error) {
		return c.ScrapeWith(redis.Kind(), servicetest.Config("PORT", port))
	}
	testkit.Eventually(t, waitForServer, "the replica has everything", func() error {
		s, err := scrape("6380")
		if err == nil && s.Values[`redis_master_link_up{master_host="127.0.0.1",master_port="6379"}`] != 1 {
			err = errors.New("not yet")
		}
		return err
	})
	c.Look()
	var ports []string
	for _, found := range redis.Kind().Find(c) {
		ports = append(ports, found.Text("PORT", ""))
	}
	if slices.Sort(ports); strings.Join(ports, " ") != "26379 6379 6380" {
		t.Errorf("found %v", ports)
	}
	replica, err := scrape("6380")
	if err != nil {
		t.Fatal(err)
	}
	want(t, replica, map[string]float64{`redis_slave_info{master_host="127.0.0.1",master_port="6379",read_only="1"}`: 1, `redis_master_sync_in_progress{master_host="127.0.0.1",master_port="6379"}`: 0})
	testkit.Eventually(t, waitForServer, "the primary knows of its replica, the sentinel of both", func() error {
		primary, err := scrape("6379")
		if err != nil {
			return err
		}
		offset, ok := primary.Values[`redis_connected_slave_offset_bytes{slave_ip="127.0.0.1",slave_port="6380",slave_state="online"}`]
		sentinel, err := scrape("26379")
		if err != nil {
			return err
		}
		at := `{master_address="127.0.0.1:6379",master_name="main"}`
		if !ok || offset > primary.Values["redis_master_repl_offset"] || primary.Values["redis_connected_slaves"] != 1 || sentinel.Values["redis_sentinel_masters"] != 1 ||
			sentinel.Values["redis_sentinel_master_slaves"+at] != 1 || sentinel.Values["redis_sentinel_master_sentinels"+at] != 1 || sentinel.Values[`redis_sentinel_master_status{master_address="127.0.0.1:6379",master_name="main",master_status="ok"}`] != 1 {
			return errors.New("not yet")
		}
		return nil
	})
}
