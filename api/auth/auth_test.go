// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A token stays over restarts; one that was cut off is refused; one that nobody
// could send is replaced, kept aside and told of.
func TestToken(t *testing.T) {
	dir := t.TempDir()
	var said bytes.Buffer
	open := func() (string, *Gate, error) {
		g, err := Open(dir, false, slog.New(slog.NewTextHandler(&said, nil)))
		text, rerr := os.ReadFile(filepath.Join(dir, "token"))
		if rerr != nil {
			t.Fatal(rerr)
		}
		return strings.TrimSpace(string(text)), g, err
	}
	allowed := func(g *Gate, token string) bool {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		return g.Allowed(r)
	}
	first, g, err := open()
	if err != nil || !strings.HasPrefix(first, tokenPrefix) || !allowed(g, first) || allowed(g, first+"x") {
		t.Fatalf("a new token: %q, %v", first, err)
	}
	if again, g, err := open(); err != nil || again != first || !allowed(g, first) {
		t.Errorf("opened again: %q, %v; want %q", again, err, first)
	}
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "token"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("short\n")
	if _, _, err := open(); err == nil || !strings.Contains(err.Error(), "shorter than 32") {
		t.Errorf("a short token: %v", err)
	}
	damaged := strings.Replace(first, "a", "\x01", 1)
	if damaged == first {
		damaged = "\x01" + first
	}
	write(damaged)
	fresh, g, err := open()
	if err != nil || fresh == first || fresh == damaged || !allowed(g, fresh) || allowed(g, damaged) {
		t.Errorf("a damaged token: %q, %v; want a new one", fresh, err)
	}
	if kept, err := os.ReadFile(filepath.Join(dir, "token.damaged")); err != nil || string(kept) != damaged {
		t.Errorf("kept is %q, %v; want what was there", kept, err)
	}
	if !strings.Contains(said.String(), "the token is damaged") || strings.Contains(said.String(), fresh) {
		t.Errorf("the log says %q", said.String())
	}
}
