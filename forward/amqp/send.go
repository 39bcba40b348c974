// SPDX-License-Identifier: Apache-2.0

package amqp

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"tallyman/internal/clip"
)

// Message is one that [Publisher.Send] sends.
type Message struct {
	// ID is its message-id, by which who gets it twice knows it again.
	ID   string
	Time time.Time
	Body []byte // JSON
}

// Send sends messages in their order over a connection of its own, beside the queue, and
// returns when the broker has confirmed all and returned none. Of an error some may have
// arrived. It holds neither user nor password. Calls may run concurrently.
func (p *Publisher) Send(ctx context.Context, messages ...Message) error {
	if err := p.send(ctx, messages); err != nil {
		return errors.New(p.secrets.Replace(clip.Text(err.Error(), maxReason)))
	}
	return nil
}

func (p *Publisher) send(ctx context.Context, messages []Message) error {
	conn, ch, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer leave(conn)
	stop := context.AfterFunc(ctx, func() { leave(conn) }) // nobody waits for a write or a confirmation then
	defer stop()
	closed := ch.NotifyClose(make(chan *amqp091.Error, 1))
	returns := ch.NotifyReturn(make(chan amqp091.Return, 1))
	for _, m := range messages {
		c, err := ch.PublishWithDeferredConfirm(p.opt.Exchange, p.opt.RoutingKey, true, false,
			amqp091.Publishing{ContentType: "application/json", DeliveryMode: amqp091.Persistent, MessageId: m.ID, Timestamp: m.Time, Body: m.Body})
		if err != nil {
			return fmt.Errorf("send to the broker: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the broker: %w", ctx.Err())
		case err := <-closed:
			return closedError(err)
		case _, ok := <-returns:
			if ok {
				return p.unroutable()
			}
			return closedError(nil)
		case <-c.Done():
		}
		// A broker returns a message before it confirms it.
		select {
		case _, ok := <-returns:
			if ok {
				return p.unroutable()
			}
		default:
		}
		if !c.Acked() {
			return errNacked
		}
	}
	return nil
}
