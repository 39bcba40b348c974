// SPDX-License-Identifier: Apache-2.0

package dockerapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// An engine on this machine has its clock; of another's, the header Date and the round
// trip tell the least that it can be off. A slow answer does not make it more.
func TestClockOfAnEngine(t *testing.T) {
	for name, c := range map[string]struct {
		ahead, slow time.Duration
		least, most time.Duration
	}{
		"the same":                  {0, 0, 0, 0},
		"the same, and slow":        {0, 1200 * time.Millisecond, 0, 0},
		"a minute ahead":            {time.Minute, 0, 59 * time.Second, time.Minute},
		"a minute behind":           {-time.Minute, 0, -time.Minute, -59 * time.Second},
		"a minute behind, and slow": {-time.Minute, 1200 * time.Millisecond, -time.Minute, -58 * time.Second},
		"less than can be told":     {400 * time.Millisecond, 0, 0, 400 * time.Millisecond},
		"no time in the answer":     {-1, 0, 0, 0},
		"a time that is none":       {-2, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Api-Version", "1.41")
				switch c.ahead {
				case -1:
					w.Header()["Date"] = nil
				case -2:
					w.Header().Set("Date", "soon")
				default:
					w.Header().Set("Date", time.Now().Add(c.ahead).UTC().Format(http.TimeFormat))
				}
				time.Sleep(c.slow) // the far half of the round trip
			}))
			defer server.Close()
			ping, err := open(t, strings.Replace(server.URL, "http", "tcp", 1)).Ping(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if known := c.ahead != -1 && c.ahead != -2; ping.ClockKnown != known {
				t.Errorf("known is %v", ping.ClockKnown)
			}
			// The clock was set a moment after the request.
			if got := ping.ClockOffset; got < c.least-time.Second || got > c.most || c.ahead == 0 && got != 0 {
				t.Errorf("ahead by %v, want %v to %v", got, c.least, c.most)
			}
		})
	}
}
