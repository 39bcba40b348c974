// SPDX-License-Identifier: Apache-2.0

// Package auth lets people and programs in.
//
//   - People open the one-time link that tallyman prints when it starts. The
//     code in it stands in the fragment, so no proxy or log sees it; it is good
//     for one login within ten minutes, and gives a session cookie.
//   - Programs, and people without a link, use the token in the file "token"
//     of the data directory: Authorization: Bearer, or the login page.
//   - Agents have tokens of the role writer, each bound to a host: see [Writer].
//
// Nothing secret is kept in clear but the token file, which only its owner can
// read; sessions are kept as hashes, so that a restart does not log anybody
// out. Comparisons take the same time whatever is wrong. Failed logins are
// limited to five a minute for each address and thirty for all.
package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"tallyman/internal/fsx"
)

const (
	codeLife    = 10 * time.Minute
	sessionLife = 30 * 24 * time.Hour
	cookieName  = "tallyman_session"
	tokenPrefix = "tallyman_" // so that secret scanners know it

	perAddress = 5 // failed logins a minute
	perAll     = 30
	maxKnown   = 1000 // addresses and sessions remembered
)

// Gate decides who comes in. Its methods may be called concurrently.
type Gate struct {
	dir     string
	off     bool
	log     *slog.Logger
	token   [sha256.Size]byte
	now     func() time.Time
	mu      sync.Mutex
	code    [sha256.Size]byte
	codeEnd time.Time
	// sessions by the hex SHA-256 of their cookie, with their end.
	sessions map[string]time.Time
	failures map[string][]time.Time
	writers  []writer
}

// Open makes a gate with its secrets under dir. With off every request is let
// in. A token that no client could send is damaged: it is kept aside, a new one
// takes its place, and the log says so.
func Open(dir string, off bool, log *slog.Logger) (*Gate, error) {
	g := &Gate{dir: dir, off: off, log: log, now: time.Now, sessions: map[string]time.Time{}, failures: map[string][]time.Time{}}
	token, err := g.readToken()
	if err != nil {
		return nil, err
	}
	g.token = sha256.Sum256([]byte(token))
	if err := errors.Join(g.readSessions(), g.readWriters()); err != nil {
		return nil, err
	}
	return g, nil
}

// TokenFile is where the token lies.
func (g *Gate) TokenFile() string { return filepath.Join(g.dir, "token") }

// Off reports whether everybody is let in.
func (g *Gate) Off() bool { return g.off }

func (g *Gate) readToken() (string, error) {
	b, err := os.ReadFile(g.TokenFile())
	if errors.Is(err, fs.ErrNotExist) {
		return g.newToken()
	}
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	t := strings.TrimSpace(string(b))
	if len(t) < 32 {
		return "", fmt.Errorf("the token in %s is shorter than 32 characters; delete the file to get a new one", g.TokenFile())
	}
	if strings.ContainsFunc(t, func(r rune) bool { return r <= ' ' || r > '~' }) {
		aside := g.TokenFile() + ".damaged"
		g.log.Error("the token is damaged; a new one takes its place, and programs that use it need it", "file", g.TokenFile(), "kept", aside)
		if err := os.Rename(g.TokenFile(), aside); err != nil {
			return "", fmt.Errorf("set the damaged token aside: %w", err)
		}
		return g.newToken()
	}
	return t, nil
}

func (g *Gate) newToken() (string, error) {
	t := tokenPrefix + secret()
	if err := fsx.WriteFile(g.TokenFile(), []byte(t+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write the token: %w", err)
	}
	return t, nil
}

// secret is 256 random bits as text.
func secret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand.Read
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// NewCode makes the code of a one-time link; an older code is void.
func (g *Gate) NewCode() string {
	c := secret()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.code = sha256.Sum256([]byte(c))
	g.codeEnd = g.now().Add(codeLife)
	return c
}

// Errors of Login.
var (
	ErrWrong   = errors.New("this link was used already or is too old, or the token is wrong")
	ErrTooMany = errors.New("too many failed logins; wait a minute")
)

// Login checks a code or a token that came from addr and returns the cookie of
// a new session.
func (g *Gate) Login(addr, code, token string) (*http.Cookie, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	if !g.mayTry(addr, now) {
		return nil, ErrTooMany
	}
	ch, th := sha256.Sum256([]byte(code)), sha256.Sum256([]byte(token))
	codeOK := subtle.ConstantTimeCompare(ch[:], g.code[:]) == 1 && now.Before(g.codeEnd)
	tokenOK := subtle.ConstantTimeCompare(th[:], g.token[:]) == 1
	if !codeOK && !tokenOK {
		g.failures[addr] = append(g.failures[addr], now)
		return nil, ErrWrong
	}
	if codeOK {
		g.codeEnd = time.Time{} // once only
	}
	id := secret()
	if len(g.sessions) >= maxKnown {
		g.dropOldest()
	}
	g.sessions[hash(id)] = now.Add(sessionLife)
	if err := g.writeSessions(); err != nil {
		return nil, err
	}
	return g.cookie(id, int(sessionLife.Seconds())), nil
}

// mayTry forgets old failures and reports whether addr may try once more.
func (g *Gate) mayTry(addr string, now time.Time) bool {
	all := 0
	for a, times := range g.failures {
		for len(times) > 0 && now.Sub(times[0]) > time.Minute {
			times = times[1:]
		}
		if len(times) == 0 {
			delete(g.failures, a)
			continue
		}
		g.failures[a] = times
		all += len(times)
	}
	return all < perAll && len(g.failures[addr]) < perAddress
}

func (g *Gate) cookie(value string, maxAge int) *http.Cookie {
	return &http.Cookie{Name: cookieName, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, MaxAge: maxAge}
}

// Logout ends the session of r and returns the cookie that clears it.
func (g *Gate) Logout(r *http.Request) *http.Cookie {
	if c, err := r.Cookie(cookieName); err == nil {
		g.mu.Lock()
		delete(g.sessions, hash(c.Value))
		_ = g.writeSessions() // the session is void in this process in any case
		g.mu.Unlock()
	}
	return g.cookie("", -1)
}

// Allowed reports whether r carries a session or the token.
func (g *Gate) Allowed(r *http.Request) bool {
	if g.off {
		return true
	}
	if t, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		h := sha256.Sum256([]byte(strings.TrimSpace(t)))
		return subtle.ConstantTimeCompare(h[:], g.token[:]) == 1
	}
	c, err := r.Cookie(cookieName)
	if err != nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	end, ok := g.sessions[hash(c.Value)]
	return ok && g.now().Before(end)
}

// Address is the peer's address without its port.
func Address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func hash(id string) string {
	h := sha256.Sum256([]byte(id))
	return hex.EncodeToString(h[:])
}

func (g *Gate) sessionFile() string { return filepath.Join(g.dir, "sessions.json") }

func (g *Gate) readSessions() error {
	b, err := os.ReadFile(g.sessionFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the sessions: %w", err)
	}
	if json.Unmarshal(b, &g.sessions) != nil {
		g.sessions = map[string]time.Time{} // a damaged file costs a login
	}
	for h, end := range g.sessions {
		if g.now().After(end) {
			delete(g.sessions, h)
		}
	}
	return nil
}

func (g *Gate) writeSessions() error {
	b, err := json.Marshal(g.sessions)
	if err != nil {
		return err
	}
	if err := fsx.WriteFile(g.sessionFile(), b, 0o600); err != nil {
		return fmt.Errorf("write the sessions: %w", err)
	}
	return nil
}

func (g *Gate) dropOldest() {
	var oldest string
	for h, end := range g.sessions {
		if oldest == "" || end.Before(g.sessions[oldest]) {
			oldest = h
		}
	}
	delete(g.sessions, oldest)
}
