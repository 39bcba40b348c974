// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"

	"golang.org/x/sys/unix"

	"tallyman/config"
	"tallyman/forward/send"
	"tallyman/internal/servercert"
)

// certificate is the one to serve https with, nil for http.
func certificate(cfg config.Config) (*servercert.Certificate, error) {
	switch {
	case cfg.TLS.Auto:
		return servercert.Own(cfg.Data, cfg.Host)
	case cfg.TLS.Cert != "":
		return servercert.Open(cfg.TLS.Cert, cfg.TLS.Key)
	}
	return nil, nil
}

func tlsOf(c *servercert.Certificate) *tls.Config {
	if c == nil {
		return nil
	}
	return c.TLS()
}

func scheme(cfg config.Config) string {
	if cfg.TLS.On() {
		return "https"
	}
	return "http"
}

// running is where the tallyman that runs with the same configuration is asked, and the
// client for that: it takes no other certificate than its own.
func running(cfg config.Config) (base string, client *http.Client, err error) {
	base = scheme(cfg) + "://" + reachable(cfg.Listen)
	if !cfg.TLS.On() {
		return base, http.DefaultClient, nil
	}
	if cfg.TLS.Auto { // only who serves makes it
		cfg.TLS.Cert, cfg.TLS.Key = servercert.File(cfg.Data), servercert.File(cfg.Data)
	}
	cert, err := servercert.Open(cfg.TLS.Cert, cfg.TLS.Key)
	if err != nil {
		return base, nil, fmt.Errorf("%w; run this as a user who may read it, where the tallyman runs", err)
	}
	c, err := send.TLS("", cert.Pin(), "", "")
	if err != nil {
		return base, nil, err
	}
	return base, &http.Client{Transport: &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: true}, CheckRedirect: http.DefaultClient.CheckRedirect}, nil
}

// listenError says why the address cannot be had, and what to do.
func listenError(address string, err error) error {
	const other = "choose another with --listen"
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("the address %s is taken by another process; stop that (ss -ltnp shows it), or %s", address, other)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("this machine has no address %s; %s, for example 127.0.0.1:8420", address, other)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("this user may not listen on %s; ports below 1024 are for root, %s", address, other)
	}
	return fmt.Errorf("listen on %s: %w; %s", address, err, other)
}

// link is the address to open: with the one-time code in the fragment, which
// never leaves the browser.
func (a *app) link(addr net.Addr) string {
	base := scheme(a.cfg) + "://" + reachable(addr.String())
	if a.cfg.NoAuth {
		return base + "/"
	}
	return base + "/login#code=" + a.gate.NewCode()
}

// reachable turns an address to listen on into one to call: a wildcard means
// this machine too.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
