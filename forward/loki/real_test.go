// SPDX-License-Identifier: Apache-2.0

package loki

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"tallyman"
	"tallyman/forward/forwardtest"
	"tallyman/forward/send"
)

// What a real Loki takes and refuses is what is counted. It is asked when TEST_LOKI=http://…
// says where it is; it has to be one with the limits of its defaults.
func TestRealLoki(t *testing.T) {
	base := os.Getenv("TEST_LOKI")
	if base == "" {
		t.Skip("no TEST_LOKI")
	}
	now := time.Now()
	long := strings.Repeat("x", 300<<10)
	for _, c := range []struct {
		name    string
		times   []time.Duration // before now, in this order
		line    string
		refused int
		reason  string
	}{
		{name: "in order", times: []time.Duration{3, 2, 1}},
		{name: "half an hour late", times: []time.Duration{0, 30 * time.Minute}},
		{name: "too far behind", times: []time.Duration{0, 1, 2 * time.Hour, 3 * time.Hour, 2}, refused: 2, reason: tooOld},
		{name: "eight days old", times: []time.Duration{0, 8 * 24 * time.Hour, 9 * 24 * time.Hour, 5}, refused: 2, reason: tooOld},
		{name: "an hour ahead", times: []time.Duration{0, -time.Hour}},
		{name: "a long line", times: []time.Duration{0, 1}, line: long},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := forwardtest.NewLog()
			if err := log.CommitMark(forwardtest.Name, 0); err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprintf("real-%d", time.Now().UnixNano())
			for i, d := range c.times {
				log.Append(streamWith("image", "x", "level", []string{"info", "error"}[i%2], "name", name, "source", "container"),
					tallyman.Record{Time: now.Add(-d).UnixNano(), Line: fmt.Appendf(nil, "line %d %s", i, c.line), Meta: []tallyman.Label{{Name: "id", Value: fmt.Sprint(i)}}})
			}
			s := mustNew(t, Options{RecordOptions: send.RecordOptions{Log: log}, patience: time.Hour}, base+"/loki/api/v1/push")
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			done := make(chan error)
			go func() { done <- s.Run(ctx) }()
			for counts(s).Sent+counts(s).Refused < uint64(len(c.times)) && ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			got := 0
			for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && got < len(c.times)-c.refused; time.Sleep(100 * time.Millisecond) {
				got = stored(t, base, name, now)
			}
			if now := counts(s); int(now.Sent) != len(c.times)-c.refused || int(now.Refused) != c.refused || got != int(now.Sent) {
				t.Errorf("it counts %+v, and Loki has %d; want %d refused: %s", now, got, c.refused, s.Stats().Refusal)
			}
			if c.reason != "" && int(refusedFor(s, c.reason)) != c.refused {
				t.Errorf("refused for other reasons than %s: %s", c.reason, s.Stats().Refusal)
			}
		})
	}
}

// stored is how many lines of a name Loki has.
func stored(t *testing.T, base, name string, now time.Time) (n int) {
	t.Helper()
	q := url.Values{"query": {fmt.Sprintf("{name=%q} | level=~`info|error` | image=`x`", name)}, "limit": {"1000"},
		"start": {strconv.FormatInt(now.Add(-20*24*time.Hour).UnixNano(), 10)}, "end": {strconv.FormatInt(now.Add(9*time.Minute).UnixNano(), 10)}}
	resp, err := http.Get(base + "/loki/api/v1/query_range?" + q.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Data struct {
			Result []struct{ Values [][2]string }
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	for _, r := range answer.Data.Result {
		n += len(r.Values)
	}
	return n
}
