// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// posted is a server that keeps the bodies that it is sent below /good, and refuses others.
func posted(t *testing.T) (url string, bodies func() []string) {
	t.Helper()
	var mu sync.Mutex
	var got []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !strings.HasPrefix(r.URL.Path, "/good") {
			http.Error(w, "no "+r.URL.Path, http.StatusForbidden)
			return
		}
		mu.Lock()
		got = append(got, string(body))
		mu.Unlock()
	}))
	t.Cleanup(s.Close)
	return s.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return got
	}
}

// Each receiver gets a marked message, one by its number; what an answer says of the
// address is not printed.
func TestCheckNotify(t *testing.T) {
	url, bodies := posted(t)
	t.Setenv("TALLYMAN_DATA", t.TempDir())
	t.Setenv("TALLYMAN_ALARMS_NOTIFY", url+"/good/hunter2secret,"+url+"/bad/hunter2secret")
	var out strings.Builder
	err := (&checkNotifyCmd{}).Run(t.Context(), &out)
	if err == nil || !strings.Contains(err.Error(), "1 of 2") || !strings.Contains(out.String(), "receiver 1, http at 127.0.0.1") || !strings.Contains(out.String(), "took it within") ||
		!strings.Contains(out.String(), "FAILED: receiver 2: it answers 403") || strings.Contains(out.String(), "hunter2secret") {
		t.Errorf("%v\n%s", err, &out)
	}
	if got := bodies(); len(got) != 1 || !strings.Contains(got[0], "TallymanTest") {
		t.Errorf("sent %q", got)
	}
	out.Reset()
	if err := (&checkNotifyCmd{Receiver: 1}).Run(t.Context(), &out); err != nil || strings.Contains(out.String(), "receiver 2") {
		t.Errorf("%v\n%s", err, &out)
	}
	if err := (&checkNotifyCmd{Receiver: 3}).Run(t.Context(), &out); err == nil || !strings.Contains(err.Error(), "there are 2") {
		t.Errorf("%v", err)
	}
	t.Setenv("TALLYMAN_ALARMS_NOTIFY", "")
	if err := (&checkNotifyCmd{}).Run(t.Context(), &out); err == nil || !strings.Contains(err.Error(), "set alarms.notify") {
		t.Errorf("%v", err)
	}
}

// Each forwarder gets a message of its form that raises no alarm.
func TestCheckForward(t *testing.T) {
	url, bodies := posted(t)
	t.Setenv("TALLYMAN_DATA", t.TempDir())
	t.Setenv("TALLYMAN_FORWARD_WEBHOOK_URL", url+"/good/hunter2secret")
	var out strings.Builder
	if err := (&checkForwardCmd{}).Run(t.Context(), &out); err != nil || !strings.Contains(out.String(), "forward.webhook at 127.0.0.1") || !strings.Contains(out.String(), "it answers 200 OK") {
		t.Errorf("%v\n%s", err, &out)
	}
	var message map[string]any
	if got := bodies(); len(got) != 1 || json.Unmarshal([]byte(got[0]), &message) != nil || len(message) != 7 || message["severity"] != "Clear" || message["domain"] != "docker container status change" {
		t.Errorf("sent %q", got)
	}
	out.Reset()
	t.Setenv("TALLYMAN_FORWARD_WEBHOOK_URL", url+"/bad/hunter2secret")
	t.Setenv("TALLYMAN_FORWARD_AMQP_URL", "amqp://agent:hunter2secret@127.0.0.1:1/")
	err := (&checkForwardCmd{}).Run(t.Context(), &out)
	if err == nil || !strings.Contains(err.Error(), "2 of 2") || strings.Count(out.String(), "FAILED") != 2 || !strings.Contains(out.String(), "403") || strings.Contains(out.String(), "hunter2secret") {
		t.Errorf("%v\n%s", err, &out)
	}
	t.Setenv("TALLYMAN_FORWARD_WEBHOOK_URL", "")
	t.Setenv("TALLYMAN_FORWARD_AMQP_URL", "")
	out.Reset()
	t.Setenv("TALLYMAN_FORWARD", "loki="+url+"/good/hunter2secret,loki="+url+"/bad/hunter2secret")
	if err := (&checkForwardCmd{}).Run(t.Context(), &out); err == nil || !strings.Contains(err.Error(), "a name of its own") {
		t.Errorf("%v\n%s", err, &out)
	}
	t.Setenv("TALLYMAN_FORWARD", "[{loki: '"+url+"/good/hunter2secret', name: a}, {loki: '"+url+"/bad/hunter2secret', name: b}]")
	err = (&checkForwardCmd{}).Run(t.Context(), &out)
	if err == nil || !strings.Contains(err.Error(), "1 of 2") || !strings.Contains(out.String(), "forward a at 127.0.0.1") || !strings.Contains(out.String(), "it answers 200 OK") ||
		!strings.Contains(out.String(), "403 Forbidden") || strings.Contains(out.String(), "hunter2secret") {
		t.Errorf("%v\n%s", err, &out)
	}
	out.Reset()
	t.Setenv("TALLYMAN_FORWARD", "[{remote_write: '"+url+"/good/hunter2secret', name: c}, {remote_write: '"+url+"/bad/hunter2secret', name: d}]")
	err = (&checkForwardCmd{}).Run(t.Context(), &out)
	if err == nil || !strings.Contains(err.Error(), "1 of 2") || !strings.Contains(out.String(), "forward c at 127.0.0.1") || !strings.Contains(out.String(), "it answers 200 OK to remote write 1.0") ||
		!strings.Contains(out.String(), "403 Forbidden") || strings.Contains(out.String(), "hunter2secret") {
		t.Errorf("%v\n%s", err, &out)
	}
	out.Reset()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("hunter2secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TALLYMAN_FORWARD", "[{http: '"+url+"/good/hunter2secret', name: e}, {elasticsearch: '"+url+"/good', name: f}, {syslog: 'tcp://127.0.0.1:1', name: g}, {otlp: '"+url+"/good', name: h}, {influx: '"+url+"/good', database: d, name: i}, {mackerel: '"+url+"/good', service: d, api_key_file: '"+key+"', name: j}]")
	err = (&checkForwardCmd{}).Run(t.Context(), &out)
	got := bodies()
	if err == nil || !strings.Contains(err.Error(), "1 of 7") || strings.Count(out.String(), "it answers 200 OK") != 6 || !strings.Contains(out.String(), "forward g at 127.0.0.1:1: FAILED: dial tcp") ||
		strings.Contains(out.String(), "hunter2secret") || len(got) < 6 || !strings.Contains(got[len(got)-6], `"name":"tallyman-test"`) {
		t.Errorf("%v\n%s", err, &out)
	}
	t.Setenv("TALLYMAN_FORWARD", "")
	if err := (&checkForwardCmd{}).Run(t.Context(), &out); err == nil || !strings.Contains(err.Error(), "set forward, forward.amqp") {
		t.Errorf("%v", err)
	}
}
