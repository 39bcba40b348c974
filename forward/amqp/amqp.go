// SPDX-License-Identifier: Apache-2.0

package amqp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"tallyman"
	"tallyman/forward/queue"
	"tallyman/internal/clip"
)

const (
	most           = 32 // under way
	dialWithin     = 5 * time.Second
	heartbeat      = 10 * time.Second
	writeWithin    = 30 * time.Second
	confirmWithin  = 2 * time.Minute
	leaveWithin    = 2 * time.Second // to wait for confirmations at the end
	leastPause     = time.Second
	mostPause      = 30 * time.Second
	alignmentTable = "x-tallyman-alignment" // a header
	maxReason      = 300                    // bytes of what a broker says
)

// Options are what a publisher is made of.
type Options struct {
	// URL is amqp:// or amqps://user:password@host:port/vhost, with RabbitMQ's query
	// parameters. It is a secret.
	URL string
	// Exchange and RoutingKey are where messages go. With a BrokerQueue that queue is
	// declared, durable, and bound there.
	Exchange, RoutingKey, BrokerQueue string
	// Settings is where errors send people to change something: the settings forward.amqp
	// when empty.
	Settings string
	// Queue is where messages come from. It stays the caller's. Send needs none.
	Queue *queue.Queue
	// Dial connects; nil is a plain dialler.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Log is told when states change; nil is silent.
	Log *slog.Logger

	least, mostly time.Duration // pauses, for tests
}

// failure is why messages did not arrive; it is a label of a metric.
type failure string

const (
	cut      failure = "cut"      // no connection, or it broke
	returned failure = "returned" // no queue is bound
	nacked   failure = "nacked"   // the broker could not keep it
)

// Publisher sends what is in a queue.
type Publisher struct {
	opt     Options
	secrets *strings.Replacer

	to *queue.Destination

	mu       sync.Mutex
	failures map[failure]uint64
}

// New makes a publisher. It connects to nobody. An error says what is wrong with the
// address, and does not hold it.
func New(o Options) (*Publisher, error) {
	u, err := amqp091.ParseURI(o.URL)
	if err != nil {
		return nil, errors.New("the address of the broker cannot be read; write amqps://user:password@host/vhost, with %2F for / and %40 for @ in a password")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	p := &Publisher{opt: o, failures: map[failure]uint64{}}
	p.to = queue.NewDestination(net.JoinHostPort(u.Host, strconv.Itoa(u.Port)), cmp.Or(o.least, leastPause), cmp.Or(o.mostly, mostPause), o.Log)
	var pairs []string
	for _, secret := range []string{u.Password, url.QueryEscape(u.Password), url.PathEscape(u.Password), u.Username} {
		if len(secret) > 2 && secret != "guest" {
			pairs = append(pairs, secret, "[…]")
		}
	}
	p.secrets = strings.NewReplacer(pairs...)
	return p, nil
}

// State is that of now.
func (p *Publisher) State() queue.State { return p.to.State() }

// down notes why the broker takes nothing; what is empty when that is not counted.
func (p *Publisher) down(what failure, why error) {
	if what != "" {
		p.mu.Lock()
		p.failures[what]++
		p.mu.Unlock()
	}
	p.to.Down(p.secrets.Replace(clip.Text(why.Error(), maxReason)))
}

// Run sends until ctx ends. The broker may be away at any time; that is no error.
func (p *Publisher) Run(ctx context.Context) error {
	for {
		err := p.session(ctx)
		p.opt.Queue.Rewind()
		if ctx.Err() != nil {
			return nil
		}
		p.down(cut, err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(p.to.Pause()):
		}
	}
}

// stubborn bounds how long a write may take: a broker that is full reads nothing more.
type stubborn struct{ net.Conn }

func (c stubborn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// connect opens a connection. It is the caller's to close.
func (p *Publisher) connect(ctx context.Context) (*amqp091.Connection, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*dialWithin)
	defer cancel()
	var plain net.Conn
	stop := func() bool { return false }
	defer func() { stop() }()
	properties := amqp091.NewConnectionProperties()
	properties["product"], properties["connection_name"] = "tallyman", "tallyman"
	delete(properties, "version")
	conn, err := amqp091.DialConfig(p.opt.URL, amqp091.Config{
		Heartbeat:  heartbeat,
		Properties: properties,
		Dial: func(network, address string) (net.Conn, error) {
			dial, cancel := context.WithTimeout(ctx, dialWithin)
			defer cancel()
			c, err := p.opt.Dial(dial, network, address)
			if err != nil {
				return nil, err
			}
			plain = c
			stop = context.AfterFunc(ctx, func() { _ = c.Close() }) // nobody waits for a handshake at the end
			// For the handshake; the library takes it back after that.
			return stubborn{c}, c.SetDeadline(time.Now().Add(dialWithin))
		},
	})
	if err == nil {
		return conn, nil
	}
	if plain != nil {
		_ = plain.Close()
	}
	return nil, p.connectError(err)
}

// connectError says what to do where it is known.
func (p *Publisher) connectError(err error) error {
	var said *amqp091.Error
	if !errors.As(err, &said) {
		return fmt.Errorf("connect to the broker: %w", err)
	}
	switch said.Code {
	case amqp091.AccessRefused:
		return fmt.Errorf("the broker refuses this user, or broke off at the login; check user, password and virtual host in %s", p.setting("url"))
	case amqp091.NotAllowed, amqp091.NotFound:
		return fmt.Errorf("the broker has no such virtual host, or not for this user; check the path of %s, where / is written as %%2F", p.setting("url"))
	}
	return fmt.Errorf("connect to the broker: %w", err)
}

// declareError says what to do where it is known.
func declareError(what, name, setting string, err error) error {
	var said *amqp091.Error
	if errors.As(err, &said) {
		switch said.Code {
		case amqp091.PreconditionFailed:
			return fmt.Errorf("the %s %s of the broker has other properties: a durable one is needed, an exchange of type direct; delete it, or name another in %s", what, name, setting)
		case amqp091.AccessRefused:
			return fmt.Errorf("the broker does not let this user declare the %s %s; give it the rights to configure and to write", what, name)
		}
	}
	return fmt.Errorf("declare the %s %s: %w", what, name, err)
}

// underWay is a message that was sent and is not confirmed.
type underWay struct {
	seq       uint64
	id        string
	confirmed *amqp091.DeferredConfirmation
	returned  bool
}

var (
	errNacked  = errors.New("the broker could not keep a message; look at its log")
	errStalled = errors.New("the broker has confirmed nothing for two minutes")
	errBlocked = errors.New("the broker takes nothing for now, as it is short of memory or disk")
)

// open connects, declares what is to be there, and asks for confirmations. The caller
// closes the connection.
func (p *Publisher) open(ctx context.Context) (*amqp091.Connection, *amqp091.Channel, error) {
	conn, err := p.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	ch, err := p.declare(conn)
	if err != nil {
		leave(conn)
		return nil, nil, err
	}
	return conn, ch, nil
}

// leave closes a connection, which may be closed already.
func leave(conn *amqp091.Connection) { _ = conn.CloseDeadline(time.Now().Add(leaveWithin)) }

func (p *Publisher) declare(conn *amqp091.Connection) (*amqp091.Channel, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("open a channel: %w", err)
	}
	if err := ch.ExchangeDeclare(p.opt.Exchange, amqp091.ExchangeDirect, true, false, false, false, nil); err != nil {
		return nil, declareError("exchange", p.opt.Exchange, p.setting("exchange"), err)
	}
	if name := p.opt.BrokerQueue; name != "" {
		if _, err := ch.QueueDeclare(name, true, false, false, false, nil); err != nil {
			return nil, declareError("queue", name, p.setting("queue"), err)
		}
		if err := ch.QueueBind(name, p.opt.RoutingKey, p.opt.Exchange, false, nil); err != nil {
			return nil, declareError("binding of the queue", name, p.setting("queue"), err)
		}
	}
	if err := ch.Confirm(false); err != nil {
		return nil, fmt.Errorf("ask for confirmations: %w", err)
	}
	return ch, nil
}

// session connects and sends until something breaks, or ctx ends.
func (p *Publisher) session(ctx context.Context) error {
	conn, ch, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer leave(conn)
	s := &session{
		p: p, ch: ch, limit: 1,
		closed:  ch.NotifyClose(make(chan *amqp091.Error, 1)),
		returns: ch.NotifyReturn(make(chan amqp091.Return, most)), // never more than are under way
		blocked: conn.NotifyBlocked(make(chan amqp091.Blocking, 16)),
	}
	if p.opt.Queue.Stats().Length == 0 {
		p.to.Up() // else the first message tells
	}
	return s.run(ctx)
}

// setting is what an error tells people to change.
func (p *Publisher) setting(name string) string { return cmp.Or(p.opt.Settings, "forward.amqp."+name) }

// unroutable says that a message was returned.
func (p *Publisher) unroutable() error {
	return fmt.Errorf("no queue is bound to the exchange for this routing key; start the consumer, or name a queue in %s", p.setting("queue"))
}

// session is one connection.
type session struct {
	p       *Publisher
	ch      *amqp091.Channel
	closed  chan *amqp091.Error
	returns chan amqp091.Return
	blocked chan amqp091.Blocking

	flight []underWay
	limit  int   // of flight: 1 until one is taken
	failed error // why the rest of flight is not taken
	full   bool  // the broker takes nothing for now
}

func (s *session) run(ctx context.Context) error {
	q := s.p.opt.Queue
	stalled := time.NewTimer(confirmWithin)
	defer stalled.Stop()
	for {
		if err := s.fill(); err != nil {
			return err
		}
		if s.failed != nil && len(s.flight) == 0 {
			// All from the one that was not taken on, in order.
			q.Rewind()
			s.failed, s.limit = nil, 1
			select {
			case <-ctx.Done():
				return nil
			case err := <-s.closed:
				return closedError(err)
			case <-time.After(s.p.to.Pause()):
			}
			continue
		}
		var ready, oldest <-chan struct{}
		if len(s.flight) > 0 {
			oldest = s.flight[0].confirmed.Done()
		}
		if s.room() {
			ready = q.Ready()
		}
		select {
		case <-ctx.Done():
			s.leave()
			return nil
		case err := <-s.closed:
			return closedError(err)
		case <-ready:
			stalled.Reset(confirmWithin)
		case b, ok := <-s.blocked:
			if !ok {
				s.blocked = nil // the connection is closed, which is told next
			} else if s.full = b.Active; s.full {
				s.p.down("", errBlocked)
			} else {
				s.p.to.Up()
			}
			stalled.Reset(confirmWithin)
		case r, ok := <-s.returns:
			s.back(r, ok)
		case <-oldest:
			stalled.Reset(confirmWithin)
			if err := s.confirm(); err != nil {
				return err
			}
		case <-stalled.C:
			if len(s.flight) > 0 && !s.full {
				return errStalled
			}
			stalled.Reset(confirmWithin)
		}
	}
}

// room reports whether another message may be sent.
func (s *session) room() bool { return s.failed == nil && !s.full && len(s.flight) < s.limit }

// fill sends as many messages as may be under way.
func (s *session) fill() error {
	for s.room() {
		item, ok, err := s.p.opt.Queue.TryNext()
		if err != nil || !ok {
			return err
		}
		m := amqp091.Publishing{ContentType: "application/json", DeliveryMode: amqp091.Persistent, MessageId: item.ID, Timestamp: item.Time, Body: item.Body}
		if item.Flags&queue.Alignment != 0 {
			m.Headers = amqp091.Table{alignmentTable: true}
		}
		c, err := s.ch.PublishWithDeferredConfirm(s.p.opt.Exchange, s.p.opt.RoutingKey, true, false, m)
		if err != nil {
			return fmt.Errorf("send to the broker: %w", err)
		}
		s.flight = append(s.flight, underWay{seq: item.Seq, id: item.ID, confirmed: c})
	}
	return nil
}

// back notes that a message was returned. A broker does so before it confirms it.
func (s *session) back(r amqp091.Return, ok bool) {
	if !ok {
		s.returns = nil // the channel is closed, which is told next
		return
	}
	for i := range s.flight {
		if f := &s.flight[i]; f.id == r.MessageId && !f.returned {
			f.returned = true
			return
		}
	}
}

// confirm takes the oldest message that is under way, now that the broker has spoken of
// it.
func (s *session) confirm() error {
	for drained := false; !drained; {
		select {
		case r, ok := <-s.returns:
			s.back(r, ok)
			drained = !ok
		default:
			drained = true
		}
	}
	f := s.flight[0]
	s.flight = s.flight[1:]
	switch {
	case f.confirmed.Acked() && !f.returned:
		if s.failed != nil {
			return nil // it is sent again after the one that was not taken
		}
		s.limit = most
		if !s.full {
			s.p.to.Up()
		}
		return s.p.opt.Queue.Ack(f.seq)
	case s.failed != nil:
		return nil
	case f.returned:
		s.failed = s.p.unroutable()
		s.p.down(returned, s.failed)
	case s.ch.IsClosed():
		return errors.New("the connection broke before a message was confirmed")
	default:
		s.failed = errNacked
		s.p.down(nacked, errNacked)
	}
	return nil
}

// leave waits for what is under way, at the end.
func (s *session) leave() {
	late := time.After(leaveWithin)
	for len(s.flight) > 0 && s.failed == nil {
		select {
		case <-s.flight[0].confirmed.Done():
			if s.confirm() != nil {
				return
			}
		case <-late:
			return
		}
	}
}

// closedError is why a channel was closed.
func closedError(err *amqp091.Error) error {
	if err == nil {
		return errors.New("the broker closed the connection")
	}
	return fmt.Errorf("the connection to the broker broke: %w", err)
}

// SelfMetrics are the publisher's own numbers; to is its destination, as the settings
// call it. Those of its queue are the queue's.
func (p *Publisher) SelfMetrics(to string) []tallyman.SelfMetric {
	out := []tallyman.SelfMetric{p.to.SelfMetric(to)}
	for _, why := range []failure{cut, nacked, returned} {
		out = append(out, queue.FailureMetric(to, string(why), func() float64 {
			p.mu.Lock()
			defer p.mu.Unlock()
			return float64(p.failures[why])
		}))
	}
	return out
}
