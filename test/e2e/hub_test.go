// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tallyman/internal/testkit"
)

// A hub with one real agent and many hosts of which only an inventory came, once: those become
// silent.
func TestHubPages(t *testing.T) {
	needBrowser(t)
	t.Parallel()
	d := testkit.NewDocker(t)
	project := d.Name("fleet")
	d.Start(compose(project, "api"), "sh", "-c", "while :; do echo a line of the agent; sleep 1; done")
	d.Start(compose(project, "job"), "sh", "-c", "exit 3")
	hub := testkit.StartProgram(t, testkit.DataDir(t), "--host", "hub-1", "--interval", "1s", "--set", "receive.agents=true", "--set", "include=name:there-is-none-of-that-name", "--set", "logs.journal.units=none")
	post := func(path, token string, body any, to any) {
		t.Helper()
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequest(http.MethodPost, hub.URL+path, bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode/100 != 2 {
			t.Fatalf("%s: %s %s, %v", path, resp.Status, text, err)
		}
		if to != nil {
			if err := json.Unmarshal(text, to); err != nil {
				t.Fatal(err)
			}
		}
	}
	tokenOf := func(host string) (token string) {
		var made struct{ Token string }
		post("/api/tallyman/v1/tokens", hub.Token, map[string]string{"host": host}, &made)
		return made.Token
	}
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(tokenOf("web-1")), 0o600); err != nil {
		t.Fatal(err)
	}
	testkit.StartProgramWith(t, []string{"TALLYMAN_HUB=" + hub.URL, "TALLYMAN_HUB_TOKEN_FILE=" + file}, testkit.DataDir(t),
		"--host", "web-1", "--interval", "1s", "--set", "include=name:"+project+"*", "--set", "logs.journal.units=none")
	for i := range 30 {
		host := fmt.Sprintf("quiet-%02d", i)
		token, at := tokenOf(host), time.Now()
		inventory, err := json.Marshal(map[string]any{"time": at.UnixMilli(), "part": 1, "parts": 1, "host": host, "cores": 4, "memory": 8 << 30,
			"engine": map[string]any{"name": "local", "address": "unix:///var/run/docker.sock", "up": true, "version": "29.1.0"},
			"containers": []any{map[string]any{"id": fmt.Sprintf("%064x", i+1), "name": "web", "image": "nginx:1", "host": host, "engine": "local", "workload": "web", "origin": "name", "state": "running",
				"started": at.Add(-time.Hour).UnixMilli(), "restartCount": 0}}})
		if err != nil {
			t.Fatal(err)
		}
		post("/loki/api/v1/push", token, map[string]any{"streams": []any{map[string]any{"stream": map[string]string{"host": host, "source": "inventory"}, "values": [][]string{{fmt.Sprint(at.UnixNano()), string(inventory)}}}}}, nil)
	}
	walk(t, "hub.mjs", given(hub, map[string]any{"agent": "web-1", "project": project, "workload": project + "/api/1", "quiet": 30}), nil)
}
