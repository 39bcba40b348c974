// SPDX-License-Identifier: Apache-2.0

// Package api is tallyman's HTTP server: it puts the routes of its parts
// (rest, prom, live) and the page's files into one table, and guards all of
// them in one place.
//
// Every request passes, in this order: the name it was sent to (against DNS
// rebinding), its origin (against requests forged by other sites), secrets in
// the query string (refused, they end up in logs), and the login. The access
// of each route stands in the table; a path that is not in the table needs a
// login too, so nothing can fall through.
package api

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzhttp"
	"golang.org/x/net/netutil"

	"tallyman/api/auth"
	"tallyman/internal/httpx"
)

// Options of a server. All fields but AllowedHosts are needed.
type Options struct {
	Gate *auth.Gate
	// Files are the built page: index.html, login.html, assets/.
	Files fs.FS
	// Routes are those of the parts.
	Routes []httpx.Route
	// Ready reports whether everything has started, and if not, why.
	Ready func() error
	// Host is this machine's name; AllowedHosts are further names under which
	// browsers may reach it.
	Host         string
	AllowedHosts []string
	Version      string
	// TLS makes it https; nil is http.
	TLS *tls.Config
	Log *slog.Logger
}

// Server serves everything.
type Server struct {
	o       Options
	routes  []httpx.Route
	openAPI func() []byte // made when it is first asked for
	http    *http.Server
}

// Bounds of the server.
const (
	maxConnections = 128
	maxBody        = 10 << 20
	answerTimeout  = time.Minute
	shutdownWait   = 3 * time.Second
)

// New makes the server.
func New(o Options) (*Server, error) {
	s := &Server{o: o}
	pages, err := newPages(o.Files)
	if err != nil {
		return nil, err
	}
	s.routes = append(append(s.own(), pages.routes()...), o.Routes...)
	s.openAPI = sync.OnceValue(func() []byte {
		d, err := document(s.routes, o.Version)
		if err != nil {
			panic(err) // of the table of routes itself; tests ask for it
		}
		return d
	})
	// The fastest level, whose tables are the smallest: a scrape is a megabyte.
	gzip, err := gzhttp.NewWrapper(gzhttp.MinSize(1024), gzhttp.CompressionLevel(flate.BestSpeed))
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	access := map[string]httpx.Access{}
	for _, r := range s.routes {
		h := r.Handler
		if !r.Stream {
			h = deadline(gzip(h))
		}
		access[r.Pattern] = r.Access
		mux.Handle(r.Pattern, h)
	}
	s.http = &http.Server{
		Handler:           s.guard(mux, access),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// Routes is the table of all routes.
func (s *Server) Routes() []httpx.Route { return s.routes }

// OpenAPI is the OpenAPI document of all routes, in JSON.
func (s *Server) OpenAPI() []byte { return s.openAPI() }

// Handler is the guarded handler of all routes.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// Serve answers on l until ctx ends, then waits a moment for answers under
// way.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	failed := make(chan error, 1)
	l = netutil.LimitListener(l, maxConnections)
	if s.o.TLS != nil {
		l = tls.NewListener(l, s.o.TLS) // outside of the limit, or net/http would not see that it is TLS
	}
	go func() { failed <- s.http.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownWait)
	defer cancel()
	if err := s.http.Shutdown(stop); err != nil {
		_ = s.http.Close() // whoever has not finished by now is cut off
	}
	<-failed
	return nil
}

// deadline gives a whole answer its time.
func deadline(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout)) // not every writer has one
		h.ServeHTTP(w, r)
	})
}

// contentPolicy lets the page load nothing but its own files.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func (s *Server) guard(mux *http.ServeMux, access map[string]httpx.Access) http.Handler {
	sameOrigin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if !s.knownHost(r.Host) {
			httpx.WriteError(w, &httpx.Error{Status: http.StatusMisdirectedRequest, Code: "unknown_host",
				Message: "this server does not answer under the name of this request", Next: "use its IP address or host name, or add the name to allowed_hosts"})
			return
		}
		if err := sameOrigin.Check(r); err != nil || foreignStream(r) {
			httpx.WriteError(w, &httpx.Error{Status: http.StatusForbidden, Code: "cross_origin", Message: "the request comes from another site"})
			return
		}
		for _, k := range []string{"token", "code", "access_token"} {
			if r.URL.Query().Has(k) {
				httpx.WriteError(w, httpx.Bad("request", "secrets do not belong into an address", "send the header Authorization: Bearer"))
				return
			}
		}
		_, pattern := mux.Handler(r)
		r, ok := s.admit(w, r, access[pattern])
		if !ok {
			return
		}
		if pattern == "" && nowhere(mux, r) {
			notFound(w)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		mux.ServeHTTP(w, r)
	})
}

// admit lets a request to a route pass, with who writes, or answers it. A path without a
// route is as one that needs a login.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, a httpx.Access) (*http.Request, bool) {
	if a == httpx.Open {
		return r, true
	}
	writer, writes := s.o.Gate.WriterOf(r)
	switch {
	case writes && (a == httpx.WritersOnly || a == httpx.WritersToo):
		return httpx.WithWriter(r, writer), true
	case writes:
		httpx.WriteError(w, &httpx.Error{Status: http.StatusForbidden, Code: "wrong_role", Message: "this token may only send what its host has, and read nothing",
			Next: "use the token of the data directory's file \"token\""})
		return nil, false
	case a == httpx.WritersOnly && s.o.Gate.Allowed(r):
		httpx.WriteError(w, &httpx.Error{Status: http.StatusForbidden, Code: "wrong_role", Message: "only agents send here, each with a token of its own",
			Next: "make one: tallyman token agent HOST"})
		return nil, false
	case a == httpx.WritersOnly:
		w.Header().Set("WWW-Authenticate", `Bearer realm="tallyman"`)
		httpx.WriteError(w, &httpx.Error{Status: http.StatusUnauthorized, Code: "no_writer", Message: "the token is not known here: it was revoked, or is another hub's",
			Next: "make one where this hub runs: tallyman token agent HOST"})
		return nil, false
	case s.o.Gate.Allowed(r):
		return r, true
	}
	s.refuse(w, r)
	return nil, false
}

// nowhere reports whether no method has a route to the path of r but that of the
// page.
func nowhere(mux *http.ServeMux, r *http.Request) bool {
	get := r.Clone(r.Context())
	get.Method = http.MethodGet
	_, pattern := mux.Handler(get)
	return pattern == pageRoute || pattern == ""
}

// foreignStream finds a cross-site GET of a stream: the standard check lets
// GET pass, because it changes nothing, but a stream costs collection.
func foreignStream(r *http.Request) bool {
	return strings.HasSuffix(r.URL.Path, "/live") && r.Header.Get("Sec-Fetch-Site") == "cross-site"
}

// refuse sends people to the login page and tells programs what is missing.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html") {
		to := "/login"
		if r.URL.RequestURI() != "/" {
			to += "#to=" + url.QueryEscape(r.URL.RequestURI()) // where to go on; the login page takes paths of this site only
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
		return
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="tallyman"`)
	httpx.WriteError(w, &httpx.Error{Status: http.StatusUnauthorized, Code: "not_logged_in",
		Message: "not logged in", Next: "send the token of the data directory's file \"token\" as Authorization: Bearer, or open the link that tallyman printed"})
}

// knownHost reports whether a request may be addressed to host: an IP literal
// cannot be rebound, a name must be ours.
func (s *Server) knownHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(strings.TrimSuffix(host, "."), "[]")
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	for _, own := range append([]string{"localhost", s.o.Host}, s.o.AllowedHosts...) {
		if strings.EqualFold(host, own) {
			return true
		}
	}
	return false
}

// session is the answer of /session.
type session struct {
	Auth    bool   `json:"auth"`
	Version string `json:"version"`
	Host    string `json:"host"`
}

// credentials is what a login carries; one of the two is enough.
type credentials struct {
	Code  string `json:"code,omitempty"`
	Token string `json:"token,omitempty"`
}

// own are the routes of the server itself.
func (s *Server) own() []httpx.Route {
	return append(s.tokenRoutes(), []httpx.Route{
		{Pattern: "GET /-/healthy", Access: httpx.Open, Doc: httpx.Doc{Summary: "Does the program run?", Type: "text/plain"},
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "tallyman is healthy\n")
			})},
		{Pattern: "GET /-/ready", Access: httpx.Open, Doc: httpx.Doc{Summary: "Has everything started?", Text: "It has once every engine was asked, whether or not it has answered. The text of a 503 says what is missing.",
			Type: "text/plain", Errors: []int{http.StatusServiceUnavailable}, Failure: ""},
			Handler: s.ready("tallyman is ready\n")},
		{Pattern: "GET /ready", Access: httpx.Open, Doc: httpx.Doc{ID: "get_loki_ready", Summary: "The same, as Loki says it", Type: "text/plain", Errors: []int{http.StatusServiceUnavailable}, Failure: ""},
			Handler: s.ready("ready\n")},
		{Pattern: "POST /api/tallyman/v1/login", Access: httpx.Open, Doc: httpx.Doc{Summary: "Log in with the code of a link or with the token",
			Text: "The answer sets a cookie that is good for thirty days. Five failures a minute are allowed for each address.",
			Body: credentials{}, Status: http.StatusNoContent, Errors: []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusTooManyRequests}},
			Handler: http.HandlerFunc(s.login)},
		{Pattern: "POST /api/tallyman/v1/logout", Doc: httpx.Doc{Summary: "End this session", Status: http.StatusNoContent},
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.SetCookie(w, s.o.Gate.Logout(r))
				w.WriteHeader(http.StatusNoContent)
			})},
		{Pattern: "GET /api/tallyman/v1/session", Doc: httpx.Doc{Summary: "Is there a login, and which tallyman is this?", Answer: session{}},
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				httpx.WriteJSON(w, session{Auth: !s.o.Gate.Off(), Version: s.o.Version, Host: s.o.Host})
			})},
		{Pattern: "GET /api/tallyman/v1/openapi.json", Doc: httpx.Doc{Summary: "This description", Answer: map[string]any{}},
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write(s.openAPI())
			})},
	}...)
}

// ready answers with a text once everything has started.
func (s *Server) ready(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := s.o.Ready(); err != nil {
			http.Error(w, "tallyman is not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, text)
	})
}

func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	var body credentials
	if err := json.NewDecoder(io.LimitReader(r.Body, 4096)).Decode(&body); err != nil {
		httpx.WriteError(w, httpx.Bad("login", "the login is no JSON object", `send {"token": "…"}`))
		return
	}
	cookie, err := s.o.Gate.Login(auth.Address(r), body.Code, body.Token)
	switch {
	case errors.Is(err, auth.ErrTooMany):
		httpx.WriteError(w, &httpx.Error{Status: http.StatusTooManyRequests, Code: "too_many", Message: err.Error(), Next: "wait a minute"})
	case errors.Is(err, auth.ErrWrong):
		s.o.Log.Warn("a login failed", "address", auth.Address(r))
		httpx.WriteError(w, &httpx.Error{Status: http.StatusUnauthorized, Code: "wrong_login", Message: err.Error(),
			Next: "restart tallyman for a new link, or use the token in " + s.o.Gate.TokenFile()})
	case err != nil:
		httpx.WriteError(w, err)
	default:
		cookie.Secure = r.TLS != nil
		http.SetCookie(w, cookie)
		w.WriteHeader(http.StatusNoContent)
	}
}
