// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"strings"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/notify"
)

// service is one of Shoutrrr's.
type service struct {
	form string
	// host is that of the service when the line names none.
	host string
	// title is set when it takes a title beside its text, and full when what reads it
	// may look at the text alone.
	title, full bool
	// priority gives the name and the value for a severity, nil when it has none.
	priority func(severity string) (key, value string)
	// asks is set when it asks the network already when it is made.
	asks bool
	st   style
}

// through are the services that Alertmanager does not know.
func through() map[string]service {
	level := func(key, critical, warning, info string) func(string) (string, string) {
		return func(severity string) (string, string) {
			switch severity {
			case "critical":
				return key, critical
			case "warning":
				return key, warning
			}
			return key, info
		}
	}
	return map[string]service{
		"ntfy":       {form: "ntfy://user:password@host/topic", title: true, priority: level("priority", "5", "4", "3"), st: plain},
		"gotify":     {form: "gotify://host/TOKEN", title: true, priority: level("priority", "8", "5", "2"), st: plain},
		"matrix":     {form: "matrix://user:password@host/?rooms=!ROOM:host", asks: true, st: plain},
		"googlechat": {form: "googlechat://chat.googleapis.com/v1/spaces/SPACE/messages?key=KEY&token=TOKEN", st: slackish},
		"hangouts":   {form: "googlechat://chat.googleapis.com/v1/spaces/SPACE/messages?key=KEY&token=TOKEN", st: slackish},
		"signal":     {form: "signal://host:8080/+491234/+495678", st: plain},
		"zulip":      {form: "zulip://bot@host:KEY@host?stream=STREAM&topic=TOPIC", st: markdown},
		"bark":       {form: "bark://:KEY@host", title: true, st: plain},
		"pushbullet": {form: "pushbullet://TOKEN", host: "api.pushbullet.com", title: true, st: plain},
		"ifttt":      {form: "ifttt://KEY/?events=EVENT", host: "maker.ifttt.com", title: true, full: true, st: plain},
		"join":       {form: "join://shoutrrr:KEY@join/?devices=DEVICE", host: "joinjoaomgcd.appspot.com", title: true, st: plain},
		"lark":       {form: "lark://open.larksuite.com/TOKEN", title: true, st: plain},
		"wecom":      {form: "wecom://KEY", host: "qyapi.weixin.qq.com", st: plain},
		"notifiarr":  {form: "notifiarr://KEY", host: "notifiarr.com", st: discordy},
		"generic":    {form: "generic+https://host/path?template=json", title: true, full: true, st: plain},
		"rocketchat": {form: "rocketchat://host/TOKEN/TOKEN", st: markdown},
	}
}

// silent is the logger that Shoutrrr is given: it logs whole addresses.
func silent() *log.Logger { return log.New(io.Discard, "", 0) }

func readShoutrrr(t *Target, u *url.URL) error {
	name, _, custom := strings.Cut(u.Scheme, "+")
	s := through()[name]
	if u.Host == "" && s.host == "" {
		return needHost(u)
	}
	if custom {
		t.Host = u.Host
	}
	if name == "gotify" { // else it would be found when the first message is sent
		p := parts(u)
		if len(p) == 0 || len(p[len(p)-1]) != 15 || p[len(p)-1][0] != 'A' {
			return errors.New("its token is not one of an application: 15 characters that begin with A")
		}
	}
	t.shoutrrr = t.line
	if s.asks {
		if _, ok := u.User.Password(); !ok {
			return errors.New("it needs a password or an access token")
		}
		return nil
	}
	_, err := t.locate()
	return err
}

// locate makes the service. Shoutrrr's errors hold secrets, but its first sentence says
// what is wrong; the caller scrubs it.
func (t *Target) locate() (types.Service, error) {
	r, err := router.New(silent())
	if err != nil {
		return nil, fmt.Errorf("make the router: %w", err)
	}
	s, err := r.Locate(t.shoutrrr)
	if err != nil {
		return nil, fmt.Errorf("it cannot be read (%w)", err)
	}
	return s, nil
}

// bridge sends with Shoutrrr.
type bridge struct {
	t     *Target
	s     service
	build Build
}

// Notify implements Alertmanager's notify.Notifier.
func (b *bridge) Notify(ctx context.Context, alerts ...*alert.Alert) notify.NotifyVerdict {
	data := notify.GetTemplateData(ctx, b.build.Template, alerts, b.build.Log)
	text := body(b.s.st, data, limits[b.s.st], b.s.title && !b.s.full)
	params := types.Params{}
	if b.s.title {
		params["title"] = subject(plain, data)
	} else if len(data.Alerts) > 1 {
		text = subject(b.s.st, data) + "\n" + text
	}
	if b.s.priority != nil {
		if key, value := b.s.priority(severity(data)); !strings.Contains(b.t.line, key+"=") { // the line's own comes first
			params[key] = value
		}
	}
	if b.build.Dial == nil { // with one of the caller's, names are the caller's
		if err := lookup(ctx, b.t.Host); err != nil {
			return notify.Retry(0, err, notify.DefaultReason)
		}
	}
	if err := b.send(text, params); err != nil {
		return notify.Retry(0, err, notify.DefaultReason)
	}
	return notify.Success()
}

// send makes the service anew: some keep what they were told last.
func (b *bridge) send(text string, params types.Params) error {
	s, err := b.t.locate()
	if err != nil {
		return err
	}
	if c, ok := s.(interface{ SetHTTPClient(*http.Client) }); ok {
		c.SetHTTPClient(b.build.client())
	}
	return s.Send(text, &params)
}
