// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"tallyman"
	"tallyman/internal/fsx"
	"tallyman/internal/httpx"
)

// maxWriters is how many tokens of the role writer there may be.
const maxWriters = 1000

// Writer is a token of the role writer: whoever has it may send what one host has, and
// reads nothing.
type Writer struct {
	// ID names the token, and is no secret.
	ID string `json:"id"`
	// Host is the only one in whose name it writes.
	Host string    `json:"host"`
	Made time.Time `json:"made"`
}

// writer is one as it is kept.
type writer struct {
	Writer
	Hash string `json:"sha256"` // of the token, in hex
}

// NewWriter makes a token that writes in the name of a host. The token is told this once;
// only its hash is kept. A host may have several, so that one can take another's place
// without a gap.
func (g *Gate) NewWriter(host string) (token string, w Writer, err error) {
	if err := checkHost(host); err != nil {
		return "", w, err
	}
	token = tokenPrefix + "w_" + secret()
	w = Writer{ID: hash(secret())[:12], Host: host, Made: g.now().UTC().Truncate(time.Second)}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.writers) >= maxWriters {
		return "", w, fmt.Errorf("there are %d tokens already; revoke some: tallyman token list", len(g.writers))
	}
	all := append(slices.Clone(g.writers), writer{w, hash(token)})
	if err := g.writeWriters(all); err != nil {
		return "", w, err
	}
	g.writers = all
	return token, w, nil
}

func checkHost(host string) error {
	switch {
	case host == "":
		return errors.New("a token is for one host, and this names none; write the host's name as its tallyman has it")
	case len(host) > 253 || !utf8.ValidString(host) || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return fmt.Errorf("%.60q is no name of a host; write it as its tallyman has it, without blanks", host)
	}
	return nil
}

// Writers are the tokens of the role writer, by host, those of one in the order in which
// they were made.
func (g *Gate) Writers() (out []Writer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, w := range g.writers {
		out = append(out, w.Writer)
	}
	slices.SortStableFunc(out, func(a, b Writer) int { return strings.Compare(a.Host, b.Host) })
	return out
}

// Revoke makes tokens void, at once: the one of an id, or all of a host. It returns them.
// Without any it is [tallyman.ErrNotFound].
func (g *Gate) Revoke(ref string) (gone []Writer, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	is := func(w writer) bool { return w.ID == ref || w.Host == ref }
	if slices.ContainsFunc(g.writers, func(w writer) bool { return w.ID == ref }) {
		is = func(w writer) bool { return w.ID == ref } // a host may be called like an id
	}
	var rest []writer
	for _, w := range g.writers {
		if is(w) {
			gone = append(gone, w.Writer)
		} else {
			rest = append(rest, w)
		}
	}
	if len(gone) == 0 {
		return nil, fmt.Errorf("there is no token %.60q, and none of a host of that name: %w", ref, tallyman.ErrNotFound)
	}
	if err := g.writeWriters(rest); err != nil {
		return nil, err
	}
	g.writers = rest
	return gone, nil
}

// WriterOf is the token of the role writer that a request carries; ok is false when it
// carries none that is good.
func (g *Gate) WriterOf(r *http.Request) (w httpx.Writer, ok bool) {
	t, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !bearer {
		return w, false
	}
	sum := sha256.Sum256([]byte(strings.TrimSpace(t)))
	got := []byte(hex.EncodeToString(sum[:]))
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.writers { // all of them, so that the time tells nothing
		if one := &g.writers[i]; subtle.ConstantTimeCompare(got, []byte(one.Hash)) == 1 {
			w, ok = httpx.Writer{ID: one.ID, Host: one.Host}, true
		}
	}
	return w, ok
}

func (g *Gate) writerFile() string { return filepath.Join(g.dir, "tokens.json") }

// readWriters reads the tokens. A damaged file is an error: to go on without it would cut
// off every agent, and nobody would see why.
func (g *Gate) readWriters() error {
	b, err := os.ReadFile(g.writerFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the tokens: %w", err)
	}
	if err := json.Unmarshal(b, &g.writers); err != nil {
		return fmt.Errorf("the tokens in %s cannot be read: %w; mend the file, or delete it and make new tokens: tallyman token agent HOST", g.writerFile(), err)
	}
	return nil
}

func (g *Gate) writeWriters(all []writer) error {
	b, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		return err
	}
	if err := fsx.WriteFile(g.writerFile(), append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the tokens: %w", err)
	}
	return nil
}
