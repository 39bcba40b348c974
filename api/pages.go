// SPDX-License-Identifier: Apache-2.0

package api

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"tallyman/internal/httpx"
)

// pages serves the built page from the program's own file. Files have no hashes
// in their names; an ETag saves the transfer.
type pages struct {
	files fs.FS
	known map[string]file
}

type file struct{ name, mime, tag string }

// types are those of the page's files: what the machine says of them is not
// asked.
var types = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
	".svg": "image/svg+xml", ".png": "image/png", ".woff2": "font/woff2", ".json": "application/json", ".txt": "text/plain; charset=utf-8",
}

func newPages(files fs.FS) (*pages, error) {
	p := &pages{files: files, known: map[string]file{}}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := files.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		sum := sha256.New()
		if _, err := io.Copy(sum, f); err != nil {
			return err
		}
		p.known[name] = file{name, cmp.Or(types[path.Ext(name)], "application/octet-stream"), `"` + hex.EncodeToString(sum.Sum(nil)[:8]) + `"`}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the page's files: %w", err)
	}
	return p, nil
}

func (p *pages) routes() []httpx.Route {
	return []httpx.Route{
		// The login page and what it is made of hold no data.
		{Pattern: "GET /login", Access: httpx.Open, Handler: p.one("login.html"), Doc: httpx.Doc{Summary: "The login page", Type: "text/html"}},
		{Pattern: "GET /assets/", Access: httpx.Open, Handler: http.HandlerFunc(p.asset),
			Doc: httpx.Doc{Summary: "A file of the page", Type: "*/*", Errors: []int{http.StatusNotFound}, Failure: ""}},
		{Pattern: "GET /favicon.svg", Access: httpx.Open, Handler: p.one("favicon.svg"), Doc: httpx.Doc{Summary: "The page's icon", Type: "image/svg+xml"}},
		{Pattern: pageRoute, Handler: http.HandlerFunc(p.any), Doc: httpx.Doc{Summary: "The page", Text: "Every path that is no other route's shows it.", Type: "text/html"}},
	}
}

// one serves a file; where there is none, the page was not built and
// index.html says so.
func (p *pages) one(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, ok := p.known[name]
		if !ok {
			f, ok = p.known["index.html"]
		}
		p.serve(w, r, f, ok)
	})
}

// any serves the page, which finds its way by the path itself; what looks like
// an API and is none gets an error.
func (p *pages) any(w http.ResponseWriter, r *http.Request) {
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	// A page of ours has the name of a route of Loki's: who wants no page gets none.
	taken := r.URL.Path == "/services" && !strings.Contains(r.Header.Get("Accept"), "text/html")
	if slices.Contains(apiFolders[:], first) || taken {
		notFound(w)
		return
	}
	p.one("index.html").ServeHTTP(w, r)
}

// pageRoute is the pattern of the page, which shows at every path that is no
// other's.
const pageRoute = "GET /"

// apiFolders are where paths begin that programs ask for, ours and those of Loki
// and Prometheus that tallyman has not.
var apiFolders = [...]string{"api", "docker-monitor", "loki", "-", "metrics", "ready", "prometheus", "otlp", "config", "ring", "federate", "distributor", "ingester", "compactor", "ruler", "log_level", "debug"}

func notFound(w http.ResponseWriter) {
	httpx.WriteError(w, &httpx.Error{Status: http.StatusNotFound, Code: "not_found", Message: "there is no such route"})
}

func (p *pages) asset(w http.ResponseWriter, r *http.Request) {
	f, ok := p.known[strings.TrimPrefix(r.URL.Path, "/")] // an exact name: no path of a file system is built
	p.serve(w, r, f, ok)
}

func (p *pages) serve(w http.ResponseWriter, r *http.Request, f file, ok bool) {
	if !ok {
		http.NotFound(w, r)
		return
	}
	from, err := p.files.Open(f.name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer from.Close()
	seeker, ok := from.(io.ReadSeeker) // as those of embed.FS are
	if !ok {
		http.Error(w, "the page's files cannot be read", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", f.mime)
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", f.tag)
	http.ServeContent(w, r, "", time.Time{}, seeker)
}
