// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"

	"tallyman"
	"tallyman/api/service"
	"tallyman/attach/services"
	"tallyman/catalog"
	"tallyman/config"
	"tallyman/discover/plugin"
)

// laterPlugins are types that users of such monitors know and that have no plugin yet.
var laterPlugins = []string{
	"ACTIVEMQ", "CASSANDRA", "ELASTIC", "ELASTICSEARCH", "JBOSS", "JMX", "JOLOKIA", "KAFKA", "LOG", "LOGPLUGIN", "MONGO", "MONGODB", "OPENSEARCH",
	"SENTRY", "SENTRYPLUGIN", "SOLR", "TOMCAT",
}

// pluginBook decides which plugins fit a container, as the configuration has it.
func pluginBook(cfg config.Plugins, kinds []tallyman.ServiceKind) (*plugin.Book, error) {
	o := plugin.Options{ExecFromImages: cfg.ExecFromImageLabels, Detect: cfg.Detect, Conventions: cfg.Conventions, Later: laterPlugins, Secrets: cfg.Secrets, Getenv: os.Getenv}
	for i, r := range cfg.Rules {
		one := plugin.Rule{Name: r.Name, Image: r.Image, Tag: r.Tag, Labels: r.Match.Labels, Env: r.Match.Env, Names: r.Match.Names, Process: r.Match.Process, Exclude: r.Exclude}
		if one.Name == "" {
			one.Name = fmt.Sprintf("plugins.rules[%d]", i)
		}
		for n, entry := range r.Plugins {
			// A rule has the form of a label, so it is read as one.
			text, err := json.Marshal([]any{entry})
			if err != nil {
				return nil, fmt.Errorf("%s, entry %d: %w", one.Name, n+1, err)
			}
			list, err := plugin.Entries(one.Name, string(text))
			if err != nil {
				return nil, fmt.Errorf("%s, entry %d: %w", one.Name, n+1, err)
			}
			one.Plugins = append(one.Plugins, list...)
		}
		o.Rules = append(o.Rules, one)
	}
	b, err := plugin.New(kinds, o)
	if err != nil {
		return nil, fmt.Errorf("plugins.rules: %w", err)
	}
	return b, nil
}

// openServices makes what runs the plugins, if they are wanted.
func (a *app) openServices(all catalog.Catalog) error {
	book, err := pluginBook(a.cfg.Plugins, all.Services)
	if err != nil || !a.cfg.Plugins.Enabled {
		return err
	}
	p := a.cfg.Plugins
	a.services = services.New(services.Options{
		Choose: book.Choose, Resolve: book.Resolve, Descs: a.descs, Engines: a.discovery, Executor: a.discovery, Emit: a.bus.ObserveEvent,
		Trust:  services.Trust{Elsewhere: p.Elsewhere, LinkLocal: p.LinkLocal},
		Limits: services.Limits{PerContainer: p.PerContainer, PerHost: p.PerHost, Series: p.Series, Text: p.SeriesPerText},
		Proc:   a.machine.Proc, Log: a.log,
	})
	a.serviceRoutes = service.New(service.Options{Status: a.services.Status, Mistakes: a.services.Mistakes, Inventory: a.discovery, Kinds: all.Services, Check: book.Label}).Routes()
	a.add(part{name: "services", run: a.services.Run, metrics: a.services.SelfMetrics()})
	return nil
}
