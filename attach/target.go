// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"cmp"
	"slices"
	"strings"

	"tallyman"
	"tallyman/internal/clip"
)

// Bounds of what a container may put into labels: image builders are
// strangers.
const (
	maxValue  = 1 << 10 // bytes
	maxName   = 256     // bytes
	maxLabels = 24      // a series has 30 at most: the rest is for those of its source
)

// containerTarget makes the target of a container. Its labels are cAdvisor's
// (id, name, image and container_label_* of the allowed keys) plus host and
// workload.
func (s *Supervisor) containerTarget(c *tallyman.Container) *tallyman.Target {
	l := []tallyman.Label{
		{Name: "id", Value: "/docker/" + c.ID},
		{Name: "name", Value: cut(c.Name)},
		{Name: "image", Value: cut(c.Image)},
		{Name: "host", Value: c.Host},
		{Name: "workload", Value: cut(c.Workload.Key)},
	}
	seen := map[string]bool{}
	keys := make([]string, 0, len(c.Labels))
	for k := range c.Labels {
		if s.allowed(k) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		name := "container_label_" + sanitize(k)
		name = name[:min(len(name), maxName)] // ASCII by now
		if seen[name] || len(l) >= maxLabels {
			continue
		}
		seen[name] = true
		l = append(l, tallyman.Label{Name: name, Value: cut(c.Labels[k])})
	}
	tallyman.SortLabels(l)
	return &tallyman.Target{Kind: tallyman.ContainerTarget, ID: c.ID, Job: "cadvisor", Instance: c.Host, Labels: l, Container: c}
}

// allowed reports whether a container label may become a label of series. An
// entry of the allow-list that ends in * allows every key with that prefix.
func (s *Supervisor) allowed(key string) bool {
	for _, a := range s.o.ContainerLabels {
		if prefix, ok := strings.CutSuffix(a, "*"); ok && strings.HasPrefix(key, prefix) || key == a {
			return true
		}
	}
	return false
}

// sanitize makes a label name of a container label's key, as cAdvisor does.
func sanitize(key string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, cut(key))
}

// cut shortens v to maxValue bytes of valid UTF-8.
func cut(v string) string { return clip.Text(v, maxValue) }

// same reports whether a change of a container leaves its target as it is.
func same(a, b *tallyman.Container) bool {
	if len(a.Labels) != len(b.Labels) {
		return false
	}
	for k, v := range a.Labels {
		if b.Labels[k] != v {
			return false
		}
	}
	return a.Pid == b.Pid && a.Name == b.Name && a.Image == b.Image && a.Started.Equal(b.Started) &&
		a.Workload == b.Workload && a.NetworkMode == b.NetworkMode && a.IpcMode == b.IpcMode &&
		cmp.Compare(a.CPULimit, b.CPULimit) == 0 && a.CPUPeriod == b.CPUPeriod && a.CPUShares == b.CPUShares &&
		a.CPUSet == b.CPUSet && a.MemoryReservation == b.MemoryReservation && a.MemorySwap == b.MemorySwap && a.PidsLimit == b.PidsLimit &&
		a.Health == b.Health && a.RestartCount == b.RestartCount && a.RestartPolicy == b.RestartPolicy &&
		a.ExitCode == b.ExitCode && a.ExitUnknown == b.ExitUnknown && a.Finished.Equal(b.Finished)
}
