// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"strings"

	"tallyman"
)

// The labels that carry an identity.
const (
	composeProject = "com.docker.compose.project"
	composeService = "com.docker.compose.service"
	composeNumber  = "com.docker.compose.container-number"
	composeOneOff  = "com.docker.compose.oneoff"
	swarmStack     = "com.docker.stack.namespace"
	swarmService   = "com.docker.swarm.service.name"
	swarmTask      = "com.docker.swarm.task.name"
	enableLabel    = "tallyman.enable"
)

// workloadOf is the identity of a container that survives its re-creation.
// Labels are strangers' input: a part with a slash in it would forge another
// key, and a label set that is not complete counts for nothing.
func workloadOf(name string, labels map[string]string) tallyman.Workload {
	if p, s := part(labels[composeProject]), part(labels[composeService]); p != "" && s != "" {
		n := part(labels[composeNumber])
		oneOff := strings.EqualFold(labels[composeOneOff], "true")
		switch {
		case oneOff:
			n = "run"
		case n == "":
			n = "1"
		}
		return tallyman.Workload{Key: p + "/" + s + "/" + n, Project: p, Origin: "compose", Service: s, OneOff: oneOff}
	}
	if s := part(labels[swarmService]); s != "" {
		w := tallyman.Workload{Project: part(labels[swarmStack]), Origin: "swarm", Service: s}
		w.Key = s
		if w.Project != "" {
			w.Key = w.Project + "/" + s
		}
		if slot := swarmSlot(s, labels[swarmTask]); slot != "" {
			w.Key += "/" + slot
		}
		return w
	}
	return tallyman.Workload{Key: name, Origin: "name"}
}

// swarmSlot is the slot of a task name "service.slot.taskid", or the node's id
// for a global service.
func swarmSlot(service, task string) string {
	rest, ok := strings.CutPrefix(task, service+".")
	if !ok {
		return ""
	}
	slot, _, _ := strings.Cut(rest, ".")
	return part(slot)
}

// part is a piece of a key: what a label says, bounded, empty when it cannot
// be one.
func part(s string) string {
	if strings.ContainsAny(s, "/\n\r\t\x00") || len(s) > maxName {
		return ""
	}
	return strings.ToValidUTF8(s, "�")
}

// disabled reports the label tallyman.enable=false.
func disabled(labels map[string]string) bool {
	switch strings.ToLower(strings.TrimSpace(labels[enableLabel])) {
	case "false", "0", "no", "off":
		return true
	}
	return false
}
