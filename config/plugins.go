// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"path/filepath"
)

// Plugins ask the services in containers.
type Plugins struct {
	// Ask services in containers at all. Default true.
	Enabled bool `yaml:"enabled"`
	// Find services by image, process and files, without being asked. Default true.
	Detect bool `yaml:"detect"`
	// Follow the container labels prometheus.io/scrape and the like. Default true.
	Conventions bool `yaml:"conventions"`
	// Let a label of an image run a command in its own container. Default true.
	ExecFromImageLabels bool `yaml:"exec_from_image_labels"`
	// Let labels of docker run name other machines; rules always may. Default false.
	Elsewhere bool `yaml:"elsewhere"`
	// Let anybody name link-local addresses, where clouds keep secrets. Default false.
	LinkLocal bool `yaml:"link_local"`
	// Directory of files that rules may refer to as ${agentfile:name}. Default none.
	Secrets string `yaml:"secrets"`
	// Plugins that run in one container at most. Default 16.
	PerContainer int `yaml:"per_container"`
	// Plugins that run in all at most. Default 512.
	PerHost int `yaml:"per_host"`
	// Series of one plugin. Default 2000.
	Series int `yaml:"series"`
	// Series of one plugin that reads Prometheus' text; one with more is refused. Default 10000.
	SeriesPerText int `yaml:"series_per_text"`
	// What runs in which containers, before any label. Default none.
	Rules []PluginRule `yaml:"rules"`
}

// PluginRule says what runs in the containers that fit it.
type PluginRule struct {
	// What the rule is called. Default its number.
	Name string `yaml:"name"`
	// Repository without registry, as bitnami/redis*, or re: and a regular expression. Default all.
	Image string `yaml:"image"`
	// Tag of the image, as 7.*. Default all.
	Tag string `yaml:"tag"`
	// What else must fit.
	Match PluginMatch `yaml:"match"`
	// Start nothing in these containers, not even by label. Default false.
	Exclude bool `yaml:"exclude"`
	// Plugins, in the form of labels: {PluginType: REDIS, Configuration: {PORT: ["6379"]}}.
	// Needed unless exclude is set.
	Plugins []map[string]any `yaml:"plugins"`
}

// PluginMatch are patterns that must all fit.
type PluginMatch struct {
	// Labels of the container, by key. Default none.
	Labels map[string]string `yaml:"labels"`
	// Name of the container. Default all.
	Names string `yaml:"names"`
	// Variables of the container, by name. Default none.
	Env map[string]string `yaml:"env"`
	// Name of a process in it. Default all.
	Process string `yaml:"process"`
}

// check finds what cannot work.
func (p *Plugins) check() error {
	for _, n := range []int{p.PerContainer, p.PerHost, p.Series, p.SeriesPerText} {
		if n < 1 {
			return errors.New("plugins: per_container, per_host, series and series_per_text are 1 or more")
		}
	}
	if p.Secrets != "" && !filepath.IsAbs(p.Secrets) {
		return fmt.Errorf("plugins.secrets: %q is no path from the root", p.Secrets)
	}
	return nil
}
