// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"reflect"
	"time"
)

// bound is what a setting that is a duration or a size may be.
type bound struct {
	key   string
	least int64
	most  int64  // of whole seconds, 0 for none
	zero  string // what 0 stands for, empty when it is not possible
	// mostOf is in place of most, and mostIs what it is called.
	mostOf func(*Config) int64
	mostIs string
}

const (
	second = int64(time.Second)
	hour   = int64(time.Hour)
	mib    = int64(1 << 20)
)

// bounds are those of every duration and size.
var bounds = []bound{
	{key: "interval", least: second, most: 5 * 60 * second},
	{key: "live_interval", least: second, mostOf: func(c *Config) int64 { return int64(c.Interval) }, mostIs: "the interval"},
	{key: "retention.metrics.time", least: hour, zero: "no limit"},
	{key: "retention.metrics.size", least: 16 * mib, zero: "no limit"},
	{key: "retention.logs.time", least: hour, zero: "no limit"},
	{key: "retention.logs.size", least: 16 * mib, zero: "no limit"},
	{key: "retention.events.time", least: hour, zero: "no limit"},
	{key: "retention.events.size", least: 16 * mib, zero: "no limit"},
	{key: "limits.streams.memory", least: mib},
	{key: "logs.backlog", least: 64 << 10},
	{key: "forward.amqp.buffer", least: 64 << 10},
	{key: "forward.amqp.max_age", least: hour, zero: "no limit"},
	{key: "forward.webhook.buffer", least: 64 << 10},
	{key: "forward.webhook.max_age", least: hour, zero: "no limit"},
	{key: "spool.size", least: mib},
	{key: "spool.time", least: 60 * second, zero: "no limit"},
}

// checkBounds finds durations and sizes that cannot work.
func (c *Config) checkBounds() error {
	for _, b := range bounds {
		if err := b.check(c); err != nil {
			return fmt.Errorf("%s: %w", b.key, err)
		}
	}
	return nil
}

func (b *bound) check(c *Config) error {
	one, _ := find(b.key)
	n := reflect.ValueOf(c).Elem().FieldByIndex(one.index).Int()
	text := func(n int64) string {
		if one.kind == reflect.TypeFor[Bytes]() {
			return Bytes(n).String()
		}
		return time.Duration(n).String()
	}
	or := ""
	if b.zero != "" {
		or = ", or 0 for " + b.zero
	}
	most, upTo := b.most, text(b.most)
	if b.mostOf != nil {
		most = b.mostOf(c)
		upTo = b.mostIs + " (" + text(most) + ")"
	}
	switch {
	case n == 0 && b.zero != "":
		return nil
	case most > 0 && (n < b.least || n > most || n%second != 0):
		return fmt.Errorf("%s is not possible; write whole seconds from %s to %s", text(n), text(b.least), upTo)
	case n < b.least:
		return fmt.Errorf("%s is too little; write at least %s%s", text(n), text(b.least), or)
	}
	return nil
}
