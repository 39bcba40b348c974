// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"errors"

	"tallyman"
	"tallyman/internal/nsx"
)

// rights are what may be done to the processes of containers, what each is
// for, and what gives it to an agent in a container.
var rights = []struct {
	right             nsx.Right
	name, use, unlock string
}{
	{nsx.See, "See the processes of containers", "network, pressure, and which cgroup is whose", "--pid=host"},
	{nsx.Look, "Look into them: their namespaces and files", "shared memory, files inside containers", "--cap-add SYS_PTRACE"},
	{nsx.Enter, "Enter their networks", "TCP states, services inside containers", "--cap-add SYS_PTRACE --cap-add SYS_ADMIN"},
	{nsx.Read, "Read files of every user", "files inside containers, logs of engines that remap users", "--cap-add DAC_READ_SEARCH"},
}

// rightsOf is the table of rights of the running process, tried out on one
// container.
func (d *Doctor) rightsOf() (out []Feature) {
	pid := 0
	for _, c := range d.o.Inventory.Containers() {
		if _, api := d.o.Replaced(c.ID); c.Alive() && !c.Disabled && c.Pid != d.o.Pid && (pid == 0 || !api) {
			pid = c.Pid
		}
	}
	if pid == 0 || d.o.Try == nil {
		return nil
	}
	outcome := d.o.Try(pid)
	for _, r := range rights {
		f := Feature{ID: "right/" + string(r.right), Group: Rights, Name: r.name, State: Works, Detail: "for " + r.use}
		if err := outcome[r.right]; err != nil {
			f.State, f.Reason = Off, upper(err.Error())+"."
			if errors.Is(err, tallyman.ErrGone) {
				f.Reason = "They cannot be seen from here."
			}
			if d.o.Container {
				f.Unlock = r.unlock
			} else {
				f.Unlock = "run as root, or with `AmbientCapabilities=CAP_SYS_PTRACE CAP_SYS_ADMIN CAP_DAC_READ_SEARCH`"
			}
		}
		out = append(out, f)
	}
	return out
}
