// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

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
	base := "http://" + reachable(addr.String())
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
