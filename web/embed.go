// SPDX-License-Identifier: Apache-2.0

//go:build ui

package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Files returns the built page.
func Files() fs.FS { return sub(dist, "dist") }
