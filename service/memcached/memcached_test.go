// SPDX-License-Identifier: Apache-2.0

package memcached

import (
	"bufio"
	"context"
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

func TestContract(t *testing.T) { servicetest.Run(t, Kind(), servicetest.Config("PORT", "11211")) }

// dial answers each line that is sent.
func dial(answer func(line string) string) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			for r := bufio.NewReader(there); ; {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if _, err := io.WriteString(there, answer(strings.TrimSpace(line))); err != nil {
					return
				}
			}
		}()
		return here, nil
	}
}

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
	s, err := scrape(t, &servicetest.Inside{Dial: dial(func(line string) string {
		switch line {
		case "stats":
			return "STAT version 1.6.18\r\nSTAT uptime 9\r\nSTAT bytes 70\r\nSTAT cmd_set 10\r\nSTAT cas_hits 2\r\nSTAT cas_misses 1\r\nSTAT get_hits 4\r\nSTAT rusage_user 0.250000\r\nEND\r\n"
		case "stats settings":
			return "STAT maxconns 1024\r\nSTAT lru_crawler yes\r\nSTAT inter NULL\r\nEND\r\n"
		case "stats items":
			return "STAT items:1:number 3\r\nSTAT items:1:hits_to_hot 5\r\nSTAT items:x:number 3\r\nEND\r\n"
		}
		return "STAT 1:chunk_size 96\r\nSTAT 1:cmd_set 7\r\nSTAT active_slabs 1\r\nSTAT total_malloced 1048576\r\nEND\r\n"
	})})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{
		"memcached_up": 1, `memcached_version{version="1.6.18"}`: 1, "memcached_uptime_seconds": 9, "memcached_current_bytes": 70, "memcached_process_user_cpu_seconds_total": 0.25,
		`memcached_commands_total{command="set",status="hit"}`: 7, `memcached_commands_total{command="cas",status="hit"}`: 2, `memcached_commands_total{command="cas",status="miss"}`: 1,
		`memcached_commands_total{command="get",status="hit"}`: 4, "memcached_max_connections": 1024, "memcached_lru_crawler_enabled": 1,
		`memcached_slab_current_items{slab="1"}`: 3, `memcached_slab_lru_hits_total{lru="hot",slab="1"}`: 5, `memcached_slab_chunk_size_bytes{slab="1"}`: 96,
		`memcached_slab_commands_total{command="set",slab="1",status="hit"}`: 7, "memcached_malloced_bytes": 1048576,
	}
	if d := cmp.Diff(want, s.Values); d != "" {
		t.Errorf("values (-want +got):\n%s", d)
	}
}

func TestFaults(t *testing.T) {
	for name, one := range map[string]struct {
		answer string
		want   tallyman.ServiceFault
	}{
		"login":    {"CLIENT_ERROR unauthenticated\r\n", tallyman.AuthFault},
		"nonsense": {"HTTP/1.1 400 Bad Request\r\nEND\r\n", tallyman.ParseFault},
		"error":    {"ERROR\r\n", tallyman.ParseFault},
		"endless":  {strings.Repeat("STAT a "+strings.Repeat("x", 4000)+"\r\n", 1100), tallyman.LimitFault},
	} {
		_, err := scrape(t, &servicetest.Inside{Dial: dial(func(string) string { return one.answer })})
		var fault *tallyman.ServiceError
		if !errors.As(err, &fault) || fault.Fault != one.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := scrape(t, &servicetest.Inside{Dial: dial(func(string) string { return strings.Repeat("x", 1<<20) })}); !errors.Is(err, tallyman.ErrLimit) {
		t.Errorf("a long line: %v", err)
	}
	if _, err := scrape(t, &servicetest.Inside{F: tallyman.ServiceFacts{Command: []string{"memcached", "-S"}}}); err == nil {
		t.Error("SASL is asked in text")
	}
}

func TestLogin(t *testing.T) {
	var lines []string
	in := &servicetest.Inside{
		F:     tallyman.ServiceFacts{Processes: []tallyman.ServiceProcess{{Name: "memcached", Args: []string{"memcached", "-Y", "/etc/logins"}}}},
		Files: map[string]string{"/etc/logins": "me:words\nother:x\n"},
		Dial: dial(func(line string) string {
			lines = append(lines, line)
			switch {
			case strings.HasPrefix(line, "set "):
				return ""
			case line == "me words":
				return "STORED\r\n"
			}
			return "STAT version 1\r\nEND\r\n"
		}),
	}
	if _, err := scrape(t, in); err != nil || len(lines) < 3 || lines[0] != "set login 0 0 8" {
		t.Errorf("%v, sent %q", err, lines)
	}
}

func TestFind(t *testing.T) {
	for want, f := range map[string]tallyman.ServiceFacts{
		"":              {Image: "nginx"},
		"PORT=11211":    {Image: "memcached"},
		"PORT=11300":    {Image: "memcached", Command: []string{"memcached", "-m64", "-p", "11300"}},
		"SOCKET=/run/m": {Processes: []tallyman.ServiceProcess{{Name: "memcached", Args: []string{"memcached", "-s", "/run/m"}}}},
	} {
		got := ""
		for _, c := range find(&servicetest.Inside{F: f}) {
			got += c.Keys()[0] + "=" + c.Text(c.Keys()[0], "")
		}
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestCheckOfCommands(t *testing.T) {
	for text, ok := range map[string]bool{"get a": true, "mn": true, "set a 0 0 1": false, "flush_all": false, "get a\r\nflush_all": false} {
		if _, err := check(servicetest.Config("COMMAND CHECK", text)); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}
