// SPDX-License-Identifier: Apache-2.0

package route

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/config"
	amcommon "github.com/prometheus/alertmanager/config/common"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/alertmanager/timeinterval"
	"github.com/prometheus/common/model"

	"tallyman/alert/book"
	"tallyman/alert/notify"
)

const (
	// nobody is the receiver of what is not sent.
	nobody = "nobody"
	// quiet is the name of the quiet hours.
	quiet = "tallyman-quiet-hours"
	// saltKey is where in the book the key of receivers' names is.
	saltKey  = "salt"
	statePut = "state/"
)

// maxLines is how many receivers there are at most.
const maxLines = 100

// parsed are the lines, read.
func parse(lines []string) (out []*notify.Target, err error) {
	if len(lines) > maxLines {
		return nil, fmt.Errorf("%d receivers are too many; at most %d", len(lines), maxLines)
	}
	var errs []error
	seen := map[string]int{}
	for i, line := range lines {
		t, err := notify.Parse(line)
		if err != nil {
			errs = append(errs, fmt.Errorf("receiver %d: %w", i+1, err))
			continue
		}
		if before := seen[t.Line()]; before > 0 {
			errs = append(errs, fmt.Errorf("receiver %d is the same as receiver %d; remove one", i+1, before))
		}
		seen[t.Line()] = i + 1
		out = append(out, t)
	}
	return out, errors.Join(errs...)
}

// names gives each receiver one that stays when lines are added before it, as the
// notification log knows receivers by name. It is made of the line with a key of this
// book's own, so that nothing of the line can be found from it.
func names(b *book.Book, targets []*notify.Target) ([]string, error) {
	salt := b.Get(book.Receivers, saltKey)
	if len(salt) == 0 {
		salt = make([]byte, 32)
		_, _ = rand.Read(salt) // it never fails
		if err := b.Put(book.Receivers, saltKey, salt); err != nil {
			return nil, fmt.Errorf("keep the key of receivers' names: %w", err)
		}
	}
	var out []string
	for _, t := range targets {
		mac := hmac.New(sha256.New, salt)
		_, _ = mac.Write([]byte(t.Line()))
		kind, _, _ := strings.Cut(t.Kind, "+")
		out = append(out, kind+"-"+hex.EncodeToString(mac.Sum(nil)[:6]))
	}
	return out, nil
}

// generate makes the configuration: routes of the lines, then those of the file.
func generate(o Options, receivers []string) (*config.Config, error) {
	global := config.DefaultGlobalConfig()
	c := &config.Config{Global: &global}
	if o.File != "" {
		var err error
		if c, err = config.LoadFile(o.File); err != nil {
			return nil, fmt.Errorf("read Alertmanager's configuration: %w", unquoted(err))
		}
		for _, r := range c.Receivers {
			if r.Name == nobody {
				return nil, fmt.Errorf("the receiver name %q is tallyman's; give it another in %s", nobody, o.File)
			}
		}
	}
	t := o.Times.withDefaults()
	mute, err := quietHours(o.QuietHours)
	if err != nil {
		return nil, err
	}
	var muted []string
	if mute != nil {
		c.TimeIntervals = append(c.TimeIntervals, config.TimeInterval{Name: quiet, TimeIntervals: []timeinterval.TimeInterval{*mute}})
		muted = []string{quiet}
	}
	sent := &config.Route{Receiver: nobody, Matchers: matchers(labels.MatchNotEqual, "severity", "info"), Continue: true}
	for _, name := range receivers {
		c.Receivers = append(c.Receivers, config.Receiver{Name: name})
		sent.Routes = append(sent.Routes, &config.Route{
			Receiver: name, Continue: true, MuteTimeIntervals: muted, RepeatInterval: duration(t.Repeat),
			Routes: []*config.Route{{Receiver: name, Matchers: matchers(labels.MatchEqual, "severity", "critical"), RepeatInterval: duration(t.RepeatCritical)}},
		})
	}
	root := &config.Route{
		Receiver: nobody, GroupByStr: []string{"host", "project"}, GroupBy: []model.LabelName{"host", "project"},
		GroupWait: duration(t.GroupWait), GroupInterval: duration(t.GroupInterval), RepeatInterval: duration(t.Repeat),
	}
	if len(sent.Routes) > 0 {
		root.Routes = append(root.Routes, sent)
	}
	if c.Route != nil { // below ours it must not take over our settings
		theirs, d := c.Route, dispatch.DefaultRouteOpts
		if theirs.GroupBy == nil && !theirs.GroupByAll {
			theirs.GroupBy = []model.LabelName{}
		}
		for at, otherwise := range map[**model.Duration]time.Duration{&theirs.GroupWait: d.GroupWait, &theirs.GroupInterval: d.GroupInterval, &theirs.RepeatInterval: d.RepeatInterval} {
			if *at == nil {
				*at = duration(otherwise)
			}
		}
		root.Routes = append(root.Routes, theirs)
	}
	c.Route = root
	c.Receivers = append(c.Receivers, config.Receiver{Name: nobody})
	return c, nil
}

// quoted are values that the reader of YAML cites, which could be secrets.
var quoted = regexp.MustCompile("`[^`]*`")

func unquoted(err error) error {
	return notify.NewScrubber().Error(errors.New(quoted.ReplaceAllString(err.Error(), "a value")))
}

func duration(d time.Duration) *model.Duration {
	m := model.Duration(d)
	return &m
}

func matchers(how labels.MatchType, name, value string) amcommon.Matchers {
	return amcommon.Matchers{&labels.Matcher{Type: how, Name: name, Value: value}}
}

// quietHours reads "22:00-07:00".
func quietHours(text string) (*timeinterval.TimeInterval, error) {
	if text == "" {
		return nil, nil
	}
	bad := fmt.Errorf("the quiet hours %q cannot be read; write them as 22:00-07:00", text)
	from, to, ok := strings.Cut(text, "-")
	if !ok {
		return nil, bad
	}
	start, err1 := minuteOf(from)
	end, err2 := minuteOf(to)
	if err1 != nil || err2 != nil || start == end {
		return nil, bad
	}
	const day = 24 * 60
	out := &timeinterval.TimeInterval{Location: &timeinterval.Location{Location: time.Local}}
	if start < end {
		out.Times = []timeinterval.TimeRange{{StartMinute: start, EndMinute: end}}
		return out, nil
	}
	if start < day {
		out.Times = append(out.Times, timeinterval.TimeRange{StartMinute: start, EndMinute: day})
	}
	if end > 0 {
		out.Times = append(out.Times, timeinterval.TimeRange{StartMinute: 0, EndMinute: end})
	}
	return out, nil
}

func minuteOf(text string) (int, error) {
	h, m, ok := strings.Cut(strings.TrimSpace(text), ":")
	hour, err1 := strconv.Atoi(h)
	minute, err2 := strconv.Atoi(m)
	if !ok || err1 != nil || err2 != nil || hour < 0 || hour > 24 || minute < 0 || minute > 59 || hour == 24 && minute > 0 || len(m) != 2 {
		return 0, errors.New("not a time")
	}
	return hour*60 + minute, nil
}

// secretsOf finds the secrets of a receiver of the file by their types, for the scrubber.
func secretsOf(r config.Receiver) (out []string) {
	seen := map[uintptr]bool{}
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if v.IsNil() || seen[v.Pointer()] {
				return
			}
			seen[v.Pointer()] = true
			if u, ok := v.Interface().(*amcommon.SecretURL); ok && u.URL != nil {
				out = append(out, urlSecrets(u.URL)...)
				return
			}
			walk(v.Elem())
		case reflect.Interface:
			if !v.IsNil() {
				walk(v.Elem())
			}
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Type().Field(i).IsExported() {
					walk(v.Field(i))
				}
			}
		case reflect.Slice:
			for i := range v.Len() {
				walk(v.Index(i))
			}
		case reflect.Map:
			for _, k := range v.MapKeys() {
				walk(v.MapIndex(k))
			}
		case reflect.String:
			if strings.HasPrefix(v.Type().Name(), "Secret") && v.String() != "" {
				out = append(out, v.String())
				if u, err := url.Parse(v.String()); err == nil && u.Host != "" {
					out = append(out, urlSecrets(u)...)
				}
			}
		}
	}
	walk(reflect.ValueOf(r))
	return out
}

func urlSecrets(u *url.URL) (out []string) {
	if u.User != nil {
		password, _ := u.User.Password()
		out = append(out, u.User.Username(), password)
	}
	out = append(out, strings.Trim(u.Path, "/"), u.RawQuery)
	return append(out, strings.Split(strings.Trim(u.Path, "/"), "/")...)
}
