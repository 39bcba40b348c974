// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"tallyman"
	"tallyman/internal/dockerapi"
	"tallyman/internal/dockerapi/dockertest"
)

func details(t *testing.T, file string) *dockerapi.Details {
	t.Helper()
	data, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	d := new(dockerapi.Details)
	if err := json.Unmarshal(data, d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestFromDetails(t *testing.T) {
	image := "sha256:5f0cb46a6fa2bd1ba7a7f2e2ae0b2ee1c0d4f1a0b1c2d3e4f5a6b7c8d9e0f1a2"
	at := func(s string) time.Time { return parseTime("2026-03-01T" + s + "Z") }
	old := details(t, "inspect-20.10.json")
	for file, want := range map[string]*tallyman.Container{
		"inspect-20.10.json": {
			ID: old.ID, Name: "tallyman-rec", Image: "tallyman-test/busybox", ImageID: old.Image, Host: "h", Engine: "e",
			Workload: tallyman.Workload{Key: "shop/api/2", Project: "shop", Origin: "compose", Service: "api"},
			State:    tallyman.Running, Health: "healthy", Pid: 4242, Created: at("08:00:00.123456789"), Started: at("08:00:01.5"),
			RestartPolicy: "on-failure:3", CPULimit: 1.5, CPUShares: 512, MemoryLimit: 64 << 20, MemorySwap: 128 << 20, NetworkMode: "default", IpcMode: "private",
			Networks: []tallyman.Network{{Name: "bridge", IP: "172.17.0.2"}},
			Ports:    []tallyman.Port{{Port: 80, Protocol: "tcp", HostIP: "127.0.0.1", HostPort: 18080}},
			Mounts: []tallyman.Mount{
				{Type: "volume", Source: "tallyman-rec", Destination: "/data"},
				{Type: "bind", Source: "/etc/hostname", Destination: "/etc/host", ReadOnly: true},
			},
			Command: []string{"sh", "-c", "sleep 1000; true", "--token", "[redacted]"}, User: "0:0", LogDriver: "json-file",
			Labels: map[string]string{
				"com.docker.compose.project": "shop", "com.docker.compose.service": "api", "com.docker.compose.container-number": "2", "api.token": "[redacted]",
			},
			HealthTest: "/bin/sh -c test -e /bin/sh",
		},
		"inspect-1.52.json": {
			ID: "7f3c0a9b1d2e4f5061728394a5b6c7d8e9f00112233445566778899aabbccdde", Name: "shop_web.2.x7k2j9q0w1e2r3t4y5u6i7o8p",
			Image: "nginx:1.27@" + image, ImageID: image, Host: "h", Engine: "e",
			Workload: tallyman.Workload{Key: "shop/shop_web/2", Project: "shop", Origin: "swarm", Service: "shop_web"},
			State:    tallyman.Exited, ExitCode: 137, OOMKilled: true,
			Created: at("08:00:00.123456789"), Started: at("08:00:01"), Finished: at("09:00:01"),
			CPULimit: 0.5, CPUQuota: 50000, CPUSet: "0-1", MemoryReservation: 32 << 20, PidsLimit: 100, NetworkMode: "default",
			Networks: []tallyman.Network{{Name: "ingress", IP: "10.0.0.5"}, {Name: "shop_default", IPv6: "fd00::2"}},
			Ports:    []tallyman.Port{{Port: 80, Protocol: "tcp"}, {Port: 443, Protocol: "tcp", HostIP: "0.0.0.0", HostPort: 8443}, {Port: 443, Protocol: "tcp", HostIP: "::", HostPort: 8443}},
			Mounts:   []tallyman.Mount{{Type: "tmpfs", Destination: "/run"}},
			Command:  []string{"/docker-entrypoint.sh", "nginx", "-g", "daemon off;"}, LogDriver: "local",
			Labels: map[string]string{
				"com.docker.stack.namespace": "shop", "com.docker.swarm.service.name": "shop_web",
				"com.docker.swarm.task.name": "shop_web.2.x7k2j9q0w1e2r3t4y5u6i7o8p", "tallyman.enable": "false",
			},
			HealthTest: "curl -f http://localhost/", Disabled: true,
		},
	} {
		got := fromDetails("h", "e", details(t, file))
		g, w := reflect.ValueOf(got).Elem(), reflect.ValueOf(want).Elem()
		for i := range g.NumField() {
			if !reflect.DeepEqual(g.Field(i).Interface(), w.Field(i).Interface()) {
				t.Errorf("%s: %s\n got %v\nwant %v", file, g.Type().Field(i).Name, g.Field(i), w.Field(i))
			}
		}
	}
}

// TestMissingFields takes every member out of a recorded inspection, one at a
// time, and gives every member a null.
func TestMissingFields(t *testing.T) {
	data, err := os.ReadFile("testdata/inspect-20.10.json")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	var walk func(root, at map[string]any)
	walk = func(root, at map[string]any) {
		for k, v := range at {
			for _, change := range []func(){func() { delete(at, k) }, func() { at[k] = nil }} {
				change()
				b, err := json.Marshal(root)
				if err != nil {
					t.Fatal(err)
				}
				d := new(dockerapi.Details)
				if err := json.Unmarshal(b, d); err != nil {
					t.Errorf("without %s: %v", k, err)
				}
				fromDetails("h", "e", d) // must not panic
				n++
				at[k] = v
			}
			if m, ok := v.(map[string]any); ok {
				walk(root, m)
			}
		}
	}
	var root map[string]any
	if err := json.Unmarshal(data, &root); err != nil {
		t.Fatal(err)
	}
	walk(root, root)
	if c := fromDetails("h", "e", &dockerapi.Details{}); c.MemoryLimit != 0 || c.CPULimit != 0 || !c.Created.IsZero() {
		t.Errorf("of an empty inspection: %+v", c)
	}
	t.Logf("%d variations", n)
}

func TestWorkload(t *testing.T) {
	f := func(labels, want string) {
		t.Helper()
		m := make(map[string]string)
		for pair := range strings.FieldsSeq(labels) {
			k, v, _ := strings.Cut(pair, "=")
			m[map[string]string{
				"cp": composeProject, "cs": composeService, "cn": composeNumber, "co": composeOneOff,
				"stack": swarmStack, "ss": swarmService, "st": swarmTask,
			}[k]] = v
		}
		w := workloadOf("name", m)
		if got := w.Origin + " " + w.Key; got != want {
			t.Errorf("workload of %q: got %q, want %q", labels, got, want)
		}
	}
	f("", "name name")
	f("cp=shop cs=api cn=2", "compose shop/api/2")
	f("cp=shop cs=api", "compose shop/api/1")
	f("cp=shop cs=api cn=1 co=True", "compose shop/api/run")
	f("cp=shop", "name name")
	f("cp=a/b cs=api cn=1", "name name") // would be the key of another one
	f("cp=shop cs=api cn=1/2", "compose shop/api/1")
	f("ss=web st=web.3.abc", "swarm web/3")
	f("stack=shop ss=shop_web st=shop_web.3.abc", "swarm shop/shop_web/3")
	f("stack=shop ss=shop_web st=shop_web.nodeid.abc", "swarm shop/shop_web/nodeid")
	f("ss=web st=other.3.abc", "swarm web")
	f("ss=web", "swarm web")
	f("cp=shop cs=api cn=1 ss=web st=web.1.x", "compose shop/api/1")
}

func TestTooMuch(t *testing.T) {
	d := dockertest.Running(strings.Repeat("n", 5000), "i")
	d.Config.Labels = map[string]string{"exitCode": "1", "tallyman.x": "1", "huge": strings.Repeat("v", 1<<20)}
	for i := range 1000 {
		d.Config.Labels[strings.Repeat("a", i+1)] = "x"
	}
	for range 10_000 {
		d.Args = append(d.Args, strings.Repeat("x", 5000))
	}
	c := fromDetails("h", "e", d)
	if len(c.Name) > maxName || len(c.Labels) > maxLabels || len(c.Command) > maxArgs || len(c.Command[1]) > maxValue || len(c.Labels["huge"]) > maxLabel {
		t.Errorf("not bounded: name %d, labels %d, args %d of %d", len(c.Name), len(c.Labels), len(c.Command), len(c.Command[1]))
	}
	if c.Labels["exitCode"] == "" || c.Labels["tallyman.x"] == "" {
		t.Error("labels that matter were left out for others")
	}
}

func FuzzInspect(f *testing.F) {
	for _, file := range []string{"inspect-20.10.json", "inspect-1.52.json"} {
		data, err := os.ReadFile("testdata/" + file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d := new(dockerapi.Details)
		if json.Unmarshal(data, d) != nil {
			return
		}
		c := fromDetails("h", "e", d)
		if len(c.Name) > maxName || len(c.Labels) > maxLabels || !utf8.ValidString(c.Name) {
			t.Errorf("not bounded: %+v", c)
		}
		if _, err := json.Marshal(c); err != nil {
			t.Errorf("cannot be written: %v", err)
		}
	})
}

// What is asked for a log is in the words of patterns, which redaction would
// take for secrets.
func TestLogLabelsStayAsTheyAre(t *testing.T) {
	got := labelsOf(map[string]string{"tallyman.logs.redact": `password=(\S+)`, "tallyman.logs": "/a;/b", "tallyman.logsx": "password=x"})
	if got["tallyman.logs.redact"] != `password=(\S+)` || got["tallyman.logs"] != "/a;/b" || got["tallyman.logsx"] == "password=x" {
		t.Errorf("%v", got)
	}
}
