// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// timeout is how long one try to send may take.
const timeout = 10 * time.Second

// errLinkLocal is said of addresses where clouds keep their metadata.
var errLinkLocal = errors.New("addresses local to the link (169.254.0.0/16, fe80::/10) are refused")

// Dial connects, and refuses addresses that are local to a link.
func Dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("read the address: %w", err)
		}
		return refuse(at.Addr())
	}}
	return d.DialContext(ctx, network, address)
}

func refuse(a netip.Addr) error {
	if a = a.Unmap(); a.IsLinkLocalUnicast() || a == netip.MustParseAddr("fd00:ec2::254") {
		return errLinkLocal
	}
	return nil
}

// lookup refuses a host whose addresses [Dial] would refuse, for senders that dial by
// themselves.
func lookup(ctx context.Context, host string) error {
	if host == "" {
		return nil
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return fmt.Errorf("look up the receiver: %w", err)
	}
	for _, a := range found {
		if err := refuse(a); err != nil {
			return err
		}
	}
	return nil
}

// Transport is what all senders use: without the proxies of the environment, and with
// dial to connect, [Dial] when nil. Whoever runs the process makes it the default one of
// net/http, as some of Shoutrrr's services know no other.
func Transport(dial func(ctx context.Context, network, address string) (net.Conn, error)) *http.Transport {
	if dial == nil {
		dial = Dial
	}
	return &http.Transport{
		DialContext: dial, ForceAttemptHTTP2: true, TLSHandshakeTimeout: timeout,
		ResponseHeaderTimeout: 3 * timeout, MaxIdleConnsPerHost: 1, IdleConnTimeout: 30 * time.Second,
	}
}

// SameHost is the rule for redirects: to another host none is followed.
func SameHost(r *http.Request, via []*http.Request) error {
	if len(via) >= 5 {
		return errors.New("more than 5 redirects")
	}
	if r.URL.Host != via[0].URL.Host {
		return errors.New("a redirect to another host is not followed")
	}
	return nil
}
