// SPDX-License-Identifier: Apache-2.0

package dockerapi

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// TLS names the files of a connection that is encrypted and, with Cert and
// Key, also proves who is calling. The files are read at each new connection,
// so that renewed ones are taken up, and missing ones as soon as they are there.
type TLS struct {
	// CA holds the PEM certificates that may have signed the engine's; empty
	// means the system's.
	CA string
	// Cert and Key are the client's PEM certificate and its key; both or none.
	Cert, Key string
	// ServerName is the name that the engine's certificate must have; empty
	// means the host of the address.
	ServerName string
	// Insecure takes any certificate of the engine's.
	Insecure bool
}

// ownRoots makes the root certificates known that the program brings along, for
// an image made of nothing but the program; those of the system come first. They
// take 2 MB, so they are read when a connection needs them.
var ownRoots = sync.OnceFunc(func() {
	pool := x509.NewCertPool()
	for root := range bundle.Roots() {
		c, err := x509.ParseCertificate(root.Certificate)
		switch {
		case err != nil: // a newer kind than this release of Go knows
		case root.Constraint != nil:
			pool.AddCertWithConstraint(c, root.Constraint)
		default:
			pool.AddCert(c)
		}
	}
	x509.SetFallbackRoots(pool)
})

// filesError is what is wrong with the files of a TLS, for people.
type filesError string

// Error is the text.
func (e filesError) Error() string { return string(e) }

// Config reads the files. host is that of the address. The error says which
// file is wrong and how to mend it.
func (t TLS) Config(host string) (*tls.Config, error) {
	wrong := func(format string, a ...any) error {
		return filesError(fmt.Sprintf(format, a...))
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.Insecure}
	if c.ServerName == "" {
		c.ServerName = host
	}
	if t.CA == "" {
		ownRoots()
	} else {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, wrong("the CA file cannot be read: %s", fileError(err))
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, wrong("the CA file %s holds no PEM certificate", t.CA)
		}
	}
	if (t.Cert == "") != (t.Key == "") {
		return nil, wrong("a client certificate needs cert and key, one of them is missing")
	}
	if t.Cert == "" {
		return c, nil
	}
	cert, err := os.ReadFile(t.Cert)
	if err != nil {
		return nil, wrong("the client certificate cannot be read: %s", fileError(err))
	}
	key, err := os.ReadFile(t.Key)
	if err != nil {
		return nil, wrong("the client key cannot be read: %s", fileError(err))
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, wrong("the client certificate %s and the key %s do not fit: %s", t.Cert, t.Key, strings.TrimPrefix(err.Error(), "tls: "))
	}
	if now := time.Now(); pair.Leaf != nil && now.After(pair.Leaf.NotAfter) {
		return nil, wrong("the client certificate %s has expired on %s: make a new one", t.Cert, pair.Leaf.NotAfter.UTC().Format(time.DateOnly))
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}

func fileError(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return pathOf(err) + " does not exist"
	case errors.Is(err, fs.ErrPermission):
		return pathOf(err) + " may not be read by this user"
	}
	return err.Error()
}

func pathOf(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Path
	}
	return "the file"
}

// tlsText puts what went wrong between two TLS ends into words with the next
// step, and is empty for anything else.
func tlsText(err error, host string) string {
	if e, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		by := "an authority"
		if e.Cert != nil {
			by = fmt.Sprintf("%q", bound(e.Cert.Issuer.CommonName))
		}
		return fmt.Sprintf("the engine's certificate is signed by %s, which the CA file does not hold: give the CA that signed it", by)
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Sprintf("the engine's certificate is not for %s: use a name that it has in the address, or set server_name", e.Host)
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired {
		return "the engine's certificate is not valid now: renew it, or set this machine's clock (" + e.Error() + ")"
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return "the engine does not speak TLS at " + host + ": use its TLS port (2376 by custom), or leave out the certificates"
	}
	if text := err.Error(); strings.Contains(text, "remote error: tls:") {
		return "the engine refuses this client (" + text[strings.Index(text, "tls:"):] + "): give cert and key, signed by the CA that the engine has in --tlscacert"
	}
	return ""
}

// tlsWanted is what an engine with TLS answers to a request without.
const tlsWanted = "Client sent an HTTP request to an HTTPS server"
