// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"tallyman/internal/nearest"
	"tallyman/internal/secret"
)

// Secret is a text that is never shown.
type Secret = secret.Text

// Forward says to whom what is collected is sent on.
type Forward struct {
	// Destinations of logs, events and metrics, as [{loki: https://host/loki/api/v1/push},
	// {remote_write: https://host/api/v1/write}]; in the file
	// forward itself may be this list. Default none.
	To      []Destination `yaml:"to"`
	AMQP    AMQP          `yaml:"amqp"`
	Webhook Webhook       `yaml:"webhook"`
}

// check finds what cannot work.
func (f *Forward) check() error {
	if err := errors.Join(checkDestinations(f.To), f.AMQP.check()); err != nil {
		return err
	}
	return f.Webhook.check()
}

// States are the states of containers as docker-monitor's alarms, wherever they go.
type States struct {
	// What stands as namespace in each message. Default dojot.docker.container.
	Namespace string `yaml:"namespace"`
	// What stands as domain in each message. Default docker container status change.
	Domain string `yaml:"domain"`
	// Tell the state of each container once after each start. Default true.
	Align bool `yaml:"align"`
	// Size of the messages that may wait on the disk while the destination is away; beyond
	// it the oldest are dropped. At least 64KiB. Default 16MiB.
	Buffer Bytes `yaml:"buffer"`
	// Age up to which they wait; 0 for no limit. Default 30d.
	MaxAge Duration `yaml:"max_age"`
}

// Webhook sends the same messages to an address over HTTP.
type Webhook struct {
	// Address to which the states of containers are posted as docker-monitor's alarms, one
	// each, as https://user:password@host/path; a secret. Default none.
	URL    Secret `yaml:"url"`
	States `yaml:",inline"`
}

// check finds what cannot work. It tells nothing of the address.
func (w *Webhook) check() error {
	if w.URL == "" {
		return nil
	}
	if u, err := url.Parse(string(w.URL)); err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("forward.webhook.url: an address is needed that begins with http:// or https://; :, @, / and % in a password are written as %3A, %40, %2F and %25")
	}
	return nil
}

// AMQP sends the states of containers to a RabbitMQ, in docker-monitor's form.
type AMQP struct {
	// Address of the broker, as amqps://user:password@host/vhost; a secret. With it the
	// states of containers are sent there as docker-monitor's alarms. Default none.
	URL Secret `yaml:"url"`
	// Exchange to which messages go; it is declared, direct and durable. Default alarms.exchange.
	Exchange string `yaml:"exchange"`
	// Their routing key. Default alarms.
	RoutingKey string `yaml:"routing_key"`
	// Queue of the broker to declare, durable, and to bind to the exchange. Default
	// none: the consumer has its own.
	Queue  string `yaml:"queue"`
	States `yaml:",inline"`
}

// amqpParameters are those that may stand behind the question mark of an address.
var amqpParameters = []string{"auth_mechanism", "cacertfile", "certfile", "channel_max", "connection_timeout", "heartbeat", "keyfile", "server_name_indication"}

// check finds what cannot work. It tells nothing of the address.
func (a *AMQP) check() error {
	if a.URL == "" {
		return nil
	}
	const form = "write for example amqps://user:password@host/vhost"
	text := string(a.URL)
	u, err := url.Parse(text)
	switch {
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return errors.New("forward.amqp.url: it has a blank or a control character in it; " + form)
	case err != nil:
		return errors.New("forward.amqp.url: it cannot be read as an address; :, @, / and % in a password are written as %3A, %40, %2F and %25")
	case u.Scheme != "amqp" && u.Scheme != "amqps":
		return errors.New("forward.amqp.url: it does not begin with amqp:// or amqps://; " + form)
	case u.Hostname() == "":
		return errors.New("forward.amqp.url: it names no host; " + form)
	case strings.Contains(strings.TrimPrefix(u.EscapedPath(), "/"), "/"):
		return errors.New("forward.amqp.url: there is more than one / in the virtual host; one in its name is written as %2F")
	}
	for _, key := range slices.Sorted(maps.Keys(u.Query())) {
		if !slices.Contains(amqpParameters, key) {
			return fmt.Errorf("forward.amqp.url: a parameter behind the question mark is not known; did you mean %s?", nearest.Of(key, amqpParameters))
		}
	}
	for key, name := range map[string]string{"exchange": a.Exchange, "routing_key": a.RoutingKey, "queue": a.Queue} {
		if len(name) > 255 {
			return fmt.Errorf("forward.amqp.%s: it is longer than 255 bytes", key)
		}
	}
	if a.Exchange == "" {
		return errors.New("forward.amqp.exchange: a name is needed; write for example alarms.exchange")
	}
	return nil
}
