// SPDX-License-Identifier: Apache-2.0

import type { Host } from "../../api/schema";
import { diskRoom } from "../../format/number";
import { assess, engineWords, type Assessment } from "../../format/state";
import { containersOf } from "./attention";

/** A host with all of its engines, as one row. */
export interface HostRow {
  host: string;
  engines: Host[];
  /** The engine that the host's own figures came with. */
  figures: Host;
  state: Assessment;
  /** How many of its containers have failed. */
  failed: number;
}

/** How full a disk or the memory is before it counts as worse than another. */
const nearlyFull = 0.9;

function rowOf(host: string, engines: Host[], now: number): HostRow {
  const figures = engines.find((e) => e.cpu !== undefined) ?? engines[0]!;
  const away = engines.find((e) => !e.engine.up);
  return {
    host, engines, figures,
    state: away ? { mark: "crit", words: engineWords(away.engine) } : { mark: "ok", words: engineWords(engines[0]!.engine) },
    failed: containersOf(engines).filter((c) => assess(c, now).mark === "crit").length,
  };
}

function badness(r: HostRow): number {
  if (r.state.mark === "crit") return 3;
  if (r.failed > 0) return 2;
  const h = r.figures;
  const room = diskRoom(h);
  const full = Math.max(h.memoryUsed !== undefined && h.memory ? h.memoryUsed / h.memory : 0, h.diskUsed !== undefined && room ? h.diskUsed / room : 0);
  return full >= nearlyFull ? 1 : 0;
}

/** The hosts as rows, the worst first and of equals by name: figures alone move no row. */
export function hostRows(hosts: readonly Host[], now: number): HostRow[] {
  const by = new Map<string, Host[]>();
  for (const h of hosts) by.set(h.host, [...(by.get(h.host) ?? []), h]);
  return [...by].map(([host, engines]) => rowOf(host, engines, now)).sort((a, b) => badness(b) - badness(a) || b.failed - a.failed || a.host.localeCompare(b.host));
}

/** Those whose name has all of some words in it. */
export function named(rows: readonly HostRow[], words: string): HostRow[] {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  return rows.filter((r) => wanted.every((w) => r.host.toLowerCase().includes(w)));
}
