// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"net/netip"
	"strings"
)

// addresses is a range of IP addresses; those of one address and of a network
// are such too.
type addresses struct{ first, last netip.Addr }

// parseAddresses reads an address, a network (10.0.0.0/8) or a range
// (10.0.0.1-10.0.0.9), of IPv4 or IPv6.
func parseAddresses(s string) (addresses, error) {
	if one, err := netip.ParseAddr(s); err == nil {
		return addresses{one, one}, nil
	}
	if net, err := netip.ParsePrefix(s); err == nil {
		net = net.Masked()
		last := net.Addr().AsSlice()
		for bit := net.Bits(); bit < 8*len(last); bit++ {
			last[bit/8] |= 0x80 >> (bit % 8)
		}
		end, _ := netip.AddrFromSlice(last) // it has the length of an address
		return addresses{net.Addr(), end}, nil
	}
	if a, b, ok := strings.Cut(s, "-"); ok {
		first, err1 := netip.ParseAddr(strings.TrimSpace(a))
		last, err2 := netip.ParseAddr(strings.TrimSpace(b))
		if err1 == nil && err2 == nil && first.Is4() == last.Is4() && !last.Less(first) {
			return addresses{first, last}, nil
		}
	}
	return addresses{}, bad("%q is no address, network or range: 10.0.0.1, 10.0.0.0/8 or 10.0.0.1-10.0.0.9", s)
}

func (a addresses) has(ip netip.Addr) bool {
	return ip.Is4() == a.first.Is4() && !ip.Less(a.first) && !a.last.Less(ip)
}

// in reports whether a text holds one of the addresses. An address begins where
// one can, and goes as far as its characters do.
func (a addresses) in(text []byte) bool {
	for i := 0; i < len(text); i++ {
		kind := beginsAddress(text[i:])
		if kind == 0 {
			continue
		}
		end := i
		for end < len(text) && addressBytes[text[end]]&kind != 0 {
			end++
		}
		if ip, err := netip.ParseAddr(view(text[i:end])); err == nil && a.has(ip) {
			return true
		}
		i = end
	}
	return false
}

// The bytes of addresses.
const (
	ofIPv4 byte = 1 << iota
	ofIPv6
)

var addressBytes = func() (t [256]byte) {
	for c := range t {
		b := byte(c)
		switch {
		case isDigit(b) || b == '.':
			t[c] = ofIPv4 | ofIPv6
		case b == ':' || lower(b) >= 'a' && lower(b) <= 'f':
			t[c] = ofIPv6
		}
	}
	return t
}()

// beginsAddress tells what kind of address a text may begin with, 0 for none.
func beginsAddress(b []byte) byte {
	hex := func(i int) bool { return i < len(b) && b[i] != '.' && b[i] != ':' && addressBytes[b[i]] != 0 }
	if isDigit(b[0]) {
		for i := 1; i < 4 && i < len(b); i++ {
			if b[i] == '.' {
				return ofIPv4
			}
		}
	}
	if len(b) > 2 && b[0] == ':' && b[1] == ':' && hex(2) {
		return ofIPv6
	}
	for i := 0; i < 5 && i < len(b); i++ {
		if b[i] == ':' && i > 0 {
			return ofIPv6
		}
		if !hex(i) {
			break
		}
	}
	return 0
}
