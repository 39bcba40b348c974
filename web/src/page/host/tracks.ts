// SPDX-License-Identifier: Apache-2.0

import type { Line } from "../../chart/plot";
import type { Section } from "../../chart/stack";
import type { TrackSpec } from "../../chart/track";
import { bytes, cores, count, counted, digits, plain, rate, size } from "../../format/number";
import { actions, networkActions, states } from "./queries";
import { type Resource, type Seats, slots } from "./shares";

/** What the charts are told beside their samples. */
export interface Known {
  seats: Seats;
  /** How many containers took something. */
  counts: Record<Resource, number>;
  nameOf(workload: string): string;
  hrefOf(workload: string): string | undefined;
  /** Why something is not known here, in the doctor's words. */
  why(feature: string, otherwise: string): string;
  /** Whether the engines' own metrics are there, the host's counters, and what containers take of each resource. */
  measured: boolean;
  counters: boolean;
  shared: Record<Resource, boolean>;
}

const noUnit = (text: string) => ({ n: text, unit: "" });
const perSecond = (v: number) => ({ n: v > 0 && v < 10 ? digits(v) : count(v), unit: "/s" });
const milliseconds = (v: number) => (v < 1 ? { n: plain(v * 1000), unit: "ms" } : { n: plain(v), unit: "s" });
const share = (v: number) => ({ n: (v * 100).toFixed(v > 0 && v < 0.0995 ? 1 : 0), unit: "%" });

const looks: Record<Resource, Pick<TrackSpec, "title" | "note" | "height" | "base" | "least" | "tick" | "value"> & { total?: string }> = {
  cpu: { title: "CPU", note: "cores, by container", height: 164, base: "decimal", least: 0.04, tick: plain, value: (v) => noUnit(cores(v)), total: "all cores" },
  memory: { title: "Memory", note: "by container", height: 164, base: "binary", least: 1 << 20, tick: size, value: bytes, total: "all memory" },
  network: { title: "Network", note: "sent and received", height: 150, base: "binary", least: 1024, tick: (v) => size(v) + "/s", value: rate },
  disk: { title: "Disk", note: "read and written", height: 150, base: "binary", least: 1024, tick: (v) => size(v) + "/s", value: rate },
};

const noSamples = "There are no samples of it in this range.";

function shareSection(r: Resource, k: Known): Section {
  const { total, ...look } = looks[r];
  const row = k.seats[r];
  const drawn = row.filter((w) => w !== undefined).length;
  const others = Math.max(0, k.counts[r] - drawn);
  const lines: Line[] = [
    ...slots.map((color, i): Line => {
      const w = row[i];
      return { series: r + i, name: w === undefined ? "" : k.nameOf(w), href: w === undefined ? undefined : k.hrefOf(w), color, kind: "stack" };
    }),
    { series: `${r}Others`, name: others > 0 ? counted(others, "other", "others") : "others", color: "c6", kind: "stack" },
    ...(r === "network" ? [] : [{ series: `${r}Rest`, name: "not in containers", color: "c8", kind: "stack" } as Line]),
    ...(r === "network" ? [] : [{ series: `${r}Whole`, name: "whole host", color: "c8", kind: "stack" } as Line]),
    ...(r === "network" ? [{ series: "networkOuter", name: "through interfaces", color: "text", kind: "line" } as Line] : []),
    ...(total ? [{ series: `${r}Free`, name: "free", color: "", kind: "named" } as Line, { series: `${r}Total`, name: total, color: "limit", kind: "limit" } as Line] : []),
  ];
  const unknown: Record<Resource, TrackSpec["unknown"]> = {
    cpu: [],
    memory: [],
    network: [
      { name: "not in containers", why: "What containers send to each other does not go through an interface of the host, so the two cannot be taken from each other. The line has what goes through the host's interfaces." },
      { name: "free", why: "What the network could carry is not known to the host." },
    ],
    disk: [{ name: "free", why: "What a disk could do at most is not known to the host; pressure of IO tells when it is too little." }],
  };
  const feature = { cpu: "container/cpu", memory: "container/cpu", network: "container/network", disk: "container/blockio" }[r];
  const missing = k.why(feature, noSamples);
  const lacks = [...unknown[r]!];
  if (!k.shared[r]) lacks.unshift({ name: "containers", why: missing });
  if (!k.counters && total) for (const name of ["not in containers", "free"]) lacks.push({ name, why: k.why("host/cpu", "The host's own counters cannot be read from here.") });
  return { spec: { id: r, ...look, lines, unknown: lacks }, missing };
}

const line = (series: string, name: string, color: string, kind: Line["kind"] = "line"): Line => ({ series, name, color, kind });

const pressure: TrackSpec = {
  id: "pressure",
  title: "Pressure",
  note: "tasks waited",
  height: 72,
  base: "decimal",
  least: 0.02,
  tick: (v) => `${plain(v * 100)} %`,
  value: share,
  lines: [line("pressureCpu", "for a CPU", "c1"), line("pressureMemory", "for memory", "c7"), line("pressureIo", "for disks", "c2")],
};

const track = (id: string, title: string, note: string, value: TrackSpec["value"], lines: Line[], more: Partial<TrackSpec> = {}): TrackSpec => ({ id, title, note, height: 72, base: "decimal", least: 1, tick: (v) => { const q = value(v); return q.unit && q.unit !== "/s" ? `${plain(Number(q.n))} ${q.unit}` : plain(Number(q.n.replaceAll(",", ""))) + q.unit; }, value, lines, ...more });

const ping = track("ping", "Engine", "time to answer", milliseconds, [line("ping", "ping", "c1")], { least: 0.002 });
const colors = ["c1", "c2", "c3", "c4", "c5", "c6"];

const engine: TrackSpec[] = [
  track("took", "Actions", "mean time", milliseconds, actions.map((a, i) => line(`took_${a}`, a, colors[i]!)), { least: 0.01, height: 84 }),
  track("did", "Actions", "how many", perSecond, actions.map((a, i) => line(`did_${a}`, a, colors[i]!, "stack")), { least: 0.1, height: 84 }),
  track("net", "Network actions", "mean time", milliseconds, networkActions.map((a, i) => line(`net_${a}`, a, colors[i]!)), { least: 0.01 }),
  track("states", "Containers", "by state", (v) => noUnit(count(v)), states.map((s, i) => line(`is_${s}`, s, colors[i]!, "stack")), { least: 2, height: 96 }),
  track("events", "Events", "checks, builds", perSecond, [line("events", "events", "c1"), line("checks", "health checks", "c3"), line("checksFailed", "failed checks", "c7"), line("builds", "builds", "c4"), line("buildsFailed", "failed builds", "c5")], { least: 0.1, height: 96 }),
  track("goroutines", "Goroutines", "and descriptors", (v) => noUnit(count(v)), [line("goroutines", "goroutines", "c1"), line("descriptors", "descriptors", "c3")], { least: 10 }),
];

/** The charts of a host, from top to bottom. */
export function sections(k: Known): Section[] {
  const more = engine.map((spec): Section => ({ spec, missing: "Nothing of it happened, or it was not measured, in this range." }));
  return [
    shareSection("cpu", k),
    shareSection("memory", k),
    { spec: pressure, missing: k.why("host/pressure", "There are no samples of pressure (PSI) in this range.") },
    shareSection("network", k),
    shareSection("disk", k),
    { spec: ping, missing: noSamples, ...(k.measured && { more: { label: "actions, containers, events, goroutines", sections: more } }) },
  ];
}
