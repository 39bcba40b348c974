// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"tallyman"
	"tallyman/internal/clip"
	"tallyman/internal/dockerapi"
)

// key identifies one raw event, for the replay after a reconnect.
type key [16]byte

// keyOf hashes what makes an event the same event.
func keyOf(e dockerapi.Event) key {
	return hash("", "", e.Time.UnixNano(), e.Type, e.Action, e.Actor, e.Attributes["execID"])
}

// hash is over the length of each part too, so that no two lists of parts are alike.
func hash(host, engine string, nano int64, parts ...string) key {
	h := sha256.New()
	var n [8]byte
	write := func(s string) {
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	write(host)
	write(engine)
	binary.BigEndian.PutUint64(n[:], uint64(nano))
	h.Write(n[:])
	for _, p := range parts {
		write(p)
	}
	return key(h.Sum(nil)[:16])
}

// eventID is the id of an event: the same each time the same event is seen.
func eventID(host, engine string, nano int64, parts ...string) string {
	k := hash(host, engine, nano, parts...)
	return hex.EncodeToString(k[:])
}

// engineSets reports whether the engine itself sets the attribute k on
// container events of this action. Elsewhere it can only be a label.
func engineSets(action, k string) bool {
	switch action {
	case "die":
		return k == "exitCode" || k == "execDuration"
	case "kill":
		return k == "signal"
	case "rename":
		return k == "oldName"
	case "exec_create", "exec_start", "exec_detach":
		return k == "execID"
	case "exec_die":
		return k == "execID" || k == "exitCode"
	}
	return false
}

// splitAction parts "exec_create: sh -c …" into the bare word and the rest.
func splitAction(a string) (word, tail string) {
	word, tail, _ = strings.Cut(a, ":")
	return clip.Text(strings.TrimSpace(word), maxName), strings.TrimSpace(tail)
}

// eventContext is what is known beside an event when it is normalised.
type eventContext struct {
	host, engine string
	// container is the actor of a container event as last known, nil when it
	// is not known at all.
	container *tallyman.Container
	// fresh reports that container was inspected after the event happened.
	fresh bool
	// command belongs to an exec that began earlier.
	command string
	// oom reports an oom event of this life of the container.
	oom bool
	// signal is the one by which a death was asked for, empty for one that was not.
	signal string
}

// normalise turns a raw event into ours. Pure: bytes from strangers in, a
// bounded event out.
func normalise(raw dockerapi.Event, x eventContext) tallyman.Event {
	word, tail := splitAction(raw.Action)
	e := tallyman.Event{
		ID:     eventID(x.host, x.engine, raw.Time.UnixNano(), raw.Type, raw.Action, raw.Actor, raw.Attributes["execID"]),
		Time:   raw.Time,
		Host:   x.host,
		Engine: x.engine,
		Type:   clip.Text(raw.Type, 64),
		Action: word,
		Actor:  clip.Text(raw.Actor, maxName),
		Name:   clip.Text(raw.Attributes["name"], maxName),
	}
	set := func(k, v string) {
		if v == "" {
			return
		}
		if e.Attributes == nil {
			e.Attributes = make(map[string]string, 4)
		}
		e.Attributes[k] = clip.Text(v, maxValue)
	}
	switch e.Type {
	case "container":
		containerEvent(&e, raw, tail, x, set)
	case "network":
		set("driver", raw.Attributes["type"])
		setContainer(raw, set)
	case "volume":
		e.Name = clip.Text(cmp.Or(raw.Attributes["name"], raw.Actor), maxName)
		set("driver", raw.Attributes["driver"])
		setContainer(raw, set)
	case "image":
		e.Image = clip.Text(cmp.Or(raw.Attributes["name"], raw.Actor), maxName)
	}
	return e
}

func setContainer(raw dockerapi.Event, set func(k, v string)) {
	if id := raw.Attributes["container"]; dockerapi.ValidID(id) {
		set("container", id)
	}
}

func containerEvent(e *tallyman.Event, raw dockerapi.Event, tail string, x eventContext, set func(k, v string)) {
	e.Image = clip.Text(raw.Attributes["image"], maxName)
	if c := x.container; c != nil {
		e.Name = cmp.Or(e.Name, c.Name)
		e.Image = cmp.Or(e.Image, c.Image)
		e.Workload = c.Workload.Key
	}
	// own is an attribute that the engine set: one that no label of the same
	// name has replaced.
	own := func(k string) string {
		if x.container != nil {
			if _, forged := x.container.Labels[k]; forged {
				return ""
			}
		}
		return raw.Attributes[k]
	}
	number := func(k string) string {
		v := own(k)
		if _, err := strconv.ParseInt(v, 10, 64); err != nil {
			return ""
		}
		return v
	}
	switch e.Action {
	case "die":
		if diedAt(x.container, x.fresh, e.Time) {
			set("exitCode", strconv.Itoa(x.container.ExitCode))
			if x.container.OOMKilled {
				set("oomKilled", "true")
			}
		} else {
			set("exitCode", number("exitCode"))
		}
		if x.oom {
			set("oomKilled", "true")
		}
		if x.signal != "" {
			set("signal", x.signal)
			set("asked", "signal")
		}
		set("execDuration", number("execDuration"))
	case "kill":
		set("signal", own("signal"))
	case "rename":
		set("oldName", clip.Text(strings.TrimPrefix(own("oldName"), "/"), maxName))
	case "exec_create", "exec_start":
		set("execID", own("execID"))
		set("command", execCommand(tail))
	case "exec_die", "exec_detach":
		set("execID", own("execID"))
		set("exitCode", number("exitCode"))
		set("command", x.command)
	case "health_status":
		set("health", clip.Text(tail, 64))
	}
}

// diedAt reports whether c, inspected after it, shows the death that happened
// at t: it has not been started since, and it ended before the event was made.
// The engine commits the state first and tells then.
func diedAt(c *tallyman.Container, fresh bool, t time.Time) bool {
	return c != nil && fresh && ended(c) && !c.Finished.After(t)
}
