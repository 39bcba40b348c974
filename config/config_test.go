// SPDX-License-Identifier: Apache-2.0

package config

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func load(t *testing.T, yaml string, environ []string, flags map[string]string) (Config, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "tallyman.yaml")
	if err := os.WriteFile(name, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(Input{File: name, Environ: environ, Flags: flags, Hostname: "harbor"})
}

func TestLaterInputsWin(t *testing.T) {
	c, err := load(t, "listen: 127.0.0.1:1\ninterval: 20s\nhost: file\nretention:\n  metrics: {time: 3d, size: 512MiB}\n",
		[]string{"TALLYMAN_LISTEN=127.0.0.1:2", "TALLYMAN_RETENTION_EVENTS_TIME=30d", "TALLYMAN_HOST=env", "TALLYMAN_DOCKER_HOST=tcp://127.0.0.1:2375"},
		map[string]string{"listen": "127.0.0.1:3"})
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Listen, want.Interval, want.Host = "127.0.0.1:3", Duration(20*time.Second), "env"
	want.Docker.Host = "tcp://127.0.0.1:2375"
	want.Retention.Metrics = Limits{Duration(3 * day), 512 << 20}
	want.Retention.Events.Time = Duration(30 * day)
	if d := cmp.Diff(want, c, cmpopts.IgnoreUnexported(Config{})); d != "" {
		t.Errorf("Load (-want +got):\n%s", d)
	}
}

func TestValueFromAFile(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "v")
	if err := os.WriteFile(secret, []byte("warn\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := load(t, "", []string{"TALLYMAN_LOG_LEVEL_FILE=" + secret}, nil)
	if err != nil || c.LogLevel != "warn" {
		t.Errorf("log_level = %q, %v; want warn", c.LogLevel, err)
	}
}

func TestBadInputSaysWhatToDo(t *testing.T) {
	f := func(yaml string, environ []string, flags map[string]string, want ...string) {
		t.Helper()
		_, err := load(t, yaml, environ, flags)
		if err == nil {
			t.Errorf("Load(%q, %q, %q) took it, want an error", yaml, environ, flags)
			return
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("Load(%q, %q, %q): %v; want it to say %q", yaml, environ, flags, err, w)
			}
		}
	}
	f("intervall: 10s", nil, nil, `"intervall"`, `"interval"`)
	f("retention:\n  metric: {time: 1d}", nil, nil, `"retention.metric"`, `"retention.metrics`)
	f("retention:\n  metrics: {tiem: 1d}", nil, nil, `"retention.metrics.tiem"`, `"retention.metrics.time"`)
	f("interval: soon", nil, nil, "soon", "10s")
	f("interval: 100ms", nil, nil, "1s to 5m")
	f("listen: 8420", nil, nil, "127.0.0.1:8420")
	f("retention: {metrics: {size: 1}}", nil, nil, "16MiB")
	for key, bad := range map[string][]string{
		"interval": {"-5h", "0", "1500ms"}, "live_interval": {"-1s", "0", "1h"}, "logs.backlog": {"1KiB", "0"}, "limits.streams.memory": {"1KiB", "0"},
		"retention.metrics.time": {"1s", "-5h"}, "retention.logs.time": {"1s", "-5h"}, "retention.events.time": {"1s", "-5h"},
		"retention.metrics.size": {"1KiB"}, "retention.logs.size": {"1KiB"}, "retention.events.size": {"1KiB"},
	} {
		for _, text := range bad {
			f("", nil, map[string]string{key: text}, key+": ", "write ")
		}
	}
	f("retention: {logs: {size: 1KiB}}", nil, nil, "retention.logs.size: 1KiB is too little; write at least 16MiB, or 0 for no limit")
	f("live_interval: 20s", nil, nil, "live_interval: 20s is not possible; write whole seconds from 1s to the interval (10s)")
	f("log_level: loud", nil, nil, "loud", "debug")
	f("docker: {host: 'http://x'}", nil, nil, "unix:///var/run/docker.sock")
	f("a: [", nil, nil, "tallyman.yaml")
	f("", []string{"TALLYMAN_INTERVALL=1s"}, nil, "TALLYMAN_INTERVALL", "TALLYMAN_INTERVAL")
	f("", []string{"TALLYMAN_NO_AUTH=maybe"}, nil, "TALLYMAN_NO_AUTH", "maybe")
	f("", nil, map[string]string{"listen": "x"}, "listen")
	f("disk_usage: 1s", nil, nil, `"disk_usage"`, `"sources.diskusage.every"`)
	f("", []string{"TALLYMAN_DISK_USAGE=1h"}, nil, `"sources.diskusage.every"`)
	f("sources: 5", nil, nil, "sources")
	f("", nil, map[string]string{"sources.diskusage": "1h"}, "sources.diskusage.every")
	f("limits: {series: -1}", nil, nil, "limits.series", "50000")
	f("", nil, map[string]string{"limits.series": "many"}, "limits.series", "no whole number")
	f("limits: {streams: {pushes: -1}}", nil, nil, "limits.streams.pushes", "50000")
	f("limits: {streams: {memory: 1KiB}}", nil, nil, "limits.streams.memory", "1MiB")
	f("limits: {streams: 5}", nil, nil, "limits")
	f("limits: {serie: 1}", nil, nil, `"limits.serie"`, `"limits.series"`)
	if _, err := Load(Input{File: "/does/not/exist", Hostname: "h"}); err == nil || !strings.Contains(err.Error(), "/does/not/exist") {
		t.Errorf("a named file that is missing: %v, want an error with its name", err)
	}
}

func TestSizesAndDurations(t *testing.T) {
	f := func(in string, want int64) {
		t.Helper()
		if v, err := parseBytes(in); err != nil || v != want {
			t.Errorf("parseBytes(%q) = %d, %v; want %d", in, v, err, want)
		}
	}
	f("0", 0)
	f("512", 512)
	f("1.5GiB", 3<<29)
	f("10 MB", 10_000_000)
	for _, bad := range []string{"", "GiB", "-1", "1XB", "1e30"} {
		if v, err := parseBytes(bad); err == nil {
			t.Errorf("parseBytes(%q) = %d, want an error", bad, v)
		}
	}
	if v, err := parseDuration("1.5d"); err != nil || v != 36*time.Hour {
		t.Errorf("parseDuration(1.5d) = %v, %v; want 36h", v, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("listen: x\nretention:\n  metrics: {time: 7d}\n")
	f.Add("labels: {allow: [a, b*]}")
	f.Add("engines:\n- name: a\n  address: tcp://b:1\n")
	f.Fuzz(func(t *testing.T, text string) {
		c := Default()
		_ = c.parse([]byte(text)) // must not panic
	})
}

// Every duration and size has its bounds.
func TestBoundsAreComplete(t *testing.T) {
	for _, s := range settings() {
		if s.kind != reflect.TypeFor[Duration]() && s.kind != reflect.TypeFor[Bytes]() {
			continue
		}
		if !slices.ContainsFunc(bounds, func(b bound) bool { return b.key == s.key }) {
			t.Errorf("%s has no bounds", s.key)
		}
	}
}

// Variables that an orchestrator gives to a container beside a service called
// tallyman are told, and what is nearly a setting is an error.
func TestForeignVariables(t *testing.T) {
	c, err := load(t, "", []string{"TALLYMAN_PORT=tcp://10.0.0.1:8420", "TALLYMAN_SERVICE_HOST=10.0.0.1", "TALLYMAN_SERVICE_PORT_HTTP=8420", "TALLYMAN_PORT_8420_TCP_ADDR=10.0.0.1",
		"TALLYMAN_NAME=/web/tallyman", "TALLYMAN_ENV_PATH=/bin", "TALLYMAN_UI_SERVICE_HOST=10.0.0.2", "TALLYMAN_TEAM_CONTACT_ADDRESS=x", "TALLYMAN_INTERVAL=20s"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := 8; len(c.Foreign()) != want || slices.Contains(c.Foreign(), "TALLYMAN_INTERVAL") || c.Interval != Duration(20*time.Second) {
		t.Errorf("got %v, want %d", c.Foreign(), want)
	}
	for _, bad := range []string{"TALLYMAN_INTERVALL=20s", "TALLYMAN_LOG_LEVEL_=info", "TALLYMAN_RETENTION_LOG_SIZE=1GiB"} {
		if _, err := load(t, "", []string{bad}, nil); err == nil || !strings.Contains(err.Error(), "did you mean") {
			t.Errorf("%s: got %v", bad, err)
		}
	}
}
