// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// gone stands where a secret was.
const gone = "[…]"

// maxError is how long a scrubbed text is at most, in bytes.
const maxError = 500

// anyURL finds addresses; of these only the host may be told.
var anyURL = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)([^\s"'<>\\]*)`)

// Scrubber takes secrets out of texts. The zero one shortens URLs only.
type Scrubber struct {
	secrets []string // longest first
}

// NewScrubber knows some secrets.
func NewScrubber(secrets ...string) *Scrubber {
	s := &Scrubber{}
	s.add(secrets...)
	return s
}

// harmless are values of a query that tell nothing, and would mangle texts.
var harmless = []string{"true", "false", "yes", "no", "off", "on", "html", "http", "https", "json", "post", "POST", "default", "auto", "none",
	// of Shoutrrr's grammar
	"webhook", "hook", "telegram", "webex", "join", "shoutrrr", "xoxb", "xoxp",
	// of brokers
	"states", "alertmanager", "alarms", "alarms.exchange", "alarms.queue"}

// scrubberOf knows the secrets of a line: user, password, everything after the host, and
// the values of the query, raw and escaped.
func scrubberOf(u *url.URL, hostIsSecret bool) *Scrubber {
	s := &Scrubber{}
	if u.User != nil {
		name := u.User.Username()
		password, _ := u.User.Password()
		s.add(name, password, u.User.String())
		s.add(strings.FieldsFunc(name+"\n"+password, func(r rune) bool { return strings.ContainsRune("\n:,-", r) })...)
		s.add(base64.StdEncoding.EncodeToString([]byte(name + ":" + password)))
	}
	if hostIsSecret {
		s.add(u.Host, u.Hostname())
	}
	path := strings.Trim(u.Path, "/")
	s.add(path, strings.Trim(u.EscapedPath(), "/"))
	s.add(strings.Split(path, "/")...)
	s.add(u.RawQuery, u.Fragment)
	for _, values := range u.Query() {
		s.add(values...)
		for _, v := range values {
			s.add(strings.Split(v, ",")...)
		}
	}
	return s
}

// add takes secrets, each with its escaped forms. Very short ones are no secrets, and
// would be found everywhere.
func (s *Scrubber) add(secrets ...string) {
	for _, one := range secrets {
		if len(one) < 3 || slices.Contains(harmless, one) {
			continue
		}
		quoted, _ := json.Marshal(one)
		for _, form := range []string{one, url.QueryEscape(one), url.PathEscape(one), strings.Trim(string(quoted), `"`), strings.Trim(fmt.Sprintf("%q", one), `"`), strings.ToLower(one)} {
			if !slices.Contains(s.secrets, form) {
				s.secrets = append(s.secrets, form)
			}
		}
	}
	slices.SortStableFunc(s.secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
}

// Text is a text without secrets and control characters, and not too long.
func (s *Scrubber) Text(text string) string {
	text = anyURL.ReplaceAllStringFunc(text, func(found string) string {
		m := anyURL.FindStringSubmatch(found)
		host := m[2]
		if i := strings.IndexAny(host, "/?#"); i >= 0 {
			host = host[:i]
		}
		if i := strings.LastIndexByte(host, '@'); i >= 0 {
			host = host[i+1:]
		}
		if len(host) < len(m[2]) {
			host += "/" + gone
		}
		return m[1] + host
	})
	for _, secret := range s.secrets {
		text = strings.ReplaceAll(text, secret, gone)
	}
	return cut(clean(text), maxError)
}

// Error is an error without secrets, and without the ones that it wraps: their texts
// are not scrubbed.
func (s *Scrubber) Error(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(s.Text(err.Error()))
}

// Logger gives a logger whose lines have no secrets.
func (s *Scrubber) Logger(log *slog.Logger) *slog.Logger {
	return slog.New(scrubbing{log.Handler(), s})
}

// scrubbing is a handler that scrubs message and attributes.
type scrubbing struct {
	slog.Handler
	s *Scrubber
}

func (h scrubbing) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, h.s.Text(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(h.attr(a))
		return true
	})
	return h.Handler.Handle(ctx, out)
}

func (h scrubbing) attr(a slog.Attr) slog.Attr {
	switch v := a.Value.Resolve(); v.Kind() {
	case slog.KindString, slog.KindAny:
		a.Value = slog.StringValue(h.s.Text(v.String()))
	case slog.KindGroup:
		var group []slog.Attr
		for _, one := range v.Group() {
			group = append(group, h.attr(one))
		}
		a.Value = slog.GroupValue(group...)
	}
	return a
}

func (h scrubbing) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		out[i] = h.attr(a)
	}
	return scrubbing{h.Handler.WithAttrs(out), h.s}
}

func (h scrubbing) WithGroup(name string) slog.Handler {
	return scrubbing{h.Handler.WithGroup(name), h.s}
}
