// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"cmp"
	"fmt"
	"strings"

	"tallyman"
)

// said is how an event is shown: a kind for its mark, a severity for its
// colour and a sentence.
type said struct{ kind, severity, text string }

// signals names the numbers that engines send.
var signals = map[string]string{
	"1": "SIGHUP", "2": "SIGINT", "3": "SIGQUIT", "6": "SIGABRT", "9": "SIGKILL", "10": "SIGUSR1", "11": "SIGSEGV", "12": "SIGUSR2", "15": "SIGTERM",
}

// exits explains the exit codes that stand for a signal or a failed start.
var exits = map[string]string{
	"125": "the engine could not run it", "126": "the command cannot be executed", "127": "the command was not found",
	"130": "SIGINT", "134": "SIGABRT", "137": "SIGKILL", "139": "SIGSEGV", "143": "SIGTERM",
}

// plain are the container events that need no more than a word.
var plain = map[string]said{
	"create":  {"create", "", "Created"},
	"start":   {"start", "good", "Started"},
	"restart": {"start", "", "Restarted"},
	"stop":    {"stop", "", "Stopped"},
	"oom":     {"oom", "critical", "Out of memory: the kernel killed a process"},
	"pause":   {"pause", "info", "Paused"},
	"unpause": {"unpause", "", "Resumed"},
	"destroy": {"destroy", "", "Removed"},
	"attach":  {"other", "", "Attached to"},
	"update":  {"other", "info", "Limits changed"},
}

// describe puts an event into words for people: what happened, not its code.
func describe(e *tallyman.Event) said {
	if e.Type != "container" {
		return describeOther(e)
	}
	if s, ok := plain[e.Action]; ok {
		return s
	}
	a := e.Attributes
	switch e.Action {
	case "die":
		return describeDeath(a)
	case "kill":
		return said{"kill", "", "Was sent " + cmp.Or(signals[a["signal"]], "signal "+cmp.Or(a["signal"], "of unknown number"))}
	case "rename":
		return said{"rename", "", "Renamed from " + strings.TrimPrefix(a["oldName"], "/")}
	case "health_status":
		return describeHealth(a["health"])
	case "exec_create", "exec_start":
		return said{"exec", "", map[string]string{"exec_create": "exec created: ", "exec_start": "exec started: "}[e.Action] + a["command"]}
	case "exec_die":
		text := "exec ended"
		if c := a["command"]; c != "" {
			text = "exec: " + c
		}
		if code := a["exitCode"]; code != "" {
			text += ", exit " + code
		}
		return said{"exec", "", text}
	}
	return said{"other", "", strings.ReplaceAll(e.Action, "_", " ")}
}

// describeDeath tells a death. One with a signal was asked for: by docker stop,
// kill or rm; that is worth no alarm.
func describeDeath(a map[string]string) said {
	code, asked := a["exitCode"], a["signal"] != ""
	switch {
	case a["oomKilled"] == "true":
		text := "Out of memory: the kernel killed it"
		if code != "" {
			text += ", exit " + code
		}
		return said{"death", "critical", text}
	case code == "":
		return said{"death", "warning", "Died; the exit code is not known"}
	case code == "0":
		return said{"death", "", "Exited 0"}
	}
	text := "Died, exit " + code
	if exits[code] != "" {
		text += " (" + exits[code] + ")"
	}
	switch {
	case asked && code == "137":
		return said{"death", "", strings.Replace(text, "Died", "Killed as asked", 1)}
	case asked:
		return said{"death", "", strings.Replace(text, "Died", "Ended as asked", 1)}
	case code == "143" || code == "130":
		return said{"death", "", text} // somebody asked for that, too
	}
	return said{"death", "critical", text}
}

func describeHealth(health string) said {
	switch health {
	case "healthy":
		return said{"health", "good", "Health: healthy"}
	case "unhealthy":
		return said{"health", "critical", "Health: unhealthy"}
	default:
		return said{"health", "", "Health: " + health}
	}
}

// describeDrift names the first changed paths; the attributes have their values.
func describeDrift(a map[string]string) string {
	const most = 5
	paths, n := driftPaths(a)
	text := strings.Join(paths[:min(len(paths), most)], ", ")
	if n > most {
		text += fmt.Sprintf(" and %d more", n-most)
	}
	return text
}

func describeOther(e *tallyman.Event) said {
	switch {
	case e.Type == "engine" && e.Action == "up":
		return said{"engine", "good", "Docker answers"}
	case e.Type == "engine" && e.Action == "down":
		return said{"engine", "critical", "Docker does not answer: " + e.Attributes["error"]}
	case e.Type == "tallyman" && e.Action == "start" && e.Attributes["away"] != "":
		return said{"gap", "info", "tallyman was not running for " + e.Attributes["away"]}
	case e.Type == "tallyman" && e.Action == "start":
		return said{"other", "", "tallyman started watching"}
	case e.Type == "tallyman" && e.Action == "drift":
		return said{"drift", "info", "Configuration changed: " + describeDrift(e.Attributes)}
	case e.Type == "tallyman" && e.Action == "gap":
		return said{"gap", "warning", "Events may be missing here: " + cmp.Or(e.Attributes["reason"], "the engine was not watched")}
	}
	word := map[string]string{
		"create": "created", "destroy": "removed", "remove": "removed", "connect": "connected", "disconnect": "disconnected", "mount": "mounted",
		"unmount": "unmounted", "pull": "pulled", "push": "pushed", "tag": "tagged", "untag": "untagged", "delete": "deleted", "import": "imported",
		"load": "loaded", "save": "saved", "prune": "pruned", "reload": "reloaded", "enable": "enabled", "disable": "disabled", "update": "updated",
	}[e.Action]
	return said{"other", "", strings.TrimSpace(e.Type + " " + cmp.Or(e.Name, e.Actor) + " " + cmp.Or(word, e.Action))}
}
