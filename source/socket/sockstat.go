// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"bytes"

	"tallyman/internal/kread"
)

// usage is what /proc/<pid>/net/sockstat and sockstat6 say of one namespace.
type usage struct {
	tcp [families]uint64 // in any state but TIME_WAIT, half-open ones excluded
	udp [families]uint64
	tw  uint64 // in TIME_WAIT and the small form of FIN_WAIT2, both families
}

// number is the number behind key.
func number(text []byte, key string) (v uint64, ok bool) {
	at := bytes.Index(text, []byte(key))
	if at < 0 {
		return 0, false
	}
	v, digits := kread.Uint(text[at+len(key):])
	return v, digits > 0
}

// parse4 takes the lines
//
//	TCP: inuse 11 orphan 0 tw 3 alloc 16 mem 0
//	UDP: inuse 0 mem 0
//
// of sockstat.
func (u *usage) parse4(text []byte) bool {
	var tcp, tw, udp bool
	u.tcp[v4], tcp = number(text, "TCP: inuse ")
	u.tw, tw = number(text, " tw ")
	u.udp[v4], udp = number(text, "UDP: inuse ")
	return tcp && tw && udp
}

// parse6 takes the lines TCP6 and UDP6 of sockstat6.
func (u *usage) parse6(text []byte) bool {
	var tcp, udp bool
	u.tcp[v6], tcp = number(text, "TCP6: inuse ")
	u.udp[v6], udp = number(text, "UDP6: inuse ")
	return tcp && udp
}

// counters is the line of numbers of TCP in /proc/<pid>/net/snmp, nil without one:
// it is another one after every segment that came or went.
func counters(text []byte) []byte {
	for range 2 { // the line of names, then that of numbers
		at := bytes.Index(text, []byte("\nTcp: "))
		if at < 0 {
			return nil
		}
		text = text[at+6:]
	}
	end := bytes.IndexByte(text, '\n')
	if end < 0 {
		return nil
	}
	return text[:end]
}
