// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/prometheus/alertmanager/config"

	"tallyman/internal/nearest"
)

// Target is a receiver as its line says.
type Target struct {
	// Kind is the scheme of the line, and Host that of the service. Neither is secret.
	Kind, Host string

	scrub *Scrubber
	// incident is set for services that keep an incident for each group, so that
	// messages of several groups cannot be folded.
	incident bool
	line     string

	// One of these is how it is sent.
	native    config.Receiver // with one integration or more
	hook      *hook
	shoutrrr  string // a line of Shoutrrr's
	broker    *brokerLine
	forwardTo *url.URL
}

// String is what may be shown.
func (t *Target) String() string { return t.Kind + " at " + t.Host }

// Line is the line itself, a secret, of which callers make names.
func (t *Target) Line() string { return t.line }

// IsForward is set for another Alertmanager, of which [NewForward] makes a sender.
func (t *Target) IsForward() bool { return t.forwardTo != nil }

// Scrubber knows the secrets of the line.
func (t *Target) Scrubber() *Scrubber { return t.scrub }

// reader reads the lines of a kind.
type reader struct {
	read func(t *Target, u *url.URL) error
	// form is what to write.
	form string
	// host is that of the service when the line has none, and what stands in its place
	// is secret.
	host     string
	incident bool
}

// readers by scheme. The schemes of Shoutrrr's services without an entry are in through.
func readers() map[string]reader {
	return map[string]reader{
		"http":       {read: readHook, form: "http://host/path"},
		"https":      {read: readHook, form: "https://host/path"},
		"slack":      {read: readSlack, form: "slack://hook:T-B-C@webhook, or slack://xoxb:TOKEN@CHANNEL", host: "hooks.slack.com"},
		"discord":    {read: readDiscord, form: "discord://TOKEN@WEBHOOKID", host: "discord.com"},
		"telegram":   {read: readTelegram, form: "telegram://TOKEN@telegram?chats=NUMBER", host: "api.telegram.org"},
		"teams":      {read: readTeams, form: "teams://host/path?query, which is the workflow's address with teams:// in place of https://"},
		"mattermost": {read: readMattermost, form: "mattermost://host/TOKEN/channel"},
		"rocketchat": {read: readRocketchat, form: "rocketchat://host/TOKEN/TOKEN, or rocketchat://USERID:TOKEN@host/channel"},
		"pagerduty":  {read: readPagerduty, form: "pagerduty://KEY", host: "events.pagerduty.com", incident: true},
		"opsgenie":   {read: readOpsgenie, form: "opsgenie://KEY, or opsgenie://host/KEY", host: "api.opsgenie.com", incident: true},
		"pushover":   {read: readPushover, form: "pushover://shoutrrr:TOKEN@USERKEY", host: "api.pushover.net"},
		"victorops":  {read: readVictorops, form: "victorops://KEY/ROUTINGKEY", host: "alert.victorops.com", incident: true},
		"webex":      {read: readWebex, form: "webex://TOKEN@webex?rooms=ROOMID", host: "webexapis.com"},
		"jira":       {read: readJira, form: "jira://user:TOKEN@host/PROJECT?type=Task", incident: true},
		"amqp":       {read: readBroker, form: "amqp://user:password@host/vhost, and ?form=alertmanager for Alertmanager's JSON"},
		"amqps":      {read: readBroker, form: "amqps://user:password@host/vhost, and ?form=alertmanager for Alertmanager's JSON"},
		"smtp":       {read: readSMTP, form: "smtp://user:password@host:587/?from=a@example.org&to=b@example.org"},

		"alertmanager+http":  {read: readForward, form: "alertmanager+http://host:9093"},
		"alertmanager+https": {read: readForward, form: "alertmanager+https://host"},
	}
}

// Kinds are the schemes that lines may have.
func Kinds() []string {
	out := slices.Collect(maps.Keys(readers()))
	out = slices.AppendSeq(out, maps.Keys(through()))
	slices.Sort(out)
	return out
}

// maxLineBytes is how long a line is at most.
const maxLineBytes = 4096

// Parse reads a line. An error says what to write, and holds no secret. It looks nothing
// up and asks nobody.
func Parse(line string) (*Target, error) {
	line = strings.TrimSpace(line)
	if line == "" {
		return nil, errors.New("it is empty; write an address such as ntfy://ntfy.sh/topic")
	}
	scheme, rest, ok := strings.Cut(line, "://")
	if scheme = strings.ToLower(scheme); !ok {
		return nil, errors.New("it has no scheme; write an address such as https://host/path or ntfy://ntfy.sh/topic")
	}
	r, known := readers()[scheme]
	if !known {
		service, _, _ := strings.Cut(scheme, "+")
		form, ok := through()[service]
		if !ok {
			// Of a scheme that is none, nothing may be told: it could be a secret.
			return nil, fmt.Errorf("its scheme is not known; did you mean %s://?", nearest.Of(scheme, Kinds()))
		}
		r = reader{read: readShoutrrr, form: form.form, host: form.host}
	}
	say := func(why string) error { return fmt.Errorf("%s: %s; write %s", scheme, why, r.form) }
	switch {
	case len(line) > maxLineBytes:
		return nil, say("it is too long")
	case strings.Contains(line, "{{"):
		return nil, say("{{ has no meaning in a line")
	case rest == "":
		return nil, say("nothing follows the scheme")
	case strings.ContainsFunc(line, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return nil, say("it has a blank or a control character in it, which is written as %20 and the like")
	}
	u, err := url.Parse(scheme + "://" + rest)
	if err != nil {
		return nil, say("it cannot be read as an address; :, @, / and % in a password are written as %3A, %40, %2F and %25")
	}
	t := &Target{Kind: scheme, Host: u.Host, line: scheme + "://" + rest, incident: r.incident, scrub: scrubberOf(u, r.host != "")}
	if r.host != "" {
		t.Host = r.host
	}
	if err := r.read(t, u); err != nil {
		return nil, say(t.scrub.Text(err.Error()))
	}
	return t, nil
}

// needHost refuses a line without a host.
func needHost(u *url.URL) error {
	if u.Hostname() == "" {
		return errors.New("it names no host")
	}
	return nil
}

// parts are the pieces of a path.
func parts(u *url.URL) []string {
	return strings.FieldsFunc(u.Path, func(r rune) bool { return r == '/' })
}

// onlyQuery refuses keys of the query that nothing reads: a misspelt one would be
// without effect.
func onlyQuery(u *url.URL, known ...string) error {
	for _, key := range slices.Sorted(maps.Keys(u.Query())) {
		if !slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, key) }) {
			if len(known) == 0 {
				return errors.New("it takes nothing after ?")
			}
			return fmt.Errorf("after ? it takes %s only", strings.Join(known, ", "))
		}
	}
	return nil
}

// query is the first value of any of the keys, whatever their case.
func query(u *url.URL, keys ...string) string {
	for key, values := range u.Query() {
		if slices.ContainsFunc(keys, func(k string) bool { return strings.EqualFold(k, key) }) && len(values) > 0 && values[0] != "" {
			return values[0]
		}
	}
	return ""
}

// truth reads yes and no as Shoutrrr does.
func truth(s string) bool {
	switch strings.ToLower(s) {
	case "yes", "true", "1", "on":
		return true
	}
	return false
}
