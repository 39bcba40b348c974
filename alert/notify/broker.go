// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/notify/webhook"
	"github.com/prometheus/common/model"
)

// BrokerMessage is one for a broker of messages.
type BrokerMessage struct {
	// ID is by what who gets it twice knows it again.
	ID   string
	Time time.Time
	Body []byte // JSON
}

// Broker sends messages. Send returns when all are confirmed, or an error without
// secrets; some may have arrived then.
type Broker interface {
	Send(ctx context.Context, messages ...BrokerMessage) error
}

// BrokerOptions are where the messages of a line amqp://… go.
type BrokerOptions struct {
	URL string // a secret
	// Queue is one to declare and to bind, empty for none.
	Exchange, RoutingKey, Queue string
	Dial                        func(ctx context.Context, network, address string) (net.Conn, error)
}

// The forms in which a broker gets alarms.
const (
	formStates       = "states"       // docker-monitor's, one message for each alarm
	formAlertmanager = "alertmanager" // one for each notification
)

// brokerLine is what a line amqp://… says.
type brokerLine struct {
	o                       BrokerOptions
	form, namespace, domain string
}

// brokerParameters are those of the address that are the broker's own.
var brokerParameters = []string{"auth_mechanism", "cacertfile", "certfile", "channel_max", "connection_timeout", "heartbeat", "keyfile", "server_name_indication"}

func readBroker(t *Target, u *url.URL) error {
	if err := errors.Join(needHost(u), onlyQuery(u, append([]string{"form", "exchange", "routing_key", "queue", "namespace", "domain"}, brokerParameters...)...)); err != nil {
		return err
	}
	if strings.Contains(strings.TrimPrefix(u.EscapedPath(), "/"), "/") {
		return errors.New("there is more than one / in the virtual host; one in its name is written as %2F")
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && refuse(a) != nil {
		return errLinkLocal
	}
	b := &brokerLine{form: cmp.Or(query(u, "form"), formStates), namespace: cmp.Or(query(u, "namespace"), "dojot.docker.container"), domain: query(u, "domain")}
	if b.form != formStates && b.form != formAlertmanager {
		return errors.New("its form is states or alertmanager")
	}
	own := *u
	values := u.Query()
	for _, key := range []string{"form", "exchange", "routing_key", "queue", "namespace", "domain"} {
		values.Del(key)
	}
	own.RawQuery = values.Encode()
	b.o = BrokerOptions{URL: own.String(), Exchange: cmp.Or(query(u, "exchange"), "alarms.exchange"), RoutingKey: cmp.Or(query(u, "routing_key"), "alarms"), Queue: query(u, "queue")}
	for _, name := range []string{b.o.Exchange, b.o.RoutingKey, b.o.Queue} {
		if len(name) > 255 {
			return errors.New("a name is longer than 255 bytes")
		}
	}
	t.broker = b
	return nil
}

// brokered is a broker as a receiver.
type brokered struct {
	*brokerLine
	to    Broker
	build Build
}

// Notify implements Alertmanager's notify.Notifier.
func (b *brokered) Notify(ctx context.Context, alerts ...*alert.Alert) notify.NotifyVerdict {
	messages, err := b.messages(ctx, alerts)
	if err != nil {
		return notify.Unrecoverable(fmt.Errorf("write the message: %w", err), notify.DefaultReason)
	}
	if err := b.to.Send(ctx, messages...); err != nil {
		return notify.Retry(0, err, notify.DefaultReason)
	}
	return notify.Success()
}

func (b *brokered) messages(ctx context.Context, alerts []*alert.Alert) (out []BrokerMessage, err error) {
	if b.form == formAlertmanager {
		key, err := notify.ExtractGroupKey(ctx)
		if err != nil {
			return nil, err
		}
		body, err := json.Marshal(webhook.Message{Version: "4", GroupKey: key.String(), Data: notify.GetTemplateData(ctx, b.build.Template, alerts, b.build.Log)})
		return []BrokerMessage{{ID: notificationID(ctx, alerts), Time: time.Now(), Body: body}}, err
	}
	for _, a := range alerts {
		body, err := json.Marshal(b.state(a))
		if err != nil {
			return nil, err
		}
		status, at := "firing", a.StartsAt
		if a.Resolved() {
			status, at = "resolved", a.EndsAt
		}
		id := cmp.Or(string(a.Annotations[idKey]), fmt.Sprintf("%s-%d", a.Fingerprint(), a.StartsAt.UnixMilli()))
		out = append(out, BrokerMessage{ID: id + "-" + status, Time: at, Body: body})
	}
	return out, nil
}

// state is an alarm as docker-monitor's alarm manager wants one: these members and no
// others. It finds the alarm that a Clear ends by domain and the whole primarySubject, so
// both are the same in all messages of an alarm.
type state struct {
	Namespace      string       `json:"namespace"`
	Domain         string       `json:"domain"`
	EventTimestamp string       `json:"eventTimestamp"`
	Description    string       `json:"description"`
	Severity       string       `json:"severity"`
	PrimarySubject stateSubject `json:"primarySubject"`
	AdditionalData stateData    `json:"additionalData"`
}

type stateSubject struct {
	Container string `json:"container"`
	Image     string `json:"image"`
}

type stateData struct {
	ExitCode string `json:"exitCode"`
	ImageID  string `json:"imageId"`
}

// notKnown stands in place of an image that an alarm has not.
const notKnown = "Unknown"

func (b *brokered) state(a *alert.Alert) state {
	label := func(name string) string { return string(a.Labels[model.LabelName(name)]) }
	s := state{
		Namespace: b.namespace, Domain: cmp.Or(b.domain, label(model.AlertNameLabel)), Severity: "Major", EventTimestamp: stamp(a.StartsAt),
		Description: cut(clean(cmp.Or(string(a.Annotations[summaryKey]), label(model.AlertNameLabel))), maxLine),
		PrimarySubject: stateSubject{
			Container: cmp.Or(string(a.Annotations["name"]), label("workload"), label("engine"), label("device"), label("host"), notKnown), Image: cmp.Or(string(a.Annotations[imageKey]), notKnown)},
		AdditionalData: stateData{ExitCode: "NA", ImageID: notKnown},
	}
	switch {
	case a.Resolved():
		s.Severity, s.EventTimestamp = "Clear", stamp(a.EndsAt)
	case label("severity") == "critical":
		s.Severity = "Critical"
	case label("severity") == "warning":
		s.Severity = "Warning"
	}
	return s
}

// stamp is a time as that side reads it: UTC, with three decimals.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
