// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestForward(t *testing.T) {
	c, err := load(t, "forward:\n  amqp: {url: \"amqps://agent:canary@mq.example/vh\", queue: alarms.queue, buffer: 1MiB, max_age: 7d, align: false}\n", nil, nil)
	a := c.Forward.AMQP
	if err != nil || string(a.URL) != "amqps://agent:canary@mq.example/vh" || a.Exchange != "alarms.exchange" || a.RoutingKey != "alarms" || a.Queue != "alarms.queue" ||
		a.Namespace != "dojot.docker.container" || a.Domain != "docker container status change" || a.Align || a.Buffer != 1<<20 || a.MaxAge != Duration(7*24*time.Hour) {
		t.Errorf("%+v, %v", a, err)
	}
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte("amqp://agent:canary@mq.example/\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err = load(t, "", []string{"TALLYMAN_FORWARD_AMQP_URL_FILE=" + file, "TALLYMAN_FORWARD_AMQP_ROUTING_KEY=k"}, nil)
	if err != nil || string(c.Forward.AMQP.URL) != "amqp://agent:canary@mq.example/" || c.Forward.AMQP.RoutingKey != "k" {
		t.Errorf("from a file: %v", err)
	}
	shown, _ := json.Marshal(c)
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v", c, c), string(shown)} {
		if strings.Contains(text, "canary") {
			t.Errorf("the password is shown in %s", text)
		}
	}
	for text, want := range map[string]string{
		`url: "https://u:canary@h"`:                           "does not begin with amqp://",
		`url: "canary"`:                                       "amqps://user:password@host/vhost",
		`url: "amqp://u:canary@"`:                             "names no host",
		`url: "amqp://u:can ary@h"`:                           "blank",
		`url: "amqp://u:canary%zz@h"`:                         "%25",
		`url: "amqp://u:canary@h/a/b"`:                        "%2F",
		`url: "amqp://u:p@h/?heartbeet=5"`:                    "did you mean heartbeat",
		`url: "amqp://h", exchange: ""`:                       "forward.amqp.exchange",
		`url: "amqp://h", queue: ` + strings.Repeat("q", 256): "255 bytes",
		`buffer: 1KiB`:                                        "at least 64KiB",
		`max_age: 1s`:                                         "at least",
		`uri: x`:                                              "forward.amqp.url",
	} {
		if _, err := load(t, "forward: {amqp: {"+text+"}}", nil, nil); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want %q and no secret", text, err, want)
		}
	}
	// What is wrong beside it is shown with the lines around.
	for _, text := range []string{"    buffer: soon\n", "    align: [\n", "    align: perhaps\n"} {
		if _, err := load(t, "forward:\n  amqp:\n    url: amqp://u:canary@h/\n"+text, nil, nil); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v; want an error without the password", text, err)
		}
	}
	c, err = load(t, "forward: {webhook: {url: \"https://u:canary@h/x\", align: false}}", nil, nil)
	if w := c.Forward.Webhook; err != nil || string(w.URL) != "https://u:canary@h/x" || w.Align || w.Buffer != 16<<20 {
		t.Errorf("%+v, %v", w, err)
	}
	for _, bad := range []string{"canary", "ftp://canary@h", "https://u:canary%zz@h/x", "https:///canary"} {
		if _, err := load(t, "", []string{"TALLYMAN_FORWARD_WEBHOOK_URL=" + bad}, nil); err == nil || !strings.Contains(err.Error(), "forward.webhook.url") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestDestinations(t *testing.T) {
	const url = "https://u:canary@loki.example/loki/api/v1/push"
	for name, in := range map[string]struct {
		file string
		env  []string
	}{
		"a list":              {file: "forward:\n  - loki: " + url + "\n"},
		"under its key":       {file: "forward:\n  to:\n    - loki: " + url + "\n  webhook: {align: false}\n"},
		"one variable":        {env: []string{"TALLYMAN_FORWARD=loki=" + url}},
		"the same by its key": {env: []string{"TALLYMAN_FORWARD_TO=[{loki: '" + url + "'}]"}},
	} {
		c, err := load(t, in.file, in.env, nil)
		if err != nil || len(c.Forward.To) != 1 || string(c.Forward.To[0].Loki) != url || c.Forward.To[0].ID() != "loki-loki.example" || c.Forward.AMQP.Exchange != "alarms.exchange" {
			t.Errorf("%s: %+v %v", name, c.Forward, err)
		}
	}
	c, err := load(t, "forward:\n  - loki: http://127.0.0.1:3100/push\n    name: here\n    labels: [host, name]\n    external_labels: {dc: fra}\n    only: ['{source=\"event\"}']\n    headers: {X-Scope-OrgID: web}\n    headers_file: {X-Key: /k}\n    timeout: 5s\n  - loki: http://loki:3100/push\n    plain: true\n", nil, nil)
	if err != nil || len(c.Forward.To) != 2 {
		t.Fatalf("%+v %v", c.Forward.To, err)
	}
	if d := c.Forward.To[0]; d.ID() != "here" || len(d.Labels) != 2 || d.ExternalLabels["dc"] != "fra" || d.Only[0] != `{source="event"}` || string(d.Headers["X-Scope-OrgID"]) != "web" || d.HeadersFile["X-Key"] != "/k" {
		t.Errorf("%+v", d)
	}
	c, err = load(t, "forward:\n  - remote_write: https://u:canary@mimir.example/api/v1/push\n    keep: ['container_*', up]\n    drop: ['*_bucket']\n    every: 30s\n    protocol: 1\n    limit: 2MiB\n    external_labels: {dc: fra}\n  - loki: "+url+"\nspool: {size: 64MiB, time: 6h}\n", nil, nil)
	if err != nil || len(c.Forward.To) != 2 || c.Spool.Size != 64<<20 || c.Spool.Time != Duration(6*time.Hour) {
		t.Fatalf("%+v %v", c.Forward.To, err)
	}
	if d := c.Forward.To[0]; d.ID() != "remote_write-mimir.example" || string(d.Address()) != "https://u:canary@mimir.example/api/v1/push" || len(d.Keep) != 2 || d.Drop[0] != "*_bucket" || d.Every != Duration(30*time.Second) || d.Protocol != "1" || d.Limit != 2<<20 {
		t.Errorf("%+v", d)
	}
	c, err = load(t, "", []string{"TALLYMAN_FORWARD=loki=" + url + ",remote_write=https://u:canary@h/api/v1/write"}, nil)
	if err != nil || len(c.Forward.To) != 2 || string(c.Forward.To[1].RemoteWrite) != "https://u:canary@h/api/v1/write" {
		t.Errorf("%+v %v", c.Forward.To, err)
	}
	c, err = load(t, "", []string{"TALLYMAN_FORWARD=syslog=tls://logs.example,http=https://u:canary@h,elasticsearch=https://u:canary@e:9200"}, nil)
	if err != nil || len(c.Forward.To) != 3 || c.Forward.To[0].Kind() != "syslog" || c.Forward.To[1].ID() != "http-h" || string(c.Forward.To[2].Address()) != "https://u:canary@e:9200" {
		t.Errorf("%+v %v", c.Forward.To, err)
	}
	for _, bad := range []struct{ entry, want string }{
		{"{remote_write: canary}", "remote_write: an address is needed, as https://host/api/v1/write"},
		{"{remote_write: 'http://mimir/canary'}", "plain: true"},
		{"{remote_write: 'https://mimir'}", "https://mimir/api/v1/write"},
		{"{remote_write: 'https://h/canary', loki: 'https://h/canary'}", "an entry for each"},
		{"{remote_write: 'https://h/canary', only: ['{}']}", "keep: [container_*]"},
		{"{remote_write: 'https://h/canary', keep: ['a b']}", "no name of a metric"},
		{"{remote_write: 'https://h/canary', every: 2h}", "every"},
		{"{loki: 'https://h/canary', every: 30s}", "every: not for loki; write only:"},
		{"{syslog: 'udp://h/canary'}", "syslog: an address is needed, as tls://host:6514"},
		{"{syslog: 'tcp://h/canary'}", "use tls, or set plain: true"},
		{"{syslog: 'tls://h', headers: {a: canary}}", "not for syslog; write cert and key"},
		{"{syslog: 'tls://h', keep: [a]}", "keep: not for syslog; write only:"},
		{"{http: 'https://h/canary', format: xml}", "write lines or array"},
		{"{http: 'https://h/canary', index: a}", "index: not for http"},
		{"{remote_write: 'https://h/canary', protocol: 3}", "write auto, 1 or 2"},
		{"{loki: 'https://h/canary', protocol: 1}", "protocol: not for loki"},
		{"{loki: 'https://h/canary', limit: 10B}", "below 1KiB a second"},
		{"{mackerel: 'https://h/canary', service: docker}", "an api_key_file are needed"},
		{"{mackerel: 'https://h/canary', service: a/b, api_key_file: /k}", "a service of it"},
		{"{loki: 'https://h/canary', service: docker}", "service or api_key_file: not for loki"},
		{"{otlp: 'https://h/v1/logs'}", "ends before /v1/"},
		{"{otlp: 'https://h', signals: [traces]}", "logs, metrics or both"},
		{"{otlp: 'https://h', attributes: both}", "write resource or point"},
		{"{influx: 'https://u:canary@h'}", "a database (of version 1) or a bucket"},
		{"{influx: 'https://h', database: a, bucket: b}", "and not both"},
		{"{influx: 'https://h/write', database: a}", "ends before /write"},
		{"{influx: 'https://u:canary@h', bucket: a, token_file: /x}", "leave one out"},
		{"{influx: 'https://h', database: a, only: ['{}']}", "only: not for influx; write keep:"},
		{"{elasticsearch: 'https://h', index: 'A/b'}", "no name of an index"},
		{"{elasticsearch: 'https://h', gzip: true}", "gzip: not for elasticsearch"},
		{"{hub: 'https://hub:8420'}", "tallyman token agent HOST"},
		{"{hub: 'http://hub:8420', token_file: /t}", "plain: true"},
		{"{hub: 'https://u:canary@hub', token_file: /t}", "the token in token_file alone"},
		{"{hub: 'https://hub', token_file: /t, bearer_file: /canary}", "token_file for a hub"},
		{"{hub: 'hub:8420', token_file: /t}", "hub: an address is needed, as https://host:8420"},
		{"{loki: 'https://h/canary', token_file: /t}", "token_file: not for loki"},
		{"{}", "write for example loki:"},
		{"{loki: canary}", "an address is needed"},
		{"{loki: 'https://u:canary%zz@h/x'}", "an address is needed"},
		{"{loki: 'http://loki:3100/canary'}", "plain: true"},
		{"{loki: 'https://loki'}", "https://loki/loki/api/v1/push"},
		{"{loki: 'https://h/canary', name: a b}", "is not possible"},
		{"{loki: 'https://h/canary', name: amqp}", "a name of its own"},
		{"{loki: 'https://h/canary', lables: [a]}", `did you mean "labels"`},
		{"{loki: 'https://h/canary', external_labels: {a.b: c}}", "no name of a label"},
		{"{loki: 'https://h/canary', timeout: -1s}", "timeout"},
		{"loki", "has no settings"},
	} {
		if _, err := load(t, "forward: ["+bad.entry+"]", nil, nil); err == nil || !strings.Contains(err.Error(), bad.want) || !strings.Contains(err.Error(), "forward.to[0]") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: got %v, want %s", bad.entry, err, bad.want)
		}
	}
	for _, bad := range []string{"https://canary", "kafka=canary", "[canary", "[{lokki: canary}]"} {
		if _, err := load(t, "", []string{"TALLYMAN_FORWARD=" + bad}, nil); err == nil || !strings.Contains(err.Error(), "TALLYMAN_FORWARD") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: got %v", bad, err)
		}
	}
	for _, file := range []string{
		"forward:\n  - loki: https://h/x\n    headers:\n      X-Key: canary\n    plain: maybe\n",
		"forward:\n  - loki: https://h/x\n    password: canary\n    timeout: [1s]\n",
		"forward: [{loki: 'https://h/x', password: canary, plain: maybe}]\n",
		"forward:\n  - loki: https://h/x\n    password: canary\n   plain: true\n",
	} {
		if _, err := load(t, file, nil, nil); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: got %v", file, err)
		}
	}
	if _, err := load(t, "forward: [{loki: '"+url+"'}, {loki: '"+url+"'}]", nil, nil); err == nil || !strings.Contains(err.Error(), "forward.to[1]") {
		t.Errorf("got %v", err)
	}
}

// A hub is one line, in the file or in the environment, where it comes beside what else is
// sent on.
func TestHub(t *testing.T) {
	const pin = "sha256:aa"
	c, err := load(t, "forward:\n  - hub: https://hub:8420\n    token_file: /t\n    pin: "+pin+"\n    drop: [go_*]\n", nil, nil)
	if err != nil || len(c.Forward.To) != 1 || c.Forward.To[0].ID() != "hub-hub" || !c.Forward.To[0].Sends("logs") || !c.Forward.To[0].Sends("metrics") || c.Forward.To[0].TokenFile != "/t" {
		t.Errorf("%+v %v", c.Forward.To, err)
	}
	c, err = load(t, "", []string{"TALLYMAN_HUB=https://hub:8420", "TALLYMAN_HUB_TOKEN_FILE=/t", "TALLYMAN_HUB_PIN=" + pin, "TALLYMAN_FORWARD=loki=https://l/push"}, nil)
	if err != nil || len(c.Forward.To) != 2 || c.Forward.To[1].Hub != "https://hub:8420" || c.Forward.To[1].Pin != pin || len(c.Foreign()) > 0 {
		t.Errorf("%+v %v, %v", c.Forward.To, err, c.Foreign())
	}
	c, err = load(t, "", []string{"TALLYMAN_HUB=http://hub:8420", "TALLYMAN_HUB_TOKEN_FILE=/t", "TALLYMAN_HUB_PLAIN=true", "TALLYMAN_HUB_CA=/ca.pem"}, nil)
	if err != nil || len(c.Forward.To) != 1 || !c.Forward.To[0].Plain || c.Forward.To[0].CA != "/ca.pem" {
		t.Errorf("%+v %v", c.Forward.To, err)
	}
	for _, bad := range []struct{ env, want string }{
		{"TALLYMAN_HUB=https://hub:8420", "token_file is needed"},
		{"TALLYMAN_HUB_TOKEN_FILE=/t", "TALLYMAN_HUB=https://hub:8420"},
		{"TALLYMAN_HUB_PLAIN=maybe", "TALLYMAN_HUB_PLAIN"},
		{"TALLYMAN_FORWARD=hub=https://hub:8420", "TALLYMAN_HUB_TOKEN_FILE"},
	} {
		if _, err := load(t, "", []string{bad.env}, nil); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s: got %v, want %s", bad.env, err, bad.want)
		}
	}
}

// https is with files or with a certificate of its own; a hub keeps what it is sent.
func TestTLSAndReceive(t *testing.T) {
	for _, good := range []string{"tls: {auto: true}", "tls: {cert: /c, key: /k}", "receive: {agents: true}"} {
		if _, err := load(t, good, nil, nil); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for bad, want := range map[string]string{
		"tls: {cert: /c}":                                 "tls.key",
		"tls: {auto: true, cert: /c, key: /k}":            "leave one out",
		"receive: {agents: true}\nkeep: {logs: false}":    "keep.logs",
		"receive: {agents: true}\nkeep: {metrics: false}": "keep.metrics",
	} {
		if _, err := load(t, bad, nil, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", bad, err, want)
		}
	}
}
