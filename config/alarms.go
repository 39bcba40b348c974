// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"tallyman"
	"tallyman/internal/nearest"
)

// Alarms says what is alarmed of, and who is told.
type Alarms struct {
	// Evaluate rules and send notifications. An agent that keeps neither metrics nor
	// logs, and has nobody to tell, does neither. Default true.
	Enabled bool `yaml:"enabled"`
	// Who is told: one line each, as https://host/path, smtp://user:pass@host:587/?to=ops@example.org,
	// slack://…, telegram://…, ntfy://… Default nobody.
	Notify []string `yaml:"notify"`
	// Time of the day in which only what is critical is sent, as 22:00-07:00, in the
	// host's time zone. Default none.
	QuietHours string `yaml:"quiet_hours"`
	// Address of this page as others reach it, for links. Default http:// and the
	// setting listen.
	ExternalURL string `yaml:"external_url"`
	// Address that is asked each minute while all works, for a dead man's switch at
	// somebody else's. Default none.
	Heartbeat string `yaml:"heartbeat"`
	// Files of rules in Prometheus' format; a pattern stands for several. Default none.
	RulesFiles []string `yaml:"rules_files"`
	// Files of rules in the format of Loki's ruler. Default none.
	LogRules []string `yaml:"log_rules"`
	// Changes of the default rules by name: off, or for, severity and threshold.
	// Default none.
	Rules AlarmRules `yaml:"rules"`
	// Have the default rules. Default true.
	Defaults bool `yaml:"defaults"`
	// File of Alertmanager's own format, whose routes and receivers come after those
	// of notify. Default none.
	AlertmanagerConfig string `yaml:"alertmanager_config"`
	// Containers of which nothing is alarmed, as for include. Default none.
	Exclude []string `yaml:"exclude"`
	// Series that alarms, open problems and recording rules may have in the store of
	// metrics at a time, at least 100; 0 for none at all. Default 5000.
	Series int `yaml:"series"`
}

// AlarmRules are changes of default rules by name.
type AlarmRules map[string]AlarmRule

// AlarmRule is the change of one rule.
type AlarmRule struct {
	Off       bool
	For       *time.Duration
	Severity  string
	Threshold *float64
}

// UnmarshalYAML reads off, or some of for, severity and threshold.
func (r *AlarmRule) UnmarshalYAML(b []byte) error {
	switch unquote(b) {
	case "off", "false":
		r.Off = true
		return nil
	case "on", "true":
		return nil
	}
	var fields map[string]any
	if err := yaml.Unmarshal(b, &fields); err != nil {
		return fmt.Errorf("%q is no change of a rule; write off, or for example {for: 30m, severity: info, threshold: 0.9}", strings.TrimSpace(string(b)))
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		text := fmt.Sprint(fields[key])
		switch key {
		case "for":
			d, err := parseDuration(text)
			if err != nil {
				return err
			}
			r.For = &d
		case "severity":
			r.Severity = text
		case "threshold":
			n, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return fmt.Errorf("threshold: %q is no number", text)
			}
			r.Threshold = &n
		default:
			known := []string{"for", "severity", "threshold"}
			return fmt.Errorf("there is no setting %q of a rule; did you mean %q?", key, nearest.Of(key, known))
		}
	}
	return nil
}

var quietHours = regexp.MustCompile(`^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$`)

// check finds what cannot work.
func (a *Alarms) check() error {
	if a.QuietHours != "" && !quietHours.MatchString(a.QuietHours) {
		return fmt.Errorf("alarms.quiet_hours: %q is no time of the day; write for example 22:00-07:00", a.QuietHours)
	}
	for key, text := range map[string]string{"external_url": a.ExternalURL, "heartbeat": a.Heartbeat} {
		if text == "" {
			continue
		}
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("alarms.%s: an address is needed that begins with http:// or https://", key)
		}
	}
	for key, files := range map[string][]string{"rules_files": a.RulesFiles, "log_rules": a.LogRules} {
		for i, f := range files {
			if _, err := path.Match(f, ""); err != nil || !path.IsAbs(f) {
				return fmt.Errorf("alarms.%s[%d]: %q is no path; write for example /etc/tallyman/rules/*.yaml", key, i, f)
			}
		}
	}
	if a.AlertmanagerConfig != "" && !path.IsAbs(a.AlertmanagerConfig) {
		return errors.New("alarms.alertmanager_config: a path that begins with a slash is needed")
	}
	if a.Series != 0 && a.Series < 100 {
		return fmt.Errorf("alarms.series: %d is too little; write at least 100, or 0 for none", a.Series)
	}
	_, err := parsePatterns("alarms.exclude", a.Exclude)
	return err
}

// NotAlarmed reports of which containers nothing is alarmed by the setting.
func (c *Config) NotAlarmed() (func(k *tallyman.Container) bool, error) {
	patterns, err := parsePatterns("alarms.exclude", c.Alarms.Exclude)
	if err != nil {
		return nil, err
	}
	return func(k *tallyman.Container) bool {
		return slices.ContainsFunc(patterns, func(p pattern) bool { return p.matches(k) })
	}, nil
}
