// SPDX-License-Identifier: Apache-2.0

import type { Entry } from "../api/loki";
import type { Event } from "../api/schema";
import { groups, type Kind, levelKind } from "../format/logline";
import { midnight } from "../format/time";

/** What stands in the list: a line, a note of tallyman's about missing lines, an event, a change of the day, the start of the range. */
export type LogRow =
  | { as: "line"; key: string; t: number; entry: Entry; kind: Kind; /** Part of the group of the line before. */ joins: boolean; /** The last line of a group of several. */ heads: number }
  | { as: "gap"; key: string; t: number; entry: Entry }
  | { as: "event"; key: string; t: number; event: Event }
  | { as: "events"; key: string; t: number; events: readonly Event[] }
  | { as: "day"; key: string; t: number }
  | { as: "edge"; key: string; t: number }
  | { as: "hole"; key: string; t: number; n: number };

/** Lines that were not sent or not shown, behind that of a time. */
export interface Hole {
  ns: string;
  n: number;
}

// An event so near to a line of its container belongs to it, and so many of them stand one below the other.
const besides = 5000;
const besidesMost = 5;

/** Tells which events belong to one of some lines. */
function belonging(entries: readonly Entry[]): (e: Event) => boolean {
  const times = new Map<string, number[]>();
  const key = (host: string | undefined, name: string | undefined, slot: number) => `${host}\n${name}\n${slot}`;
  for (const { t, labels } of entries) {
    const k = key(labels["host"], labels["name"], Math.floor(t / besides));
    const slot = times.get(k);
    if (slot) slot.push(t);
    else times.set(k, [t]);
  }
  return (e) => [-1, 0, 1].some((by) => times.get(key(e.host, e.name, Math.floor(e.time / besides) + by))?.some((t) => Math.abs(t - e.time) <= besides));
}

/** Among lines that were searched for only events that belong to one stand; others at the same place are one row. */
function folded(rows: readonly LogRow[], entries: readonly Entry[]): LogRow[] {
  const belongs = belonging(entries);
  const out: LogRow[] = [];
  for (let i = 0; i < rows.length; ) {
    const row = rows[i]!;
    if (row.as !== "event") {
      out.push(row);
      i++;
      continue;
    }
    const run: Extract<LogRow, { as: "event" }>[] = [];
    for (let r = rows[i]; r?.as === "event"; r = rows[++i]) run.push(r);
    const kept = new Set(run.filter((r) => belongs(r.event)).slice(0, besidesMost));
    const rest = run.filter((r) => !kept.has(r)).map((r) => r.event);
    if (rest.length > 0) out.push({ as: "events", key: `f${run[0]!.key}`, t: rest[0]!.time, events: rest });
    out.push(...kept);
  }
  return out;
}

/** The rows of some lines with the events between them, both sorted by time; whole says that no lines come before, hits that the lines were searched for. */
export function rowsOf(entries: readonly Entry[], events: readonly Event[], whole = false, holes: readonly Hole[] = [], hits = false): LogRow[] {
  const rows = mixed(entries, events, whole, holes);
  return hits ? folded(rows, entries) : rows;
}

function mixed(entries: readonly Entry[], events: readonly Event[], whole: boolean, holes: readonly Hole[]): LogRow[] {
  const out: LogRow[] = [];
  if (whole && entries.length) out.push({ as: "edge", key: "edge", t: entries[0]!.t });
  const starts = groups(entries);
  const size = new Uint32Array(entries.length);
  for (const s of starts) size[s]!++;
  let next = 0;
  let hole = 0;
  let day = 0;
  let dayEnd = -Infinity;
  // An event outside of what is loaded has no place yet.
  const first = entries[0]?.t ?? Infinity;
  while (next < events.length && events[next]!.time < first - 60_000) next++;
  entries.forEach((entry, i) => {
    let apart = false;
    while (hole < holes.length && holes[hole]!.ns < entry.ns) {
      const h = holes[hole++]!;
      if (i > 0) out.push({ as: "hole", key: `h${h.ns} ${hole}`, t: entries[i - 1]!.t, n: h.n });
      apart = true;
    }
    while (next < events.length && events[next]!.time <= entry.t) {
      const event = events[next++]!;
      out.push({ as: "event", key: `e${event.id}`, t: event.time, event });
      apart = true;
    }
    if (entry.t >= dayEnd) {
      day = midnight(entry.t);
      dayEnd = midnight(day + 26 * 3_600_000);
      if (i > 0 || day !== midnight(Date.now())) {
        out.push({ as: "day", key: `d${day}`, t: day });
        apart = true;
      }
    }
    if (entry.meta["tallyman_gap"] !== undefined) {
      // Notes are asked for again and again; they stay the same.
      out.push({ as: "gap", key: `g${entry.ns} ${entry.source}`, t: entry.t, entry });
      return;
    }
    const head = starts[i]!;
    const joins = head !== i && !apart;
    out.push({ as: "line", key: `l${entry.id}`, t: entry.t, entry, kind: levelKind((joins ? entries[head]! : entry).labels["level"]), joins, heads: head === i ? size[i]! : 0 });
  });
  for (; hole < holes.length; hole++) out.push({ as: "hole", key: `h${holes[hole]!.ns} ${hole + 1}`, t: entries.at(-1)?.t ?? 0, n: holes[hole]!.n });
  for (; next < events.length; next++) {
    const event = events[next]!;
    if (entries.length) out.push({ as: "event", key: `e${event.id}`, t: event.time, event });
  }
  return out;
}
