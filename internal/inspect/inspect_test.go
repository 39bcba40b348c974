// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
)

var key = []byte("0123456789abcdef0123456789abcdef")

// with is a recorded inspection, changed.
func with(t testing.TB, change func(o Object)) []byte {
	t.Helper()
	raw, err := os.ReadFile("testdata/container.json")
	if err != nil {
		t.Fatal(err)
	}
	var o Object
	if err := json.Unmarshal(raw, &o); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(o)
	}
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustContainer(t testing.TB, raw []byte) []byte {
	t.Helper()
	doc, err := Container(raw, key)
	if err != nil {
		t.Fatal(err)
	}
	return Encode(doc)
}

// set changes a value by its path.
func set(o Object, value any, path ...string) {
	for _, k := range path[:len(path)-1] {
		o = o[k].(Object)
	}
	o[path[len(path)-1]] = value
}

func diff(t testing.TB, a, b []byte, scope Scope) string {
	t.Helper()
	changes, err := Diff(a, b, scope)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range changes {
		out = append(out, c.Path+": "+c.String())
	}
	return strings.Join(out, "; ")
}

func TestContainer(t *testing.T) {
	got := mustContainer(t, with(t, nil))
	want, err := os.ReadFile("testdata/container.want.json")
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(want)) != string(got) {
		t.Errorf("got\n%s", got)
	}
}

// What changes by itself changes nothing.
func TestNothingChanged(t *testing.T) {
	before := mustContainer(t, with(t, nil))
	for name, change := range map[string]func(Object){
		"state": func(o Object) {
			set(o, Object{"Status": "exited", "Pid": 0, "Health": Object{"Log": []any{1}}}, "State")
		},
		"restart": func(o Object) { set(o, 7, "RestartCount") },
		"address": func(o Object) {
			set(o, "10.0.0.9", "NetworkSettings", "Networks", "shop_default", "IPAddress")
			set(o, "x", "NetworkSettings", "SandboxID")
			set(o, Object{"80/tcp": []any{Object{"HostIp": "0.0.0.0", "HostPort": "49153"}}}, "NetworkSettings", "Ports")
		},
		"a newer engine": func(o Object) {
			set(o, false, "HostConfig", "NewSwitch")
			set(o, nil, "HostConfig", "NewList")
			set(o, Object{"Data": nil}, "NewStorage")
		},
		"order of lists": func(o Object) {
			set(o, []any{"SYS_TIME", "NET_ADMIN"}, "HostConfig", "CapAdd")
			set(o, []any{"web", "shop-web-1", "0123456789ab"}, "NetworkSettings", "Networks", "shop_default", "Aliases")
			env := o["Config"].(Object)["Env"].([]any)
			set(o, []any{env[2], env[1], env[0], env[3]}, "Config", "Env")
		},
		"paths": func(o Object) {
			set(o, Object{"Data": Object{"MergedDir": "/x"}}, "GraphDriver")
			set(o, "/x", "LogPath")
		},
		"the swap that the engine sets": func(o Object) { set(o, 0, "HostConfig", "MemorySwap") },
	} {
		if after := mustContainer(t, with(t, change)); string(after) != string(before) {
			t.Errorf("%s: %s", name, diff(t, before, after, Everything))
		}
	}
}

// Made anew, a container differs in nothing that anybody chose.
func TestMadeAnew(t *testing.T) {
	before := mustContainer(t, with(t, nil))
	other := strings.Repeat("fedc", 16)
	after := mustContainer(t, with(t, func(o Object) {
		set(o, other, "Id")
		set(o, "2026-03-02T00:00:00Z", "Created")
		set(o, "/fedcfedcfedc_shop-web-1", "Name")
		set(o, other[:12], "Config", "Hostname")
		set(o, []any{other[:12], "web", "shop-web-1"}, "NetworkSettings", "Networks", "shop_default", "Aliases")
		set(o, "other", "Config", "Labels", "com.docker.compose.config-hash")
		m := o["Mounts"].([]any)[1].(Object)
		m["Name"], m["Source"] = other, "/var/lib/docker/volumes/"+other+"/_data"
	}))
	if got := diff(t, before, after, Drift); got != "" {
		t.Errorf("drift: %s", got)
	}
	if got := diff(t, before, after, Everything); !strings.Contains(got, "Id: ") || !strings.Contains(got, "config-hash") || strings.Contains(got, "Hostname") {
		t.Errorf("all: %s", got)
	}
}

func TestDiff(t *testing.T) {
	before := mustContainer(t, with(t, nil))
	f := func(change func(Object), want string) {
		t.Helper()
		if got := diff(t, before, mustContainer(t, with(t, change)), Drift); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	f(func(o Object) {
		set(o, 134217728, "HostConfig", "Memory")
		set(o, 268435456, "HostConfig", "MemorySwap")
	}, "HostConfig.Memory: 67108864 → 134217728")
	f(func(o Object) { set(o, 67108864, "HostConfig", "MemorySwap") }, "HostConfig.MemorySwap: nothing → 67108864")
	f(func(o Object) { set(o, []any{"NET_ADMIN"}, "HostConfig", "CapAdd") }, `HostConfig.CapAdd: ["NET_ADMIN","SYS_TIME"] → ["NET_ADMIN"]`)
	f(func(o Object) { set(o, []any{}, "HostConfig", "CapAdd") }, `HostConfig.CapAdd: ["NET_ADMIN","SYS_TIME"] → nothing`)
	f(func(o Object) { set(o, "b", "Config", "Labels", "com.example.team") }, `Config.Labels["com.example.team"]: shop → b`)
	f(func(o Object) { delete(o["Mounts"].([]any)[0].(Object), "RW") }, `Mounts["/etc/app"].RW: true → nothing`)
	f(func(o Object) { o["NetworkSettings"].(Object)["Networks"].(Object)["back"] = Object{"IPAddress": "x"} }, "Networks.back.Connected: nothing → true")
	f(func(o Object) {
		set(o, Object{"80/tcp": []any{Object{"HostIp": "127.0.0.1", "HostPort": "81"}}}, "HostConfig", "PortBindings")
	},
		`HostConfig.PortBindings["80/tcp"]: ["8080"] → ["127.0.0.1:81"]`)
	env := func(v ...any) func(Object) {
		return func(o Object) { set(o, append(o["Config"].(Object)["Env"].([]any)[:2:2], v...), "Config", "Env") }
	}
	f(env("DB_PASSWORD=hunter2", "TZ=UTC"), "")
	f(env("DB_PASSWORD=hunter2", "TZ=CET"), "Config.Env.TZ: UTC → CET")
	f(env("DB_PASSWORD=", "TZ=UTC"), "Config.Env.DB_PASSWORD: [set] a153d4e546f444b6 → [empty]")
}

// Containers of one service differ in what somebody set on one of them.
func TestCompare(t *testing.T) {
	sibling := func(n string, change func(Object)) []byte {
		return mustContainer(t, with(t, func(o Object) {
			set(o, strings.Repeat(n, 64), "Id")
			set(o, "/shop-web-"+n, "Name")
			set(o, []any{"web", "shop-web-" + n}, "NetworkSettings", "Networks", "shop_default", "Aliases")
			set(o, n, "Config", "Labels", "com.docker.compose.container-number")
			set(o, "hash"+n, "Config", "Labels", "com.docker.compose.config-hash")
			if change != nil {
				change(o)
			}
		}))
	}
	f := func(want string, lines ...[]byte) {
		t.Helper()
		differences, err := Compare(lines)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, d := range differences {
			out = append(out, fmt.Sprintf("%s: %s", d.Path, d.Values))
		}
		if got := strings.Join(out, "; "); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	memory := func(n int) func(Object) {
		return func(o Object) {
			set(o, n, "HostConfig", "Memory")
			set(o, 2*n, "HostConfig", "MemorySwap")
		}
	}
	f("")
	f("", sibling("1", nil))
	f("", sibling("1", nil), sibling("2", nil), sibling("3", nil))
	f("HostConfig.Memory: [67108864 67108864 7]", sibling("1", nil), sibling("2", nil), sibling("3", memory(7)))
	f("HostConfig.Memory: [7 67108864 67108864]", sibling("1", memory(7)), sibling("2", nil), sibling("3", nil))
	f("HostConfig.Memory: [67108864 7 67108864]; HostConfig.Privileged: [  true]", sibling("1", nil), sibling("2", memory(7)), sibling("3", func(o Object) { set(o, true, "HostConfig", "Privileged") }))
	if _, err := Compare([][]byte{[]byte("x"), []byte("{}")}); err == nil {
		t.Error("got no error")
	}
	if got := ConfigHash(sibling("1", nil)) + ConfigHash([]byte("x")) + ConfigHash([]byte("{}")); got != "hash1" {
		t.Errorf("got the hash %q", got)
	}
}

// The same value under another key, or another name, is another number.
func TestHiddenValues(t *testing.T) {
	m := &maker{key: key, limits: tries[0]}
	other := &maker{key: []byte("another"), limits: tries[0]}
	seen := map[any]bool{}
	for _, v := range []any{
		m.env([]string{"A=hunter2"})["A"], m.env([]string{"A=hunter3"})["A"], m.env([]string{"B=hunter2"})["B"], other.env([]string{"A=hunter2"})["A"],
		m.env([]string{"A =hunter2"})["A "],
	} {
		if s := fmt.Sprint(v); seen[v] || !strings.HasPrefix(s, "[set] ") || len(s) != len("[set] ")+16 {
			t.Errorf("got %v, want numbers of their own: %v", v, seen)
		}
		seen[v] = true
	}
	if got := m.env([]string{"A=1", "A=2", "B", "C=", "PATH=/bin", "GOPATH=http://u:hunter2@h"}); fmt.Sprint(got) !=
		fmt.Sprint(Object{"A": m.env([]string{"A=2"})["A"], "B": "[unset]", "C": "[empty]", "PATH": "/bin", "GOPATH": "http://[redacted]@h " + m.mac("", "http://u:hunter2@h")}) {
		t.Errorf("got %v", got)
	}
}

// What does not fit is cut, and tells all the same that it changed.
func TestBounds(t *testing.T) {
	long := func(last string) []byte {
		return mustContainer(t, with(t, func(o Object) {
			labels := Object{}
			for i := range 1000 {
				labels[fmt.Sprint("label-", i)] = strings.Repeat("é", 10_000) + last
			}
			set(o, labels, "Config", "Labels")
			set(o, []any{"sh", "-c", strings.Repeat("x", 1<<20)}, "Config", "Cmd")
		}))
	}
	a, b := long("a"), long("b")
	if len(a) > MaxDocument || !json.Valid(a) {
		t.Errorf("got %d bytes", len(a))
	}
	if diff(t, a, b, Drift) == "" {
		t.Error("a change behind the cut does not show")
	}
	var deep any = "x"
	for range 1000 {
		deep = []any{Object{"a": deep}}
	}
	mustContainer(t, with(t, func(o Object) { set(o, deep, "HostConfig", "Deep") }))
	for _, raw := range []string{"", "null", "[]", "{}", `{"Id":7}`} {
		if _, err := Container([]byte(raw), key); err == nil {
			t.Errorf("%q: got no error", raw)
		}
	}
}

// Another secret in a text shows as a change, and nothing else of it.
func TestAnotherSecretIsADrift(t *testing.T) {
	m := &maker{key: key, limits: tries[0]}
	for _, f := range []func(secret string) string{
		func(s string) string { return m.text("com.example.password", s) },
		func(s string) string { return fmt.Sprint(m.argv([]string{"app", "--token", s})) },
		func(s string) string { return fmt.Sprint(m.argv([]string{"app", "--token=" + s})) },
		func(s string) string { return m.text("url", "http://u:"+s+"@h/") },
	} {
		a, again, b := f("hunter2"), f("hunter2"), f("hunter3")
		if a != again || a == b || strings.Contains(a+b, "hunter") {
			t.Errorf("got %q, %q and %q", a, again, b)
		}
	}
}

func TestImage(t *testing.T) {
	raw := `{"Id":"sha256:ab","RepoTags":["b:1","a:1"],"Os":"linux","Architecture":"amd64","Size":7,"VirtualSize":9,"Author":"x","GraphDriver":{"Data":1},
		"ContainerConfig":{"Env":["X=hunter2"]},"Metadata":{"LastTagTime":"now"},"Config":{"Env":["PATH=/bin","X=hunter2"],"Cmd":["app","--token","hunter2"],"Entrypoint":null,
		"ExposedPorts":{"80/tcp":{}},"Volumes":{"/data":{}},"Labels":{"a":"","key":"hunter2"},"Healthcheck":{"Test":["CMD-SHELL","curl -u a:hunter2 x"],"Interval":5},
		"OnBuild":["RUN PASSWORD=hunter2 make"]}}`
	doc, err := Image([]byte(raw), key)
	if err != nil {
		t.Fatal(err)
	}
	mac := func(s string) string { return (&maker{key: key}).mac("", s) }
	want := `{"Config":{"Cmd":["app","--token","[redacted] ` + mac("hunter2") + `"],"Env":{"PATH":"/bin","X":"[set] ` + (&maker{key: key}).mac("X", "hunter2") + `"},"ExposedPorts":["80/tcp"],` +
		`"Healthcheck":{"Interval":5,"Test":["CMD-SHELL","curl -u a:[redacted] x ` + mac("curl -u a:hunter2 x") + `"]},` +
		`"Labels":{"a":"[empty]","key":"[redacted] ` + mac("hunter2") + `"},"OnBuild":["RUN PASSWORD=[redacted] make ` + mac("RUN PASSWORD=hunter2 make") + `"],"Volumes":["/data"]},` +
		`"Id":"sha256:ab","Platform":"linux/amd64","RepoTags":["a:1","b:1"]}`
	if got := string(Encode(doc)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func FuzzContainer(f *testing.F) {
	f.Add(with(f, nil))
	f.Add([]byte(`{"Id":"a","Config":{"Env":[1,null,"=","a"],"Cmd":"x","Labels":[]},"HostConfig":{"Ulimits":[1],"Binds":{},"Mounts":[{"Target":"/x"}]},"Mounts":{}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		doc, err := Container(raw, key)
		if err != nil {
			return
		}
		line := Encode(doc)
		if len(line) > MaxDocument || !json.Valid(line) {
			t.Fatalf("%d bytes: %.200s", len(line), line)
		}
		again, err := Container(raw, key)
		if err != nil || Hash(Encode(again)) != Hash(line) {
			t.Fatal("the same inspection gives two documents")
		}
		if changes, err := Diff(line, line, Everything); err != nil || len(changes) > 0 {
			t.Fatal(changes, err)
		}
		_ = maps.Clone(doc)
	})
}
