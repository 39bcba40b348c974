// SPDX-License-Identifier: Apache-2.0

//go:build !ui

package web

import (
	"embed"
	"io/fs"
)

//go:embed notbuilt
var notBuilt embed.FS

// Files returns the page that says how to build the real one.
func Files() fs.FS { return sub(notBuilt, "notbuilt") }
