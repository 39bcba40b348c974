// SPDX-License-Identifier: Apache-2.0

package syslog

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"tallyman"
	"tallyman/forward/queue"
	"tallyman/forward/send"
	"tallyman/internal/secret"
)

const (
	mostLine   = 64 << 10
	unsure     = 2 << 20 // bytes behind something that was written, after which it counts as taken
	leastPause = 200 * time.Millisecond
	mostPause  = 30 * time.Second
	ending     = 5 * time.Second // that the other side may take to end a connection
	old        = 30 * time.Second
)

// Options are what a sender is made of.
type Options struct {
	// RecordOptions say what is sent. Send needs but their name.
	send.RecordOptions
	// URL is tcp://host:514 or tls://host:6514. Plain allows tcp to another machine.
	URL   secret.Text
	Plain bool
	// CA, Pin, Cert and Key are as in [send.Options].
	CA, Pin, Cert, Key string
	// External are labels that each record gets that has none of that name.
	External []tallyman.Label
	// Host is the host of records that have none.
	Host string
	// Timeout is for connecting and for writing 64 KiB, 0 for 30 s.
	Timeout time.Duration
	// Dial connects; nil is the system's way.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	unsure      int // for tests
	ending, old time.Duration
}

// item is a record on its way.
type item = send.Item[stream]

// part is messages that may not have been taken yet.
type part struct {
	frames    []byte
	records   int
	at        time.Time // when it was written last
	confirmed func()
	written   bool // over this connection,
	before    bool // or over one before
}

// Sender sends records.
type Sender struct {
	*send.RecordSender[stream]
	opt     Options
	address string
	tls     *tls.Config // nil for none
	to      *queue.Destination
	ledger  *send.Ledger
	parts   []part
	rate    send.Rate
	scratch []byte
	c       *connection // nil for none
	never   bool        // the other side does not end a connection when this one does

	repeated, cut atomic.Uint64
}

// connection is one, and who reads what comes from the other side.
type connection struct {
	net.Conn
	gone chan struct{} // closed when nothing more comes
	err  error         // why, after that
}

// New makes a sender. It connects to nobody.
func New(o Options) (*Sender, error) {
	u, err := url.Parse(string(o.URL))
	if err != nil || u.Hostname() == "" || u.Scheme != "tcp" && u.Scheme != "tls" {
		return nil, errors.New("the address cannot be read; write tls://host:6514 or tcp://host:514")
	}
	if u.Scheme == "tcp" && !o.Plain && !send.Local(u.Hostname()) {
		return nil, fmt.Errorf("tcp to %s is not encrypted: whoever is on the way reads along; use tls, or set plain: true", u.Host)
	}
	s := &Sender{opt: o, address: net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), map[string]string{"tcp": "514", "tls": "6514"}[u.Scheme]))}
	if u.Scheme == "tls" {
		if s.tls, err = send.TLS(o.CA, o.Pin, o.Cert, o.Key); err != nil {
			return nil, err
		}
		s.tls.ServerName = u.Hostname()
	}
	s.opt.MostLine = mostLine
	s.rate.PerSecond = o.Line.Limit
	s.opt.Timeout = cmp.Or(o.Timeout, 30*time.Second)
	s.opt.unsure, s.opt.ending, s.opt.old = cmp.Or(o.unsure, unsure), cmp.Or(o.ending, ending), cmp.Or(o.old, old)
	if o.Dial == nil {
		s.opt.Dial = (&net.Dialer{}).DialContext
	}
	s.to = queue.NewDestination(s.address, cmp.Or(o.Line.Least, leastPause), mostPause, o.Logger)
	s.ledger = send.NewLedger(o.Name, send.Records, nil, o.Logger)
	s.RecordSender = send.NewRecordSender(s.opt.RecordOptions, s, s.ledger, nil)
	return s, nil
}

// Stream implements send.RecordSink. All records are of one group.
func (s *Sender) Stream(st *tallyman.Stream) (*stream, string) {
	return streamOf(st.Labels, s.opt.External, s.opt.Host), ""
}

// Deliver implements send.RecordSink.
func (s *Sender) Deliver(ctx context.Context, items []item, confirmed func()) error {
	if len(items) == 0 && len(s.parts) > 0 {
		s.parts[len(s.parts)-1].confirmed = confirmed // which says more
		return nil
	}
	p := part{records: len(items), confirmed: confirmed}
	for i := range items {
		p.frames, s.scratch = appendFrame(p.frames, s.scratch, &items[i])
	}
	s.parts = append(s.parts, p)
	for len(items) > 0 {
		err := s.write(ctx)
		if err == nil {
			break
		}
		if !s.again(ctx, err) {
			return ctx.Err()
		}
	}
	s.confirm(s.taken())
	if len(s.parts) > 0 && s.c != nil && !s.never && time.Since(s.parts[0].at) > s.opt.old {
		s.receipt()
	}
	return nil
}

// taken is how many parts count as taken, as so much was written after them. Where there
// are no receipts, time will do.
func (s *Sender) taken() int {
	behind := 0
	for i := range s.parts {
		behind += len(s.parts[i].frames)
	}
	for n := range s.parts {
		p := &s.parts[n]
		behind -= len(p.frames)
		if p.records > 0 && behind < s.opt.unsure && (!s.never || time.Since(p.at) < 2*s.opt.old) {
			return n
		}
	}
	return len(s.parts)
}

// again waits before the next try, and reports false when ctx has ended.
func (s *Sender) again(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	s.cut.Add(1)
	s.to.Down(err.Error())
	select {
	case <-ctx.Done():
		return false
	case <-time.After(s.to.Pause()):
		return true
	}
}

// confirm counts the first n parts as taken.
func (s *Sender) confirm(n int) {
	for i := range s.parts[:n] {
		s.ledger.Sent(s.parts[i].records)
		s.parts[i].confirmed()
	}
	s.parts = slices.Delete(s.parts, 0, n)
}

// write writes all that was not written over this connection.
func (s *Sender) write(ctx context.Context) error {
	if s.c != nil {
		select {
		case <-s.c.gone:
			s.drop()
		default:
		}
	}
	if s.c == nil {
		if err := s.connect(ctx); err != nil {
			return err
		}
	}
	for i := range s.parts {
		p := &s.parts[i]
		if p.written {
			continue
		}
		if p.before {
			s.repeated.Add(uint64(p.records))
		}
		p.before = true
		for rest := p.frames; len(rest) > 0; {
			n := min(len(rest), 64<<10)
			if !s.rate.Wait(ctx, n) {
				return ctx.Err()
			}
			err := s.c.SetWriteDeadline(time.Now().Add(s.opt.Timeout))
			if err == nil {
				_, err = s.c.Write(rest[:n])
			}
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				s.drop()
				return fmt.Errorf("write to %s: %w", s.address, err)
			}
			rest = rest[n:]
		}
		p.written, p.at = true, time.Now()
	}
	s.to.Up()
	return nil
}

// connect connects, with nothing written yet.
func (s *Sender) connect(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, s.opt.Timeout)
	defer cancel()
	conn, err := s.opt.Dial(limited, "tcp", s.address)
	if err != nil {
		return err
	}
	if s.tls != nil {
		secured := tls.Client(conn, s.tls)
		if err := secured.HandshakeContext(limited); err != nil {
			_ = conn.Close() // the first error says more
			return fmt.Errorf("%s: %w", s.address, err)
		}
		conn = secured
	}
	c := &connection{Conn: conn, gone: make(chan struct{})}
	go func() {
		defer close(c.gone)
		_, c.err = io.Copy(io.Discard, c.Conn)
	}()
	s.c = c
	for i := range s.parts {
		s.parts[i].written = false
	}
	return nil
}

// drop ends the connection.
func (s *Sender) drop() {
	if s.c != nil {
		_ = s.c.Close() // what it wrote is not relied on
		<-s.c.gone
		s.c = nil
	}
}

// Idle implements send.Idler.
func (s *Sender) Idle(ctx context.Context) (more bool) {
	switch {
	case ctx.Err() != nil:
		if s.c != nil && !s.never && s.written() {
			s.receipt()
		}
		s.drop()
		return false
	case len(s.parts) == 0:
		return false
	}
	err := s.write(ctx)
	switch {
	case err != nil:
	case s.never:
		s.confirm(s.taken())
	default:
		if s.receipt(); len(s.parts) > 0 && !s.never {
			err = fmt.Errorf("%s ended the connection before it had read all", s.address)
		}
	}
	if err != nil {
		s.again(ctx, err)
	}
	return len(s.parts) > 0
}

// receipt ends the connection, and confirms all when the other side ends it, too, and so has
// read all.
func (s *Sender) receipt() {
	defer s.drop()
	select {
	case <-s.c.gone: // before it was asked, which says nothing
		return
	default:
	}
	closer, ok := s.c.Conn.(interface{ CloseWrite() error })
	if !ok || closer.CloseWrite() != nil {
		return
	}
	select {
	case <-s.c.gone:
		if s.c.err == nil && s.written() && s.c.arrived(s.opt.ending) {
			s.confirm(len(s.parts))
		}
	case <-time.After(s.opt.ending):
		s.never = true
	}
}

// arrived reports whether the other side's kernel has taken all that was written. One that
// has ended its side by itself, and not because this one did, resets the connection when
// more comes: what was on its way then is lost.
func (c *connection) arrived(within time.Duration) bool {
	conn := c.Conn
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return true
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return false
	}
	for end := time.Now().Add(within); ; time.Sleep(5 * time.Millisecond) {
		waiting, failed := 1, 0
		err := raw.Control(func(fd uintptr) {
			var err1, err2 error
			waiting, err1 = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
			failed, err2 = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
			if err1 != nil || err2 != nil {
				waiting, failed = 1, 1
			}
		})
		switch {
		case err != nil || failed != 0:
			return false
		case waiting == 0:
			return true
		case time.Now().After(end):
			return false
		}
	}
}

// written reports whether all was written over this connection.
func (s *Sender) written() bool {
	for i := range s.parts {
		if !s.parts[i].written {
			return false
		}
	}
	return true
}

// Send writes one message beside the log, and tells whether the other side has read it.
func (s *Sender) Send(ctx context.Context, id string) (string, error) {
	one, err := New(s.opt)
	if err != nil {
		return "", err
	}
	read := false
	frames, _ := appendFrame(nil, nil, new(send.TestItem(one, s.opt.Host, id)))
	one.parts = []part{{frames: frames, records: 1, confirmed: func() { read = true }}}
	if err := one.write(ctx); err != nil {
		return "", err
	}
	one.receipt()
	if read {
		return "and has read all", nil
	}
	return "but does not say whether it has read all", nil
}

// Stats are those of now.
func (s *Sender) Stats() send.Stats { return s.RecordSender.Stats(s.to.State()) }

// SelfMetrics are the sender's own numbers.
func (s *Sender) SelfMetrics() []tallyman.SelfMetric {
	read := func(v *atomic.Uint64) func() float64 { return func() float64 { return float64(v.Load()) } }
	return append(s.RecordSender.SelfMetrics(), s.to.SelfMetric(s.opt.Name), queue.FailureMetric(s.opt.Name, "cut", read(&s.cut)),
		queue.RetriesMetric(s.opt.Name, send.Records, read(&s.repeated)))
}
