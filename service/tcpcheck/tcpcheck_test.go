// SPDX-License-Identifier: Apache-2.0

package tcpcheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"tallyman"
	"tallyman/service/servicetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) { servicetest.Run(t, Kind(), servicetest.Config("PORT", "80")) }

// dial answers what is sent, in pieces.
func dial(answer ...string) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			b := make([]byte, 100)
			if _, err := there.Read(b); err != nil {
				return
			}
			for _, a := range answer {
				if _, err := io.WriteString(there, a); err != nil {
					return
				}
			}
		}()
		return here, nil
	}
}

func TestScrape(t *testing.T) {
	for name, one := range map[string]struct {
		dial  func(context.Context, string, string) (net.Conn, error)
		pairs []string
		want  float64
	}{
		"open":           {dial(), []string{"PORT", "80"}, 1},
		"refused":        {func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }, []string{"PORT", "80"}, 0},
		"answer":         {dial("+PO", "NG\r\n"), []string{"SOCKET", "/s", "SEND", `PING\r\n`, "EXPECT", `+PONG\r\n`}, 1},
		"other answer":   {dial("-ERR\r\n"), []string{"PORT", "80", "SEND", "PING", "EXPECT", "PONG"}, 0},
		"long answer":    {dial(strings.Repeat("x", 5000) + "PONG"), []string{"PORT", "80", "SEND", "PING", "EXPECT", "PONG"}, 0},
		"closes at once": {dial(), []string{"PORT", "80", "SEND", "PING", "EXPECT", "PONG"}, 0},
	} {
		i, err := open(&servicetest.Inside{Dial: one.dial}, servicetest.Config(one.pairs...))
		if err != nil {
			t.Fatal(err)
		}
		s := servicetest.NewSink()
		if err := i.Scrape(t.Context(), s); err != nil || s.Values["probe_success"] != one.want || len(s.Values) != 3 {
			t.Errorf("%s: %v, %v", name, s.Values, err)
		}
	}
}

func TestWhatIsForbiddenIsAnError(t *testing.T) {
	i, err := open(&servicetest.Inside{Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, fmt.Errorf("elsewhere: %w", tallyman.ErrForbidden)
	}}, servicetest.Config("HOSTNAME", "elsewhere", "PORT", "1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Scrape(t.Context(), servicetest.NewSink()); !errors.Is(err, tallyman.ErrForbidden) {
		t.Errorf("got %v", err)
	}
}

func TestCheck(t *testing.T) {
	for _, pairs := range [][]string{nil, {"PORT", "1", "SEND", strings.Repeat("x", 2000)}, {"PORT", "1", "EXPECT", `\q`}} {
		if check(servicetest.Config(pairs...)) == nil {
			t.Errorf("%v is taken", pairs)
		}
	}
}
