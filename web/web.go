// SPDX-License-Identifier: Apache-2.0

// Package web holds tallyman's page as files to serve. It serves nothing
// itself and imports the standard library only.
//
// The page is written in TypeScript under src and built by npm into dist,
// which is not committed: it would hold other people's code. A plain go build
// therefore embeds a page that says "UI not built"; the build tag ui embeds
// dist, and make sets it after building:
//
//	make            # npm ci, npm run build, go build -tags ui
//	go build ./...  # no Node needed, no page
//
// With either tag [Files] returns a file system with at least index.html and
// login.html at its root. index.html is the answer to every path of the page
// ("/", "/container"), login.html to /login; what they load lies under assets
// and has no hash in its name, so it is served with an ETag. Both work under
//
//	default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'
//
// because they hold no inline script and no inline style.
package web

import "io/fs"

// sub returns the folder dir of files. It cannot fail: the folder is embedded,
// and a build without it does not compile.
func sub(files fs.FS, dir string) fs.FS {
	out, err := fs.Sub(files, dir)
	if err != nil {
		panic(err)
	}
	return out
}
