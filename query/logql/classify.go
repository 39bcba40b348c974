// SPDX-License-Identifier: Apache-2.0

package logql

import (
	"hash/maphash"

	"tallyman"
)

// classifier finds the series of a line.
type classifier struct {
	t      *table
	group  *Grouping
	labels *interner
	fixed  *sum
	bySet  map[*LabelSet]*sum
	seed   maphash.Seed
	byHash map[uint64]*grouped
	last   *grouped
}

// grouped is a series with the values of the labels it is grouped by.
type grouped struct {
	values []string
	s      *sum
}

func (c *classifier) of(l *line) (*sum, error) {
	if c.group == nil || c.group.Without {
		return c.ofSet(c.labels.of(l))
	}
	if c.last != nil && c.is(c.last, l) {
		return c.last.s, nil
	}
	if c.byHash == nil {
		c.byHash, c.seed = map[uint64]*grouped{}, maphash.MakeSeed()
	}
	var h maphash.Hash
	h.SetSeed(c.seed)
	for _, name := range c.group.Labels {
		v, _ := l.get(name)
		_, _ = h.WriteString(v) // never fails
		_ = h.WriteByte(0xff)
	}
	sum := h.Sum64()
	if g, ok := c.byHash[sum]; ok && c.is(g, l) {
		c.last = g
		return g.s, nil
	}
	g := &grouped{}
	var labels Labels
	for _, name := range c.group.Labels {
		v, _ := l.get(name)
		v = string([]byte(v))
		g.values = append(g.values, v)
		if v != "" && labels.Get(name) == "" {
			labels = append(labels, tallyman.Label{Name: name, Value: v})
		}
	}
	var err error
	if g.s, err = c.t.of(sortLabels(labels)); err != nil {
		return nil, err
	}
	c.byHash[sum], c.last = g, g
	return g.s, nil
}

func (c *classifier) is(g *grouped, l *line) bool {
	for i, name := range c.group.Labels {
		if v, _ := l.get(name); v != g.values[i] {
			return false
		}
	}
	return true
}

func (c *classifier) ofSet(set *LabelSet) (*sum, error) {
	if s, ok := c.bySet[set]; ok {
		return s, nil
	}
	labels := set.All
	if c.group != nil {
		labels = labels.only(c.group.Labels, true).nonEmpty()
	}
	s, err := c.t.of(labels)
	if err != nil {
		return nil, err
	}
	if c.bySet == nil || len(c.bySet) >= maxSets {
		c.bySet = map[*LabelSet]*sum{}
	}
	c.bySet[set] = s
	return s, nil
}
