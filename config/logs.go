// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"tallyman"
	"tallyman/internal/logrule"
)

// LogFile is a log of the host that is a plain text file, or several that fit a
// pattern.
type LogFile struct {
	// Path of the file, or a pattern: * stands for any text but a slash, ? for
	// one character, [a-z] for one of those. A file that fits several entries
	// is read once, as the first of them says. Needed.
	Path string `yaml:"path"`
	// What the first line of an entry looks like; lines that do not belong to
	// the entry before. Default every line is an entry.
	Start string `yaml:"start"`
	// Where the level stands: a pattern whose first group is the level. Default
	// it is found in the text.
	Level string `yaml:"level"`
	// What is taken out before a line is stored: patterns, of which the groups
	// or else all is taken out, or secrets for what looks like one. Default none.
	Redact []string `yaml:"redact"`
}

// LogRule is what is asked for the logs of some containers or units.
type LogRule struct {
	// Which logs: image:nginx*, name:test-? or label:team=green* for
	// containers, unit:ssh* for units of the journal. Needed.
	Match string `yaml:"match"`
	// Log files inside of the container, paths or patterns. Default none.
	Files []string `yaml:"files"`
	// As for files of the host.
	Start string `yaml:"start"`
	// As for files of the host.
	Level string `yaml:"level"`
	// As for files of the host.
	Redact []string `yaml:"redact"`
}

// Journal says what is taken from systemd's journal.
type Journal struct {
	// Units whose lines are kept, and kernel for the kernel's; * for all, none
	// for no unit. Containers with the log driver journald are read in any case.
	// Default docker.service, containerd.service, kernel.
	Units []string `yaml:"units"`
	// Directory of the journal's files. Default where the host keeps them.
	Directory string `yaml:"directory"`
}

// Kernel stands for the kernel's messages among units of the journal.
const Kernel = "kernel"

// HostLog is a pattern of files of the host with what is asked for their lines.
type HostLog struct {
	Pattern string
	Rule    *logrule.Rule // nil for nothing
}

// HostLogs are the plain files of the host that are logs.
func (c *Config) HostLogs() (out []HostLog, err error) {
	for i, f := range c.Logs.Files {
		if f.Path == "" {
			return nil, fmt.Errorf("logs.files[%d]: path is missing; write for example path: /var/log/*.log", i)
		}
		if err := logrule.CheckPath(f.Path); err != nil {
			return nil, fmt.Errorf("logs.files[%d]: path: %w", i, err)
		}
		r, err := logrule.Compile(logrule.Text{Start: f.Start, Level: f.Level, Redact: f.Redact})
		if err != nil {
			return nil, fmt.Errorf("logs.files[%d]: %w", i, err)
		}
		out = append(out, HostLog{path.Clean(f.Path), r})
	}
	return out, nil
}

// LogRules are the rules for the logs of containers and units.
func (c *Config) LogRules() (out []logrule.Matched, err error) {
	for i, l := range c.Logs.Rules {
		m := logrule.Matched{}
		if unit, ok := strings.CutPrefix(l.Match, "unit:"); ok && unit != "" {
			m.Unit = func(name string) bool { return glob(unit, name) }
			if len(l.Files) > 0 {
				return nil, fmt.Errorf("logs.rules[%d]: a unit has no files; name them under logs.files", i)
			}
		} else {
			p, err := parsePattern(l.Match)
			if err != nil {
				return nil, fmt.Errorf("logs.rules[%d]: match: %q is no pattern: %w; write for example image:nginx*, name:test-*, label:team=green or unit:ssh*", i, l.Match, err)
			}
			m.Container = func(k *tallyman.Container) bool { return p.matches(k) }
		}
		if m.Rule, err = logrule.Compile(logrule.Text{Files: l.Files, Start: l.Start, Level: l.Level, Redact: l.Redact}); err != nil {
			return nil, fmt.Errorf("logs.rules[%d]: %w", i, err)
		}
		if m.Rule == nil {
			return nil, fmt.Errorf("logs.rules[%d]: it asks for nothing; write files, start, level or redact", i)
		}
		out = append(out, m)
	}
	return out, nil
}

// checkLogs finds what cannot work.
func (c *Config) checkLogs() error {
	if _, err := c.HostLogs(); err != nil {
		return err
	}
	for i, u := range c.Logs.Journal.Units {
		if u == "" || strings.ContainsAny(u, " =+/\n") || strings.HasPrefix(u, "-") {
			return fmt.Errorf("logs.journal.units[%d]: %q is no name of a unit; write for example ssh.service, kernel, or * for all", i, u)
		}
	}
	if d := c.Logs.Journal.Directory; d != "" && !path.IsAbs(d) {
		return errors.New("logs.journal.directory: a path that begins with a slash is needed; write for example /var/log/journal")
	}
	_, err := c.LogRules()
	return err
}
