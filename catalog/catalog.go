// SPDX-License-Identifier: Apache-2.0

// Package catalog lists every kind of source that tallyman has. The list is
// generated from the folders (go generate ./catalog); a folder under source/
// that exports Kind is in it, and nothing else needs to be edited to add one.
// Only cmd and test import this package.
package catalog

//go:generate go run gen.go

import (
	"fmt"

	"tallyman"
)

// Catalog is a list of kinds without two of the same name.
type Catalog struct {
	Sources []tallyman.SourceKind
}

// Default is the catalog of everything in this tree.
func Default() (Catalog, error) { return New(sources()) }

// New makes a catalog of kinds. Two of the same name, and two metrics of the
// same name with different descriptions, are errors.
func New(kinds []tallyman.SourceKind) (Catalog, error) {
	seen := map[string]bool{}
	metrics := map[string]*tallyman.Desc{}
	for _, k := range kinds {
		if seen[k.Name] {
			return Catalog{}, fmt.Errorf("catalog: two sources are called %q", k.Name)
		}
		seen[k.Name] = true
		for _, d := range k.Metrics {
			if other, ok := metrics[d.Name]; ok && other != d {
				return Catalog{}, fmt.Errorf("catalog: metric %s is described twice, last by source %q", d.Name, k.Name)
			}
			metrics[d.Name] = d
		}
	}
	return Catalog{Sources: kinds}, nil
}

// Metrics are the descriptions of every metric of every source, by name.
func (c Catalog) Metrics() map[string]*tallyman.Desc {
	m := map[string]*tallyman.Desc{}
	for _, k := range c.Sources {
		for _, d := range k.Metrics {
			m[d.Name] = d
		}
	}
	return m
}
