// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"cmp"
	"errors"
	"net/mail"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/slack"
	amcommon "github.com/prometheus/alertmanager/config/common"
	"github.com/prometheus/alertmanager/notify/discord"
	"github.com/prometheus/alertmanager/notify/email"
	"github.com/prometheus/alertmanager/notify/jira"
	"github.com/prometheus/alertmanager/notify/mattermost"
	"github.com/prometheus/alertmanager/notify/msteamsv2"
	"github.com/prometheus/alertmanager/notify/opsgenie"
	"github.com/prometheus/alertmanager/notify/pagerduty"
	"github.com/prometheus/alertmanager/notify/pushover"
	"github.com/prometheus/alertmanager/notify/rocketchat"
	amslack "github.com/prometheus/alertmanager/notify/slack"
	amtelegram "github.com/prometheus/alertmanager/notify/telegram"
	"github.com/prometheus/alertmanager/notify/victorops"
	"github.com/prometheus/alertmanager/notify/webex"
	promconfig "github.com/prometheus/common/config"
)

// The texts of native receivers, in the language of Alertmanager's templates.
func subjectOf(st style) string { return `{{ tallymanSubject "` + string(st) + `" . }}` }
func bodyOf(st style) string    { return `{{ tallymanBody "` + string(st) + `" . }}` }
func detailsOf(st style) string { return `{{ tallymanDetails "` + string(st) + `" . }}` }

const (
	linkText     = `{{ tallymanLink . }}`
	severityText = `{{ tallymanSeverity . }}`
	colorText    = `{{ if eq .Status "firing" }}{{ if eq (tallymanSeverity .) "critical" }}danger{{ else }}warning{{ end }}{{ else }}good{{ end }}`
	hexColorText = `{{ if eq .Status "firing" }}{{ if eq (tallymanSeverity .) "critical" }}#b3261e{{ else }}#b26a00{{ end }}{{ else }}#2e7d32{{ end }}`
)

// both sends ended alarms too.
func both() amcommon.NotifierConfig { return amcommon.NotifierConfig{VSendResolved: true} }

// client follows no redirects and knows no proxy.
func client() *promconfig.HTTPClientConfig { return &promconfig.HTTPClientConfig{EnableHTTP2: true} }

func secretURL(scheme, host, path string) *amcommon.SecretURL {
	return &amcommon.SecretURL{URL: &url.URL{Scheme: scheme, Host: host, Path: path}}
}

func address(s string) *amcommon.URL { return amcommon.MustParseURL(s) }

// plainHTTP is the scheme for services with Shoutrrr's switch disabletls.
func plainHTTP(u *url.URL) string {
	if truth(query(u, "disabletls")) {
		return "http"
	}
	return "https"
}

func readSlack(t *Target, u *url.URL) error {
	c, err := slack.CreateConfigFromURL(u)
	if err != nil {
		return errors.New("its token is not one of Slack's")
	}
	if err := onlyQuery(u, "botname", "username", "icon", "color", "title", "thread_ts"); err != nil {
		return err
	}
	out := &amslack.SlackConfig{
		NotifierConfig: both(), HTTPConfig: client(), Timeout: timeout, Username: c.BotName,
		Title: subjectOf(slackish), TitleLink: linkText, Text: detailsOf(slackish), Fallback: subjectOf(plain), Color: colorText,
		MrkdwnIn: []string{},
	}
	if strings.HasPrefix(c.Icon, "http://") || strings.HasPrefix(c.Icon, "https://") {
		out.IconURL = c.Icon
	} else {
		out.IconEmoji = c.Icon
	}
	if c.Token.IsAPIToken() {
		t.Host = "slack.com"
		out.Channel = c.Channel
		out.HTTPConfig.Authorization = &promconfig.Authorization{Type: "Bearer", Credentials: promconfig.Secret(strings.TrimPrefix(c.Token.Authorization(), "Bearer "))}
		t.scrub.add(strings.TrimPrefix(c.Token.Authorization(), "Bearer "))
		out.APIURL = (*amcommon.SecretURL)(address(amslack.PostMessageURL))
	} else {
		hook, err := url.Parse(c.Token.WebhookURL())
		if err != nil {
			return errors.New("its token is not one of Slack's")
		}
		t.scrub.add(strings.Split(hook.Path, "/")...)
		t.scrub.add(hook.Path)
		out.APIURL = &amcommon.SecretURL{URL: hook}
	}
	t.native.SlackConfigs = append(t.native.SlackConfigs, out)
	return nil
}

func readDiscord(t *Target, u *url.URL) error {
	if err := onlyQuery(u, "username", "avatar", "avatarurl", "thread_id", "title", "color", "colorError", "colorWarn", "colorInfo", "colorDebug", "splitLines", "json"); err != nil {
		return err
	}
	id, token := u.Hostname(), u.User.Username()
	if token == "" || id == "" || len(parts(u)) > 0 {
		return errors.New("it needs the token and the id of a webhook")
	}
	if _, err := strconv.ParseUint(id, 10, 64); err != nil {
		return errors.New("the id after @ is not a number")
	}
	to := secretURL("https", "discord.com", "/api/webhooks/"+id+"/"+token)
	if thread := query(u, "thread_id"); thread != "" {
		to.RawQuery = url.Values{"thread_id": {thread}}.Encode()
	}
	t.native.DiscordConfigs = append(t.native.DiscordConfigs, &discord.DiscordConfig{
		NotifierConfig: both(), HTTPConfig: client(), WebhookURL: to, Username: query(u, "username"), AvatarURL: query(u, "avatar", "avatarurl"),
		Title: subjectOf(discordy), Message: detailsOf(discordy),
	})
	return nil
}

func readTelegram(t *Target, u *url.URL) error {
	if err := onlyQuery(u, "chats", "channels", "preview", "notification", "parsemode", "title"); err != nil {
		return err
	}
	number, key, ok := strings.Cut(u.User.String(), ":")
	if _, err := strconv.ParseUint(number, 10, 64); !ok || err != nil || len(key) < 3 {
		return errors.New("its token is not one of Telegram's: a number, a colon and letters")
	}
	chats := query(u, "chats", "channels")
	if chats == "" {
		return errors.New("it names no chat")
	}
	quiet := query(u, "notification")
	for chat := range strings.SplitSeq(chats, ",") {
		number, thread, threaded := strings.Cut(chat, ":")
		id, err := strconv.ParseInt(number, 10, 64)
		if err != nil || id == 0 {
			return errors.New("a chat is given by its number, which the bot's getUpdates tells (that of a channel begins with -100)")
		}
		c := &amtelegram.TelegramConfig{
			NotifierConfig: both(), HTTPConfig: client(), Timeout: timeout, APIUrl: address("https://api.telegram.org"),
			BotToken: promconfig.Secret(u.User.Username() + ":" + key), ChatID: id, ParseMode: "HTML", DisableNotifications: quiet != "" && !truth(quiet),
			Message: "<b>" + subjectOf(telegram) + "</b>\n" + detailsOf(telegram),
		}
		if threaded {
			if c.MessageThreadID, err = strconv.Atoi(thread); err != nil {
				return errors.New("a thread is given by its number")
			}
		}
		t.native.TelegramConfigs = append(t.native.TelegramConfigs, c)
	}
	return nil
}

func readTeams(t *Target, u *url.URL) error {
	if err := needHost(u); err != nil {
		return err
	}
	if u.User != nil {
		return errors.New("Microsoft has ended the connectors that this form was for; make a workflow in Teams")
	}
	if len(parts(u)) == 0 {
		return errors.New("it has no path")
	}
	to := *u
	to.Scheme = "https"
	t.native.MSTeamsV2Configs = append(t.native.MSTeamsV2Configs, &msteamsv2.MSTeamsV2Config{
		NotifierConfig: both(), HTTPConfig: client(), WebhookURL: &amcommon.SecretURL{URL: &to}, Title: subjectOf(markdown), Text: detailsOf(markdown),
	})
	return nil
}

func readMattermost(t *Target, u *url.URL) error {
	if err := errors.Join(needHost(u), onlyQuery(u, "icon", "icon_emoji", "icon_url", "title", "disabletls")); err != nil {
		return err
	}
	p := parts(u)
	if len(p) == 0 || len(p) > 2 {
		return errors.New("it needs the token of a webhook, and may name a channel")
	}
	c := &mattermost.MattermostConfig{
		NotifierConfig: both(), HTTPConfig: client(), WebhookURL: secretURL(plainHTTP(u), u.Host, "/hooks/"+p[0]), Username: u.User.Username(),
		Title: subjectOf(markdown), TitleLink: linkText, Text: detailsOf(markdown), Fallback: subjectOf(plain), Color: hexColorText,
		IconURL: query(u, "icon_url"), IconEmoji: query(u, "icon_emoji"),
	}
	if len(p) == 2 {
		c.Channel = p[1]
	}
	t.native.MattermostConfigs = append(t.native.MattermostConfigs, c)
	return nil
}

// readRocketchat: Shoutrrr's form is of a webhook, which Alertmanager does not know; with
// a user and a token it is the API.
func readRocketchat(t *Target, u *url.URL) error {
	if err := needHost(u); err != nil {
		return err
	}
	token, hasToken := u.User.Password()
	if !hasToken {
		if len(parts(u)) < 2 {
			return errors.New("it needs both tokens of a webhook")
		}
		return readShoutrrr(t, u)
	}
	p := parts(u)
	if len(p) != 1 {
		return errors.New("it needs a channel")
	}
	if err := onlyQuery(u, "disabletls"); err != nil {
		return err
	}
	id, secret := promconfig.Secret(u.User.Username()), promconfig.Secret(token)
	t.native.RocketchatConfigs = append(t.native.RocketchatConfigs, &rocketchat.RocketchatConfig{
		NotifierConfig: both(), HTTPConfig: client(), APIURL: &amcommon.URL{URL: &url.URL{Scheme: plainHTTP(u), Host: u.Host, Path: "/"}}, TokenID: &id, Token: &secret,
		Channel: "#" + strings.TrimPrefix(p[0], "#"), Title: subjectOf(markdown), TitleLink: linkText, Text: detailsOf(markdown), Color: hexColorText,
	})
	return nil
}

// keyOf is a key that stands in place of the host, or after it.
func keyOf(t *Target, u *url.URL, n int) ([]string, error) {
	p := parts(u)
	if u.Host != "" && len(p) < n {
		p = append([]string{u.Host}, p...)
	} else if u.Host != "" {
		t.Host = u.Host
	}
	if len(p) != n {
		return nil, errors.New("it needs a key")
	}
	return p, nil
}

func readPagerduty(t *Target, u *url.URL) error {
	if err := onlyQuery(u, "severity", "source", "action"); err != nil {
		return err
	}
	key, err := keyOf(t, u, 1)
	if err != nil {
		return err
	}
	to := address("https://events.pagerduty.com/v2/enqueue")
	to.Host = t.Host
	t.native.PagerdutyConfigs = append(t.native.PagerdutyConfigs, &pagerduty.PagerdutyConfig{
		NotifierConfig: both(), HTTPConfig: client(), Timeout: timeout, RoutingKey: promconfig.Secret(key[0]), URL: to,
		Description: subjectOf(plain), Client: "tallyman", ClientURL: linkText, Source: `{{ .CommonLabels.host }}`, Severity: severityText,
		Details: map[string]any{"text": bodyOf(plain)},
	})
	return nil
}

func readOpsgenie(t *Target, u *url.URL) error {
	if err := onlyQuery(u, "tags", "entity", "note", "source"); err != nil {
		return err
	}
	key, err := keyOf(t, u, 1)
	if err != nil {
		return err
	}
	t.native.OpsGenieConfigs = append(t.native.OpsGenieConfigs, &opsgenie.OpsGenieConfig{
		NotifierConfig: both(), HTTPConfig: client(), APIKey: promconfig.Secret(key[0]), APIURL: &amcommon.URL{URL: &url.URL{Scheme: "https", Host: t.Host, Path: "/"}},
		Message: subjectOf(plain), Description: bodyOf(plain), Source: linkText, Tags: query(u, "tags"), Entity: query(u, "entity"), Note: query(u, "note"),
		Priority: `{{ if eq (tallymanSeverity .) "critical" }}P1{{ else }}P3{{ end }}`,
	})
	return nil
}

func readPushover(t *Target, u *url.URL) error {
	if err := onlyQuery(u, "devices", "priority", "title"); err != nil {
		return err
	}
	token, ok := u.User.Password()
	if !ok || token == "" || u.Hostname() == "" {
		return errors.New("it needs the application's token and the user's key")
	}
	c := pushover.DefaultPushoverConfig
	c.HTTPConfig, c.UserKey, c.Token = client(), promconfig.Secret(u.Hostname()), promconfig.Secret(token)
	c.Title, c.Message, c.URL, c.Device = subjectOf(plain), `{{ tallymanPush . }}`, linkText, query(u, "devices")
	c.Priority = `{{ if eq (tallymanSeverity .) "critical" }}1{{ else }}0{{ end }}`
	if p := query(u, "priority"); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < -2 || n > 1 {
			return errors.New("its priority is a number from -2 to 1")
		}
		c.Priority = p
	}
	t.native.PushoverConfigs = append(t.native.PushoverConfigs, &c)
	return nil
}

func readJira(t *Target, u *url.URL) error {
	if err := errors.Join(needHost(u), onlyQuery(u, "type", "priority", "resolve", "reopen", "labels", "scheme", "api")); err != nil {
		return err
	}
	token, ok := u.User.Password()
	project := parts(u)
	if !ok || token == "" || len(project) == 0 {
		return errors.New("it needs user, token and the key of a project")
	}
	scheme := cmp.Or(query(u, "scheme"), "https")
	if scheme != "https" && scheme != "http" {
		return errors.New("scheme is https or http")
	}
	c := jira.DefaultJiraConfig
	c.HTTPConfig = client()
	c.HTTPConfig.BasicAuth = &promconfig.BasicAuth{Username: u.User.Username(), Password: promconfig.Secret(token)}
	// What stands before the project is where Jira lies on that host.
	to := url.URL{Scheme: scheme, Host: u.Host}
	c.APIURL = &amcommon.URL{URL: to.JoinPath(project[:len(project)-1]...).JoinPath("rest/api/2")}
	c.Project, c.IssueType, c.APIType = project[len(project)-1], cmp.Or(query(u, "type"), "Task"), cmp.Or(query(u, "api"), "auto")
	c.Summary.Template, c.Description.Template, c.Priority = subjectOf(plain), bodyOf(plain), query(u, "priority")
	c.ResolveTransition, c.ReopenTransition, c.Labels = query(u, "resolve"), query(u, "reopen"), []string{"tallyman"}
	for label := range strings.SplitSeq(query(u, "labels"), ",") {
		if label != "" {
			c.Labels = append(c.Labels, label)
		}
	}
	if err := c.Validate(); err != nil {
		return errors.New("api is auto, cloud or datacenter")
	}
	t.native.JiraConfigs = append(t.native.JiraConfigs, &c)
	return nil
}

func readVictorops(t *Target, u *url.URL) error {
	if err := onlyQuery(u); err != nil {
		return err
	}
	key, err := keyOf(t, u, 2)
	if err != nil {
		return errors.New("it needs the key of the integration and a routing key")
	}
	to := address("https://alert.victorops.com/integrations/generic/20131114/alert/")
	to.Host = t.Host
	t.native.VictorOpsConfigs = append(t.native.VictorOpsConfigs, &victorops.VictorOpsConfig{
		NotifierConfig: both(), HTTPConfig: client(), APIKey: promconfig.Secret(key[0]), RoutingKey: key[1], APIURL: to,
		MessageType:       `{{ if eq (tallymanSeverity .) "critical" }}CRITICAL{{ else }}WARNING{{ end }}`,
		EntityDisplayName: subjectOf(plain), StateMessage: bodyOf(plain), MonitoringTool: "tallyman",
	})
	return nil
}

func readWebex(t *Target, u *url.URL) error {
	if err := onlyQuery(u, "rooms", "room"); err != nil {
		return err
	}
	token, rooms := u.User.Username(), query(u, "rooms", "room")
	if token == "" || rooms == "" {
		return errors.New("it needs the token of a bot and a room")
	}
	for room := range strings.SplitSeq(rooms, ",") {
		c := client()
		c.Authorization = &promconfig.Authorization{Type: "Bearer", Credentials: promconfig.Secret(token)}
		t.native.WebexConfigs = append(t.native.WebexConfigs, &webex.WebexConfig{
			NotifierConfig: both(), HTTPConfig: c, APIURL: address("https://webexapis.com/v1/messages"), RoomID: room, Message: "**" + subjectOf(markdown) + "**\n\n" + detailsOf(markdown),
		})
	}
	return nil
}

func readSMTP(t *Target, u *url.URL) error {
	if err := errors.Join(needHost(u), onlyQuery(u, "from", "fromaddress", "to", "toaddresses", "tls", "hello", "subject", "fromname", "usestarttls", "usehtml", "auth", "encryption")); err != nil {
		return err
	}
	from, to := query(u, "from", "fromaddress"), query(u, "to", "toaddresses")
	if _, err := mail.ParseAddress(from); err != nil {
		return errors.New("from is not an address of a sender")
	}
	if _, err := mail.ParseAddressList(to); err != nil {
		return errors.New("to is not a list of addresses")
	}
	port := u.Port()
	if port == "" {
		port = "587"
	}
	must, implicit := true, port == "465" || strings.EqualFold(query(u, "encryption"), "ImplicitTLS")
	if query(u, "tls") == "off" {
		if !loopback(u.Hostname()) {
			return errors.New("tls=off is for 127.0.0.1, ::1 and localhost only")
		}
		must = false
	} else if v := query(u, "tls"); v != "" && v != "on" {
		return errors.New("tls is on or off")
	}
	password, _ := u.User.Password()
	t.native.EmailConfigs = append(t.native.EmailConfigs, &email.EmailConfig{
		NotifierConfig: both(), To: to, From: from, Hello: cmp.Or(query(u, "hello"), "localhost"), Smarthost: amcommon.HostPort{Host: u.Hostname(), Port: port},
		AuthUsername: u.User.Username(), AuthPassword: promconfig.Secret(password), RequireTLS: &must, ForceImplicitTLS: &implicit, TLSConfig: &promconfig.TLSConfig{},
		Headers: map[string]string{"Subject": subjectOf(plain)},
		Text:    bodyOf(plain), HTML: `<pre style="font-family: inherit; white-space: pre-wrap">{{ tallymanBody "plain" . }}</pre>`,
	})
	return nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

func readHook(t *Target, u *url.URL) error {
	if err := needHost(u); err != nil {
		return err
	}
	if u.Fragment != "" {
		return errors.New("what follows # is never sent")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return errors.New("its port is not a number from 1 to 65535")
		}
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && refuse(a) != nil {
		return errLinkLocal
	}
	t.hook = newHook(u)
	return nil
}

func readForward(t *Target, u *url.URL) error {
	if err := errors.Join(needHost(u), onlyQuery(u)); err != nil {
		return err
	}
	_, scheme, _ := strings.Cut(u.Scheme, "+")
	to := *u
	to.Scheme = scheme
	t.forwardTo = to.JoinPath("/api/v2/alerts")
	return nil
}
