// SPDX-License-Identifier: Apache-2.0

package phpfpm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"tallyman"
	"tallyman/service/servicetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) { servicetest.Run(t, Kind(), servicetest.Config("PORT", "9000")) }

// dial answers each request for a path.
func dial(answer func(env string) []byte) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			var env string
			for {
				var h [8]byte
				if _, err := io.ReadFull(there, h[:]); err != nil {
					return
				}
				b := make([]byte, int(binary.BigEndian.Uint16(h[4:]))+int(h[6]))
				if _, err := io.ReadFull(there, b); err != nil {
					return
				}
				switch h[1] {
				case params:
					env += string(b)
				case stdin:
					_, _ = there.Write(answer(env))
					return
				}
			}
		}()
		return here, nil
	}
}

func answer(text string) []byte {
	half := len(text) / 2
	b := record(nil, stdout, []byte(text[:half]))
	b = record(b, 7, []byte("a warning"))
	b = record(b, stdout, []byte(text[half:]))
	return record(b, endRequest, make([]byte, 8))
}

const status = "Content-type: application/json\r\n\r\n" + `{"pool":"www","process manager":"dynamic","start since":50,"accepted conn":7,"listen queue":0,"listen queue len":511,"idle processes":1,"active processes":1,"total processes":2,"max children reached":3,"slow requests":"x"}`

func scrape(t *testing.T, in tallyman.Inside, pairs ...string) (*servicetest.Sink, error) {
	t.Helper()
	i, err := open(in, servicetest.Config(pairs...))
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	s := servicetest.NewSink()
	return s, i.Scrape(t.Context(), s)
}

func TestScrape(t *testing.T) {
	in := &servicetest.Inside{
		Files: map[string]string{
			"/usr/local/etc/php-fpm.d/www.conf":       "[global]\nlog_level=notice\n[www]\nlisten = 127.0.0.1:9001\n;pm.status_path = /no\npm.status_path = /state ; here\n[other]\nlisten = /run/$pool.sock\n",
			"/usr/local/etc/php-fpm.d/zz-docker.conf": "[www]\nlisten = 9000\n",
		},
		Dial: dial(func(env string) []byte {
			if !strings.Contains(env, "/state?json") {
				return answer("Status: 404 Not Found\r\n\r\nFile not found.\n")
			}
			return answer(status)
		}),
	}
	s, err := scrape(t, in)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		`phpfpm_up{pool="www"}`: 1, `phpfpm_start_since{pool="www"}`: 50, `phpfpm_accepted_connections{pool="www"}`: 7, `phpfpm_listen_queue{pool="www"}`: 0, `phpfpm_listen_queue_length{pool="www"}`: 511,
		`phpfpm_idle_processes{pool="www"}`: 1, `phpfpm_active_processes{pool="www"}`: 1, `phpfpm_total_processes{pool="www"}`: 2, `phpfpm_max_children_reached{pool="www"}`: 3,
	}
	if d := cmp.Diff(want, s.Values); d != "" {
		t.Errorf("values (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"tcp localhost:9000"}, in.Dialed()); d != "" {
		t.Errorf("dialed (-want +got):\n%s", d)
	}
}

func TestFaults(t *testing.T) {
	for name, one := range map[string]struct {
		answer []byte
		want   tallyman.ServiceFault
	}{
		"no status":    {answer("Status: 404 Not Found\r\n\r\nFile not found.\n"), tallyman.ConfigFault},
		"something":    {answer("Content-type: text/html\r\n\r\n" + strings.Repeat("<p>", 1000)), tallyman.ParseFault},
		"not FastCGI":  {[]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), tallyman.ParseFault},
		"closes":       {nil, tallyman.ParseFault},
		"never an end": {bytes.Repeat(record(nil, stdout, make([]byte, 60000)), 20), tallyman.LimitFault},
	} {
		_, err := scrape(t, &servicetest.Inside{Dial: dial(func(string) []byte { return one.answer })}, "PORT", "9000")
		var fault *tallyman.ServiceError
		if !errors.As(err, &fault) || fault.Fault != one.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	var fault *tallyman.ServiceError
	if _, err := scrape(t, &servicetest.Inside{}); !errors.As(err, &fault) || fault.Fault != tallyman.ConfigFault || !strings.Contains(fault.Fix, "pm.status_path") {
		t.Errorf("without a pool: %v", err)
	}
}

func TestPools(t *testing.T) {
	for text, want := range map[string][]pool{
		"[a]\nlisten=/run/a.sock\npm.status_path=/s\n":                                              {{"unix", "/run/a.sock", "/s"}},
		"[a]\nlisten=[::]:9000\npm.status_path=/s\n[b]\nlisten=10.0.0.1:1\npm.status_path=/$pool\n": {{"tcp", "localhost:9000", "/s"}, {"tcp", "10.0.0.1:1", "/b"}},
		"[a]\nlisten=9000\npm.status_path=/s\npm.status_listen=127.0.0.1:9001\n":                    {{"tcp", "127.0.0.1:9001", "/s"}},
		"[a]\nlisten=9000\n": nil, "pm.status_path=/s\n": nil, "[a\nlisten": nil,
	} {
		if d := cmp.Diff(want, pools(&servicetest.Inside{Files: map[string]string{"/usr/local/etc/php-fpm.conf": text}}), cmp.AllowUnexported(pool{})); d != "" {
			t.Errorf("%q (-want +got):\n%s", text, d)
		}
	}
}

func FuzzRequest(f *testing.F) {
	f.Add(answer(status))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _, _ = request(struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(b), io.Discard}, "/status", "json")
	})
}
