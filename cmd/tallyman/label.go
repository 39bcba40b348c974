// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"tallyman"
	"tallyman/catalog"
	"tallyman/discover/plugin"
)

type checkLabelCmd struct {
	Label string `arg:"" help:"KEY=VALUE, or the value of tallyman.plugins alone." placeholder:"LABEL"`
	Image bool   `help:"The label stands in an image, which is trusted less."`
	settings
}

// Run reads a label as that of a container and says what it would start, or what is wrong.
func (c *checkLabelCmd) Run(out io.Writer) error {
	key, value := plugin.Prefixes[1], c.Label
	if k, v, ok := strings.Cut(c.Label, "="); ok && !strings.ContainsAny(k, `[{"' `) {
		key, value = k, v
	}
	return c.settings.checkLabels(out, [][2]string{{key, value}}, c.Image)
}

type checkDockerfileCmd struct {
	File string `arg:"" optional:"" default:"Dockerfile" help:"The file." placeholder:"FILE"`
	settings
}

// Run reads the labels of a Dockerfile.
func (c *checkDockerfileCmd) Run(out io.Writer) error {
	text, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	labels, err := plugin.Labels(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if len(labels) == 0 {
		fmt.Fprintf(out, "%s has no label that begins with %s\n", c.File, strings.Join(plugin.Prefixes, " or "))
		return nil
	}
	return c.settings.checkLabels(out, labels, true)
}

// checkLabels says what labels would start, and fails when one has a mistake.
func (s *settings) checkLabels(out io.Writer, labels [][2]string, image bool) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	all, err := catalog.Default()
	if err != nil {
		return err
	}
	book, err := pluginBook(cfg.Plugins, all.Services)
	if err != nil {
		return err
	}
	origin := tallyman.FromRunLabel
	if image {
		origin = tallyman.FromImageLabel
	}
	bad := false
	for _, l := range labels {
		if !strings.HasPrefix(l[0], plugin.Prefixes[0]) && !strings.HasPrefix(l[0], plugin.Prefixes[1]) {
			return fmt.Errorf("the key %q names no plugins; it has to begin with %s", l[0], strings.Join(plugin.Prefixes, " or "))
		}
		wishes, none, mistakes := book.Label(l[0], l[1], origin)
		for _, m := range mistakes {
			word := "wrong"
			if m.Warning {
				word = "warning"
			} else {
				bad = true
			}
			fmt.Fprintf(out, "%s: %s\n", word, m.Error())
		}
		if none {
			fmt.Fprintf(out, "%s: switches off labels, conventions and detection\n", l[0])
		}
		for _, w := range wishes {
			fmt.Fprintf(out, "%s: %s asks %s each %v (%s)\n", l[0], w.Kind.Name, w.Where(), w.Config.Duration("INTERVAL", w.Kind.Every), w.Config)
		}
	}
	if bad {
		return errors.New("a label cannot be followed")
	}
	return nil
}
