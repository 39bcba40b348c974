// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"tallyman"
	"tallyman/query"
	"tallyman/receive"
)

// Windows for samples that come late: of this host those of a clock that was set back, of
// others what they could not send.
const (
	lateOwn    = 3 * time.Hour
	lateOthers = 24 * time.Hour
)

// openReceive makes what takes what agents send, if that is wanted.
func (a *app) openReceive() {
	if !a.cfg.Receive.Agents || a.samples == nil {
		return
	}
	a.ofAgents = a.intake.Intake("agent")
	a.receive = receive.New(receive.Options{
		Host: a.cfg.Host, Store: a.samples, Records: func(b *tallyman.RecordBatch) error { return a.ofAgents.AppendRecords(b) },
		Shows: query.Shows, Log: a.log.With("part", "receive"),
	})
	a.add(part{name: "receive", metrics: a.receive.SelfMetrics()})
}
