// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"
)

// Right is something that a container may do and most need not.
type Right struct {
	ID RightID `json:"id"`
	// Detail is which of it: the capabilities, the ports.
	Detail string `json:"detail,omitempty" doc:"Which of it: the capabilities, the ports"`
}

// RightID names a right.
type RightID string

// The rights, those that give most first.
const (
	Privileged    RightID = "privileged"
	EngineSocket  RightID = "socket"
	HostPID       RightID = "hostpid"
	HostNetwork   RightID = "hostnetwork"
	Capabilities  RightID = "capabilities"
	Root          RightID = "root"
	WritableRoot  RightID = "writable"
	NoMemoryLimit RightID = "nolimit"
	LatestTag     RightID = "latest"
	PublicPorts   RightID = "public"
)

// Values are all rights.
func (RightID) Values() []string {
	return []string{string(Privileged), string(EngineSocket), string(HostPID), string(HostNetwork), string(Capabilities), string(Root),
		string(WritableRoot), string(NoMemoryLimit), string(LatestTag), string(PublicPorts)}
}

// sockets are the names of sockets through which whoever reaches them is root on the host.
var sockets = []string{"docker.sock", "containerd.sock", "podman.sock", "crio.sock"}

// aboveSockets are folders of a host in which such a socket lies.
var aboveSockets = map[string]bool{"/": true, "/run": true, "/var/run": true, "/var": true, "/run/docker": true, "/run/containerd": true}

// Rights are those of the container that an encoded document is of, as it was made: what
// its programs give up by themselves nobody knows.
func Rights(line []byte) ([]Right, error) {
	doc, err := decode(line)
	if err != nil {
		return nil, err
	}
	conf, host := object(doc["Config"]), object(doc["HostConfig"])
	out := []Right{}
	add := func(is bool, id RightID, detail ...string) {
		if is {
			out = append(out, Right{id, strings.Join(detail, ", ")})
		}
	}
	privileged, _ := host["Privileged"].(bool)
	add(privileged, Privileged)
	reached := socketsOf(object(doc["Mounts"]))
	add(len(reached) > 0, EngineSocket, reached...)
	add(str(host["PidMode"]) == "host", HostPID)
	add(str(host["NetworkMode"]) == "host", HostNetwork)
	added := texts(host["CapAdd"])
	for i := range added {
		added[i] = strings.TrimPrefix(added[i], "CAP_")
	}
	add(len(added) > 0, Capabilities, added...)
	user, _, _ := strings.Cut(str(conf["User"]), ":")
	add(user == "" || user == "0" || user == "root", Root)
	readOnly, _ := host["ReadonlyRootfs"].(bool)
	add(!readOnly, WritableRoot)
	add(host["Memory"] == nil, NoMemoryLimit)
	add(latest(str(conf["Image"])), LatestTag)
	ports := public(host)
	add(len(ports) > 0, PublicPorts, ports...)
	return out, nil
}

// socketsOf are the ways from a container to the socket of an engine.
func socketsOf(mounts Object) (out []string) {
	for _, at := range slices.Sorted(maps.Keys(mounts)) {
		switch source := str(object(mounts[at])["Source"]); {
		case slices.Contains(sockets, path.Base(source)):
			out = append(out, source)
		case aboveSockets[strings.TrimSuffix(source, "/")] || source == "/":
			out = append(out, "through "+source)
		}
	}
	return out
}

// latest reports whether an image is taken by the tag latest, or by none.
func latest(image string) bool {
	if image == "" || strings.Contains(image, "@") || strings.HasPrefix(image, "sha256:") {
		return false
	}
	_, tag, ok := strings.Cut(image[strings.LastIndexByte(image, '/')+1:], ":")
	return !ok || tag == "latest"
}

// public are the ports that are published on every address of the host.
func public(host Object) (out []string) {
	if all, _ := host["PublishAllPorts"].(bool); all {
		out = append(out, "all that the image exposes")
	}
	bindings := object(host["PortBindings"])
	for _, inside := range slices.Sorted(maps.Keys(bindings)) {
		for _, at := range texts(bindings[inside]) {
			if p, ok := strings.CutPrefix(at, ":::"); ok {
				at = p
			}
			if !strings.Contains(at, ":") && !slices.Contains(out, at) {
				out = append(out, at)
			}
		}
	}
	return out
}

// Has reports whether a setting of an encoded document is as asked for. name is its path,
// or the end of one, without regard to case: HostConfig.NetworkMode, networkmode. want is
// yes or no for set or not, and else a part of the value.
func Has(line []byte, name, want string) (bool, error) {
	doc, err := decode(line)
	if err != nil {
		return false, err
	}
	name, want = strings.ToLower(name), strings.ToLower(want)
	found, is := false, false
	compare("", doc, nil, func(at string, v, _ any) {
		if at = strings.ToLower(at); at != name && !strings.HasSuffix(at, "."+name) {
			return
		}
		found = true
		is = is || strings.Contains(strings.ToLower(plainText(v)), want)
	})
	switch want {
	case "yes", "true":
		return found, nil
	case "no", "none", "false":
		return !found, nil
	}
	return is, nil
}

// plainText is a value as people write it.
func plainText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		return strings.Join(texts(v), " ")
	}
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(text)
}
