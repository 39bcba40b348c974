// SPDX-License-Identifier: Apache-2.0

package inside

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"

	"tallyman"
	"tallyman/internal/nsx"
)

const (
	maxFile    = 256 << 10 // bytes that are read of one
	maxEntries = 4096      // of directories, for one Glob
	maxFound   = 512
)

// Policy is how far what asked for an instance is trusted.
type Policy struct {
	// Elsewhere allows connections from the container to other machines, LinkLocal those to
	// link-local addresses.
	Elsewhere, LinkLocal bool
	// Exec allows commands, User that they run as another user.
	Exec, User bool
}

// Options of views.
type Options struct {
	// Proc is where the host's /proc is found.
	Proc string
	// Executor runs commands; nil allows none.
	Executor tallyman.Executor
	// Execs are places for commands on this host; nil for no bound.
	Execs chan struct{}
}

// Document is what a plugin may know of the engine's words about a container.
type Document struct {
	Env     []string
	Command []string
	Exposed []string // "6379/tcp"
}

// ReadDocument takes them from the engine's inspection.
func ReadDocument(text json.RawMessage) (Document, error) {
	var d struct {
		Path   string
		Args   []string
		Config struct {
			Env          []string
			ExposedPorts map[string]struct{}
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return Document{}, fmt.Errorf("read the inspection of the container: %w", err)
	}
	out := Document{Env: d.Config.Env, Command: append([]string{d.Path}, d.Args...)}
	for port := range d.Config.ExposedPorts {
		out.Exposed = append(out.Exposed, port)
	}
	return out, nil
}

// Room is one running container. Its views share the process and what is known of it.
type Room struct {
	o         Options
	container *tallyman.Container
	env       map[string]string
	shared    bool // its network is that of the host or of another container

	mu      sync.Mutex
	process *nsx.Process // nil when it cannot be reached
	why     error        // why it cannot
	facts   tallyman.ServiceFacts
	bridge  bool // the bridge's address was dialled for want of a right
}

// Open enters a container. It works without rights, too; then less is known, and less can
// be done.
func Open(o Options, c *tallyman.Container, d Document) *Room {
	r := &Room{o: o, container: c, env: map[string]string{}}
	r.shared = c.NetworkMode == "host" || strings.HasPrefix(c.NetworkMode, "container:")
	for _, kv := range d.Env {
		if k, v, ok := strings.Cut(kv, "="); ok {
			r.env[k] = v
		}
	}
	r.process, r.why = nsx.Open(o.Proc, c.Pid, c.ID)
	if r.why == nil {
		// The right to look is known only by looking.
		if root, err := r.process.Root(); err != nil {
			r.why = err
		} else {
			root.Close()
		}
	}
	r.facts.Image, r.facts.Tag = imageParts(c.Image)
	r.facts.Command = d.Command
	r.facts.Exposed = ports(d.Exposed)
	r.Look()
	return r
}

// Close leaves the container.
func (r *Room) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.process != nil {
		r.process.Close()
		r.process = nil
		r.why = tallyman.ErrGone
	}
}

// Look looks again which processes and sockets there are.
func (r *Room) Look() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.process == nil {
		return
	}
	r.facts.Processes = r.processes()
	r.facts.Listening = r.listening()
}

// View is the container as one instance sees it.
func (r *Room) View(p Policy) *View { return &View{room: r, policy: p} }

// View is the container as one instance sees it. Calls may run concurrently.
type View struct {
	room   *Room
	policy Policy

	running sync.Mutex // while a command runs
	// left is a command that could not be ended; nothing else is started before it has.
	left tallyman.Execution
}

var _ tallyman.Inside = (*View)(nil)

// Container implements tallyman.Inside.
func (v *View) Container() *tallyman.Container { return v.room.container }

// Facts implements tallyman.Inside.
func (v *View) Facts() *tallyman.ServiceFacts {
	v.room.mu.Lock()
	defer v.room.mu.Unlock()
	f := v.room.facts
	return &f
}

// Processes implements tallyman.Inside.
func (v *View) Processes() []tallyman.ServiceProcess {
	v.room.mu.Lock()
	defer v.room.mu.Unlock()
	if v.room.process == nil {
		return nil
	}
	return v.room.processes()
}

// Degraded says why connections go to the container's bridge in place of its loopback; nil
// while they do not.
func (v *View) Degraded() error {
	v.room.mu.Lock()
	defer v.room.mu.Unlock()
	if v.room.bridge {
		return v.room.why
	}
	return nil
}

// Getenv implements tallyman.Inside.
func (v *View) Getenv(name string) (string, bool) {
	if value, ok := v.room.env[name]; ok {
		return value, true
	}
	if file, ok := v.room.env[name+"_FILE"]; ok {
		text, err := v.ReadFile(file)
		return strings.TrimSuffix(string(text), "\n"), err == nil
	}
	return "", false
}

// ReadFile implements tallyman.Inside.
func (v *View) ReadFile(name string) (text []byte, err error) {
	root, err := v.room.root()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.Open("/", name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if text, err = io.ReadAll(io.LimitReader(f, maxFile+1)); err == nil && len(text) > maxFile {
		return nil, fmt.Errorf("%s has more than %d KiB: %w", name, maxFile>>10, tallyman.ErrLimit)
	}
	return text, err
}

// Stat implements tallyman.Inside.
func (v *View) Stat(name string) (fs.FileInfo, error) {
	root, err := v.room.root()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.Open("/", name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Stat()
}

// Glob implements tallyman.Inside.
func (v *View) Glob(pattern string) []string {
	root, err := v.room.root()
	if err != nil {
		return nil
	}
	defer root.Close()
	found, _, _ := root.Glob("/", strings.TrimPrefix(pattern, "/"), maxEntries)
	found = found[:min(len(found), maxFound)]
	for i, f := range found {
		found[i] = "/" + f
	}
	return found
}

// denied says what a missing right is, for people.
func denied(err error) error {
	switch {
	case errors.Is(err, nsx.ErrPtrace):
		return tallyman.Faulty(tallyman.PermissionFault, "Give tallyman --pid=host and --cap-add SYS_PTRACE.", "looking into the container is not permitted (SYS_PTRACE)")
	case errors.Is(err, nsx.ErrAdmin):
		return tallyman.Faulty(tallyman.PermissionFault, "Give tallyman --cap-add SYS_ADMIN.", "entering the container's network is not permitted (SYS_ADMIN)")
	case errors.Is(err, tallyman.ErrGone):
		return tallyman.Faulty(tallyman.PermissionFault, "Give tallyman --pid=host, or run it on the engine's machine.", "the container's process cannot be seen from here")
	}
	return err
}

// imageParts are an image's name without registry and library, and its tag.
func imageParts(image string) (name, tag string) {
	name, _, _ = strings.Cut(image, "@")
	tag = "latest"
	if at := strings.LastIndexByte(name, ':'); at > strings.LastIndexByte(name, '/') {
		name, tag = name[:at], name[at+1:]
	}
	if first, rest, ok := strings.Cut(name, "/"); ok && (strings.ContainsAny(first, ".:") || first == "localhost") {
		name = rest
	}
	return strings.TrimPrefix(name, "library/"), tag
}
