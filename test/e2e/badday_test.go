// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// Everything that keeps tallyman from starting has one message with the next
// step, and no other output.
func TestWhatKeepsItFromStarting(t *testing.T) {
	f := func(name string, args func(t *testing.T) []string, want ...string) {
		t.Run(name, func(t *testing.T) {
			out := testkit.RefusesToStart(t, args(t)...)
			for _, w := range want {
				if !strings.Contains(out, w) {
					t.Errorf("it says\n%s\nwant it to say %q", out, w)
				}
			}
			if n := strings.Count(strings.TrimSpace(out), "\n"); n > 0 || !strings.HasPrefix(out, "tallyman: ") || strings.Contains(out, "goroutine") {
				t.Errorf("it says\n%s\nwant one line", out)
			}
		})
	}
	dir := func(t *testing.T) string { return testkit.DataDir(t) }
	file := func(t *testing.T, name, text string) string {
		name = filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	f("a setting that is not there", func(t *testing.T) []string {
		return []string{"--data", dir(t), "--config", file(t, "tallyman.yaml", "intervall: 10s\n")}
	}, "intervall", `did you mean "interval"`)
	f("no such configuration", func(t *testing.T) []string {
		return []string{"--data", dir(t), "--config", "/does/not/exist.yaml"}
	}, "/does/not/exist.yaml")
	f("an engine over plain tcp", func(t *testing.T) []string {
		return []string{"--data", dir(t), "--docker-host", "tcp://10.0.0.1:2375"}
	}, "without TLS", "plain: true")
	f("the port is taken", func(t *testing.T) []string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return []string{"--data", dir(t), "--listen", l.Addr().String()}
	}, "is taken by another process", "--listen")
	f("an address of another machine", func(t *testing.T) []string {
		return []string{"--data", dir(t), "--listen", "192.0.2.1:8420"}
	}, "this machine has no address 192.0.2.1:8420", "--listen")
	f("a directory of somebody else", func(t *testing.T) []string {
		d := dir(t)
		if err := os.WriteFile(filepath.Join(d, "thesis.tex"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{"--data", d}
	}, "not empty and not tallyman's", "thesis.tex", "--data")
	f("a directory of a newer tallyman", func(t *testing.T) []string {
		d := dir(t)
		if err := os.WriteFile(filepath.Join(d, "format.json"), []byte(`{"format":99}`), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{"--data", d}
	}, "format 99", "newer")
	f("a directory on a read-only file system", func(t *testing.T) []string {
		return []string{"--data", "/sys/kernel/tallyman"}
	}, "--data")
	f("a directory that everybody may write to", func(t *testing.T) []string {
		d := dir(t)
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
		return []string{"--data", d}
	}, "chmod 700")
	f("a directory in use", func(t *testing.T) []string {
		d := dir(t)
		p := testkit.StartProgram(t, d, "--docker-host", "unix:///does/not/exist")
		t.Cleanup(p.Stop)
		return []string{"--data", d}
	}, "in use by the process", "--data")
}

// engineOf is what the page says of the only engine.
func engineOf(p *testkit.Program) (up bool, text string) {
	var v struct {
		Hosts []struct {
			Engine struct {
				Up    bool
				Error string
			}
		}
	}
	p.JSON("/api/tallyman/v1/servers", &v)
	return v.Hosts[0].Engine.Up, v.Hosts[0].Engine.Error
}

// An engine that cannot be reached is said on the page, with the next step;
// tallyman runs all the same.
func TestEnginesThatCannotBeReached(t *testing.T) {
	t.Parallel()
	ca := testkit.NewAuthority(t, "engines")
	client := ca.Issue(t, "")
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	words := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") })}
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = words.Serve(web) }()
	defer words.Close()
	tls := "engines: [{name: far, address: 'tcp://%s', ca: %s, cert: %s, key: %s}]\n"
	for _, c := range []struct{ name, config, want string }{
		{"no socket", "docker: {host: 'unix:///does/not/exist.sock'}", "no socket at unix:///does/not/exist.sock"},
		{"nobody listens", "docker: {host: 'tcp://" + closed.Addr().String() + "'}", "connection refused"},
		{"it is silent", "docker: {host: 'tcp://" + silent.Addr().String() + "'}", "no answer before the deadline"},
		{"no CA file", fmt.Sprintf(tls, web.Addr(), "/no/ca.pem", client.Cert, client.Key), "/no/ca.pem does not exist"},
		{"a key of another", fmt.Sprintf(tls, web.Addr(), ca.File, client.Cert, ca.Issue(t, "").Key), "do not fit"},
		{"no TLS there", fmt.Sprintf(tls, web.Addr(), ca.File, client.Cert, client.Key), "does not speak TLS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "tallyman.yaml")
			if err := os.WriteFile(name, []byte(c.config), 0o600); err != nil {
				t.Fatal(err)
			}
			p := testkit.StartProgram(t, testkit.DataDir(t), "--config", name)
			testkit.Eventually(t, 10*time.Second, "the page says why", func() error {
				if up, text := engineOf(p); up || !strings.Contains(text, c.want) {
					return fmt.Errorf("up %v: %q, want %q", up, text, c.want)
				}
				return nil
			})
			var r struct {
				Features []struct{ ID, State, Reason string }
			}
			p.JSON("/api/tallyman/v1/doctor", &r)
			if f := r.Features[0]; !strings.HasPrefix(f.ID, "engine/") || f.State != "off" || !strings.Contains(f.Reason, c.want) {
				t.Errorf("the doctor says %+v", f)
			}
			if v := p.Query("node_load1"); len(v) == 0 {
				testkit.Eventually(t, 5*time.Second, "the host is watched", func() error {
					if len(p.Query("node_load1")) == 0 {
						return fmt.Errorf("no node_load1")
					}
					return nil
				})
			}
		})
	}
}

// Certificates that come after tallyman has started are taken up.
func TestCertificatesThatComeLater(t *testing.T) {
	t.Parallel()
	e := testkit.NewEngine(t)
	dir := t.TempDir()
	name := filepath.Join(dir, "tallyman.yaml")
	if err := os.WriteFile(name, fmt.Appendf(nil, "engines: [{name: far, address: '%s', cert_path: %s}]\n", e.Address, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	p := testkit.StartProgram(t, testkit.DataDir(t), "--config", name)
	testkit.Eventually(t, 10*time.Second, "the page says what is missing", func() error {
		if up, text := engineOf(p); up || !strings.Contains(text, "ca.pem does not exist") {
			return fmt.Errorf("up %v: %q", up, text)
		}
		return nil
	})
	for to, from := range map[string]string{"ca.pem": e.CA.File, "cert.pem": e.Client.Cert, "key.pem": e.Client.Key} {
		if err := os.WriteFile(filepath.Join(dir, to), []byte(testkit.ReadText(t, from)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, 15*time.Second, "the engine is taken up", func() error {
		if up, text := engineOf(p); !up {
			return fmt.Errorf("%q", text)
		}
		return nil
	})
}

// Damaged files of the data directory are set aside or mended; tallyman starts.
func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	data := testkit.DataDir(t)
	p := testkit.StartProgram(t, data, "--docker-host", "unix:///does/not/exist", "--interval", "1s")
	time.Sleep(3 * time.Second)
	p.Stop()
	var files []string
	if err := filepath.WalkDir(data, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && d.Name() != "lock" && d.Name() != "token" { // a bad token is refused: it may have been chosen
			files = append(files, path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if len(files) < 5 {
		t.Fatalf("only %v", files)
	}
	for _, damage := range []struct {
		name string
		do   func(text []byte) []byte
	}{
		{"empty", func([]byte) []byte { return nil }},
		{"cut", func(b []byte) []byte { return b[:len(b)/2] }},
		{"garbage", func(b []byte) []byte { return []byte(strings.Repeat("\x00\xffno", 1+len(b)/4)) }},
	} {
		t.Run(damage.name, func(t *testing.T) {
			copied := filepath.Join(t.TempDir(), "data")
			if err := os.CopyFS(copied, os.DirFS(data)); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(copied, 0o700); err != nil {
				t.Fatal(err)
			}
			for _, name := range files {
				rel, err := filepath.Rel(data, name)
				if err != nil {
					t.Fatal(err)
				}
				text, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(copied, rel), damage.do(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			p := testkit.StartProgram(t, copied, "--docker-host", "unix:///does/not/exist", "--interval", "1s")
			testkit.Eventually(t, 10*time.Second, "new samples are stored", func() error {
				if len(p.Query("node_load1")) == 0 {
					return fmt.Errorf("no node_load1\n%s", p.Log())
				}
				return nil
			})
		})
	}
}
