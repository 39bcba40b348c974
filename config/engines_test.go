// SPDX-License-Identifier: Apache-2.0

package config

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tallyman/internal/dockerapi"
)

// dockerHome is a home with contexts, the current one of which is current.
func dockerHome(t *testing.T, current string, contexts map[string]string) string {
	t.Helper()
	home := t.TempDir()
	write := func(name, text string) {
		name = filepath.Join(home, ".docker", name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("config.json", `{"auths":{},"currentContext":"`+current+`"}`)
	for name, address := range contexts {
		sum := sha256.Sum256([]byte(name))
		id := hex.EncodeToString(sum[:])
		write("contexts/meta/"+id+"/meta.json", `{"Name":"`+name+`","Metadata":{},"Endpoints":{"docker":{"Host":"`+address+`","SkipTLSVerify":false}}}`)
		if strings.HasPrefix(address, "tcp:") {
			for _, f := range []string{"ca.pem", "cert.pem", "key.pem"} {
				write("contexts/tls/"+id+"/docker/"+f, f)
			}
		}
	}
	return home
}

// The engine is found as the docker command finds it.
func TestTheEngineOfTheDockerCommand(t *testing.T) {
	home := dockerHome(t, "far", map[string]string{"far": "tcp://far:2376", "near": "unix:///near.sock"})
	plain := dockerHome(t, "", nil)
	f := func(yaml string, environ []string, want string, files dockerapi.TLS) {
		t.Helper()
		c, err := load(t, yaml, environ, nil)
		if err != nil {
			t.Errorf("Load(%q, %q): %v", yaml, environ, err)
			return
		}
		all, err := c.Endpoints()
		if err != nil || len(all) != 1 {
			t.Fatalf("Load(%q, %q): %v, %v; want one engine", yaml, environ, all, err)
		}
		if all[0].Address != want || all[0].Name != "local" {
			t.Errorf("Load(%q, %q): %+v; want %s", yaml, environ, all[0], want)
		}
		var got dockerapi.TLS
		if all[0].TLS != nil {
			got = *all[0].TLS
		}
		if d := cmp.Diff(files, got); d != "" {
			t.Errorf("Load(%q, %q) (-want +got):\n%s", yaml, environ, d)
		}
	}
	in := func(dir string, insecure bool) dockerapi.TLS {
		return dockerapi.TLS{CA: dir + "/ca.pem", Cert: dir + "/cert.pem", Key: dir + "/key.pem", Insecure: insecure}
	}
	sum := sha256.Sum256([]byte("far"))
	far := in(filepath.Join(home, ".docker/contexts/tls", hex.EncodeToString(sum[:]), "docker"), false)
	none := dockerapi.TLS{}
	f("", []string{"HOME=" + plain}, "unix:///var/run/docker.sock", none)
	f("", []string{"HOME=" + home}, "tcp://far:2376", far)
	f("", []string{"HOME=" + plain, "DOCKER_CONFIG=" + home + "/.docker"}, "tcp://far:2376", far)
	f("", []string{"HOME=" + home, "DOCKER_CONTEXT=near"}, "unix:///near.sock", none)
	f("", []string{"HOME=" + home, "DOCKER_CONTEXT=default"}, "unix:///var/run/docker.sock", none)
	f("", []string{"HOME=" + home, "DOCKER_CONTEXT=near", "DOCKER_HOST=unix:///host.sock"}, "unix:///host.sock", none)
	f("docker: {context: far}", []string{"HOME=" + home, "DOCKER_HOST=unix:///host.sock"}, "tcp://far:2376", far)
	f("docker: {host: 'unix:///file.sock'}", []string{"HOME=" + home, "DOCKER_HOST=unix:///host.sock"}, "unix:///file.sock", none)
	f("", []string{"HOME=" + plain, "DOCKER_HOST=tcp://127.0.0.1:2375"}, "tcp://127.0.0.1:2375", none)
	f("docker: {plain: true}", []string{"HOME=" + plain, "DOCKER_HOST=tcp://db:2375"}, "tcp://db:2375", none)
	f("", []string{"HOME=" + plain, "DOCKER_HOST=tcp://db:2376", "DOCKER_TLS_VERIFY=1"}, "tcp://db:2376", in(plain+"/.docker", false))
	f("", []string{"HOME=" + plain, "DOCKER_HOST=tcp://db:2376", "DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH=/certs"}, "tcp://db:2376", in("/certs", false))
	f("", []string{"HOME=" + plain, "DOCKER_HOST=tcp://db:2376", "DOCKER_CERT_PATH=/certs"}, "tcp://db:2376", in("/certs", true))
	f("docker: {cert_path: /own}", []string{"HOME=" + plain, "DOCKER_HOST=tcp://db:2376", "DOCKER_CERT_PATH=/certs"}, "tcp://db:2376", in("/own", false))
}

// A rootless engine is found where it listens.
func TestRootless(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker.sock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := load(t, "", []string{"HOME=" + t.TempDir(), "XDG_RUNTIME_DIR=" + dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.rootSocket = dir + "/docker.sock" // it is there, and comes first
	if all, _ := c.Endpoints(); all[0].Address != "unix:///var/run/docker.sock" {
		t.Errorf("beside a root engine: %+v", all)
	}
	c.rootSocket = "/does/not/exist"
	if all, _ := c.Endpoints(); all[0].Address != "unix://"+dir+"/docker.sock" {
		t.Errorf("got %+v", all)
	}
}

func TestSeveralEngines(t *testing.T) {
	c, err := load(t, `
engines:
  - {name: here, address: "unix:///var/run/docker.sock"}
  - {name: rootless, address: "unix:///run/user/1000/docker.sock"}
  - {name: db, address: "tcp://10.0.0.2:2376", cert_path: /etc/db, server_name: db.example}
  - {name: web, host: web-1, address: "tcp://10.0.0.3:2376", ca: /ca, cert: /c, key: /k, collect: api}
`, []string{"DOCKER_HOST=unix:///not/this"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Endpoints()
	if err != nil {
		t.Fatal(err)
	}
	want := []Endpoint{
		{Name: "here", Host: "harbor", Address: "unix:///var/run/docker.sock"},
		{Name: "rootless", Host: "rootless", Address: "unix:///run/user/1000/docker.sock"},
		{Name: "db", Host: "db", Address: "tcp://10.0.0.2:2376", TLS: &dockerapi.TLS{CA: "/etc/db/ca.pem", Cert: "/etc/db/cert.pem", Key: "/etc/db/key.pem", ServerName: "db.example"}},
		{Name: "web", Host: "web-1", Address: "tcp://10.0.0.3:2376", TLS: &dockerapi.TLS{CA: "/ca", Cert: "/c", Key: "/k"}, API: true},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("Endpoints (-want +got):\n%s", d)
	}
	c, err = load(t, "", []string{`TALLYMAN_ENGINES=[{name: a, address: "unix:///a"}, {name: b, address: "unix:///b"}]`}, nil)
	if got, _ := c.Endpoints(); err != nil || len(got) != 2 {
		t.Errorf("from the environment: %v, %v; want two engines", got, err)
	}
}

func TestWrongEnginesSayWhatToDo(t *testing.T) {
	home := dockerHome(t, "", map[string]string{"near": "unix:///near.sock", "tunnel": "ssh://db"})
	f := func(yaml string, want ...string) {
		t.Helper()
		_, err := load(t, yaml, []string{"HOME=" + home}, nil)
		if err == nil {
			t.Errorf("Load(%q) took it, want an error", yaml)
			return
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("Load(%q): %v; want it to say %q", yaml, err, w)
			}
		}
	}
	f("docker: {host: 'ssh://db'}", "docker", "ssh is not supported", "ssh -L")
	f("docker: {context: tunnel}", "ssh is not supported")
	f("docker: {context: neer}", `"neer"`, "it has near, tunnel")
	f("docker: {host: 'tcp://db:2375'}", "without TLS", "plain: true")
	f("docker: {host: 'tcp://db'}", "no port", "tcp://db:2376")
	f("docker: {host: 'tcp://user:secret@db:2376'}", "tcp://db:2376")
	f("docker: {collect: cgroup}", "auto or api")
	f("docker: {host: 'unix:///a', context: near}", "one of the two")
	f("engines: here", "list")
	f("engines: [here]", "engines[0]", "name: db")
	f("engines: [{name: a, adress: x}]", "engines[0]", `"adress"`, `"address"`)
	f("engines: [{address: 'unix:///a'}]", "engines[0]", "name")
	f("engines: [{name: a}]", "engines[0]", "address")
	f("engines: [{name: 'a b', address: 'unix:///a'}]", "engines[0]", "letters")
	f("engines: [{name: a, address: 'unix:///a'}, {name: a, address: 'unix:///b'}]", "engines[1]", `"a"`)
	f("engines: [{name: a, address: 'unix:///a'}, {name: b, address: 'unix:///a'}]", "engines[1]", "same address")
	f("engines: [{name: a, address: 'unix:///a', host: h}, {name: b, address: 'unix:///b', host: h}]", "engines[1]", "same host")
	f("engines: [{name: a, address: 'tcp://b:2376', cert_path: /x, ca: /y}]", "cert_path")
	f("engines: [{name: a, context: near, ca: /y}]", "brings its own")
	if _, err := load(t, "docker: {host: 'tcp://user:secret@db:2376'}", nil, nil); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("an address with a password: %v; want an error without it", err)
	}
}
