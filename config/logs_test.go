// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"
	"testing"

	"tallyman"
)

func TestLogs(t *testing.T) {
	c, err := load(t, `
logs:
  files: [{path: /var/log/*.log, redact: ['pw=(\S+)', secrets]}]
  rules:
    - {match: "image:shop/*", files: [/log/x.log], start: '^\d'}
    - {match: "unit:ssh*", level: '^(\w+)'}
`, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	files, err := c.HostLogs()
	if err != nil || len(files) != 1 || files[0].Pattern != "/var/log/*.log" || string(files[0].Rule.Redact([]byte("pw=x"))) != "pw=[redacted]" {
		t.Errorf("%+v %v", files, err)
	}
	rules, err := c.LogRules()
	if err != nil || len(rules) != 2 || !rules[0].Container(&tallyman.Container{Image: "shop/api:1"}) || rules[0].Unit != nil || !rules[1].Unit("sshd.service") || rules[1].Container != nil {
		t.Errorf("%+v %v", rules, err)
	}
	c, err = load(t, "", []string{`TALLYMAN_LOGS_FILES=[{path: /a}, {path: /b}]`, `TALLYMAN_LOGS_JOURNAL_UNITS=ssh.service,kernel`}, nil)
	if err != nil || len(c.Logs.Files) != 2 || len(c.Logs.Journal.Units) != 2 {
		t.Errorf("from the environment: %+v %v", c.Logs, err)
	}
}

func TestWrongLogsSayWhatToDo(t *testing.T) {
	f := func(yaml string, want ...string) {
		t.Helper()
		_, err := load(t, yaml, nil, nil)
		if err == nil {
			t.Errorf("Load(%q) took it, want an error", yaml)
			return
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("Load(%q): %v; want it to say %q", yaml, err, w)
			}
		}
	}
	f("logs: {files: [/var/log/x]}", "logs.files[0]", "path: /var/log/*.log")
	f("logs: {files: [{paht: /x}]}", "logs.files[0]", `"paht"`, `"path"`)
	f("logs: {files: [{start: x}]}", "logs.files[0]", "path is missing")
	f("logs: {files: [{path: x.log}]}", "logs.files[0]", "slash")
	f("logs: {files: [{path: /x.log, redact: ['(']}]}", "logs.files[0]", "redact", "RE2")
	f("logs: {rules: [{match: nginx, start: x}]}", "logs.rules[0]", "match", "unit:ssh*")
	f("logs: {rules: [{match: 'name:x'}]}", "logs.rules[0]", "asks for nothing")
	f("logs: {rules: [{match: 'unit:x', files: [/x]}]}", "logs.rules[0]", "logs.files")
	f("logs: {journal: {units: ['a b']}}", "logs.journal.units[0]", "ssh.service")
	f("logs: {journal: {directory: x}}", "logs.journal.directory", "/var/log/journal")
}
