// SPDX-License-Identifier: Apache-2.0

package inside

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"tallyman"
)

// maxServers are the name servers that are asked, as a resolver does.
const maxServers = 3

// lookup finds the addresses of a name as the container knows it.
func (v *View) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	host = strings.TrimSuffix(host, ".")
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip.Unmap().WithZone("")}, nil
	}
	if host == "" || strings.EqualFold(host, "localhost") {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
	}
	if text, err := v.ReadFile("/etc/hosts"); err == nil {
		if found := inHosts(string(text), host); len(found) > 0 {
			return found, nil
		}
	}
	text, err := v.ReadFile("/etc/resolv.conf")
	if err != nil {
		return nil, tallyman.Faulty(tallyman.ConfigFault, "Write an address.", "the container has no name server to ask for %q", host)
	}
	servers := nameServers(string(text))
	var last error = tallyman.Faulty(tallyman.ConfigFault, "Write an address.", "the container has no name server to ask for %q", host)
	for _, server := range servers {
		var found []netip.Addr
		for _, typ := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
			list, err := v.room.ask(ctx, server, host, typ)
			if err != nil {
				last = fmt.Errorf("look up %q: %w", host, err)
				break
			}
			found = append(found, list...)
		}
		if len(found) > 0 {
			return found, nil
		}
	}
	return nil, last
}

// inHosts finds a name in a hosts file.
func inHosts(text, host string) (found []netip.Addr) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		for i, name := range f {
			if i > 0 && strings.EqualFold(name, host) {
				if ip, err := netip.ParseAddr(f[0]); err == nil {
					found = append(found, ip.Unmap())
				}
			}
		}
	}
	return found
}

// nameServers are those of a resolv.conf.
func nameServers(text string) (list []netip.Addr) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) >= 2 && f[0] == "nameserver" && len(list) < maxServers {
			if ip, err := netip.ParseAddr(f[1]); err == nil {
				list = append(list, ip.Unmap().WithZone(""))
			}
		}
	}
	return list
}

// ask asks a name server from inside of the container; the engine's own answers only
// there. What is too long for a packet is asked again over TCP.
func (r *Room) ask(ctx context.Context, server netip.Addr, host string, typ dnsmessage.Type) ([]netip.Addr, error) {
	name, err := dnsmessage.NewName(host + ".")
	if err != nil {
		return nil, errors.New("it is no name")
	}
	id := uint16(rand.Uint32())
	q := dnsmessage.Message{Header: dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: name, Type: typ, Class: dnsmessage.ClassINET}}}
	packet, err := q.Pack()
	if err != nil {
		return nil, err
	}
	for _, network := range []string{"udp", "tcp"} {
		answer, err := r.exchange(ctx, network, netip.AddrPortFrom(server, 53), packet)
		if err != nil {
			return nil, err
		}
		var m dnsmessage.Message
		if err := m.Unpack(answer); err != nil || m.ID != id || !m.Response {
			return nil, errors.New("the name server's answer cannot be read")
		}
		if m.Truncated && network == "udp" {
			continue
		}
		if m.RCode != dnsmessage.RCodeSuccess {
			return nil, fmt.Errorf("the name server says %s", strings.TrimPrefix(m.RCode.String(), "RCode"))
		}
		var found []netip.Addr
		for _, a := range m.Answers {
			switch body := a.Body.(type) {
			case *dnsmessage.AResource:
				found = append(found, netip.AddrFrom4(body.A))
			case *dnsmessage.AAAAResource:
				found = append(found, netip.AddrFrom16(body.AAAA).Unmap())
			}
		}
		return found, nil
	}
	return nil, errors.New("the name server's answer is cut")
}

// exchange sends one question and reads one answer.
func (r *Room) exchange(ctx context.Context, network string, server netip.AddrPort, packet []byte) ([]byte, error) {
	conn, err := r.dial(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	end, ok := ctx.Deadline()
	if !ok {
		end = time.Now().Add(dialTimeout)
	}
	_ = conn.SetDeadline(end)
	if network == "tcp" {
		packet = append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
	}
	if _, err := conn.Write(packet); err != nil {
		return nil, err
	}
	if network == "tcp" {
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return nil, err
		}
		answer := make([]byte, binary.BigEndian.Uint16(length[:]))
		_, err := io.ReadFull(conn, answer)
		return answer, err
	}
	answer := make([]byte, 4096)
	n, err := conn.Read(answer)
	return answer[:n], err
}
