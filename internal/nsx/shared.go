// SPDX-License-Identifier: Apache-2.0

package nsx

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"tallyman"
)

// Network names the network namespace of the process whose directory in /proc
// is dir; it is empty when that may not be seen (it needs SYS_PTRACE).
func Network(dir string) string {
	name, err := os.Readlink(filepath.Join(dir, "ns/net"))
	if err != nil {
		return ""
	}
	return name
}

// Borrowed reports why a container has no network namespace of its own: it is in
// another container's, or in that of the host, which is called host if that
// is known. The namespace itself is asked where that is allowed, else the
// engine's word is taken.
func Borrowed(proc, host string, c *tallyman.Container) (reason string, borrowed bool) {
	if of, ok := strings.CutPrefix(c.NetworkMode, "container:"); ok {
		return fmt.Sprintf("It shares the network of container %.12s; see there.", of), true
	}
	if c.NetworkMode == "host" || host != "" && Network(filepath.Join(proc, strconv.Itoa(c.Pid))) == host {
		return "It shares the network of the host; the kernel does not count its part.", true
	}
	return "", false
}
