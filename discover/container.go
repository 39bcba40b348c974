// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyman"
	"tallyman/internal/clip"
	"tallyman/internal/dockerapi"
	"tallyman/internal/redact"
)

// The bounds of texts that come from containers, in bytes.
const (
	maxName   = 256
	maxValue  = 1 << 10
	maxLabel  = 16 << 10 // plugin configuration is JSON in a label
	maxLabels = 256
	maxArgs   = 256
	maxList   = 256 // networks, ports, mounts
)

// fromDetails makes a Container of an inspection. Nothing that the engine left
// out is invented: it stays the zero value.
func fromDetails(host, engine string, d *dockerapi.Details) *tallyman.Container {
	c := &tallyman.Container{
		ID:           d.ID,
		Name:         clip.Text(strings.TrimPrefix(d.Name, "/"), maxName),
		ImageID:      clip.Text(d.Image, maxName),
		Host:         host,
		Engine:       engine,
		Created:      parseTime(d.Created),
		RestartCount: d.RestartCount,
	}
	argv := append([]string{d.Path}, d.Args...)
	if d.Path == "" {
		argv = d.Args
	}
	c.Command = command(argv)
	var raw map[string]string
	if cfg := d.Config; cfg != nil {
		raw = cfg.Labels
		c.Image = clip.Text(cfg.Image, maxName)
		c.User = clip.Text(cfg.User, maxName)
		c.Tty, c.OpenStdin = cfg.Tty, cfg.OpenStdin
		c.StopSignal = clip.Text(cfg.StopSignal, 32)
		if cfg.StopTimeout != nil {
			c.StopTimeout = *cfg.StopTimeout
		}
		c.Labels = labelsOf(raw)
		if cfg.Healthcheck != nil {
			c.HealthTest = healthTest(cfg.Healthcheck.Test, cfg.Shell)
		}
	}
	if c.Image == "" {
		c.Image = c.ImageID
	}
	c.Workload = workloadOf(c.Name, raw)
	c.Disabled = disabled(raw)
	if s := d.State; s != nil {
		c.State = stateOf(s)
		c.ExitCode, c.OOMKilled, c.Pid = s.ExitCode, s.OOMKilled, s.Pid
		c.Error = clip.Text(redact.Command(s.Error), maxValue)
		c.Started, c.Finished = parseTime(s.StartedAt), parseTime(s.FinishedAt)
		c.ExitUnknown = isUp(c) && !c.Finished.IsZero()
		if s.Health != nil && s.Health.Status != "none" {
			c.Health = clip.Text(s.Health.Status, 32)
		}
	}
	if h := d.HostConfig; h != nil {
		c.AutoRemove = h.AutoRemove
		c.RestartPolicy = restartPolicy(h.RestartPolicy.Name, h.RestartPolicy.MaximumRetryCount)
		c.NetworkMode, c.IpcMode = clip.Text(h.NetworkMode, maxName), clip.Text(h.IpcMode, maxName)
		c.LogDriver = clip.Text(h.LogConfig.Type, maxName)
		c.CPUShares, c.MemoryLimit = max(h.CPUShares, 0), max(h.Memory, 0)
		c.CPUQuota, c.CPUPeriod = max(h.CPUQuota, 0), max(h.CPUPeriod, 0)
		c.MemoryReservation, c.MemorySwap = max(h.MemoryReservation, 0), max(h.MemorySwap, 0)
		if h.PidsLimit != nil {
			c.PidsLimit = max(*h.PidsLimit, 0)
		}
		c.CPUSet = clip.Text(h.CPUSet, maxValue)
		switch {
		case h.NanoCPUs > 0:
			c.CPULimit = float64(h.NanoCPUs) / 1e9
		case c.CPUQuota > 0:
			c.CPULimit = float64(c.CPUQuota) / float64(cmp.Or(c.CPUPeriod, 100_000)) // the kernel's default period
		}
	}
	c.Networks, c.Ports = networksOf(d.NetworkSettings)
	c.Mounts = mountsOf(d.Mounts)
	return c
}

// stateOf is the state in the engine's word, or what its switches say where the
// word is missing or unknown.
func stateOf(s *dockerapi.State) tallyman.State {
	switch st := tallyman.State(s.Status); st {
	case tallyman.Created, tallyman.Running, tallyman.Paused, tallyman.Restarting, tallyman.Removing, tallyman.Exited, tallyman.Dead:
		return st
	}
	switch {
	case s.Dead:
		return tallyman.Dead
	case s.Paused:
		return tallyman.Paused
	case s.Restarting:
		return tallyman.Restarting
	case s.Running:
		return tallyman.Running
	case parseTime(s.StartedAt).IsZero():
		return tallyman.Created
	}
	return tallyman.Exited
}

// fromEvent is the little that an event tells about a container that could not
// be inspected any more.
func fromEvent(host, engine string, e dockerapi.Event) *tallyman.Container {
	word, _ := splitAction(e.Action)
	raw := make(map[string]string, len(e.Attributes))
	for k, v := range e.Attributes {
		if k != "name" && k != "image" && !engineSets(word, k) {
			raw[k] = v
		}
	}
	name := clip.Text(e.Attributes["name"], maxName)
	return &tallyman.Container{
		ID: e.Actor, Name: name, Image: clip.Text(e.Attributes["image"], maxName),
		Host: host, Engine: engine, State: tallyman.Created,
		Workload: workloadOf(name, raw), Labels: labelsOf(raw), Disabled: disabled(raw),
	}
}

// fromSummary is a container that is listed but cannot be inspected.
func fromSummary(host, engine string, s dockerapi.Summary) *tallyman.Container {
	name := ""
	for _, n := range s.Names { // links add names with a second slash
		if n = strings.TrimPrefix(n, "/"); !strings.Contains(n, "/") {
			name = clip.Text(n, maxName)
			break
		}
	}
	c := &tallyman.Container{
		ID: s.ID, Name: name, Image: clip.Text(s.Image, maxName), ImageID: clip.Text(s.ImageID, maxName),
		Host: host, Engine: engine, State: stateOf(&dockerapi.State{Status: s.State}),
		Workload: workloadOf(name, s.Labels), Labels: labelsOf(s.Labels), Disabled: disabled(s.Labels),
	}
	if s.Created > 0 {
		c.Created = time.Unix(s.Created, 0).UTC()
	}
	return c
}

// labelsOf are the labels without secrets, bounded in number and length.
func labelsOf(raw map[string]string) map[string]string {
	if len(raw) == 0 {
		return nil
	}
	keys := make([]string, 0, len(raw))
	for k := range raw {
		keys = append(keys, k)
	}
	// Those that mean something to tallyman first, should there be too many.
	slices.SortFunc(keys, func(a, b string) int {
		return cmp.Or(cmp.Compare(labelRank(a), labelRank(b)), cmp.Compare(a, b))
	})
	out := make(map[string]string, min(len(keys), maxLabels))
	for _, k := range keys[:min(len(keys), maxLabels)] {
		if k == "tallyman.logs" || strings.HasPrefix(k, "tallyman.logs.") {
			out[clip.Text(k, maxName)] = clip.Text(raw[k], maxLabel) // patterns, which would look like secrets
			continue
		}
		// A value too long to be read as a whole is not parsed either.
		out[clip.Text(k, maxName)] = clip.Text(redact.Label(k, clip.Text(raw[k], 4*maxLabel)), maxLabel)
	}
	return out
}

func labelRank(k string) int {
	switch k {
	case "exitCode", "signal", "execID", "oldName", "execDuration": // they forge an event's attributes
		return 0
	}
	for _, p := range [...]string{"tallyman.", "com.docker.", "com.coscale.", "org.opencontainers."} {
		if strings.HasPrefix(k, p) {
			return 1
		}
	}
	return 2
}

func command(argv []string) []string {
	if len(argv) > maxArgs {
		argv = argv[:maxArgs]
	}
	long := make([]string, len(argv))
	for i, a := range argv {
		long[i] = clip.Text(a, 4*maxValue)
	}
	out := redact.Args(long)
	for i, a := range out {
		out[i] = clip.Text(a, maxValue)
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// healthTest is the command of a health check in the form in which exec events
// show it: entrypoint and arguments, joined with blanks.
func healthTest(test, shell []string) string {
	if len(test) < 2 {
		return "" // none, inherited, or ["NONE"]
	}
	argv := test[1:]
	switch test[0] {
	case "CMD":
	case "CMD-SHELL":
		if len(shell) == 0 {
			shell = []string{"/bin/sh", "-c"}
		}
		argv = append(slices.Clone(shell), argv...)
	default:
		return ""
	}
	return execCommand(strings.Join(argv, " "))
}

// execCommand is the command of an exec event as it is kept: without secrets,
// bounded, without the blank that the engine leaves behind a lone word.
func execCommand(s string) string {
	return clip.Text(redact.Command(clip.Text(strings.TrimSpace(s), 4*maxValue)), maxValue)
}

func restartPolicy(name string, tries int) string {
	switch name {
	case "", "no":
		return ""
	case "on-failure":
		if tries > 0 {
			return name + ":" + strconv.Itoa(tries)
		}
	}
	return clip.Text(name, 64)
}

func networksOf(s *dockerapi.NetworkSettings) ([]tallyman.Network, []tallyman.Port) {
	if s == nil {
		return nil, nil
	}
	var networks []tallyman.Network
	for name, e := range s.Networks {
		n := tallyman.Network{Name: clip.Text(name, maxName)}
		if e != nil {
			n.IP, n.IPv6 = clip.Text(e.IPAddress, 64), clip.Text(e.GlobalIPv6Address, 64)
		}
		networks = append(networks, n)
	}
	slices.SortFunc(networks, func(a, b tallyman.Network) int { return cmp.Compare(a.Name, b.Name) })
	var ports []tallyman.Port
	for spec, bindings := range s.Ports {
		num, proto, _ := strings.Cut(spec, "/")
		n, err := strconv.ParseUint(num, 10, 16)
		if err != nil {
			continue
		}
		p := tallyman.Port{Port: uint16(n), Protocol: clip.Text(cmp.Or(proto, "tcp"), 16)}
		if len(bindings) == 0 {
			ports = append(ports, p)
		}
		for _, b := range bindings {
			p.HostIP = clip.Text(b.HostIP, 64)
			hostPort, _ := strconv.ParseUint(b.HostPort, 10, 16)
			p.HostPort = uint16(hostPort)
			ports = append(ports, p)
		}
	}
	slices.SortFunc(ports, func(a, b tallyman.Port) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol),
			cmp.Compare(a.HostIP, b.HostIP), cmp.Compare(a.HostPort, b.HostPort))
	})
	return networks[:min(len(networks), maxList)], ports[:min(len(ports), maxList)]
}

func mountsOf(in []dockerapi.Mount) []tallyman.Mount {
	var out []tallyman.Mount
	for _, m := range in[:min(len(in), maxList)] {
		source := m.Source
		if m.Type == "volume" && m.Name != "" {
			source = m.Name
		}
		out = append(out, tallyman.Mount{
			Type: clip.Text(m.Type, 64), Source: clip.Text(redact.Text(source), maxValue),
			Destination: clip.Text(m.Destination, maxValue), ReadOnly: !m.RW,
		})
	}
	slices.SortFunc(out, func(a, b tallyman.Mount) int { return cmp.Compare(a.Destination, b.Destination) })
	return out
}

// parseTime reads the engine's time; the year 1 and anything unreadable are zero.
func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t.UTC()
}
