// SPDX-License-Identifier: Apache-2.0

package describe

import (
	"slices"
	"testing"

	"tallyman"
)

func TestDescribe(t *testing.T) {
	f := func(typ, action string, attributes map[string]string, kind, severity, text string) {
		t.Helper()
		got := Event(&tallyman.Event{Type: typ, Action: action, Name: "api", Attributes: attributes})
		if got != (Words{Kind(kind), Severity(severity), text}) {
			t.Errorf("Event(%s %s %v) = %+v, want %q %q %q", typ, action, attributes, got, kind, severity, text)
		}
		if !slices.Contains(got.Kind.Values(), kind) || !slices.Contains(got.Severity.Values(), severity) {
			t.Errorf("Event(%s %s %v) = %+v, which is none of the kinds and severities that there are", typ, action, attributes, got)
		}
	}
	type a = map[string]string
	f("container", "start", nil, "start", "good", "Started")
	f("container", "die", a{"exitCode": "0"}, "death", "", "Exited 0")
	f("container", "die", a{"exitCode": "3"}, "death", "critical", "Died, exit 3")
	f("container", "die", a{"exitCode": "137", "oomKilled": "true"}, "death", "critical", "Out of memory: the kernel killed it, exit 137")
	f("container", "die", a{"exitCode": "137"}, "death", "critical", "Died, exit 137 (SIGKILL)")
	f("container", "die", a{"exitCode": "137", "signal": "9"}, "death", "", "Killed as asked, exit 137 (SIGKILL)")
	f("container", "die", a{"exitCode": "143", "signal": "15"}, "death", "", "Ended as asked, exit 143 (SIGTERM)")
	f("container", "die", a{"exitCode": "5", "signal": "1"}, "death", "critical", "Died, exit 5") // of a version before: SIGHUP asks for nothing
	f("container", "die", a{"exitCode": "0", "asked": "signal", "signal": "28"}, "death", "", "Exited 0")
	f("container", "die", a{"exitCode": "5", "asked": "signal", "signal": "28"}, "death", "", "Ended as asked, exit 5")
	f("container", "die", a{"exitCode": "143"}, "death", "critical", "Died, exit 143 (SIGTERM)")
	f("container", "die", a{"exitCode": "127"}, "death", "critical", "Died, exit 127 (the command was not found)")
	f("container", "die", nil, "death", "warning", "Died; the exit code is not known")
	f("container", "start_failed", a{"exitCode": "127", "error": "no such file"}, "death", "critical", "Did not start, exit 127 (the command was not found): no such file")
	f("container", "start_failed", nil, "death", "critical", "Did not start")
	f("container", "kill", a{"signal": "9"}, "kill", "", "Was sent SIGKILL")
	f("container", "kill", a{"signal": "40"}, "kill", "", "Was sent signal 40")
	f("container", "rename", a{"oldName": "/old"}, "rename", "", "Renamed from old")
	f("container", "exec_die", a{"command": "ls /", "exitCode": "2"}, "exec", "", "exec: ls /, exit 2")
	f("container", "health_status", a{"health": "unhealthy"}, "health", "critical", "Health: unhealthy")
	f("container", "top", nil, "other", "", "top")
	f("engine", "down", a{"error": "connection refused"}, "engine", "critical", "Docker does not answer: connection refused")
	f("engine", "down", a{"error": "no answer within 5s", "failure": "slow"}, "engine", "critical", "Docker is stalled: it takes connections and does not answer (no answer within 5s)")
	f("check", "down", a{"check": "/check.sh", "exit_code": "3", "output": "a\nno disk"}, "health", "critical", "The check /check.sh fails: exit 3, no disk")
	f("check", "down", a{"check": "/a", "reason": "there is no such file"}, "health", "critical", "The check /a fails: there is no such file")
	f("check", "up", a{"check": "/a"}, "health", "good", "The check /a is good again")
	f("engine", "change", a{"version": "20.10 → 24.0", "kernel": "5 → 6"}, "engine", "info", "Docker has changed: kernel 5 → 6, version 20.10 → 24.0")
	f("tallyman", "gap", a{"reason": "the engine was restarted"}, "gap", "warning", "Events may be missing here: the engine was restarted")
	f("tallyman", "start", nil, "other", "", "tallyman started watching")
	f("tallyman", "start", a{"away": "5m"}, "gap", "info", "tallyman was not running for 5m")
	f("tallyman", "drift", a{"container": "c", "from": "1", "to": "2", "HostConfig.Memory": "1 → 2", "Config.User": "nothing → root"}, "drift", "info", "Configuration changed: Config.User, HostConfig.Memory")
	f("tallyman", "drift", a{"A": "", "B": "", "C": "", "D": "", "E": "", "F": "", "more": "3"}, "drift", "info", "Configuration changed: A, B, C, D, E and 4 more")
	f("service", "down", a{"plugin": "redis", "instance": "cache:6379", "reason": "Nothing listens there."}, "health", "warning", "redis at cache:6379 does not answer: Nothing listens there.")
	f("service", "up", a{"plugin": "redis", "instance": "cache:6379"}, "health", "good", "redis at cache:6379 answers")
	f("service", "config", a{"source": "tallyman.plugins", "reason": "tallyman.plugins: it is empty"}, "other", "warning", "A label cannot be followed: tallyman.plugins: it is empty")
	f("service", "update", nil, "other", "", "service api updated")
	f("image", "pull", nil, "other", "", "image api pulled")
}
