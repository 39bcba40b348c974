// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"time"

	"tallyman"
	"tallyman/config"
	"tallyman/doctor"
	"tallyman/inventory"
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
		Heard: func(host string) { a.hosts.Heard(host) }, Stored: a.ofOthers, Shows: query.Shows, Log: a.log.With("part", "receive"),
	})
	a.add(part{name: "receive", metrics: a.receive.SelfMetrics()})
}

// openHosts makes the inventory of all hosts of a hub, and of this one alone elsewhere.
func (a *app) openHosts(ctx context.Context) error {
	a.known = a.discovery
	if a.receive == nil {
		return nil
	}
	a.hosts = inventory.NewHosts(inventory.HostsOptions{
		Own: a.discovery, Wanted: a.hostsWithToken, Forget: a.receive.Forget, File: filepath.Join(a.cfg.Data, "hosts.json"), Log: a.log.With("part", "hosts"),
	})
	a.known = a.hosts
	if err := a.hosts.Restore(ctx, a.records); err != nil {
		return err
	}
	a.add(part{name: "hosts", run: a.hosts.Run})
	return nil
}

// hostsWithToken are those whose agents may send here.
func (a *app) hostsWithToken() (out []string) {
	for _, w := range a.gate.Writers() {
		if w.Host != a.cfg.Host && !slices.Contains(out, w.Host) {
			out = append(out, w.Host)
		}
	}
	return out
}

// ofOthers takes what an agent has sent and is stored: its inventory, and its events for those
// who are told of them. The store has checked nothing of it.
func (a *app) ofOthers(host string, b *tallyman.RecordBatch) {
	for _, s := range b.Streams {
		switch s.Stream.Label("source") {
		case tallyman.SourceInventory:
			for _, r := range s.Records {
				if err := a.hosts.Take(host, r.Line); err != nil {
					a.log.Warn("an inventory cannot be read; is its tallyman of another release?", "host", host, "err", err)
				}
			}
		case tallyman.SourceEvent:
			for _, r := range s.Records {
				var e tallyman.Event
				if json.Unmarshal(r.Line, &e) != nil || e.Type == "" {
					continue // it is found as a line
				}
				e.Host, e.Engine = host, inventory.EngineName(host, e.Engine)
				a.others.ObserveEvent(e)
			}
		}
	}
}

// recent passes on events that are no older than an outage of moments: what comes after a long
// one is history, and no reason to wake anybody.
type recent struct{ to tallyman.EventObserver }

const recentFor = 5 * time.Minute

// ObserveEvent implements tallyman.EventObserver.
func (r recent) ObserveEvent(e tallyman.Event) {
	if time.Since(e.Time) < recentFor {
		r.to.ObserveEvent(e)
	}
}

// absencesOf are what cannot be known of a container, here or on its host.
func (a *app) absencesOf(t tallyman.TargetKey) []tallyman.Absence {
	if a.hosts != nil && t.Kind == tallyman.ContainerTarget {
		if absent, known := a.hosts.Absences(t.ID); known {
			return absent
		}
	}
	return a.absences(t)
}

// agents tells the doctor how the hosts are that send here; nil for one that takes nothing.
func (a *app) agents() func() []doctor.Agent {
	if a.hosts == nil {
		return nil
	}
	return func() (out []doctor.Agent) {
		for _, h := range a.hosts.List() {
			out = append(out, doctor.Agent{Host: h.Name, Heard: h.Heard, Silent: h.Silent})
		}
		return out
	}
}

// openTeller makes what tells others which containers there are here, if records are sent on.
func (a *app) openTeller() {
	if !slices.ContainsFunc(a.cfg.Forward.To, func(d config.Destination) bool { return d.Sends("logs") }) {
		return
	}
	t := inventory.NewTeller(inventory.TellerOptions{Host: a.cfg.Host, Inventory: a.discovery, Absences: a.absences, Records: a.intake.Intake("inventory"), Log: a.log.With("part", "inventory")})
	a.discovery.ObserveContainers(t)
	a.discovery.ObserveEngines(t)
	a.add(part{name: "inventory", run: t.Run})
}
