// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// release is the version of this tree.
const release = "0.1.0"

type versionCmd struct{}

// Run prints one line.
func (versionCmd) Run(out io.Writer) error {
	_, err := fmt.Fprintf(out, "tallyman %s%s %s/%s %s\n", release, revision(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	return err
}

// revision is "+" and the first digits of the commit, when the build knows it.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "+" + s.Value[:12]
		}
	}
	return ""
}
