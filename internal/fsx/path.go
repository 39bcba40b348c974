// SPDX-License-Identifier: Apache-2.0

package fsx

import "golang.org/x/sys/unix"

// Path opens whatever a path leads to as a descriptor that tells of it and does nothing
// else: a socket or a device is not touched by it.
func (r *Root) Path(name string) (fd int, err error) {
	return at(r.fd, name, unix.O_PATH, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS)
}
