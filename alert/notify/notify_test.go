// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"
)

// As cmd does, so that services of Shoutrrr without a client of their own are bound too;
// here they reach the test's server whatever host they mean.
func TestMain(m *testing.M) {
	t := Transport(detour)
	t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	t.DisableKeepAlives = true
	http.DefaultTransport = t
	http.DefaultClient.CheckRedirect = SameHost
	goleak.VerifyTestMain(m)
}

// detourTo is where names that are not local lead.
var detourTo struct {
	sync.Mutex
	plain, secure string
}

// detour dials the test's server in place of the services'.
func detour(ctx context.Context, network, address string) (net.Conn, error) {
	detourTo.Lock()
	plain, secure := detourTo.plain, detourTo.secure
	detourTo.Unlock()
	if host, port, _ := net.SplitHostPort(address); !loopback(host) {
		if address = secure; port == "80" || port == "8080" {
			address = plain
		}
	}
	if address == "" {
		return nil, errors.New("connect: connection refused")
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

func templates(t testing.TB) *template.Template {
	t.Helper()
	tmpl, err := template.FromGlobs(nil, Templates)
	if err != nil {
		t.Fatal(err)
	}
	tmpl.ExternalURL = &url.URL{Scheme: "https", Host: "mon.example"}
	return tmpl
}

// canary stands in every line at every place that is secret. It has the form that the
// service wants.
const (
	canary   = "CANARYcanaryCANARY0123456789"
	canaryN  = "987654321012345"
	canaryUp = "CANARY00X"
)

// lines has one of each kind, with canaries.
var lines = []string{
	"https://" + canary + ":" + canary + "p@hook.example/" + canary + "?key=" + canary,
	"http://hook.example/a/" + canary,
	"slack://hook:" + canaryUp + "-" + canaryUp + "-" + canary + "@webhook",
	"slack://xoxb:" + canaryUp + "0-" + canaryUp + "1-" + canary + "@C001CHANNEL",
	"slack://bot@" + canaryUp + "/" + canaryUp + "/" + canary,
	"discord://" + canary + "@" + canaryN,
	"telegram://" + canaryN + ":" + canary + "@telegram?chats=-100" + canaryN + "," + canaryN + ":7",
	"teams://prod-1.westeurope.logic.azure.example/workflows/" + canary + "/triggers?api-version=1&sig=" + canary,
	"mattermost://bot@mm.example/" + canary + "/town",
	"rocketchat://rc.example/" + canary + "/" + canary + "2",
	"rocketchat://" + canary + ":" + canary + "p@rc.example/town",
	"pagerduty://" + canary,
	"opsgenie://" + canary,
	"opsgenie://api.eu.opsgenie.example/" + canary,
	"jira://" + canary + ":" + canary + "t@jira.example/tracker/SHOP?type=Bug",
	"pushover://shoutrrr:" + canary + "@" + canary + "u/?devices=phone",
	"victorops://" + canary + "/" + canary + "r",
	"webex://" + canary + "@webex?rooms=" + canary + "room",
	"smtp://" + canary + ":" + canary + "p@127.0.0.1:1/?from=a@example.org&to=b@example.org,c@example.org&tls=off",
	"ntfy://" + canary + ":" + canary + "p@ntfy.example/" + canary + "t?scheme=http",
	"gotify://LOCAL/A" + canary[:14] + "?disabletls=yes",
	"gotify://LOCAL/" + canary + "/A" + canary[:14] + "?disabletls=yes&useheader=yes",
	"matrix://bot:" + canary + "@matrix.example/?rooms=!" + canary + "r:matrix.example&disableTLS=yes",
	"googlechat://chat.googleapis.com/v1/spaces/FOO/messages?key=" + canary + "&token=" + canary + "t",
	"signal://" + canary + ":" + canary + "p@signal.example:8080/+4912345678/+4987654321?disabletls=yes",
	"zulip://bot%40zulip.example:" + canary + "@zulip.example?stream=" + canary + "s&topic=t",
	"bark://:" + canary + "@bark.example",
	"pushbullet://o." + canary + "abcd",
	"ifttt://" + canary + "/?events=" + canary + "e",
	"join://shoutrrr:" + canary + "@join/?devices=" + canary + "d",
	"lark://open.larksuite.com/" + canary + "?secret=" + canary + "s",
	"wecom://" + canary,
	"notifiarr://" + canary,
	"generic+https://generic.example/" + canary + "?template=json&@Authorization=" + canary,
	"generic://generic.example/" + canary + "?disabletls=yes",
}

// forLog is a logger that keeps what it is told.
type forLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *forLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *forLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// leak finds a canary in any case, with or without escapes.
func leak(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "canary") || strings.Contains(text, canaryN)
}

func firing(name string, labels map[string]string) *alert.Alert {
	a := model.Alert{
		Labels:      model.LabelSet{"alertname": model.LabelValue(name), "host": "vm", "severity": "critical", "project": "shop"},
		Annotations: model.LabelSet{"summary": model.LabelValue(name + " is so"), "advice": "see why on its page", "image": "shop/api:1.2", "id": model.LabelValue(name + "-1")},
		StartsAt:    time.Now().Add(-time.Hour), GeneratorURL: "https://mon.example/alarms/1",
	}
	for k, v := range labels {
		a.Labels[model.LabelName(k)] = model.LabelValue(v)
	}
	return alert.New(a, time.Now(), false)
}

func ended1(a *alert.Alert, reason string) *alert.Alert {
	m := a.Alert
	m.Annotations = m.Annotations.Clone()
	m.Annotations["reason"] = model.LabelValue(reason)
	m.EndsAt = m.StartsAt.Add(12 * time.Minute)
	return alert.New(m, time.Now(), false)
}

// inGroup is the context that the pipeline gives.
func inGroup(reason notify.NotifyReason) context.Context {
	ctx := notify.WithGroupKey(context.Background(), `{}:{host="vm"}`)
	ctx = notify.WithGroupLabels(ctx, model.LabelSet{"host": "vm"})
	ctx = notify.WithReceiverName(ctx, "r")
	return notify.WithNotificationReason(ctx, reason)
}

func parse(t testing.TB, line string) *Target {
	t.Helper()
	target, err := Parse(line)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return target
}

// Each service, against a server that refuses, answers 500 with what it was asked, or
// does not answer: no secret is in an error, a log line or the state.
func TestCanary(t *testing.T) {
	for _, how := range []string{"refuses", "fails", "hangs"} {
		release := make(chan struct{})
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if how == "hangs" {
				select {
				case <-release:
				case <-r.Context().Done():
				}
				return
			}
			body, _ := io.ReadAll(r.Body)
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = fmt.Fprintf(w, `{"error":"you sent %s %q with %q and %v"}`, r.URL, r.URL, body, r.Header)
		})
		plain, secure := httptest.NewServer(h), httptest.NewTLSServer(h)
		detourTo.Lock()
		detourTo.plain, detourTo.secure = plain.Listener.Addr().String(), secure.Listener.Addr().String()
		if how == "refuses" {
			detourTo.plain, detourTo.secure = "", ""
		}
		detourTo.Unlock()
		for _, line := range lines {
			local := plain.Listener.Addr().String()
			if how == "refuses" {
				local = "127.0.0.1:1"
			}
			line = strings.ReplaceAll(line, "LOCAL", local) // it dials by itself
			log := &forLog{}
			target := parse(t, line)
			if leak(target.String()) {
				t.Errorf("%s: what may be shown is %q", line, target)
			}
			r, err := target.Build(Build{Name: "r", Template: templates(t), Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), Dial: detour, TLS: &tls.Config{InsecureSkipVerify: true}})
			if err != nil {
				t.Errorf("%s: %v", line, err)
				continue
			}
			ctx, cancel := context.WithCancel(inGroup(notify.ReasonFirstNotification))
			if how == "hangs" {
				ctx, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
			}
			v := r.Notify(ctx, firing("Crash", nil))
			cancel()
			state := r.State()
			if v.Err() == nil || state.FailingSince.IsZero() || state.LastError == "" {
				t.Errorf("%s %s: it was taken as sent", how, line)
				continue
			}
			if leak(v.Err().Error()) || leak(state.LastError) || leak(log.String()) {
				t.Errorf("%s %s: it tells\n%v\n%s", how, line, v.Err(), log)
			}
		}
		close(release)
		plain.CloseClientConnections()
		secure.CloseClientConnections()
		plain.Close()
		secure.Close()
	}
}

// A service that takes it has it in a form that is its own.
func TestEachIsSent(t *testing.T) {
	var mu sync.Mutex
	var got []string
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		got = append(got, r.Host+r.URL.String()+" "+string(body)+fmt.Sprint(r.Header))
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.Host == "discord.com":
			w.WriteHeader(http.StatusNoContent)
		case r.Host == "events.pagerduty.com", r.Host == "api.opsgenie.com", r.Host == "api.eu.opsgenie.example":
			w.WriteHeader(http.StatusAccepted)
			_, _ = w.Write([]byte("{}"))
		case strings.Contains(r.Host, "matrix") && r.Method == "GET":
			_, _ = w.Write([]byte(`{"flows":[{"type":"m.login.password"}],"joined_rooms":[]}`))
		case strings.HasSuffix(r.URL.Path, "/message"): // Gotify
			_, _ = w.Write([]byte(`{"id":1}`))
		case r.Host == "bark.example":
			_, _ = w.Write([]byte(`{"code":200}`))
		case r.Host == "api.pushbullet.com":
			var asked map[string]any
			if err := json.Unmarshal(body, &asked); err != nil {
				t.Error(err)
			}
			asked["active"], asked["iden"] = true, "1"
			text, _ := json.Marshal(asked)
			_, _ = w.Write(text)
		case strings.Contains(r.Host, "signal"):
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(`{"timestamp":"1"}`))
		default:
			_, _ = w.Write([]byte(`{"ok":true,"result":{"message_id":1,"date":1,"chat":{"id":1}},"status":1,"success":true,"id":"1","iden":"1","code":0,"errcode":0,"access_token":"a","room_id":"!r:x","event_id":"e","StatusCode":0}`))
		}
	})
	plain, secure := httptest.NewServer(h), httptest.NewTLSServer(h)
	defer plain.Close()
	defer secure.Close()
	detourTo.Lock()
	detourTo.plain, detourTo.secure = plain.Listener.Addr().String(), secure.Listener.Addr().String()
	detourTo.Unlock()
	for _, line := range lines {
		if strings.HasPrefix(line, "smtp") {
			continue // TestSMTP
		}
		mu.Lock()
		got = nil
		mu.Unlock()
		line = strings.ReplaceAll(line, "LOCAL", plain.Listener.Addr().String())
		r, err := parse(t, line).Build(Build{Name: "r", Template: templates(t), Log: slog.New(slog.DiscardHandler), Dial: detour, TLS: &tls.Config{InsecureSkipVerify: true}})
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		v := r.Notify(inGroup(notify.ReasonFirstNotification), firing("Crash", nil))
		mu.Lock()
		if all := strings.Join(got, "\n"); v.Err() != nil || !strings.Contains(all, "Crash") {
			t.Errorf("%s: %v; the server got %s", line, v.Err(), all)
		}
		mu.Unlock()
		if s := r.State(); s.Sent != 1 || s.LastSuccess.IsZero() {
			t.Errorf("%s: the state is %+v", line, s)
		}
	}
	secure.CloseClientConnections()
	plain.CloseClientConnections()
}

func TestBadLines(t *testing.T) {
	for line, want := range map[string]string{
		"":                                                   "write an address",
		"canary":                                             "no scheme",
		"canary://x":                                         "its scheme is not known",
		"ntfi://a/canary":                                    "ntfy://",
		"https://":                                           "write https://host/path",
		"https:///canary":                                    "write https://host/path",
		"https://a/canary canary":                            "%20",
		"https://a/{{canary}}":                               "{{",
		"https://canary:p%zz@a/":                             "%3A",
		"https://a:99999/canary":                             "port",
		"https://169.254.169.254/canary":                     "refused",
		"http://[fe80::1]/canary":                            "refused",
		"https://a/#canary":                                  "#",
		"slack://canary@webhook":                             "slack://hook:T-B-C@webhook",
		"discord://canary@canary":                            "not a number",
		"discord://1234":                                     "discord://TOKEN@WEBHOOKID",
		"telegram://canary@telegram?chats=1":                 "telegram://TOKEN@telegram",
		"telegram://1:canary@telegram":                       "no chat",
		"telegram://1:canary@telegram?chats=@canary":         "number",
		"teams://canary@tenant/alt/owner?host=x":             "workflow",
		"teams://host":                                       "no path",
		"mattermost://host":                                  "token",
		"mattermost://host/canary?nope=1":                    "after ? it takes",
		"rocketchat://host/canary":                           "both tokens",
		"pagerduty://":                                       "pagerduty://KEY",
		"pushover://canary":                                  "pushover://shoutrrr:TOKEN@USERKEY",
		"pushover://s:canary@u?priority=9":                   "-2 to 1",
		"victorops://canary":                                 "routing key",
		"webex://canary@webex":                               "room",
		"smtp://u:canary@host/?to=a@b.c":                     "from",
		"smtp://u:canary@host/?from=a@b.c":                   "to",
		"smtp://u:canary@host/?from=a@b.c&to=d@e.f&tls=off":  "127.0.0.1",
		"smtp://u:canary@host/?from=a@b.c&to=d@e.f&tls=nope": "on or off",
		"ntfy://host/canary?canary=1":                        "ntfy://user:password@host/topic",
		"gotify://host/canary":                               "gotify://host/TOKEN",
		"matrix://host?rooms=canary":                         "password",
		"lark://canary.example/canary":                       "open.larksuite.com",
		"alertmanager+https://host/?canary=1":                "nothing after ?",
		"https://a/" + strings.Repeat("canary", 1000):        "too long",
	} {
		_, err := Parse(line)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: got %v, want %q in it", line, err, want)
		} else if leak(err.Error()) {
			t.Errorf("%.60s: the error tells the secret: %v", line, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, line := range lines {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		target, err := Parse(line)
		if err == nil && target.Kind == "" {
			t.Errorf("%q has no kind", line)
		}
	})
}

// hostile are names that somebody has chosen.
var hostile = []string{
	"@everyone", "<!channel>", "<!here|x>", "@here", "<@U123>", "https://evil.example/x", "[click](https://evil.example)", "<b>bold</b><script>", "**bold** _it_ `code` ~~s~~ ||spoiler||",
	"\x1b[31mred\x1b[0m\x1b]0;title\x07", "line\nnext\r\nthird", "\u202etxt.exe\u2066", "null\x00byte", strings.Repeat("x", 5000), "bad \xff\xfe utf-8", "{{ .Status }}", "a\\*b\\", "&amp; &lt;!channel&gt;", "@\u200beveryone", "@\u200b\u200bchannel",
}

func TestHostileNames(t *testing.T) {
	tmpl := templates(t)
	for _, name := range hostile {
		a := firing("Crash", nil)
		m := a.Alert
		v := model.LabelValue(strings.ToValidUTF8(name, "\ufffd"))
		m.Annotations = model.LabelSet{"summary": v, "advice": v, "image": v, "reason": v}
		m.Labels = model.LabelSet{"alertname": v, "host": v, "project": v, "severity": "critical"}
		a = alert.New(m, time.Now(), false)
		for _, alerts := range [][]*alert.Alert{{a}, {ended1(a, name)}, {a, ended1(firing("Other", nil), name)}} {
			data := notify.GetTemplateData(inGroup(notify.ReasonFirstNotification), tmpl, alerts, slog.New(slog.DiscardHandler))
			for _, st := range []style{plain, slackish, discordy, telegram, markdown} {
				title, text := subject(st, data), body(st, data, limits[st], false)
				for _, one := range []string{title, text} {
					for _, bad := range []string{"@everyone", "@here", "@channel", "<!channel", "<!here", "\x1b", "\x00", "\r", "\u202e", "\u2066", "https://evil"} {
						if strings.Contains(one, bad) {
							t.Errorf("%s, %.40q: %q is in %q", st, name, bad, one)
						}
					}
					if st == telegram && (strings.Contains(one, "<") || strings.Contains(one, ">")) || st == slackish && strings.ContainsAny(one, "<>") {
						t.Errorf("%s, %.40q: markup in %q", st, name, one)
					}
					if st == discordy && strings.Contains(strings.ReplaceAll(one, `\[`, ""), "[click") {
						t.Errorf("%s: a link in %q", st, one)
					}
				}
				if strings.Contains(title, "\n") || len([]rune(title)) > 4*maxSubject {
					t.Errorf("%s: the title is %q", st, title)
				}
				if n := len([]rune(text)); n > limits[st] {
					t.Errorf("%s: the text has %d characters", st, n)
				}
				if !strings.HasSuffix(text, "https://mon.example/alarms/1") && !strings.HasSuffix(text, "https://mon.example") {
					t.Errorf("%s: the last line is not the link: %q", st, text)
				}
			}
			if n := len([]rune(subject(plain, data))); n > maxSubject+2 {
				t.Errorf("the subject has %d characters", n)
			}
		}
	}
}

func TestTexts(t *testing.T) {
	tmpl := templates(t)
	data := func(alerts ...*alert.Alert) *template.Data {
		return notify.GetTemplateData(inGroup(notify.ReasonFirstNotification), tmpl, alerts, slog.New(slog.DiscardHandler))
	}
	one := firing("Crash", nil)
	since := timeOf(one.StartsAt)
	if got, want := body(plain, data(one), 4000, false), "Crash is so\nvm · shop/api:1.2 · since "+since+"\nWhat to do: see why on its page\nhttps://mon.example/alarms/1"; got != want {
		t.Errorf("one alarm:\n%s\nwant\n%s", got, want)
	}
	if got, want := body(plain, data(ended1(one, "runs again")), 4000, false), "Crash is so — cleared after 12 min: runs again\nvm · shop/api:1.2 · since "+since+"\nhttps://mon.example/alarms/1"; got != want {
		t.Errorf("a cleared one:\n%s\nwant\n%s", got, want)
	}
	if got, want := body(plain, data(one), 4000, true), "vm · shop/api:1.2 · since "+since+"\nWhat to do: see why on its page\nhttps://mon.example/alarms/1"; got != want {
		t.Errorf("one alarm under its title:\n%s\nwant\n%s", got, want)
	}
	if got, want := body(plain, data(ended1(one, "runs again")), 4000, true), "Cleared after 12 min: runs again\nvm · shop/api:1.2 · since "+since+"\nhttps://mon.example/alarms/1"; got != want {
		t.Errorf("a cleared one under its title:\n%s\nwant\n%s", got, want)
	}
	if got, want := subject(plain, data(ended1(one, ""))), "Cleared: Crash is so"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var many []*alert.Alert
	for i := range 17 {
		many = append(many, firing(fmt.Sprint("A", i), map[string]string{"severity": "warning"}))
	}
	many = append(many, firing("Worst", nil))
	text := body(plain, data(many...), 4000, false)
	if lines := strings.Split(text, "\n"); len(lines) != 13 || lines[0] != "vm · shop" || !strings.HasPrefix(lines[1], "• Worst is so, since ") || lines[11] != "and 8 more" || lines[12] != "https://mon.example" {
		t.Errorf("a group:\n%s", text)
	}
	if got, want := subject(plain, data(many...)), "18 alarms on vm · shop: Worst is so"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := body(plain, data(firing("Long", map[string]string{"host": strings.Repeat("h", 9000)})), 200, false); len([]rune(got)) > 200 || !strings.HasSuffix(got, "\nhttps://mon.example/alarms/1") {
		t.Errorf("cut to 200: %q", got)
	}
	if got, want := cutEscaped("abc&quot;", 7), "abc…"; got != want {
		t.Errorf("cut inside an escape: %q, want %q", got, want)
	}
}

// sender counts what arrives, and fails while it is told to.
type sender struct {
	mu   sync.Mutex
	got  [][]string
	fail error
}

func (s *sender) Notify(_ context.Context, alerts ...*alert.Alert) notify.NotifyVerdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return notify.Retry(0, s.fail, notify.DefaultReason)
	}
	var names []string
	for _, a := range alerts {
		names = append(names, string(a.Labels["alertname"]))
	}
	s.got = append(s.got, names)
	return notify.Success()
}

func (s *sender) SendResolved() bool { return true }

func (s *sender) messages() [][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([][]string(nil), s.got...)
}

// Of 70 messages at once 20 are sent; the others are one message half a minute later, also
// when the process is killed in between.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sender{}
		var state []byte
		build := Build{Name: "r", Template: templates(t), Log: slog.New(slog.DiscardHandler), Keep: func(b []byte) { state = b }}
		r := Wrap(notify.NewIntegration(s, s, "webhook", 0, "r"), NewScrubber(), build)
		for i := range 70 {
			if v := r.Notify(inGroup(notify.ReasonFirstNotification), firing(fmt.Sprint("A", i%60), map[string]string{"n": fmt.Sprint(i % 60)})); v.Err() != nil {
				t.Fatal(v.Err())
			}
		}
		if got := len(s.messages()); got != 20 {
			t.Errorf("at once %d are sent, want 20", got)
		}
		if st := r.State(); st.Waiting != 50 || st.Folded != 50 {
			t.Errorf("the state is %+v", st)
		}
		// The next process.
		build.Kept = state
		r = Wrap(notify.NewIntegration(s, s, "webhook", 0, "r"), NewScrubber(), build)
		r.tokens = 0
		s.fail = errors.New("away")
		ctx, cancel := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		wait.Go(func() { _ = r.Run(ctx) })
		time.Sleep(31 * time.Second) // of the bubble
		synctest.Wait()
		if got := len(s.messages()); got != 20 {
			t.Errorf("while it is away %d are sent", got-20)
		}
		s.mu.Lock()
		s.fail = nil
		s.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := s.messages(); len(got) != 21 || len(got[20]) != 50 {
			t.Errorf("%d messages, want one more with 50 alarms", len(got)-20)
		}
		if st := r.State(); st.Waiting != 0 || !st.FailingSince.IsZero() {
			t.Errorf("then the state is %+v", st)
		}
		cancel()
		wait.Wait()
		// An incident for each group cannot be folded: it waits.
		r = Wrap(notify.NewIntegration(s, s, "pagerduty", 0, "r"), NewScrubber(), build)
		r.tokens, r.waiting = 0, nil
		if v := r.Notify(inGroup(notify.ReasonFirstNotification), firing("Crash", nil)); !v.ShouldRetry() || v.Delay() <= 0 {
			t.Errorf("beyond the rate an incident is %+v", v)
		}
	})
}

func TestAcknowledged(t *testing.T) {
	s := &sender{}
	r := Wrap(notify.NewIntegration(s, s, "webhook", 0, "r"), NewScrubber(), Build{Name: "r", Template: templates(t), Log: slog.New(slog.DiscardHandler), Acknowledged: func(id string) bool { return id == "Known-1" }})
	known, other := firing("Known", nil), firing("Other", nil)
	for _, c := range []struct {
		reason notify.NotifyReason
		alerts []*alert.Alert
	}{
		{notify.ReasonFirstNotification, []*alert.Alert{known}},
		{notify.ReasonRepeatIntervalElapsed, []*alert.Alert{known}},
		{notify.ReasonRepeatIntervalElapsed, []*alert.Alert{known, other}},
		{notify.ReasonAllAlertsResolved, []*alert.Alert{ended1(known, "")}},
	} {
		if v := r.Notify(inGroup(c.reason), c.alerts...); v.Err() != nil {
			t.Error(v.Err())
		}
	}
	if got, want := fmt.Sprint(s.messages()), "[[Known] [Other] [Known]]"; got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
}

// hanging never looks at its context.
type hanging struct {
	release chan struct{}
	begun   atomic.Int32
}

func (h *hanging) Notify(context.Context, ...*alert.Alert) notify.NotifyVerdict {
	h.begun.Add(1)
	<-h.release
	return notify.Success()
}

// A sender that hangs delays nobody, and few of it are left behind.
func TestSenderThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hanging{release: make(chan struct{})}
		l := &leaving{inner: h}
		for range 60 {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			if v := l.Notify(ctx); !v.ShouldRetry() {
				t.Errorf("it hangs, and %v", v)
			}
			cancel()
			time.Sleep(time.Minute)
		}
		if h.begun.Load() != maxLeft {
			t.Errorf("in an hour %d were begun, want %d", h.begun.Load(), maxLeft)
		}
		close(h.release)
		synctest.Wait()
		if v := l.Notify(t.Context()); v.Err() != nil || h.begun.Load() != maxLeft+1 {
			t.Errorf("when all have ended: %v", v.Err())
		}
		l.inner = nil // which panics
		if v := l.Notify(t.Context()); v.Err() == nil || v.ShouldRetry() {
			t.Errorf("a panic gives %v", v)
		}
	})
}

// Of several chats only those that failed are tried again.
func TestSeveralChats(t *testing.T) {
	one, two := &sender{}, &sender{fail: errors.New("away")}
	r := Wrap(notify.NewIntegration(one, one, "telegram", 0, "r"), NewScrubber(), Build{Name: "r", Template: templates(t), Log: slog.New(slog.DiscardHandler)})
	r.inner = []notify.Notifier{one, two}
	a := firing("Crash", nil)
	if v := r.Notify(inGroup(notify.ReasonFirstNotification), a); v.Err() == nil {
		t.Error("one of two failed, and it was taken as sent")
	}
	two.fail = nil
	if v := r.Notify(inGroup(notify.ReasonFirstNotification), a); v.Err() != nil {
		t.Error(v.Err())
	}
	if len(one.messages()) != 1 || len(two.messages()) != 1 {
		t.Errorf("the chats got %v and %v", one.messages(), two.messages())
	}
}

func TestRedirectsAndAddresses(t *testing.T) {
	var mu sync.Mutex
	reached := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { mu.Lock(); reached++; mu.Unlock() }))
	defer other.Close()
	here := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, other.URL+"/"+canary, http.StatusTemporaryRedirect)
		} else if r.URL.Path == "/here" {
			http.Redirect(w, r, "/there", http.StatusTemporaryRedirect)
		}
	}))
	defer here.Close()
	for path, ok := range map[string]bool{"/away": false, "/here": true} {
		r, err := parse(t, here.URL+path).Build(Build{Name: "r", Template: templates(t), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := r.Test(t.Context())
		if (err == nil) != ok || err != nil && leak(err.Error()) {
			t.Errorf("%s: %q, %v", path, answer, err)
		}
		if err := r.Run(canceled()); err != nil {
			t.Error(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if reached != 0 {
		t.Error("a redirect to another host was followed")
	}
	for addr, ok := range map[string]bool{"169.254.169.254": false, "::ffff:169.254.1.1": false, "fe80::1": false, "fd00:ec2::254": false, "10.0.0.1": true, "127.0.0.1": true, "2001:db8::1": true} {
		if err := refuse(netip.MustParseAddr(addr)); (err == nil) != ok {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if _, err := Dial(t.Context(), "tcp", "169.254.169.254:80"); !errors.Is(err, errLinkLocal) {
		t.Errorf("dialled: %v", err)
	}
	if err := lookup(t.Context(), "169.254.169.254:80"); !errors.Is(err, errLinkLocal) {
		t.Errorf("looked up: %v", err)
	}
	if Transport(nil).Proxy != nil {
		t.Error("the transport asks for a proxy")
	}
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// The same notification has the same name after a kill, a repeat has another.
func TestNotificationID(t *testing.T) {
	a := firing("Crash", nil)
	ctx := inGroup(notify.ReasonFirstNotification)
	first := notificationID(ctx, []*alert.Alert{a})
	if again := notificationID(ctx, []*alert.Alert{a}); again != first {
		t.Errorf("%s, then %s", first, again)
	}
	if other := notificationID(ctx, []*alert.Alert{ended1(a, "")}); other == first {
		t.Error("the end has the name of the beginning")
	}
}

func TestScrubber(t *testing.T) {
	line := "https://us%2Fer:p%40ss%22word@host.example/se%20cret/path?token=to%2Bken&x=ab"
	u, err := url.Parse(line)
	if err != nil {
		t.Fatal(err)
	}
	s := scrubberOf(u, false)
	quoted, _ := json.Marshal(`p@ss"word`)
	for _, text := range []string{line, `Post "` + line + `": dial`, "us/er", `p@ss"word`, string(quoted), "p%40ss%22word", "se cret/path", "se%20cret", "to+ken", "to%2Bken", fmt.Sprintf("%q", `p@ss"word`), "dXMvZXI6cEBzcyJ3b3Jk"} {
		got := s.Text("error: " + text)
		for _, secret := range []string{"us/er", "us%2Fer", "p@ss", "p%40ss", "cret", "to+ken", "to%2Bken", "dXMvZXI6"} {
			if strings.Contains(got, secret) {
				t.Errorf("%q is in %q", secret, got)
			}
		}
	}
	if got, want := s.Text("https://host.example/se%20cret/path?x=1 answers 500"), "https://host.example/"+gone+" answers 500"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var b bytes.Buffer
	s.Logger(slog.New(slog.NewTextHandler(&b, nil))).With("a", "to+ken").WithGroup("g").Warn("p@ss\"word", "err", errors.New("se cret"), slog.Group("h", "k", "us/er"))
	for _, secret := range []string{"to+ken", "p@ss", "cret", "us/er"} {
		if strings.Contains(b.String(), secret) {
			t.Errorf("%q is in the log line %s", secret, &b)
		}
	}
}

// That a receiver fails is told by the others.
func TestNobodyIsToldOfItself(t *testing.T) {
	s := &sender{}
	r := Wrap(notify.NewIntegration(s, s, "webhook", 0, "r"), NewScrubber(), Build{Name: "r", Label: "1 https", Template: templates(t), Log: slog.New(slog.DiscardHandler)})
	self, other := firing(FailsRule, map[string]string{"receiver": "1 https"}), firing(FailsRule, map[string]string{"receiver": "2 smtp"})
	for _, alerts := range [][]*alert.Alert{{self}, {self, other}, {firing("Crash", nil), self}} {
		if v := r.Notify(inGroup(notify.ReasonFirstNotification), alerts...); v.Err() != nil {
			t.Error(v.Err())
		}
	}
	if got, want := fmt.Sprint(s.messages()), "[[TallymanNotifyFails] [Crash]]"; got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
}
