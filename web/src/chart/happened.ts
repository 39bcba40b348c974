// SPDX-License-Identifier: Apache-2.0

import { anything, type EventFilter, eventPage, eventSummary } from "../api/kept";
import type { Event } from "../api/schema";

// So many events of a kind are drawn on an axis.
const most = 500;

/** Events of a stretch of time, oldest first, and how many more there were. */
export interface Happened {
  events: Event[];
  left: number;
}

/** Events that are asked for; those that fit keep, too, are never crowded out by the others. */
export interface Wanted {
  all: Partial<EventFilter>;
  keep?: Partial<EventFilter>;
}

async function one({ all, keep }: Wanted, start: number, end: number, stop: AbortSignal): Promise<Happened> {
  const page = (f: Partial<EventFilter>) => eventPage({ ...anything, ...f }, { start, end, limit: most }, stop);
  const found = await page(all);
  if (!found.more) return { events: found.events, left: 0 };
  const [grave, counted] = await Promise.all([keep && page({ ...all, ...keep }), eventSummary({ ...anything, ...all }, { start, end, points: 1 }, stop)]);
  const events = unique([...found.events, ...(grave?.events ?? [])]);
  return { events, left: Math.max(1, counted.total - events.length) };
}

/** Asks for the newest events that are wanted. */
export async function happened(wanted: readonly Wanted[], from: number, to: number, stop: AbortSignal): Promise<Happened> {
  const found = await Promise.all(wanted.map((w) => one(w, Math.floor(from), Math.ceil(to), stop)));
  return { events: unique(found.flatMap((f) => f.events)), left: found.reduce((n, f) => n + f.left, 0) };
}

/** Each event once, oldest first. */
export function unique(events: readonly Event[]): Event[] {
  return [...new Map(events.map((e) => [e.id, e])).values()].sort((a, b) => a.time - b.time);
}

const grave = ["die", "oom", "drift"];

/** What happens to a workload, and around it to its engine and to tallyman. */
export async function happenedTo({ host, workload }: { host: string; workload: string }, from: number, to: number, stop: AbortSignal): Promise<Happened> {
  const found = await happened(
    [
      { all: { hosts: [host], workloads: [workload] }, keep: { actions: grave } },
      // A drift is of a workload; its own is among its own events.
      { all: { hosts: [host], types: ["engine", "tallyman"], without: ["drift"] } },
    ],
    from,
    to,
    stop,
  );
  return { ...found, events: found.events.filter((e) => concerns(e, workload)) };
}

/** Whether an event of an engine or of tallyman stands on the page of a workload: what is told of a workload belongs to it alone. */
export function concerns(e: Pick<Event, "type" | "workload">, workload: string): boolean {
  return !e.workload || e.workload === workload;
}
