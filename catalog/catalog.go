// SPDX-License-Identifier: Apache-2.0

// Package catalog lists every kind of source and every service plugin that tallyman has.
// The list is generated from the folders (go generate ./catalog); a folder under source/
// or service/ that exports Kind is in it, and nothing else needs to be edited to add one.
// Only cmd and test import this package.
package catalog

//go:generate go run gen.go

import (
	"fmt"

	"tallyman"
)

// Catalog is a list of kinds without two of the same name.
type Catalog struct {
	Sources  []tallyman.SourceKind
	Records  []tallyman.RecordKind
	Services []tallyman.ServiceKind
}

// Default is the catalog of everything in this tree.
func Default() (Catalog, error) { return New(sources(), records(), services()) }

// New makes a catalog of kinds. Two of the same name, and two metrics of the
// same name with different descriptions, are errors.
func New(sources []tallyman.SourceKind, records []tallyman.RecordKind, services []tallyman.ServiceKind) (Catalog, error) {
	seen := map[string]bool{}
	metrics := map[string]*tallyman.Desc{}
	add := func(name string, table []*tallyman.Desc) error {
		if seen[name] {
			return fmt.Errorf("catalog: two sources are called %q", name)
		}
		seen[name] = true
		for _, d := range table {
			if other, ok := metrics[d.Name]; ok && other != d {
				return fmt.Errorf("catalog: metric %s is described twice, last by source %q", d.Name, name)
			}
			metrics[d.Name] = d
		}
		return nil
	}
	for _, k := range sources {
		if err := add(k.Name, k.Metrics); err != nil {
			return Catalog{}, err
		}
	}
	for _, k := range records {
		if err := add(k.Name, k.Metrics); err != nil {
			return Catalog{}, err
		}
	}
	for _, k := range services {
		for _, name := range append([]string{k.Name}, k.Aliases...) {
			if seen[name] {
				return Catalog{}, fmt.Errorf("catalog: two plugins are called %q", name)
			}
			seen[name] = true
		}
		if err := add("service "+k.Name, k.Metrics); err != nil {
			return Catalog{}, err
		}
	}
	return Catalog{Sources: sources, Records: records, Services: services}, nil
}

// Metrics are the descriptions of every metric of every source, by name.
func (c Catalog) Metrics() map[string]*tallyman.Desc {
	m := map[string]*tallyman.Desc{}
	add := func(table []*tallyman.Desc) {
		for _, d := range table {
			m[d.Name] = d
		}
	}
	for _, k := range c.Sources {
		add(k.Metrics)
	}
	for _, k := range c.Records {
		add(k.Metrics)
	}
	for _, k := range c.Services {
		add(k.Metrics)
	}
	return m
}
