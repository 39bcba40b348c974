// SPDX-License-Identifier: Apache-2.0

// Package servercert is the certificate that tallyman serves https with: one from files,
// which are read again when they have changed, or one of its own that it makes once and
// that others know by its pin.
//
//	c, err := servercert.Own(dir, "hub")
//	config := c.TLS()
//	pin := c.Pin() // sha256:…, of the certificate
//
// A Certificate may be used concurrently.
package servercert

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"tallyman/internal/fsx"
)

// ownFor is how long a certificate of one's own is good: those who know it by its pin look
// at nothing else.
const ownFor = 20 * 365 * 24 * time.Hour

// Certificate is one with its key.
type Certificate struct {
	cert, key string // files

	mu   sync.Mutex
	now  *tls.Certificate
	seen [2]time.Time // when the files had changed last
}

// Open reads a certificate and its key from PEM files; one file may hold both.
func Open(cert, key string) (*Certificate, error) {
	c := &Certificate{cert: cert, key: key}
	_, err := c.get()
	return c, err
}

// File is where the certificate of one's own lies, with its key.
func File(dir string) string { return filepath.Join(dir, "tls.pem") }

// Own opens the certificate of the directory, and makes it when there is none: for a name,
// localhost and the loopback's addresses.
func Own(dir, name string) (*Certificate, error) {
	file := File(dir)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		if err := create(file, name); err != nil {
			return nil, fmt.Errorf("make a certificate: %w", err)
		}
	}
	return Open(file, file)
}

func create(file, name string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "tallyman on " + name}, NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(ownFor),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if name != "" && name != "localhost" {
		t.DNSNames = append(t.DNSNames, name)
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for _, block := range []*pem.Block{{Type: "CERTIFICATE", Bytes: der}, {Type: "PRIVATE KEY", Bytes: private}} {
		if err := pem.Encode(&b, block); err != nil {
			return err
		}
	}
	return fsx.WriteFile(file, b.Bytes(), 0o600)
}

// get is the certificate as the files have it. One that cannot be read any more leaves the
// one before in its place.
func (c *Certificate) get() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var seen [2]time.Time
	for i, file := range []string{c.cert, c.key} {
		if st, err := os.Stat(file); err == nil {
			seen[i] = st.ModTime()
		}
	}
	if c.now != nil && seen == c.seen {
		return c.now, nil
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		if c.now != nil {
			return c.now, nil
		}
		return nil, fmt.Errorf("read the certificate %s with its key %s: %w", c.cert, c.key, err)
	}
	c.now, c.seen = &pair, seen
	return c.now, nil
}

// TLS is how a server uses it.
func (c *Certificate) TLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get() }}
}

// Pin is the SHA-256 of the certificate as others are given it, sha256:… in hexadecimal
// digits.
func (c *Certificate) Pin() string {
	now, err := c.get()
	if err != nil {
		return ""
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(now.Certificate[0]))
}
