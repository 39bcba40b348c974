// SPDX-License-Identifier: Apache-2.0

import { type EventFilter, type Severity, severities } from "../api/kept";
import type { Event, EventsSummary } from "../api/schema";
import type { Kind, Volume } from "../format/logline";
import { midnight } from "../format/time";

/** What an exec is made of; its health checks can be most of all events. */
export const execActions = ["exec_create", "exec_start", "exec_die", "exec_detach"];

export function severityOf(e: Event): Severity {
  return e.severity || "plain";
}

/** The words of a severity that somebody should know of; colour and shape alone are not enough. */
export function severityWord(e: Event): string {
  return e.severity === "critical" || e.severity === "warning" ? e.severity : "";
}

/** Whether a new event is one of those that are shown, as the server would say. */
export function fits(f: EventFilter, e: Event): boolean {
  const of = (list: readonly string[], v: string | undefined) => list.length === 0 || list.includes(v ?? "");
  const needle = f.text.toLowerCase();
  const has = (s: string | undefined) => s !== undefined && s.toLowerCase().includes(needle);
  return (
    of(f.severities, severityOf(e)) && of(f.types, e.type) && of(f.actions, e.action) && of(f.hosts, e.host) && of(f.workloads, e.workload) && !f.without.includes(e.action) &&
    (needle === "" || [e.text, e.name, e.image, e.type, e.action, e.workload].some(has) || Object.entries(e.attributes ?? {}).some(([k, v]) => has(k) || has(v)))
  );
}

/** How many things a filter says. */
export function chosen(f: EventFilter): number {
  return f.severities.length + f.types.length + f.actions.length + f.without.length + f.hosts.length + f.workloads.length;
}

/** An event, with those that belong to it; said is what all of them come to. */
export interface SingleRow {
  as: "event";
  key: string;
  t: number;
  event: Event;
  parts: Event[];
  said?: string;
}

/** Rows of one kind that are one, and stand behind it when it is open. */
export interface FoldRow {
  as: "fold";
  key: string;
  t: number;
  /** The newest of them. */
  event: Event;
  rows: SingleRow[];
  said: string;
  open: boolean;
}

/** What stands in the list, the newest first; a day stands above its events. */
export type EventRow = SingleRow | FoldRow | { as: "day"; key: string; t: number };

/**
 * The rows of some events, the newest first. The making and the start of an exec
 * stand with its end; one that has not ended stands with its start. fold puts together
 * what belongs together.
 */
export function rowsOf(events: readonly Event[], fold?: (rows: readonly SingleRow[]) => (SingleRow | FoldRow)[]): EventRow[] {
  const single = singles(events);
  const out: EventRow[] = [];
  let day = NaN;
  for (const row of fold ? fold(single) : single) {
    const of = midnight(row.t);
    if (of !== day) {
      day = of;
      out.push({ as: "day", key: `d${of}`, t: of });
    }
    out.push(row);
  }
  return out;
}

function singles(events: readonly Event[]): SingleRow[] {
  const out: SingleRow[] = [];
  // The events of an exec that are later than the one at hand.
  const execs = new Map<string, SingleRow>();
  for (const event of events) {
    const exec = event.kind === "exec" ? event.attributes?.["execID"] : undefined;
    const end = exec === undefined ? undefined : execs.get(`${event.actor} ${exec}`);
    if (end) {
      end.parts.push(event);
      continue;
    }
    const row: SingleRow = { as: "event", key: event.id, t: event.time, event, parts: [] };
    if (exec !== undefined) execs.set(`${event.actor} ${exec}`, row);
    out.push(row);
  }
  return out;
}

/** How long an exec ran, in milliseconds, when its start is known. */
export function ranFor(r: SingleRow): number | undefined {
  const start = r.parts.find((e) => e.action === "exec_start");
  return r.event.action === "exec_die" && start ? r.event.time - start.time : undefined;
}

/** "0.3 s", "12 s", "4 min" */
export function runLength(ms: number): string {
  if (ms < 9_950) return `${(ms / 1000).toFixed(1)} s`;
  return ms < 60_000 ? `${Math.round(ms / 1000)} s` : `${Math.round(ms / 60_000)} min`;
}

/** Adds events to those that are there, the newest first, each once. */
export function merged(have: readonly Event[], more: readonly Event[]): Event[] {
  const known = new Set(have.map((e) => e.id));
  const fresh = more.filter((e) => !known.has(e.id));
  if (fresh.length === 0) return have as Event[];
  return [...have, ...fresh].sort((a, b) => b.time - a.time || (a.id < b.id ? 1 : -1));
}

const kindOf: Record<Severity, Kind> = { critical: "error", warning: "warn", info: "info", good: "debug", plain: "debug" };

export function columnKind(e: Event): Kind {
  return kindOf[severityOf(e)];
}

/** The columns of a summary as the histogram draws them. */
export function volumeOf(s: EventsSummary): Volume {
  const n = s.counts.plain?.length ?? 0;
  const zero = () => new Array<number>(n).fill(0);
  const counts: Record<Kind, number[]> = { unknown: zero(), debug: zero(), info: zero(), warn: zero(), error: zero() };
  for (const name of severities) s.counts[name]?.forEach((v, i) => { counts[kindOf[name]][i]! += v; });
  return { start: s.start, step: s.step, counts };
}

/** The two configurations that an event of drift tells apart. */
export function driftPair(e: Event): { a: string; b: string } | undefined {
  const { from, to } = e.attributes ?? {};
  return e.kind === "drift" && from && to ? { a: from, b: `${to}.${e.time}` } : undefined;
}
