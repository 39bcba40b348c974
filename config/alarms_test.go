// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"
	"testing"
	"time"
)

func TestAlarms(t *testing.T) {
	c, err := load(t, "alarms:\n  notify: [ntfy://ntfy.example/alarms]\n  quiet_hours: \"22:00-07:00\"\n  rules: {ContainerCPUThrottled: {for: 30m, severity: info}, ContainerPaused: off, HostDiskFillsUp: {threshold: 0.15}}\n", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := c.Alarms.Rules
	if len(r) != 3 || *r["ContainerCPUThrottled"].For != 30*time.Minute || r["ContainerCPUThrottled"].Severity != "info" || !r["ContainerPaused"].Off || *r["HostDiskFillsUp"].Threshold != 0.15 {
		t.Errorf("rules: %+v", r)
	}
	if c, err := load(t, "", []string{"TALLYMAN_ALARMS_RULES={ContainerPaused: off}", "TALLYMAN_ALARMS_NOTIFY=https://a.example/x,https://b.example/y"}, nil); err != nil || !c.Alarms.Rules["ContainerPaused"].Off || len(c.Alarms.Notify) != 2 {
		t.Errorf("from the environment: %+v, %v", c.Alarms, err)
	}
	for text, want := range map[string]string{
		"quiet_hours: 22-7":             "22:00-07:00",
		"external_url: mon.example":     "http://",
		"heartbeat: ftp://x/y":          "http://",
		"rules_files: [rules/*.yaml]":   "alarms.rules_files[0]",
		"rules: {A: {wait: 5m}}":        `no setting "wait"`,
		"rules: {A: {for: soon}}":       "no duration",
		"rules: {A: {threshold: much}}": "no number",
		"exclude: [\"colour:red\"]":     "alarms.exclude[0]",
		"alertmanager_config: am.yaml":  "alarms.alertmanager_config",
		"series: 7":                     "at least 100",
		"notifi: [https://a.example]":   "alarms.notify",
	} {
		if _, err := load(t, "alarms: {"+text+"}", nil, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
