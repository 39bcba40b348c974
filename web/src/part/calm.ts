// SPDX-License-Identifier: Apache-2.0

import type { Event } from "../api/schema";
import { counted } from "../format/number";
import { minute } from "../format/time";
import { type EventRow, type FoldRow, runLength, severityWord, type SingleRow } from "./eventrows";

// What belongs to one turn of a container's life is told within this time.
const turn = minute;
// Deaths that are no further apart belong to one loop, if there are so many of them.
const loop = 10 * minute;
const loopDeaths = 3;
// So many events of networks and volumes in a row are one.
const plumbing = 3;

/** The container that an event is of, or that a network has got or lost. */
function subject(e: Event): string {
  return e.type === "container" ? (e.actor ?? "") : e.type === "network" ? (e.attributes?.["container"] ?? "") : "";
}

// What belongs to a death and to a start, before it and after it. After a death its start does, too.
const belongs = {
  before: {
    die: new Set(["container kill", "container oom"]),
    start: new Set(["network connect"]),
  },
  after: {
    die: new Set(["container kill", "container oom", "container stop", "container restart", "network connect", "network disconnect"]),
    start: new Set(["container stop", "container restart", "network connect", "network disconnect"]),
  },
};

/**
 * Puts together what belongs together: the turns of a container's life, the deaths of a
 * loop, and what happens to networks and volumes by the way. Rows are the newest first.
 * A fold is open when its key is in open, or the moment is in it.
 */
export function calm(rows: readonly SingleRow[], open: ReadonlySet<string>, at: number | undefined): (SingleRow | FoldRow)[] {
  return unfold(plumb(loops(turns(rows))), open, at);
}

/** One row for the end of a container and what came with it, its next start too. */
function turns(rows: readonly SingleRow[]): SingleRow[] {
  const of = new Map<string, SingleRow[]>(); // by container, the oldest first
  for (let i = rows.length - 1; i >= 0; i--) {
    const r = rows[i]!;
    const id = subject(r.event);
    if (!id || r.parts.length > 0) continue;
    const list = of.get(id);
    if (list) list.push(r);
    else of.set(id, [r]);
  }
  const gone = new Set<SingleRow>();
  const changed = new Map<SingleRow, SingleRow>();
  for (const list of of.values()) {
    for (let i = 0; i < list.length; i++) {
      const r = list[i]!;
      const { event } = r;
      let phase = phaseOf(event);
      if (!phase) continue;
      const mine = (n: SingleRow, set: ReadonlySet<string>) => Math.abs(n.event.time - event.time) <= turn && set.has(`${n.event.type} ${n.event.action}`);
      let from = i;
      while (from > 0 && !gone.has(list[from - 1]!) && mine(list[from - 1]!, belongs.before[phase])) from--;
      let start: SingleRow | undefined;
      let to = i + 1;
      for (; to < list.length; to++) {
        const next = list[to]!;
        if (phase === "die" && phaseOf(next.event) === "start" && next.event.time - event.time <= turn) {
          start = next;
          phase = "start";
        } else if (!mine(next, belongs.after[phase])) break;
      }
      const parts = [...list.slice(from, i), ...list.slice(i + 1, to)];
      if (parts.length === 0) continue;
      const asked = event.action === "die" && event.severity !== "critical";
      const lead = start && asked ? start : r;
      const began = parts.find((p) => p.event.action === "kill") ?? r;
      const said = !start ? undefined : asked ? `Restarted, took ${runLength(start.event.time - began.event.time)}` : `${event.text}; started again ${runLength(start.event.time - event.time)} later`;
      const others = [r, ...parts].filter((p) => p !== lead);
      for (const p of others) gone.add(p);
      changed.set(lead, { ...lead, said, parts: others.map((p) => p.event).sort((a, b) => b.time - a.time) });
      i = to - 1;
    }
  }
  return rows.filter((r) => !gone.has(r)).map((r) => changed.get(r) ?? r);
}

function phaseOf(e: Event): "die" | "start" | undefined {
  return e.type === "container" && (e.action === "die" || e.action === "start") ? e.action : undefined;
}

/** One row for the deaths of a loop, where the newest of them is. */
function loops(rows: readonly SingleRow[]): (SingleRow | FoldRow)[] {
  const last = new Map<string, FoldRow & { oldest: number }>();
  const out: (SingleRow | FoldRow)[] = [];
  for (const r of rows) {
    const { event } = r;
    if (event.type !== "container" || event.action !== "die" || event.severity !== "critical") {
      out.push(r);
      continue;
    }
    const name = `${event.host} ${event.workload} ${event.attributes?.["exitCode"]} ${event.attributes?.["oomKilled"]}`;
    let fold = last.get(name);
    if (!fold || fold.oldest - event.time > loop) {
      fold = { as: "fold", key: "", t: event.time, event, rows: [], said: "", open: false, oldest: 0 };
      last.set(name, fold);
      out.push(fold);
    }
    fold.rows.push(r);
    fold.oldest = event.time;
  }
  return out.flatMap((r): (SingleRow | FoldRow)[] => {
    if (r.as !== "fold") return [r];
    if (r.rows.length < loopDeaths) return r.rows;
    const oldest = r.rows.at(-1)!;
    const why = r.event.text.replace(/^Died,? ?/, "");
    return [{ ...r, key: `f${oldest.key}`, said: `Died ${r.rows.length}\u00d7${why ? `, ${why}` : ""}, in ${runLength(r.t - oldest.t)}` }];
  }).sort((a, b) => b.t - a.t);
}

/** One row for what happened to networks and volumes by the way. */
function plumb(rows: readonly (SingleRow | FoldRow)[]): (SingleRow | FoldRow)[] {
  const out: (SingleRow | FoldRow)[] = [];
  let some: SingleRow[] = [];
  const flush = () => {
    if (some.length < plumbing) out.push(...some);
    else {
      const { event, t } = some[0]!;
      const kinds = ["network", "volume"].filter((k) => some.some((r) => r.event.type === k)).map((k) => `${k}s`);
      out.push({ as: "fold", key: `f${some.at(-1)!.key}`, t, event, rows: some, said: `${counted(some.length, "event")} of ${kinds.join(" and ")}`, open: false });
    }
    some = [];
  };
  for (const r of rows) {
    if (r.as === "event" && (r.event.type === "network" || r.event.type === "volume") && severityWord(r.event) === "") some.push(r);
    else {
      flush();
      out.push(r);
    }
  }
  flush();
  return out;
}

function unfold(rows: readonly (SingleRow | FoldRow)[], open: ReadonlySet<string>, at: number | undefined): (SingleRow | FoldRow)[] {
  return rows.flatMap((r): (SingleRow | FoldRow)[] => {
    if (r.as === "event") return [r];
    const isOpen = open.has(r.key) !== (at !== undefined && r.rows.some((x) => x.t === at));
    return isOpen ? [{ ...r, open: true }, ...r.rows] : [r];
  });
}

/** How near a row is to a moment, in milliseconds. */
export function distance(r: EventRow, at: number): number {
  if (r.as === "day") return Infinity;
  const times = r.as === "fold" ? (r.open ? [] : r.rows.map((x) => x.t)) : [r.t, ...r.parts.map((e) => e.time)];
  return Math.min(...times.map((t) => Math.abs(t - at)), Infinity);
}
