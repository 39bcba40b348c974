// SPDX-License-Identifier: Apache-2.0

import type { WorkloadSeries } from "../../chart/columns";
import type { Section } from "../../chart/stack";
import type { TrackSpec } from "../../chart/track";
import { bytes, cores, count, plain, rate, size } from "../../format/number";

const noUnit = (text: string) => ({ n: text, unit: "" });
const perSecond = (v: number) => ({ n: v > 0 && v < 10 ? v.toFixed(2) : count(v), unit: "/s" });

const cpu: TrackSpec<WorkloadSeries> = {
  id: "cpu",
  title: "CPU",
  note: "cores",
  height: 114,
  base: "decimal",
  least: 0.04,
  tick: plain,
  value: (v) => noUnit(cores(v)),
  lines: [
    { series: "cpuUser", name: "user", color: "c1", kind: "stack" },
    { series: "cpuSystem", name: "system", color: "c3", kind: "stack" },
    { series: "throttled", name: "throttled", color: "c7", kind: "line" },
    { series: "cpuLimit", name: "limit", color: "limit", kind: "limit" },
  ],
};

const pids: TrackSpec<WorkloadSeries> = {
  id: "pids",
  title: "Processes",
  note: "and threads",
  height: 56,
  base: "decimal",
  least: 4,
  tick: plain,
  value: (v) => noUnit(count(v)),
  lines: [{ series: "pids", name: "count", color: "c1", kind: "line" }],
};

const memory: TrackSpec<WorkloadSeries> = {
  id: "memory",
  title: "Memory",
  height: 126,
  base: "binary",
  least: 512 * 1024,
  tick: size,
  value: bytes,
  lines: [
    { series: "anon", name: "anonymous", color: "c1", kind: "stack" },
    { series: "cache", name: "page cache", color: "c3", kind: "stack" },
    { series: "kernel", name: "kernel", color: "c6", kind: "stack" },
    { series: "swap", name: "swap", color: "c2", kind: "stack" },
    { series: "workingSet", name: "working set", color: "text", kind: "line" },
    { series: "memoryPeak", name: "most ever", color: "", kind: "peak" },
    { series: "memoryLimit", name: "limit", color: "limit", kind: "limit" },
  ],
};

const network: TrackSpec<WorkloadSeries> = {
  id: "network",
  title: "Network",
  height: 84,
  base: "binary",
  least: 1024,
  tick: (v) => size(v) + "/s",
  value: rate,
  mirror: true,
  lines: [
    { series: "tx", name: "sent", color: "c1", kind: "area" },
    { series: "rx", name: "received", color: "c2", kind: "down" },
  ],
};

const blockIO: TrackSpec<WorkloadSeries> = {
  id: "blkio",
  title: "Block IO",
  height: 84,
  base: "binary",
  least: 1024,
  tick: (v) => size(v) + "/s",
  value: rate,
  mirror: true,
  lines: [
    { series: "blkWrite", name: "written", color: "c1", kind: "area" },
    { series: "blkRead", name: "read", color: "c2", kind: "down" },
  ],
};

const faults = (id: string, title: string, sent: "txErrors" | "txDropped", received: "rxErrors" | "rxDropped"): TrackSpec<WorkloadSeries> => ({
  id,
  title,
  note: "packets",
  height: 64,
  base: "decimal",
  least: 1,
  tick: (v) => plain(v) + "/s",
  value: perSecond,
  mirror: true,
  lines: [
    { series: sent, name: "sent", color: "c1", kind: "area" },
    { series: received, name: "received", color: "c2", kind: "down" },
  ],
});

const errors = faults("errors", "Errors", "txErrors", "rxErrors");
const drops = faults("drops", "Drops", "txDropped", "rxDropped");

const notMeasured = "There are no samples of it in this range.";

/** The charts of a container, from top to bottom; why is the reason for what cannot be known. */
export function sections(why: (what: string, otherwise: string) => string): Section[] {
  const of = (spec: TrackSpec, what = spec.id): Section => ({ spec, missing: why(what, notMeasured) });
  return [
    { ...of(cpu), more: { label: "processes", sections: [of(pids)] } },
    of(memory),
    {
      ...of(network),
      more: { label: "errors, drops", sections: [of(errors, "network"), of(drops, "network")] },
    },
    of(blockIO, "block IO"),
  ];
}
