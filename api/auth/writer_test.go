// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tallyman"
)

// A token of the role writer is known by its hash alone, stays over restarts, lets nobody
// read, and is void at once when it is revoked.
func TestWriter(t *testing.T) {
	dir := t.TempDir()
	open := func() *Gate {
		g, err := Open(dir, false, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	host := func(g *Gate, token string) string {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		if g.Allowed(r) {
			t.Errorf("a token of the role writer lets its bearer read")
		}
		w, ok := g.WriterOf(r)
		if ok != (w.ID != "") {
			t.Errorf("got %v, %v", w, ok)
		}
		return w.Host
	}
	g := open()
	first, one, err := g.NewWriter("web-1")
	if err != nil || !strings.HasPrefix(first, tokenPrefix) {
		t.Fatalf("got %q, %v", first, err)
	}
	second, _, err := g.NewWriter("web-1")
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := g.NewWriter("db-1")
	if err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile(filepath.Join(dir, "tokens.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{first, second, other} {
		if strings.Contains(string(kept), token) {
			t.Error("the file holds a token itself")
		}
	}
	if st, err := os.Stat(filepath.Join(dir, "tokens.json")); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the file has the rights %v, %v; want 0600", st.Mode(), err)
	}
	g = open()
	if a, b, c := host(g, first), host(g, second), host(g, other); a != "web-1" || b != "web-1" || c != "db-1" {
		t.Errorf("the tokens are of %q, %q, %q; want web-1, web-1, db-1", a, b, c)
	}
	if got := host(g, first+"x"); got != "" {
		t.Errorf("a wrong token is of %q", got)
	}
	if gone, err := g.Revoke(one.ID); err != nil || len(gone) != 1 || host(g, first) != "" || host(g, second) != "web-1" {
		t.Errorf("revoked by its id: %v, %v", gone, err)
	}
	if gone, err := g.Revoke("web-1"); err != nil || len(gone) != 1 || host(g, second) != "" || host(g, other) != "db-1" {
		t.Errorf("revoked by its host: %v, %v", gone, err)
	}
	if _, err := g.Revoke("web-1"); !errors.Is(err, tallyman.ErrNotFound) {
		t.Errorf("revoked again: %v; want that there is none", err)
	}
	if got := open().Writers(); len(got) != 1 || got[0].Host != "db-1" {
		t.Errorf("after a restart there are %v; want the one of db-1", got)
	}
	for _, bad := range []string{"", "a b", "x\n", strings.Repeat("x", 300)} {
		if _, _, err := g.NewWriter(bad); err == nil {
			t.Errorf("%q is taken as a host", bad)
		}
	}
}

// Damaged tokens are an error that says what to do: without it each agent would be cut off.
func TestDamagedTokens(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tokens.json"), []byte("[{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, false, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "tallyman token agent") {
		t.Errorf("got %v; want what to do", err)
	}
}
