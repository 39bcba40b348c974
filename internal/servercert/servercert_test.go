// SPDX-License-Identifier: Apache-2.0

package servercert

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A certificate of one's own is made once, is for its owner's eyes, and good for the names
// under which it is asked.
func TestOwn(t *testing.T) {
	dir := t.TempDir()
	c, err := Own(dir, "hub")
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(filepath.Join(dir, "tls.pem")); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the file has the rights %v, %v; want 0600", st.Mode(), err)
	}
	again, err := Own(dir, "other")
	if err != nil || again.Pin() != c.Pin() || !strings.HasPrefix(c.Pin(), "sha256:") || len(c.Pin()) != 71 {
		t.Errorf("opened again its pin is %q, %v; want %q", again.Pin(), err, c.Pin())
	}
	got, err := c.TLS().GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(got.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"hub", "localhost", "127.0.0.1"} {
		if err := leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
}

// Files that have changed are read again; what cannot be read leaves the one before.
func TestFilesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	own := func(name string) (*Certificate, string) {
		sub := filepath.Join(dir, name)
		if err := os.Mkdir(sub, 0o700); err != nil {
			t.Fatal(err)
		}
		c, err := Own(sub, name)
		if err != nil {
			t.Fatal(err)
		}
		return c, filepath.Join(sub, "tls.pem")
	}
	a, file := own("a")
	b, other := own("b")
	c, err := Open(file, file)
	if err != nil || c.Pin() != a.Pin() {
		t.Fatalf("got %v, %v", c.Pin(), err)
	}
	text, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text []byte, at time.Time) {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	write(text, time.Now().Add(time.Minute))
	if c.Pin() != b.Pin() {
		t.Errorf("after a change the pin is %s; want %s", c.Pin(), b.Pin())
	}
	write([]byte("nothing"), time.Now().Add(2*time.Minute))
	if c.Pin() != b.Pin() {
		t.Errorf("with a bad file the pin is %s; want the one before", c.Pin())
	}
	if _, err := Open(file, file); err == nil {
		t.Error("a bad file is no error at the start")
	}
}
