// SPDX-License-Identifier: Apache-2.0

package loki_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"tallyman"
	"tallyman/api/loki"
	"tallyman/internal/httpx"
	"tallyman/internal/recordtest"
	"tallyman/query/logql"
)

// agents take what is pushed into a store, but for streams called "many".
type agents struct {
	*recordtest.Store
	after   time.Duration
	refuse  error
	counted [3]int
}

func (a *agents) Admit(string, int) (time.Duration, error) { return a.after, a.refuse }

func (a *agents) TakeRecords(_ context.Context, host string, b *tallyman.RecordBatch) (refused int, why string, err error) {
	b.Streams = slices.DeleteFunc(b.Streams, func(s tallyman.StreamRecords) bool {
		is := s.Stream.Label("name") == "many" || s.Stream.Label("host") != host
		if is {
			refused += len(s.Records)
		}
		return is
	})
	return refused, "stream limit", a.AppendRecords(b)
}

func (a *agents) RefuseRecords(foreign, audit, bad int) {
	a.counted[0] += foreign
	a.counted[1] += audit
	a.counted[2] += bad
}

// What an agent pushes is stored as it is, under the host of its token: also events and
// snapshots, which nobody else may push. Streams of another host and of audit are refused,
// the rest is stored, and the answer has numbers of lines.
func TestPushOfAgents(t *testing.T) {
	f := newFixture(t)
	a := &agents{Store: f.Store}
	api := loki.New(loki.Options{Store: f.Store, Engine: logql.New(f.Store, logql.Options{}), Log: slog.New(slog.DiscardHandler), Agents: a,
		Reserved: []string{"event", "container"}})
	f.mux = http.NewServeMux()
	var push httpx.Route
	for _, r := range api.Routes() {
		f.mux.Handle(r.Pattern, r.Handler)
		if strings.HasSuffix(r.Pattern, "/loki/api/v1/push") {
			push = r
		}
	}
	if push.Access != httpx.WritersOnly {
		t.Errorf("without logs.push the access is %v; want writers only", push.Access)
	}
	n := 0
	post := func(body string) (int, string) {
		n++
		text := strings.NewReplacer("APP", fmt.Sprintf("a%d", n), "@0", nano(start), "@1", nano(start.Add(time.Second))).Replace(body)
		r := httptest.NewRequest(http.MethodPost, "/loki/api/v1/push", strings.NewReader(text))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		push.Handler.ServeHTTP(w, httpx.WithWriter(r, httpx.Writer{ID: "1", Host: "web-1"}))
		return w.Code, w.Body.String()
	}
	const line = `"values":[["@0","level=error down"]]`
	for _, c := range []struct {
		name, body string
		status     int
		words      string
		want       []string
		counted    [3]int
	}{
		{name: "its own", body: `{"streams":[{"stream":{"app":"APP","host":"web-1","source":"event"},` + line + `}]}`, status: 204,
			want: []string{" level=error down map[host:web-1 source:event]"}},
		{name: "no host", body: `{"streams":[{"stream":{"app":"APP","source":"container","level":"warn"},` + line + `}]}`, status: 204,
			want: []string{" level=error down map[host:web-1 level:warn source:container]"}},
		{name: "another host alone", body: `{"streams":[{"stream":{"app":"APP","host":"db-1"},` + line + `}]}`, status: 403, words: `it is for "web-1" alone`, counted: [3]int{1, 0, 0}},
		{name: "audit, another host, and its own", body: `{"streams":[{"stream":{"app":"APP","source":"audit"},"values":[["@0","a"],["@1","b"]]},{"stream":{"app":"APP","host":"db-1"},` + line + `},{"stream":{"app":"APP"},` + line + `}]}`,
			status: 400, words: "total ignored: 3 out of 4", want: []string{" level=error down map[host:web-1]"}, counted: [3]int{1, 2, 0}},
		{name: "too many streams", body: `{"streams":[{"stream":{"app":"APP","name":"many"},` + line + `},{"stream":{"app":"APP"},` + line + `}]}`,
			status: 400, words: "stream limit, total ignored: 1 out of 2", want: []string{" level=error down map[host:web-1]"}},
		{name: "a bad line", body: `{"streams":[{"stream":{"app":"APP"},"values":[["x","a"],["@0","level=error down"]]}]}`,
			status: 400, words: "total ignored: 1 out of 2", want: []string{" level=error down map[host:web-1]"}, counted: [3]int{0, 0, 1}},
	} {
		a.counted = [3]int{}
		code, text := post(c.body)
		got := f.stored(t, fmt.Sprintf(`{app="a%d"}`, n))
		for i := range got {
			_, got[i], _ = strings.Cut(got[i], " ")
			got[i] = " " + got[i]
		}
		if code != c.status || !strings.Contains(text, c.words) || !slices.Equal(got, c.want) || a.counted != c.counted {
			t.Errorf("%s: %d %s, stored %q, counted %v; want %d, %q, %q, %v", c.name, code, text, got, a.counted, c.status, c.words, c.want, c.counted)
		}
	}
	a.refuse = errors.New("the hub's own host")
	if code, text := post(`{"streams":[{"stream":{"app":"APP"},` + line + `}]}`); code != 403 || !strings.Contains(text, "own host") {
		t.Errorf("never: %d %s; want 403", code, text)
	}
	a.after = time.Second
	if code, _ := post(`{"streams":[{"stream":{"app":"APP"},` + line + `}]}`); code != 429 {
		t.Errorf("not now: %d; want 429", code)
	}
}
