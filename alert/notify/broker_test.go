// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/common/model"
)

// brokerOf is a broker that keeps what it is sent.
type brokerOf struct {
	o    BrokerOptions
	got  []BrokerMessage
	fail error
}

func (b *brokerOf) Send(_ context.Context, messages ...BrokerMessage) error {
	b.got = append(b.got, messages...)
	return b.fail
}

func brokerReceiver(t *testing.T, line string) (*Receiver, *brokerOf) {
	t.Helper()
	b := &brokerOf{}
	r, err := parse(t, line).Build(Build{Name: "r", Template: templates(t), Log: slog.New(slog.DiscardHandler), Broker: func(o BrokerOptions) (Broker, error) {
		b.o = o
		return b, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return r, b
}

// An alarm is a message with the members that docker-monitor's alarm manager knows and no
// others, and its end is a Clear with the same subject.
func TestStatesForABroker(t *testing.T) {
	r, b := brokerReceiver(t, "amqps://agent:"+canary+"@mq.example/dojot?exchange=other&queue=q&heartbeat=5")
	if b.o.URL != "amqps://agent:"+canary+"@mq.example/dojot?heartbeat=5" || b.o.Exchange != "other" || b.o.RoutingKey != "alarms" || b.o.Queue != "q" || b.o.Dial == nil {
		t.Errorf("the options are %+v", b.o)
	}
	begin := time.Date(2026, 11, 28, 15, 16, 21, 101e6, time.UTC)
	at := model.Alert{Labels: model.LabelSet{"alertname": "ContainerCrashed", "severity": "critical", "host": "harbor", "workload": "shop/api/1"},
		Annotations: model.LabelSet{"summary": "shop/api/1 crashed\x1b[31m", "name": "shop-api-1", "image": "shop/api:1.2", "id": "abc-1"}, StartsAt: begin}
	ended := at
	ended.EndsAt = begin.Add(time.Minute)
	host := model.Alert{Labels: model.LabelSet{"alertname": "HostDiskAlmostFull", "severity": "warning", "host": "harbor", "device": "/dev/vda"}, StartsAt: begin}
	now := begin.Add(2 * time.Minute)
	if v := r.Notify(inGroup(notify.ReasonFirstNotification), alert.New(at, now, false), alert.New(ended, now, false), alert.New(host, now, false)); v.Err() != nil {
		t.Fatal(v.Err())
	}
	var got []string
	for _, m := range b.got {
		got = append(got, m.ID+" "+m.Time.UTC().Format(time.RFC3339)+" "+string(m.Body))
	}
	subject := `"primarySubject":{"container":"shop-api-1","image":"shop/api:1.2"},"additionalData":{"exitCode":"NA","imageId":"Unknown"}}`
	want := []string{
		`abc-1-firing 2026-11-28T15:16:21Z {"namespace":"dojot.docker.container","domain":"ContainerCrashed","eventTimestamp":"2026-11-28T15:16:21.101Z","description":"shop/api/1 crashed","severity":"Critical",` + subject,
		`abc-1-resolved 2026-11-28T15:17:21Z {"namespace":"dojot.docker.container","domain":"ContainerCrashed","eventTimestamp":"2026-11-28T15:17:21.101Z","description":"shop/api/1 crashed","severity":"Clear",` + subject,
		alert.New(host, now, false).Fingerprint().String() + `-1795878981101-firing 2026-11-28T15:16:21Z {"namespace":"dojot.docker.container","domain":"HostDiskAlmostFull","eventTimestamp":"2026-11-28T15:16:21.101Z","description":"HostDiskAlmostFull","severity":"Warning",` +
			`"primarySubject":{"container":"/dev/vda","image":"Unknown"},"additionalData":{"exitCode":"NA","imageId":"Unknown"}}`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	b.fail = errors.New("the broker is away")
	if v := r.Notify(inGroup(notify.ReasonFirstNotification), alert.New(at, now, false)); v.Err() == nil || !v.ShouldRetry() {
		t.Errorf("%v; want that it is tried again", v.Err())
	}
}

// With form=alertmanager a notification is one message, as a webhook gets it.
func TestAlertmanagersFormForABroker(t *testing.T) {
	r, b := brokerReceiver(t, "amqp://mq.example/?form=alertmanager")
	if v := r.Notify(inGroup(notify.ReasonFirstNotification), firing("Crash", nil), firing("Other", nil)); v.Err() != nil {
		t.Fatal(v.Err())
	}
	var payload struct {
		Version string
		Alerts  []struct {
			Status string
			Labels map[string]string
		}
	}
	if len(b.got) != 1 || json.Unmarshal(b.got[0].Body, &payload) != nil || payload.Version != "4" || len(payload.Alerts) != 2 || payload.Alerts[0].Labels["alertname"] != "Crash" || b.got[0].ID == "" {
		t.Errorf("%+v", b.got)
	}
}

func TestBadBrokers(t *testing.T) {
	for line, want := range map[string]string{
		"amqp://":                                        "nothing follows",
		"amqp://a:" + canary + "@/x":                     "names no host",
		"amqp://a:" + canary + "@h/x/y":                  "%2F",
		"amqp://a:" + canary + "@h/?form=xml":            "states or alertmanager",
		"amqp://a:" + canary + "@h/?colour=red":          "only",
		"amqp://a:" + canary + "@169.254.169.254/x":      "refused",
		"amqp://h/?exchange=" + strings.Repeat("x", 300): "255",
		"jira://h/P":                        "user, token",
		"jira://u:" + canary + "@h":         "key of a project",
		"jira://u:" + canary + "@h/P?api=x": "datacenter",
	} {
		if _, err := Parse(line); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
	if _, err := parse(t, "amqp://h/").Build(Build{Name: "r", Template: templates(t), Log: slog.New(slog.DiscardHandler)}); err == nil {
		t.Error("without anybody who sends to brokers it is built")
	}
}
