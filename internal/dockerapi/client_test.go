// SPDX-License-Identifier: Apache-2.0

package dockerapi_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/x509roots/fallback/bundle"

	"tallyman/internal/dockerapi"
	"tallyman/internal/dockerapi/dockertest"
	"tallyman/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, address string) *dockerapi.Client {
	t.Helper()
	c, err := dockerapi.New(address, dockerapi.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestNew(t *testing.T) {
	for _, good := range []string{"", "unix:///run/docker.sock", "tcp://127.0.0.1:2375", "tcp://[::1]:2375"} {
		if _, err := dockerapi.New(good, dockerapi.Options{}); err != nil {
			t.Errorf("New(%q): %v", good, err)
		}
	}
	for _, bad := range []string{"docker.sock", "unix://run/docker.sock", "http://x:1", "ssh://root@host", "tcp://", "tcp://u:hunter2@h:1", "npipe:////./pipe/x"} {
		_, err := dockerapi.New(bad, dockerapi.Options{})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("New(%q): got error %v, want one without the password", bad, err)
		}
	}
}

func TestCalls(t *testing.T) {
	e := dockertest.Start(t)
	e.Put(dockertest.Running("web", "nginx:1"))
	id := dockertest.ID("web")
	c := open(t, e.Address())
	ping, err := c.Ping(t.Context())
	if err != nil || ping.APIVersion != "1.41" {
		t.Errorf("Ping: got %+v %v", ping, err)
	}
	if info, err := c.Info(t.Context()); err != nil || info.NCPU != 2 || info.SystemTime == "" || info.CgroupDriver != "systemd" {
		t.Errorf("Info: got %+v %v", info, err)
	}
	if list, err := c.List(t.Context()); err != nil || len(list) != 1 || list[0].ID != id || list[0].Names[0] != "/web" {
		t.Errorf("List: got %+v %v", list, err)
	}
	d, err := c.Inspect(t.Context(), id)
	if err != nil || d.Name != "/web" || d.State.Pid != 4242 || d.Config.Image != "nginx:1" {
		t.Errorf("Inspect: got %+v %v", d, err)
	}
	if _, err := c.Inspect(t.Context(), dockertest.ID("other")); !errors.Is(err, dockerapi.ErrNotFound) {
		t.Errorf("Inspect of an unknown one: got %v, want ErrNotFound", err)
	}
	raw, err := c.Document(t.Context(), id)
	if err != nil || !strings.Contains(string(raw), `"Name":"/web"`) || !json.Valid(raw) {
		t.Errorf("Document: got %s %v", raw, err)
	}
	if _, err := c.Document(t.Context(), dockertest.ID("other")); !errors.Is(err, dockerapi.ErrNotFound) {
		t.Errorf("Document of an unknown one: got %v, want ErrNotFound", err)
	}
	image := "sha256:" + strings.Repeat("0a", 32)
	if raw, err = c.Image(t.Context(), image); err != nil || !strings.Contains(string(raw), `"Id":"`+image+`"`) {
		t.Errorf("Image: got %s %v", raw, err)
	}
	for call, want := range map[dockerapi.Call]uint64{dockerapi.CallPing: 1, dockerapi.CallList: 1, dockerapi.CallInspect: 4, dockerapi.CallImage: 1} {
		if got := c.Count(call); got != want {
			t.Errorf("%v was counted %d times, want %d", call, got, want)
		}
	}
	for _, r := range e.Requests() {
		if !strings.HasPrefix(r, "HEAD /_ping") && !strings.HasPrefix(r, "GET /v1.41/") {
			t.Errorf("request %q is not one of the list, or not of the negotiated version", r)
		}
	}
}

func TestInvalidIDsAreNotSent(t *testing.T) {
	e := dockertest.Start(t)
	c := open(t, e.Address())
	for _, id := range []string{"", "web", "../info?x=/json", "0123456789a", "0123456789ABCDEF", strings.Repeat("a", 65), "0123456789ab/../x", "0123456789ab\n"} {
		if _, err := c.Inspect(t.Context(), id); !errors.Is(err, dockerapi.ErrInvalidID) {
			t.Errorf("Inspect(%q): got %v, want ErrInvalidID", id, err)
		}
		if _, err := c.Document(t.Context(), id); !errors.Is(err, dockerapi.ErrInvalidID) {
			t.Errorf("Document(%q): got %v, want ErrInvalidID", id, err)
		}
	}
	for _, id := range []string{"", "nginx", "sha256:", "sha256:" + strings.Repeat("a", 63), "sha256:" + strings.Repeat("A", 64), "md5:" + strings.Repeat("a", 64), strings.Repeat("a", 64)} {
		if _, err := c.Image(t.Context(), id); !errors.Is(err, dockerapi.ErrInvalidID) {
			t.Errorf("Image(%q): got %v, want ErrInvalidID", id, err)
		}
	}
	if r := e.Requests(); len(r) != 0 {
		t.Errorf("requests were sent: %q", r)
	}
}

func wantFailure(t *testing.T, err error, failure dockerapi.Failure, text string) {
	t.Helper()
	if err == nil || dockerapi.FailureOf(err) != failure || !strings.Contains(dockerapi.Text(err), text) {
		t.Errorf("got %q %v, want %s with %q", dockerapi.FailureOf(err), err, failure, text)
	}
}

func TestFailures(t *testing.T) {
	short := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	every := func(t *testing.T, c *dockerapi.Client, failure dockerapi.Failure, text string) {
		t.Helper()
		_, err := c.Ping(short())
		wantFailure(t, err, failure, text)
		_, err = c.Info(short())
		wantFailure(t, err, failure, text)
		_, err = c.List(short())
		wantFailure(t, err, failure, text)
		_, err = c.Inspect(short(), dockertest.ID("web"))
		wantFailure(t, err, failure, text)
		_, err = c.Events(short(), "")
		wantFailure(t, err, failure, text)
	}
	t.Run("no socket", func(t *testing.T) {
		every(t, open(t, "unix:///nonexistent/docker.sock"), dockerapi.Refused, "no socket at unix:///nonexistent/docker.sock")
	})
	t.Run("nobody listens", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		every(t, open(t, "tcp://"+l.Addr().String()), dockerapi.Refused, "connection refused: is dockerd running?")
	})
	t.Run("hangs", func(t *testing.T) {
		e := dockertest.Start(t)
		e.Hang(true)
		every(t, open(t, e.Address()), dockerapi.Slow, "no answer before the deadline")
	})
	t.Run("error answer", func(t *testing.T) {
		e := dockertest.Start(t)
		e.Fail(500, "the daemon is on fire")
		every(t, open(t, e.Address()), dockerapi.Answered, "the daemon is on fire")
	})
	t.Run("redirect", func(t *testing.T) {
		e := dockertest.Start(t)
		e.Redirect("/v1.41/info")
		every(t, open(t, e.Address()), dockerapi.Answered, "redirects")
		for _, r := range e.Requests() {
			if strings.HasSuffix(r, "/v1.41/info") && !strings.HasPrefix(r, "GET /v1") {
				t.Errorf("a redirect was followed: %s", r)
			}
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		e := dockertest.Start(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := open(t, e.Address()).List(ctx); !errors.Is(err, dockerapi.ErrCanceled) {
			t.Errorf("got %v, want ErrCanceled", err)
		}
	})
}

// serve answers every request with f over a unix socket.
func serve(t *testing.T, f http.HandlerFunc) *dockerapi.Client {
	t.Helper()
	dir, err := os.MkdirTemp("", "engine")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(f)
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(func() { s.CloseClientConnections(); s.Close(); os.RemoveAll(dir) })
	return open(t, "unix://"+filepath.Join(dir, "s"))
}

func TestHostileAnswers(t *testing.T) {
	for name, body := range map[string]func(w io.Writer){
		"garbage":   func(w io.Writer) { fmt.Fprint(w, "<html>") },
		"empty":     func(w io.Writer) {},
		"cut short": func(w io.Writer) { fmt.Fprint(w, `[{"Id":"a`) },
		"endless": func(w io.Writer) {
			fmt.Fprint(w, `[{"Id":"`)
			chunk := strings.Repeat("a", 1<<20)
			for range dockerapi.MaxAnswer>>20 + 2 {
				if _, err := fmt.Fprint(w, chunk); err != nil {
					return
				}
			}
		},
		"wrong types": func(w io.Writer) { fmt.Fprint(w, `[{"Id":1}]`) },
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Api-Version", "1.41")
				if !strings.HasSuffix(r.URL.Path, "_ping") {
					body(w)
				}
			})
			_, err := c.List(t.Context())
			wantFailure(t, err, dockerapi.Answered, "")
		})
	}
	t.Run("one odd container does not spoil the list", func(t *testing.T) {
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Api-Version", "1.41")
			if !strings.HasSuffix(r.URL.Path, "_ping") {
				fmt.Fprintf(w, `[{"Id":"%s","Names":["/a"],"NetworkSettings":{"Networks":{"x":{"IPAddress":"no address","MacAddress":"neither"}}}},{"Id":"../x"}]`, dockertest.ID("a"))
			}
		})
		if list, err := c.List(t.Context()); err != nil || len(list) != 1 || list[0].ID != dockertest.ID("a") {
			t.Errorf("got %+v %v, want the one good container", list, err)
		}
	})
}

func TestEvents(t *testing.T) {
	for _, version := range []string{"1.41", "1.52"} {
		e := dockertest.Start(t)
		e.Version(version)
		before := dockertest.Event("container", "create", dockertest.ID("a"), map[string]string{"name": "a", "image": "i"})
		e.Emit(before)
		c := open(t, e.Address())
		s, err := c.Events(t.Context(), dockerapi.Moment(before.Time))
		if err != nil {
			t.Fatal(err)
		}
		e.Emit(dockertest.Event("network", "connect", "n", map[string]string{"container": dockertest.ID("a")}))
		for _, want := range []string{"container create", "network connect"} {
			got, err := s.Next()
			if err != nil || got.Type+" "+got.Action != want || got.Time.IsZero() || len(got.Attributes) == 0 {
				t.Errorf("API %s: got %+v %v, want %s", version, got, err, want)
			}
		}
		e.Cut()
		_, err = s.Next()
		wantFailure(t, err, dockerapi.Refused, "closed the event stream")
		s.Close()
	}
}

func TestEventTooLong(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		if strings.HasSuffix(r.URL.Path, "/events") {
			fmt.Fprint(w, `{"Type":"container","Action":"`+strings.Repeat("a", dockerapi.MaxEvent+1))
		}
	})
	s, err := c.Events(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = s.Next()
	wantFailure(t, err, dockerapi.Answered, "longer than")
}

func TestCloseEndsNext(t *testing.T) {
	e := dockertest.Start(t)
	ctx, cancel := context.WithCancel(t.Context())
	s, err := open(t, e.Address()).Events(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := s.Next(); !errors.Is(err, dockerapi.ErrCanceled) {
		t.Errorf("Next after cancel: got %v, want ErrCanceled", err)
	}
	s.Close()
}

// Every call works with every engine from 20.10 on, in the newest version that
// it knows.
func TestNegotiation(t *testing.T) {
	for release, version := range map[string]string{
		"20.10": "1.41", "23": "1.42", "24": "1.43", "25": "1.44", "26": "1.45", "27": "1.47", "28": "1.51", "29": "1.52", "later": "1.60",
	} {
		t.Run(release, func(t *testing.T) {
			e := dockertest.Start(t)
			e.Version(version)
			e.Put(dockertest.Running("web", "i"))
			c := open(t, e.Address())
			if p, err := c.Ping(t.Context()); err != nil || p.APIVersion != version {
				t.Errorf("Ping: %+v, %v", p, err)
			}
			if _, err := c.Info(t.Context()); err != nil {
				t.Errorf("Info: %v", err)
			}
			if l, err := c.List(t.Context()); err != nil || len(l) != 1 {
				t.Errorf("List: %v, %v", l, err)
			}
			if _, err := c.Inspect(t.Context(), dockertest.ID("web")); err != nil {
				t.Errorf("Inspect: %v", err)
			}
			if n, err := c.Size(t.Context(), dockertest.ID("web")); err != nil || n != 4096 {
				t.Errorf("Size: %d, %v", n, err)
			}
			var stats struct{ Read string }
			if err := c.Stats(t.Context(), dockertest.ID("web"), &stats); err != nil || stats.Read == "" {
				t.Errorf("Stats: %+v, %v", stats, err)
			}
			s, err := c.Events(t.Context(), "")
			if err != nil {
				t.Fatalf("Events: %v", err)
			}
			defer s.Close()
			e.Emit(dockertest.Event("container", "start", dockertest.ID("web"), nil))
			if ev, err := s.Next(); err != nil || ev.Action != "start" || ev.Actor != dockertest.ID("web") {
				t.Errorf("Next: %+v, %v", ev, err)
			}
			for _, r := range e.Requests() {
				if !strings.Contains(r, "/_ping") && !strings.Contains(r, "/v"+version+"/") && release != "later" {
					t.Errorf("asked %s, want version %s", r, version)
				}
			}
		})
	}
}

// Each way in which TLS can be set up wrongly has a text with the next step.
func TestTLS(t *testing.T) {
	ca, strange := testkit.NewAuthority(t, "engines"), testkit.NewAuthority(t, "strangers")
	server := ca.Issue(t, "127.0.0.1")
	client, foreign, expired := ca.Issue(t, ""), strange.Issue(t, ""), ca.IssueUntil(t, time.Now().Add(-time.Hour))
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Api-Version", "1.41") }))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(testkit.ReadText(t, ca.File)))
	pair, err := tls.LoadX509KeyPair(server.Cert, server.Key)
	if err != nil {
		t.Fatal(err)
	}
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Api-Version", "1.41") }))
	defer plain.Close()

	secure, open := "tcp://"+s.Listener.Addr().String(), "tcp://"+plain.Listener.Addr().String()
	garbage := filepath.Join(t.TempDir(), "garbage.pem")
	if err := os.WriteFile(garbage, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := dockerapi.TLS{CA: ca.File, Cert: client.Cert, Key: client.Key}
	with := func(f func(*dockerapi.TLS)) *dockerapi.TLS {
		c := good
		f(&c)
		return &c
	}
	for name, c := range map[string]struct {
		address string
		tls     *dockerapi.TLS
		want    string // part of the text; empty: it works
	}{
		"good":                {secure, &good, ""},
		"insecure":            {secure, with(func(t *dockerapi.TLS) { t.CA, t.Insecure = "", true }), ""},
		"another CA":          {secure, with(func(t *dockerapi.TLS) { t.CA = strange.File }), "give the CA that signed it"},
		"the system's CAs":    {secure, with(func(t *dockerapi.TLS) { t.CA = "" }), "give the CA that signed it"},
		"another name":        {secure, with(func(t *dockerapi.TLS) { t.ServerName = "db.example" }), "is not for db.example"},
		"no CA file":          {secure, with(func(t *dockerapi.TLS) { t.CA = "/nowhere/ca.pem" }), "/nowhere/ca.pem does not exist"},
		"a CA file of words":  {secure, with(func(t *dockerapi.TLS) { t.CA = garbage }), "holds no PEM certificate"},
		"no client":           {secure, with(func(t *dockerapi.TLS) { t.Cert, t.Key = "", "" }), "refuses this client"},
		"a foreign client":    {secure, with(func(t *dockerapi.TLS) { t.Cert, t.Key = foreign.Cert, foreign.Key }), "refuses this client"},
		"an old client":       {secure, with(func(t *dockerapi.TLS) { t.Cert, t.Key = expired.Cert, expired.Key }), "has expired on"},
		"half a client":       {secure, with(func(t *dockerapi.TLS) { t.Key = "" }), "needs cert and key"},
		"another key":         {secure, with(func(t *dockerapi.TLS) { t.Key = foreign.Key }), "do not fit"},
		"no TLS there":        {open, &good, "does not speak TLS"},
		"TLS there, not here": {secure, nil, "wants TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := dockerapi.New(c.address, dockerapi.Options{TLS: c.tls})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			_, err = e.Ping(t.Context())
			if c.want == "" {
				if err != nil {
					t.Errorf("got %v, want an answer", err)
				}
				return
			}
			if err == nil || !strings.Contains(dockerapi.Text(err), c.want) {
				t.Errorf("got %v, want a text with %q", err, c.want)
			}
		})
	}
}

// A system without root certificates, as the container's image is one: those of
// the program are used.
func TestOwnRoots(t *testing.T) {
	if os.Getenv("SSL_CERT_FILE") != "/none" { // the system's are read once in a process
		own := exec.Command(os.Args[0], "-test.run=^TestOwnRoots$")
		own.Env = append(os.Environ(), "SSL_CERT_FILE=/none", "SSL_CERT_DIR=/none")
		if out, err := own.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	if _, err := (dockerapi.TLS{}).Config("engine.example"); err != nil {
		t.Fatal(err)
	}
	n := 0
	for root := range bundle.Roots() {
		c, err := x509.ParseCertificate(root.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Verify(x509.VerifyOptions{CurrentTime: c.NotBefore.Add(time.Hour), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err == nil {
			n++
		} else {
			t.Log(c.Subject, err)
		}
	}
	if n < 100 {
		t.Errorf("%d certificates are trusted", n)
	}
}
