// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// A real container's death is found by LogQL, with its exit code.
func TestEventsByLogQL(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	data := testkit.DataDir(t)
	p := testkit.StartProgram(t, data)
	name := d.Name("dies")
	id := d.Start([]string{"--name", name}, "sh", "-c", "sleep 0.5; exit 7")
	found := func() error {
		for _, query := range []string{
			`{source="event"} | json | action="die" | actor="` + id + `"`,
			`{source="event", name="` + name + `"} | json | action="die" | attributes_exitCode="7"`,
			`{source="event", workload="` + name + `", image="` + testkit.Image + `"} | type="container" | action="die"`,
		} {
			lines := p.Lines(query)
			if len(lines) != 1 || !strings.Contains(lines[0], `"exitCode":"7"`) {
				return fmt.Errorf("%s: %q", query, lines)
			}
		}
		return nil
	}
	testkit.Eventually(t, 15*time.Second, "the death is found", found)
	if n := p.Count(`{source="event", name="` + name + `"} | action="die"`); n != 1 {
		t.Errorf("%d deaths counted, want 1", n)
	}
	before := eventsOf(p, id)
	p.Kill()
	p = testkit.StartProgram(t, data, "--set", "keep.logs=false")
	if err := found(); err != nil {
		t.Errorf("after a kill, and without logs: %v", err)
	}
	if after := eventsOf(p, id); len(after) != len(before) {
		t.Errorf("%d events of the container after a kill, %d before", len(after), len(before))
	}
}

// What an earlier version kept is there after the start of this one.
func TestEventsOfAnEarlierVersion(t *testing.T) {
	t.Parallel()
	data := testkit.DataDir(t)
	if err := os.MkdirAll(filepath.Join(data, "events"), 0o700); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	const n = 2500
	for i := range n {
		fmt.Fprintf(&text, `{"id":"old-%d","time":%q,"host":"h","type":"container","action":"start","actor":"c","name":"web"}`+"\n", i, time.Now().Add(time.Duration(i-n)*time.Second).UTC().Format(time.RFC3339Nano))
	}
	if err := os.WriteFile(filepath.Join(data, "events", time.Now().UTC().Format(time.DateOnly)+".jsonl"), []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		p := testkit.StartProgram(t, data)
		var a struct{ Events []event }
		p.JSON("/api/tallyman/v1/events?limit=5000&type=container&host=h", &a)
		if got := p.Count(`{source="event", host="h"}`); len(a.Events) != n || got != n {
			t.Errorf("%d events, %d by LogQL, want %d", len(a.Events), got, n)
		}
		p.Stop()
	}
}

type kept struct {
	Hash, Kind, ID, Name, Workload, Image, Previous string
	Time                                            int64
	Changes                                         []string
	Config                                          map[string]any
}

func snapshotsOf(p *testkit.Program, query string) []kept {
	var a struct{ Snapshots []kept }
	p.JSON("/api/tallyman/v1/snapshots?"+query, &a)
	return a.Snapshots
}

// wantSnapshots waits until there are n, and a moment longer.
func wantSnapshots(t *testing.T, p *testkit.Program, query string, n int) (list []kept) {
	t.Helper()
	testkit.Eventually(t, 20*time.Second, "the snapshots are taken", func() error {
		if list = snapshotsOf(p, query); len(list) < n {
			return fmt.Errorf("%d of %d: %+v", len(list), n, list)
		}
		return nil
	})
	time.Sleep(time.Second)
	if list = snapshotsOf(p, query); len(list) != n {
		t.Fatalf("%d snapshots, want %d: %+v", len(list), n, list)
	}
	return list
}

type change struct {
	Path     string
	Old, New any
}

func TestSnapshotsOfAContainerMadeAnew(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	data := testkit.DataDir(t)
	p := testkit.StartProgram(t, data)
	name := d.Name("shop")
	const before, after = "first-s3cret", "second-s3cret"
	options := func(memory, capability, value string) []string {
		return []string{"--name", name, "-m", memory, "--cap-add", capability, "-e", "DB_PASSWORD=" + value, "-e", "TZ=UTC", "-v", "/data",
			"-p", "127.0.0.1::80", "--health-cmd", "true", "--health-interval", "1s", "--label", "com.example.team=shop"}
	}
	a := d.Start(options("64m", "NET_ADMIN", before), "sleep", "600")
	wantSnapshots(t, p, "workload="+name, 1)

	// Health checks, execs, a stop, a restart and a kill change nothing.
	d.Cmd("exec", a, "true")
	d.Cmd("restart", "-t", "0", a)
	d.Cmd("stop", "-t", "0", a)
	d.Cmd("start", a)
	time.Sleep(3 * time.Second)
	wantSnapshots(t, p, "workload="+name, 1)

	d.Cmd("rm", "-fv", a)
	b := d.Start(options("128m", "SYS_TIME", after), "sleep", "600")
	list := wantSnapshots(t, p, "workload="+name, 2)
	want := []string{"Config.Env.DB_PASSWORD", "HostConfig.CapAdd", "HostConfig.Memory"}
	if list[0].ID != b || list[1].ID != a || list[0].Previous != list[1].Hash || !slices.Equal(list[0].Changes, want) {
		t.Errorf("got %+v, want the changes %q", list, want)
	}
	var diff struct{ Changes []change }
	p.JSON("/api/tallyman/v1/diff?a="+list[1].Hash+"&b="+list[0].Hash, &diff)
	var paths []string
	for _, c := range diff.Changes {
		paths = append(paths, c.Path)
	}
	if !slices.Equal(paths, want) || len(diff.Changes) != 3 {
		t.Fatalf("the diff has %+v, want %q", diff.Changes, want)
	}
	env := diff.Changes[0]
	old, new := fmt.Sprint(env.Old), fmt.Sprint(env.New)
	if !strings.HasPrefix(old, "[set] ") || !strings.HasPrefix(new, "[set] ") || old == new {
		t.Errorf("the variable is shown as %v → %v", env.Old, env.New)
	}
	if c := diff.Changes[2]; fmt.Sprint(c.Old, c.New) != "6.7108864e+07 1.34217728e+08" {
		t.Errorf("the memory is shown as %v → %v", c.Old, c.New)
	}
	t.Logf("the diff: %+v", diff.Changes)

	// One event tells it, on the container's page too.
	testkit.Eventually(t, 10*time.Second, "drift is told", func() error {
		var e struct {
			Events []struct {
				Action, Kind, Text, Actor string
				Attributes                map[string]string
			}
		}
		p.JSON("/api/tallyman/v1/events?type=tallyman&action=drift&workload="+name, &e)
		if len(e.Events) != 1 {
			return fmt.Errorf("%d events", len(e.Events))
		}
		got := e.Events[0]
		if got.Kind != "drift" || got.Actor != b || got.Attributes["HostConfig.Memory"] != "67108864 → 134217728" || got.Text != "Configuration changed: "+strings.Join(want, ", ") {
			t.Errorf("got %+v", got)
		}
		return nil
	})

	// An update in place.
	d.Cmd("update", "--cpus", "0.5", b)
	list = wantSnapshots(t, p, "container="+b[:12], 2)
	if !slices.Equal(list[0].Changes, []string{"HostConfig.NanoCpus"}) {
		t.Errorf("after docker update: %+v", list[0])
	}
	var one kept
	p.JSON("/api/tallyman/v1/snapshots/"+list[0].Hash, &one)
	if h, _ := one.Config["HostConfig"].(map[string]any); h["NanoCpus"] != 5e8 || one.Config["State"] != nil {
		t.Errorf("the snapshot has %+v", one.Config)
	}
	if images := snapshotsOf(p, "image="+url.QueryEscape(testkit.Image)); len(images) != 1 || images[0].Kind != "image" {
		t.Errorf("the image has %d snapshots, want 1", len(images))
	}

	// After a restart, and a kill, nothing is stored again.
	for _, end := range []func(*testkit.Program){(*testkit.Program).Stop, (*testkit.Program).Kill} {
		end(p)
		p = testkit.StartProgram(t, data)
		time.Sleep(3 * time.Second)
		wantSnapshots(t, p, "workload="+name, 3)
	}
	if n := p.Count(`{source="snapshot", workload="` + name + `"} | json | HostConfig_Memory="134217728"`); n != 2 {
		t.Errorf("LogQL finds %d snapshots with the new limit, want 2", n)
	}
	if lines := p.Lines(`{source=~".+"}`); strings.Contains(strings.Join(lines, "\n"), "s3cret") {
		t.Error("a secret is stored")
	}
}

// No secret that a container carries is stored, answered or logged.
func TestCanary(t *testing.T) {
	t.Parallel()
	d := testkit.NewDocker(t)
	data := testkit.DataDir(t)
	p := testkit.StartProgram(t, data, "--log-level", "debug")
	var secrets []string
	canary := func() string {
		b := make([]byte, 10)
		_, _ = rand.Read(b)
		s := "cnry" + hex.EncodeToString(b)
		secrets = append(secrets, s)
		return s
	}
	name := d.Name("canary")
	options := []string{
		"--name", name,
		"-e", "DB_PASSWORD=" + canary(), "-e", "HARMLESS=" + canary(), "-e", "DATABASE_URL=postgres://u:" + canary() + "@db/x", "-e", "JSON={\"a\":\"" + canary() + "\"}",
		"-e", "TZ=https://u:" + canary() + "@h/", "-e", "GOPATH=--token=" + canary(),
		"--label", "com.example.token=" + canary(), "--label", "com.example.cmd=run --password " + canary(),
		"--label", `com.example.json={"db":{"password":"` + canary() + `"},"a":1}`, "--label", "traefik.http.middlewares.a.basicauth.users=me:" + canary(),
		"--label", "com.docker.compose.project=x", "--label", "com.docker.compose.environment.SECRET_KEY=" + canary(),
		"--label", "com.example.url=https://host/hook?sig=" + canary() + "&a=b", "--label", `com.coscale.monitoring=[{"PLUGINTYPE":"MYSQL","MYSQL.password":"` + canary() + `"}]`,
		"--label", "com.example.dsn=Server=x;Password=" + canary() + ";Port=1",
		"--health-cmd", "wget -q --header 'Authorization: Bearer " + canary() + "' -O- http://u:" + canary() + "@127.0.0.1/?access_token=" + canary() + " || true", "--health-interval", "1s",
		"--log-opt", "labels=com.example.team", "--log-opt", "env-regex=^(token=" + canary() + ")",
		"--mount", "type=volume,destination=/vol,volume-label=api-key=" + canary(),
		"--annotation", "x",
		"--tmpfs", "/run/secret=" + canary(),
		"--security-opt", "label=user:USER", "--sysctl", "net.ipv4.ip_forward=1",
		"--hostname", "h",
	}
	// This engine's client knows no annotations.
	at := slices.Index(options, "--annotation")
	options = slices.Delete(options, at, at+2)
	argv := []string{"sh", "-c", "sleep 600; mysql -p" + canary() + " -e 'x'; curl -fsSu me:" + canary() + " http://x; redis-cli -a " + canary() + " ping; TOKEN=" + canary() + " ./run",
		"--password=" + canary(), "--token", canary(), "--db-dsn=mysql://u:" + canary() + "@h/x", `{"secret":"` + canary() + `"}`, "-p", "--header=X-Api-Key: " + canary(),
		"amqp://u:" + canary() + "@h:5672/v", "Authorization: Basic " + canary()}
	id := d.Start(options, argv...)
	for _, command := range [][]string{
		{"true", "--password=" + canary()}, {"true", "--token", canary()}, {"sh", "-c", "true --api-key=" + canary()}, {"true", "http://u:" + canary() + "@h"},
		{"env", "PGPASSWORD=" + canary(), "true"}, {"true", "--header", "Authorization: Bearer " + canary()},
	} {
		d.Cmd(append([]string{"exec", id}, command...)...)
	}
	d.Cmd("exec", "-e", "EXEC_SECRET="+canary(), id, "true")
	volume := d.Name("volume")
	d.Cmd("volume", "create", "--label", d.Label, "--label", "password="+canary(), volume)
	defer d.May("volume", "rm", volume)
	gone := d.Start([]string{"--name", name + "-gone", "-e", "X=" + canary()}, "sh", "-c", "exit 1", "--password", canary())
	image := d.Name("image") // with a configuration of its own
	d.Cmd("commit", "-c", "ENV IMAGE_SECRET="+canary(), "-c", "LABEL image.token="+canary(), "-c", `CMD ["sh","-c","sleep 600; x --password=`+canary()+`"]`, gone, image)
	defer d.May("rmi", "-f", image)
	d.Start([]string{"--name", name + "-image"}, "sleep", "600")
	d.Cmd("run", "-d", "--label", d.Label, "--name", name+"-own", image)
	// Changes and drift.
	d.Cmd("rm", "-f", id)
	id = d.Start(append(options, "-e", "HARMLESS="+canary(), "-e", "MORE="+canary()), argv...)
	wantSnapshots(t, p, "workload="+name, 2)
	testkit.Eventually(t, 10*time.Second, "drift is told", func() error {
		if n := p.Count(`{source="event", workload="` + name + `"} | action="drift"`); n != 1 {
			return fmt.Errorf("%d times", n)
		}
		return nil
	})
	time.Sleep(2 * time.Second)
	if len(secrets) < 40 {
		t.Errorf("%d secrets, want 40 and more", len(secrets))
	}
	leaks := func(where, text string) {
		t.Helper()
		for i, s := range secrets {
			if at := strings.Index(text, s); at >= 0 {
				t.Errorf("secret %d is in %s: …%s…", i, where, text[max(0, at-120):min(len(text), at+40)])
			}
		}
	}

	// Every record, by LogQL.
	var all []string
	for _, source := range []string{"event", "snapshot", "container"} {
		lines := p.Lines(`{source="` + source + `"}`)
		all = append(all, lines...)
		leaks("records of "+source, strings.Join(lines, "\n"))
	}
	events, snapshots := p.Count(`{source="event"}`), p.Count(`{source="snapshot"}`)

	// Every answer.
	var document struct{ Paths map[string]map[string]any }
	status, text := p.Get("/api/tallyman/v1/openapi.json")
	if err := json.Unmarshal([]byte(text), &document); err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
	now := time.Now()
	query := url.Values{"workload": {name}, "host": {hostOf(p)}, "limit": {"500"}, "query": {`{source=~".+"}`}, "match[]": {`{__name__=~".+"}`},
		"start": {fmt.Sprint(now.Add(-time.Hour).UnixMilli())}, "end": {fmt.Sprint(now.UnixMilli())}}
	hashes := snapshotsOf(p, "workload="+name)
	query.Set("a", hashes[1].Hash)
	query.Set("b", hashes[0].Hash)
	loki := url.Values{"query": {`{source=~".+"}`}, "limit": {"5000"}}
	asked := 0
	for path, methods := range document.Paths {
		if methods["get"] == nil || strings.Contains(path, "/live") || strings.Contains(path, "/tail") {
			continue
		}
		refs := []string{"x"}
		switch {
		case strings.Contains(path, "snapshots/{hash}"):
			refs = nil
			for _, h := range hashes {
				refs = append(refs, h.Hash)
			}
			for _, h := range snapshotsOf(p, "image="+url.QueryEscape(image)) {
				refs = append(refs, h.Hash)
			}
		case strings.Contains(path, "{ref}"), strings.HasPrefix(path, "/docker-monitor"):
			refs = []string{name, name + "-own", name + "-gone", id}
		case strings.Contains(path, "label/{"):
			refs = []string{"name", "image", "container_label_com_docker_compose_project", "source"}
		}
		for _, ref := range refs {
			q := query
			if strings.HasPrefix(path, "/loki") {
				q = loki
			}
			before, after, ok := strings.Cut(path, "{")
			at := path
			if ok {
				_, rest, _ := strings.Cut(after, "}")
				at = before + ref + rest
			}
			status, text := p.Get(at + "?" + q.Encode())
			leaks("GET "+at, text)
			if status == http.StatusOK {
				asked++
			}
		}
	}
	_, text = p.Get("/api/tallyman/v1/events?limit=5000")
	leaks("the events", text)
	// The first message of a live page.
	for _, view := range []string{"view=servers", "view=container&host=" + hostOf(p) + "&workload=" + name} {
		leaks("the live stream", firstOf(t, p, "/api/tallyman/v1/live?"+view))
	}

	// What is on the disk, before and after chunks are made of it, and what was logged.
	files := 0
	onDisk := func() {
		files = 0
		if err := filepath.WalkDir(data, func(file string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			files++
			for i, s := range secrets {
				if bytes.Contains(b, []byte(s)) {
					t.Errorf("secret %d is in %s", i, file)
				}
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	onDisk()
	p.Stop()
	onDisk()
	leaks("tallyman's log", p.Log())
	t.Logf("%d secrets; looked through %d lines (%d events, %d snapshots), %d answers, %d files, %d bytes of log", len(secrets), len(all), events, snapshots, asked, files, len(p.Log()))
	if events < 10 || snapshots < 5 || asked < 20 {
		t.Error("too little was looked through")
	}
}

// firstOf reads the first 64 KiB, or what comes in two seconds, of a stream.
func firstOf(t *testing.T, p *testkit.Program, path string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(2*time.Second, func() { resp.Body.Close() })
	defer timer.Stop()
	var text strings.Builder
	buf := make([]byte, 64<<10)
	for text.Len() < len(buf) {
		n, err := resp.Body.Read(buf)
		text.Write(buf[:n])
		if err != nil {
			break
		}
	}
	resp.Body.Close()
	if text.Len() == 0 {
		t.Errorf("%s gave nothing", path)
	}
	return text.String()
}
