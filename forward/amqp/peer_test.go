// SPDX-License-Identifier: Apache-2.0

package amqp

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// verdict is what the peer does with a message.
type verdict int

const (
	take     verdict = iota
	giveBack         // return it, then confirm it
	refuse           // nack
	hang             // say nothing
	cutOff           // close the connection without a word
)

// published is a message as the peer got it.
type published struct {
	exchange, key, id, contentType string
	mandatory, aligned             bool
	mode                           byte
	timestamp                      uint64
	body                           string
}

// peer is the least of a broker that speaks AMQP 0-9-1 on a port of its own.
type peer struct {
	t        *testing.T
	listener net.Listener
	// decide is asked about the nth message, from 1, over all connections.
	decide func(n int, m published) verdict
	// password is what is taken; declared closes the channel with that code if it is not 0.
	password string
	declared uint16
	// unblock is not nil for a peer that says after the first message that it takes nothing,
	// until this is closed.
	unblock chan struct{}

	mu          sync.Mutex
	got         []published // all, in their order
	taken       []string    // ids of those that were taken
	methods     []string    // what was declared
	connections int
	conns       map[net.Conn]bool
	wg          sync.WaitGroup
}

func newPeer(t *testing.T, decide func(n int, m published) verdict) *peer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, listener: l, decide: decide, conns: map[net.Conn]bool{}}
	p.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.connections++
			p.conns[c] = true
			p.mu.Unlock()
			p.wg.Go(func() {
				p.serve(c)
				_ = c.Close()
			})
		}
	})
	t.Cleanup(p.stop)
	return p
}

func (p *peer) stop() {
	_ = p.listener.Close()
	p.mu.Lock()
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *peer) url(password string) string {
	return fmt.Sprintf("amqp://agent:%s@%s/", password, p.listener.Addr())
}

// ids of what was taken so far.
func (p *peer) ids() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.taken...)
}

func short(s string) []byte { return append([]byte{byte(len(s))}, s...) }
func long(s string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...)
}

// fields reads what a method has one after the other.
type fields struct{ rest []byte }

func (f *fields) bytes(n int) []byte {
	if n > len(f.rest) {
		n = len(f.rest)
	}
	b := f.rest[:n]
	f.rest = f.rest[n:]
	return b
}
func (f *fields) number(n int) (v uint64) {
	for _, b := range f.bytes(n) {
		v = v<<8 | uint64(b)
	}
	return v
}
func (f *fields) short() string { return string(f.bytes(int(f.number(1)))) }
func (f *fields) long() string  { return string(f.bytes(int(f.number(4)))) }

// link is one connection of the peer.
type link struct {
	r *bufio.Reader
	w io.Writer
}

func (l *link) frame() (kind byte, channel uint16, payload []byte, err error) {
	var h [7]byte
	if _, err = io.ReadFull(l.r, h[:]); err != nil {
		return
	}
	payload = make([]byte, binary.BigEndian.Uint32(h[3:])+1)
	_, err = io.ReadFull(l.r, payload)
	return h[0], binary.BigEndian.Uint16(h[1:]), payload[:len(payload)-1], err
}

func (l *link) send(kind byte, channel uint16, payload []byte) {
	b := append([]byte{kind}, byte(channel>>8), byte(channel))
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	_, _ = l.w.Write(append(append(b, payload...), 0xce))
}

func (l *link) method(channel uint16, class, method uint16, parts ...[]byte) {
	b := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, class), method)
	for _, p := range parts {
		b = append(b, p...)
	}
	l.send(1, channel, b)
}

func u16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }
func u32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
func u64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

func (p *peer) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.methods = append(p.methods, fmt.Sprintf(format, args...))
}

func (p *peer) serve(c net.Conn) {
	l := &link{bufio.NewReader(c), c}
	var hello [8]byte
	if _, err := io.ReadFull(l.r, hello[:]); err != nil || string(hello[:4]) != "AMQP" {
		return
	}
	l.method(0, 10, 10, []byte{0, 9}, u32(0), long("PLAIN"), long("en_US"))
	var tag uint64
	var m published
	var raw []byte
	var left uint64
	for {
		kind, channel, payload, err := l.frame()
		if err != nil {
			return
		}
		f := &fields{payload}
		switch kind {
		case 2:
			raw = payload
			f.number(4)
			left = f.number(8)
			m.header(f)
		case 3:
			m.body += string(payload)
			if left -= uint64(len(payload)); left == 0 {
				tag++
				if !p.deliver(l, channel, tag, m, raw) {
					return
				}
				m = published{}
			}
		case 1:
			switch class, method := f.number(2), f.number(2); [2]uint64{class, method} {
			case [2]uint64{10, 11}:
				f.long()
				f.short()
				if _, password, _ := strings.Cut(f.long()[1:], "\x00"); p.password != "" && password != p.password {
					l.method(0, 10, 50, u16(403), short("ACCESS_REFUSED - login with "+password+" was refused"), u16(0), u16(0))
					continue
				}
				l.method(0, 10, 30, u16(16), u32(128<<10), u16(0))
			case [2]uint64{10, 40}:
				l.method(0, 10, 41, short(""))
			case [2]uint64{10, 50}:
				l.method(0, 10, 51)
				return
			case [2]uint64{20, 10}:
				l.method(channel, 20, 11, long(""))
			case [2]uint64{20, 40}:
				l.method(channel, 20, 41)
			case [2]uint64{40, 10}:
				f.number(2)
				p.note("exchange %s %s %d", f.short(), f.short(), f.number(1))
				if p.declared != 0 {
					l.method(channel, 20, 40, u16(p.declared), short("no"), u16(40), u16(10))
					continue
				}
				l.method(channel, 40, 11)
			case [2]uint64{50, 10}:
				f.number(2)
				name := f.short()
				p.note("queue %s %d", name, f.number(1))
				l.method(channel, 50, 11, short(name), u32(0), u32(0))
			case [2]uint64{50, 20}:
				f.number(2)
				p.note("bind %s %s %s", f.short(), f.short(), f.short())
				l.method(channel, 50, 21)
			case [2]uint64{85, 10}:
				l.method(channel, 85, 11)
			case [2]uint64{60, 40}:
				f.number(2)
				m = published{exchange: f.short(), key: f.short()}
				m.mandatory = f.number(1)&1 == 1
			}
		}
	}
}

// header reads the properties of a message.
func (m *published) header(f *fields) {
	flags := f.number(2)
	has := func(bit int) bool { return flags>>bit&1 == 1 }
	if has(15) {
		m.contentType = f.short()
	}
	if has(14) {
		f.short()
	}
	if has(13) {
		table := &fields{[]byte(f.long())}
		m.aligned = table.short() == "x-tallyman-alignment" && string(table.rest) == "t\x01"
	}
	if has(12) {
		m.mode = byte(f.number(1))
	}
	if has(11) {
		f.number(1)
	}
	for bit := 10; bit >= 8; bit-- {
		if has(bit) {
			f.short()
		}
	}
	if has(7) {
		m.id = f.short()
	}
	if has(6) {
		m.timestamp = f.number(8)
	}
}

// deliver does with a message what was decided.
func (p *peer) deliver(l *link, channel uint16, tag uint64, m published, raw []byte) bool {
	p.mu.Lock()
	p.got = append(p.got, m)
	n := len(p.got)
	v := take
	if p.decide != nil {
		v = p.decide(n, m)
	}
	if v == take {
		p.taken = append(p.taken, m.id)
	}
	p.mu.Unlock()
	if n == 1 && p.unblock != nil {
		l.method(0, 10, 60, short("low on memory"))
		p.wg.Go(func() {
			<-p.unblock
			l.method(0, 10, 61)
		})
	}
	switch v {
	case cutOff:
		return false
	case hang:
		return true
	case refuse:
		l.method(channel, 60, 120, u64(tag), []byte{0})
		return true
	case giveBack:
		l.method(channel, 60, 50, u16(312), short("NO_ROUTE"), short(m.exchange), short(m.key))
		l.send(2, channel, raw)
		l.send(3, channel, []byte(m.body))
	}
	l.method(channel, 60, 80, u64(tag), []byte{0})
	return true
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not so within 20 s: %s", what)
		}
	}
}
