// SPDX-License-Identifier: Apache-2.0

// Package describe puts events into words, the same on the page, in the REST
// interface and wherever else a person reads of one: a sentence, how grave it is,
// and the kind of mark that it has on a chart.
//
//	s := describe.Event(&e)
//	s.Severity, s.Text // "critical", "Died, exit 3"
//
// It keeps nothing; all of it may be used concurrently.
package describe

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"tallyman"
)

// Words are how an event is shown: a kind for its mark, a severity for its colour
// and a sentence.
type Words struct {
	Kind     Kind
	Severity Severity
	Text     string
}

// Kind is the kind of mark that an event has on a chart.
type Kind string

// Values are all kinds.
func (Kind) Values() []string {
	return []string{"create", "death", "destroy", "drift", "engine", "exec", "gap", "health", "kill", "oom", "other", "pause", "rename", "start", "stop", "unpause"}
}

// Severity is how grave an event is; it is empty for a plain one.
type Severity string

// Values are all severities, the gravest first.
func (Severity) Values() []string { return []string{"critical", "warning", "info", "good", ""} }

// plain are the container events that need no more than a word.
var plain = map[string]Words{
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

// Event puts an event into words for people: what happened, not its code.
func Event(e *tallyman.Event) Words {
	if e.Type != "container" {
		return other(e)
	}
	if s, ok := plain[e.Action]; ok {
		return s
	}
	a := e.Attributes
	switch e.Action {
	case "die":
		return death(a)
	case "start_failed":
		text := "Did not start"
		if code := a["exitCode"]; code != "" && code != "0" {
			text += ", exit " + code
			if name := exitName(code); name != "" {
				text += " (" + name + ")"
			}
		}
		if a["error"] != "" {
			text += ": " + a["error"]
		}
		return Words{"death", "critical", text}
	case "kill":
		return Words{"kill", "", "Was sent " + cmp.Or(Signal(a["signal"]), "signal of unknown number")}
	case "rename":
		return Words{"rename", "", "Renamed from " + strings.TrimPrefix(a["oldName"], "/")}
	case "health_status":
		return health(a["health"])
	case "exec_create", "exec_start":
		return Words{"exec", "", map[string]string{"exec_create": "exec created: ", "exec_start": "exec started: "}[e.Action] + a["command"]}
	case "exec_die":
		text := "exec ended"
		if c := a["command"]; c != "" {
			text = "exec: " + c
		}
		if code := a["exitCode"]; code != "" {
			text += ", exit " + code
		}
		return Words{"exec", "", text}
	}
	return Words{"other", "", strings.ReplaceAll(e.Action, "_", " ")}
}

// Asked reports whether a death was asked for, by docker stop, kill or rm; that is
// worth no alarm. Events of versions before name any signal that was sent before.
func Asked(attributes map[string]string) bool {
	switch attributes["signal"] {
	case "2", "3", "9", "15":
		return true
	}
	return attributes["asked"] != ""
}

// death tells a death.
func death(a map[string]string) Words {
	code, asked := a["exitCode"], Asked(a)
	switch {
	case a["oomKilled"] == "true":
		text := "Out of memory: the kernel killed it"
		if code != "" {
			text += ", exit " + code
		}
		return Words{"death", "critical", text}
	case code == "":
		return Words{"death", "warning", "Died; the exit code is not known"}
	case code == "0":
		return Words{"death", "", "Exited 0"}
	}
	text := "Died, exit " + code
	if name := exitName(code); name != "" {
		text += " (" + name + ")"
	}
	switch {
	case asked && code == "137":
		return Words{"death", "", strings.Replace(text, "Died", "Killed as asked", 1)}
	case asked:
		return Words{"death", "", strings.Replace(text, "Died", "Ended as asked", 1)}
	}
	return Words{"death", "critical", text}
}

func health(status string) Words {
	switch status {
	case "healthy":
		return Words{"health", "good", "Health: healthy"}
	case "unhealthy":
		return Words{"health", "critical", "Health: unhealthy"}
	default:
		return Words{"health", "", "Health: " + status}
	}
}

// drift names the first changed paths; the attributes have their values.
func drift(a map[string]string) string {
	const most = 5
	paths, n := DriftPaths(a)
	text := strings.Join(paths[:min(len(paths), most)], ", ")
	if n > most {
		text += fmt.Sprintf(" and %d more", n-most)
	}
	return text
}

func other(e *tallyman.Event) Words {
	switch {
	case e.Type == "engine" && e.Action == "up":
		return Words{"engine", "good", "Docker answers"}
	case e.Type == "engine" && e.Action == "change":
		var parts []string
		for _, what := range slices.Sorted(maps.Keys(e.Attributes)) {
			parts = append(parts, what+" "+e.Attributes[what])
		}
		return Words{"engine", "info", "Docker has changed: " + strings.Join(parts, ", ")}
	case e.Type == "engine" && e.Action == "down" && e.Attributes["failure"] == string(tallyman.EngineSlow):
		return Words{"engine", "critical", "Docker is stalled: it takes connections and does not answer (" + e.Attributes["error"] + ")"}
	case e.Type == "engine" && e.Action == "down":
		return Words{"engine", "critical", "Docker does not answer: " + e.Attributes["error"]}
	case e.Type == "tallyman" && e.Action == "start" && e.Attributes["away"] != "":
		return Words{"gap", "info", "tallyman was not running for " + e.Attributes["away"]}
	case e.Type == "tallyman" && e.Action == "start":
		return Words{"other", "", "tallyman started watching"}
	case e.Type == "tallyman" && e.Action == "drift":
		return Words{"drift", "info", "Configuration changed: " + drift(e.Attributes)}
	case e.Type == "tallyman" && e.Action == "gap":
		return Words{"gap", "warning", "Events may be missing here: " + cmp.Or(e.Attributes["reason"], "the engine was not watched")}
	case e.Type == "tallyman" && e.Action == "forward_lost":
		return Words{"gap", "warning", e.Attributes["records"] + " records were gone before they could be sent on to " + e.Attributes["to"]}
	case e.Type == "check" && e.Action == "down":
		return Words{"health", "critical", "The check " + e.Attributes["check"] + " fails" + why(e.Attributes)}
	case e.Type == "check":
		return Words{"health", "good", "The check " + e.Attributes["check"] + " is good again"}
	case e.Type == "service":
		if w, ok := service(e.Action, e.Attributes); ok {
			return w
		}
	}
	word := map[string]string{
		"create": "created", "destroy": "removed", "remove": "removed", "connect": "connected", "disconnect": "disconnected", "mount": "mounted",
		"unmount": "unmounted", "pull": "pulled", "push": "pushed", "tag": "tagged", "untag": "untagged", "delete": "deleted", "import": "imported",
		"load": "loaded", "save": "saved", "prune": "pruned", "reload": "reloaded", "enable": "enabled", "disable": "disabled", "update": "updated",
	}[e.Action]
	return Words{"other", "", strings.TrimSpace(e.Type + " " + cmp.Or(e.Name, e.Actor) + " " + cmp.Or(word, e.Action))}
}

// service words what a plugin tells of a service; ok is false for what it does not know, as
// events of services of a Swarm.
// why is the reason for which a check fails.
func why(a map[string]string) string {
	text := a["reason"]
	if a["exit_code"] != "" {
		text = "exit " + a["exit_code"]
	}
	if out := strings.TrimSpace(a["output"]); out != "" {
		text += ", " + out[strings.LastIndexByte(out, '\n')+1:]
	}
	if text == "" {
		return ""
	}
	return ": " + text
}

func service(action string, a map[string]string) (w Words, ok bool) {
	what := a["plugin"]
	if a["instance"] != "" {
		what += " at " + a["instance"]
	}
	why := ""
	if a["reason"] != "" {
		why = ": " + a["reason"]
	}
	switch action {
	case "up":
		return Words{"health", "good", what + " answers"}, true
	case "down":
		return Words{"health", "warning", what + " does not answer" + why}, true
	case "auth":
		return Words{"health", "warning", what + " refuses the login" + why}, true
	case "config":
		return Words{"other", "warning", "A label cannot be followed" + why}, true
	case "exec":
		return Words{"exec", "info", what + " runs a command of the image: " + a["command"]}, true
	}
	return w, false
}

// DriftPaths are the changed settings that an event of drift names, and how many
// there were.
func DriftPaths(attributes map[string]string) (paths []string, n int) {
	for k := range attributes {
		switch k {
		case "container", "from", "to", "more":
		default:
			paths = append(paths, k)
		}
	}
	slices.Sort(paths)
	n = len(paths)
	if more, err := strconv.Atoi(attributes["more"]); err == nil {
		n += more
	}
	return paths, n
}
