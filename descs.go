// SPDX-License-Identifier: Apache-2.0

package tallyman

import (
	"maps"
	"strings"
	"sync"
)

// maxHelp is how many bytes of a stranger's help are kept.
const maxHelp = 256

// Descs are descriptions by name: those of the catalog, and those of metrics that only a
// text names, such as a service's or an engine's own. A name has one description, whoever
// asks. Its methods may be called from any goroutine.
type Descs struct {
	mu sync.Mutex
	by map[string]*Desc
}

// NewDescs begins with what is known by name.
func NewDescs(known map[string]*Desc) *Descs { return &Descs{by: maps.Clone(known)} }

// Add makes a description known by its name, in place of another one.
func (d *Descs) Add(all ...*Desc) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.by == nil {
		d.by = map[string]*Desc{}
	}
	for _, one := range all {
		d.by[one.Name] = one
	}
}

// All are those that are known now.
func (d *Descs) All() map[string]*Desc {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.by)
}

// Of is the description of a name; the first one stands. The help of a stranger is bounded.
func (d *Descs) Of(name string, typ MetricType, help string) *Desc {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.by == nil {
		d.by = map[string]*Desc{}
	}
	one := d.by[name]
	if one == nil {
		help = strings.ToValidUTF8(help[:min(len(help), maxHelp)], "")
		one = &Desc{Name: name, Type: typ, Help: strings.ReplaceAll(help, "\n", " ")}
		d.by[name] = one
	}
	return one
}
