// SPDX-License-Identifier: Apache-2.0

package dockerapi_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tallyman/internal/dockerapi"
	"tallyman/internal/dockerapi/dockertest"
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
	for call, want := range map[dockerapi.Call]uint64{dockerapi.CallPing: 1, dockerapi.CallList: 1, dockerapi.CallInspect: 2} {
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
		s, err := c.Events(t.Context(), dockerapi.Since(before.Time))
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

func TestTLS(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Api-Version", "1.41") }))
	defer s.Close()
	address := "tcp://" + s.Listener.Addr().String()
	c, err := dockerapi.New(address, dockerapi.Options{TLS: s.Client().Transport.(*http.Transport).TLSClientConfig})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Ping(t.Context()); err != nil {
		t.Errorf("Ping over TLS: %v", err)
	}
	strange, err := dockerapi.New(address, dockerapi.Options{TLS: &tls.Config{}})
	if err != nil {
		t.Fatal(err)
	}
	defer strange.Close()
	_, err = strange.Ping(t.Context())
	wantFailure(t, err, dockerapi.Refused, "certificate")
}
