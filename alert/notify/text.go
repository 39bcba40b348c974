// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"fmt"
	"html"
	htmltemplate "html/template"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	texttemplate "text/template"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/alertmanager/template"
)

// The annotations that texts are made of. All are optional.
const (
	summaryKey = "summary" // what is so
	adviceKey  = "advice"  // what to do
	whyKey     = "why"     // one sentence
	linesKey   = "lines"   // the last ones of the container
	imageKey   = "image"
	reasonKey  = "reason" // why it has ended
	idKey      = "id"     // of the alarm, for acknowledgements
	testKey    = "tallyman_test"
)

// Bounds of texts.
const (
	maxSubject = 120 // characters
	maxLine    = 300 // characters of one piece of a stranger's data
	maxListed  = 10  // alarms of a group that are told one by one
)

// style is how a service writes.
type style string

// The styles.
const (
	plain    style = "plain"
	slackish style = "slack"    // &, < and > are escaped, <!channel> is a mention
	discordy style = "discord"  // Markdown
	telegram style = "telegram" // HTML
	markdown style = "markdown" // of Teams, Mattermost, Rocket.Chat, Webex
)

// limits of bodies, in characters.
var limits = map[style]int{plain: 4000, slackish: 3500, discordy: 2000, telegram: 4096, markdown: 4000}

// pushLimit is that of Pushover.
const pushLimit = 1024

var (
	escapes  = regexp.MustCompile("\x1b\\[[0-9;?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?")
	blanks   = regexp.MustCompile(`\s+`)
	marks    = regexp.MustCompile("([\\\\*_~`|>#\\[\\]()!<])")
	mentions = regexp.MustCompile(`@(\S)`)
)

// broken parts what services would join: it has no width.
const broken = "\u200b"

// clean makes one line of a stranger's text, without control characters, escape
// sequences and marks that turn the direction of writing.
func clean(s string) string {
	s = escapes.ReplaceAllString(strings.ToValidUTF8(s, "\ufffd"), "")
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r), r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200b, r == 0x200e, r == 0x200f, r == 0xfeff:
			return -1
		}
		return r
	}, s)
	return strings.TrimSpace(blanks.ReplaceAllString(s, " "))
}

// cut shortens to n bytes, at a character's border.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	s = s[:n]
	for len(s) > 0 && !utf8.ValidString(s[max(0, len(s)-utf8.UTFMax):]) {
		s = s[:len(s)-1]
	}
	return s + "…"
}

// cutRunes shortens to n characters, the last of which says so.
func cutRunes(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// escape makes a stranger's text harmless in a service.
func (st style) escape(s string) string {
	s = cutRunes(clean(s), maxLine)
	// A link in a name is somebody else's.
	s = strings.ReplaceAll(s, "://", ":"+broken+"//")
	s = mentions.ReplaceAllString(s, "@"+broken+"$1")
	switch st {
	case slackish:
		s = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
		return strings.NewReplacer("*", "*"+broken, "_", "_"+broken, "~", "~"+broken, "`", "'").Replace(s)
	case discordy, markdown:
		return marks.ReplaceAllString(s, `\$1`)
	case telegram:
		return html.EscapeString(s)
	}
	return strings.ReplaceAll(s, "<!", "<"+broken+"!")
}

// pick is the first that is not empty.
func pick(kv template.KV, fallback template.KV, keys ...string) string {
	for _, k := range keys {
		if v := clean(kv[k]); v != "" {
			return v
		}
		if v := clean(fallback[k]); v != "" {
			return v
		}
	}
	return ""
}

func summaryOf(a template.Alert) string {
	if s := pick(a.Annotations, nil, summaryKey, "description", "message"); s != "" {
		return s
	}
	name := pick(a.Labels, nil, "alertname")
	if name == "" {
		name = "an alarm without a name"
	}
	if of := pick(a.Labels, nil, "workload", "name", "device", "engine", "instance", "host"); of != "" {
		return of + ": " + name
	}
	return name
}

// resolved is set when the alert has ended.
func resolved(a template.Alert) bool { return a.Status == "resolved" }

// ordered are the alerts of a message: firing before ended, critical first.
func ordered(d *template.Data) []template.Alert {
	out := slices.Clone([]template.Alert(d.Alerts))
	rank := func(a template.Alert) int {
		n := 0
		if resolved(a) {
			n = 2
		}
		if a.Labels["severity"] != "critical" {
			n++
		}
		return n
	}
	slices.SortStableFunc(out, func(a, b template.Alert) int { return rank(a) - rank(b) })
	return out
}

// where is what the alerts of a message have in common: host and project.
func where(d *template.Data) string {
	var out []string
	for _, k := range []string{"host", "project"} {
		if v := clean(d.CommonLabels[k]); v != "" && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return strings.Join(out, " · ")
}

// subject is one line, as a title.
func subject(st style, d *template.Data) string {
	alerts := ordered(d)
	if len(alerts) == 0 {
		return "tallyman"
	}
	firing := len(d.Alerts.Firing())
	text := summaryOf(alerts[0])
	switch {
	case firing == 0 && len(alerts) == 1:
		text = "Cleared: " + text
	case firing == 0:
		text = fmt.Sprintf("Cleared: %d alarms on %s: %s", len(alerts), where(d), text)
	case len(alerts) > 1:
		text = fmt.Sprintf("%d alarms on %s: %s", firing, where(d), text)
		if firing == 1 {
			text = summaryOf(alerts[0])
		}
	}
	if alerts[0].Annotations[awayKey] != "" {
		text = fmt.Sprintf("%d alarms came and went while this receiver was away", len(alerts)+moreOf(d))
		if len(alerts)+moreOf(d) == 1 {
			text = "An alarm came and went while this receiver was away: " + summaryOf(alerts[0])
		}
	}
	if alerts[0].Annotations[testKey] != "" {
		text = "Test: " + text
	}
	return st.escape(cutRunes(text, maxSubject))
}

// awayOf is since when and until when the receiver of a digest was away, empty for other
// messages, and moreOf how many alarms it does not name.
func awayOf(d *template.Data) string {
	if len(d.Alerts) == 0 {
		return ""
	}
	return clean(d.Alerts[0].Annotations[awayKey])
}

func moreOf(d *template.Data) int {
	n := 0
	if len(d.Alerts) > 0 {
		n, _ = strconv.Atoi(d.Alerts[0].Annotations[moreKey]) // 0 when there are none
	}
	return n
}

// timeOf is a time as a person reads it, in the host's zone.
func timeOf(t time.Time) string { return t.Local().Format("2006-01-02 15:04 MST") }

// lengthOf is a duration as a person says it.
func lengthOf(d time.Duration) string {
	d = d.Round(time.Second)
	switch {
	case d < 0:
		return "0 s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours())/24)
}

// ended says how long it was and why it has ended.
func ended(st style, a template.Alert) string {
	text := "cleared"
	if !a.StartsAt.IsZero() && a.EndsAt.After(a.StartsAt) {
		text += " after " + lengthOf(a.EndsAt.Sub(a.StartsAt))
	}
	if why := pick(a.Annotations, nil, reasonKey); why != "" {
		text += ": " + st.escape(why)
	}
	return text
}

// body is the text, at most n characters of which the last line is the link. Under a
// title the summary of a single alarm is not said again.
func body(st style, d *template.Data, n int, titled bool) string {
	alerts := ordered(d)
	var lines []string
	switch {
	case len(alerts) == 1 && awayOf(d) == "":
		a := alerts[0]
		var at []string
		for _, v := range []string{pick(a.Labels, nil, "host"), pick(a.Annotations, a.Labels, imageKey)} {
			if v != "" {
				at = append(at, st.escape(v))
			}
		}
		if !a.StartsAt.IsZero() {
			at = append(at, "since "+timeOf(a.StartsAt))
		}
		titled = titled && utf8.RuneCountInString(summaryOf(a)) <= maxSubject/2
		switch {
		case titled && resolved(a):
			lines = append(lines, "C"+strings.TrimPrefix(ended(st, a), "c"))
		case resolved(a):
			lines = append(lines, st.escape(summaryOf(a))+" — "+ended(st, a))
		case !titled:
			lines = append(lines, st.escape(summaryOf(a)))
		}
		lines = append(lines, strings.Join(at, " · "))
		if resolved(a) {
			break
		}
		if why := pick(a.Annotations, nil, whyKey); why != "" {
			lines = append(lines, "Why: "+st.escape(why))
		}
		if advice := pick(a.Annotations, nil, adviceKey); advice != "" {
			lines = append(lines, "What to do: "+st.escape(advice))
		}
		for last := range strings.Lines(a.Annotations[linesKey]) { // the container's, each of them clean
			if last = clean(last); last != "" {
				lines = append(lines, "> "+st.escape(cut(last, maxLine)))
			}
		}
	default:
		if away := awayOf(d); away != "" {
			lines = append(lines, "Nothing arrived from "+st.escape(away)+". Meanwhile these came and went:")
		} else if at := where(d); at != "" {
			lines = append(lines, st.escape(at))
		}
		more := moreOf(d)
		for i, a := range alerts {
			if i == maxListed {
				more += len(alerts) - i
				break
			}
			line := "• " + st.escape(summaryOf(a))
			if resolved(a) {
				line += " — " + ended(st, a)
			} else if !a.StartsAt.IsZero() {
				line += ", since " + timeOf(a.StartsAt)
			}
			lines = append(lines, line)
		}
		if more > 0 {
			lines = append(lines, fmt.Sprintf("and %d more", more))
		}
	}
	text := strings.Join(lines, "\n")
	at := link(d)
	if st == telegram {
		at = html.EscapeString(at)
	}
	if at == "" {
		return cutEscaped(text, n)
	}
	return cutEscaped(text, n-utf8.RuneCountInString(at)-1) + "\n" + at
}

// cutEscaped shortens without leaving half of an escape at the end.
func cutEscaped(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	s = string([]rune(s)[:max(0, n-1)])
	if i := strings.LastIndexByte(s, '&'); i >= len(s)-8 && i >= 0 && !strings.Contains(s[i:], ";") {
		s = s[:i]
	}
	return strings.TrimRight(s, `\`) + "…"
}

// link leads to the first alarm, or to the page.
func link(d *template.Data) string {
	for _, at := range append(links(ordered(d)), d.ExternalURL) {
		if u, err := url.Parse(at); err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && at == clean(at) {
			return u.String()
		}
	}
	return ""
}

func links(alerts []template.Alert) (out []string) {
	if len(alerts) == 1 {
		out = append(out, alerts[0].GeneratorURL)
	}
	return out
}

// severity is the worst of what fires, "info" when nothing does.
func severity(d *template.Data) string {
	worst := "info"
	for _, a := range d.Alerts.Firing() {
		switch a.Labels["severity"] {
		case "critical":
			return "critical"
		case "info":
		default:
			worst = "warning"
		}
	}
	return worst
}

// Templates gives Alertmanager's templates the functions that texts are made with:
// tallymanSubject, tallymanBody, tallymanDetails (the body under a title; these with a
// style), tallymanPush, tallymanLink and tallymanSeverity.
func Templates(text *texttemplate.Template, markup *htmltemplate.Template) {
	functions := map[string]any{
		"tallymanSubject": func(st string, d *template.Data) string { return subject(style(st), d) },
		"tallymanBody": func(st string, d *template.Data) string {
			return body(style(st), d, limits[style(st)], false)
		},
		"tallymanDetails": func(st string, d *template.Data) string {
			return body(style(st), d, limits[style(st)], true)
		},
		"tallymanPush":     func(d *template.Data) string { return body(plain, d, pushLimit, true) },
		"tallymanLink":     link,
		"tallymanSeverity": severity,
	}
	text.Funcs(functions)
	markup.Funcs(functions)
}
