// SPDX-License-Identifier: Apache-2.0

import type { Event, HistoryAnswer } from "../api/schema";

/** A series of numbers of a workload. */
export type WorkloadSeries = keyof HistoryAnswer["series"];

/** Those of them that are drawn. */
const seriesNames = [
  "cpuUser", "cpuSystem", "throttled", "cpuLimit",
  "anon", "cache", "kernel", "swap", "workingSet", "memoryLimit", "memoryPeak",
  "rx", "tx", "rxErrors", "txErrors", "rxDropped", "txDropped", "blkRead", "blkWrite", "pids",
] as const satisfies readonly WorkloadSeries[];

/** Columns of samples on one time axis, by names of the page's own; null where there is none. */
export interface Columns {
  t: number[];
  series: Partial<Record<string, (number | null)[]>>;
  /** A point is a gap when none of these is known: the rest may be missing for good. */
  telling: readonly string[];
  /** Milliseconds between two points of the stored part. */
  step: number;
  firstSample: number | undefined;
}

export const noColumns: Columns = { t: [], series: {}, telling: [], step: 10_000, firstSample: undefined };

/** The values of one second. */
export type Values = Partial<Record<string, number>>;

const telling: WorkloadSeries[] = ["cpuUser", "cpuSystem", "anon", "workingSet", "rx", "tx", "pids"];

/** Whether a point has a sample. */
export function known(c: Columns, i: number): boolean {
  return c.telling.some((name) => {
    const v = c.series[name]?.[i];
    return v !== null && v !== undefined;
  });
}

/** The last point with a sample at or before a time, -1 when there is none. */
export function lastKnown(c: Columns, time: number): number {
  for (let i = c.t.length - 1; i >= 0; i--) if (c.t[i]! <= time && known(c, i)) return i;
  return -1;
}

/** Stored samples, without the empty points at the end that live ticks will fill. */
export function fromHistory(h: HistoryAnswer): Columns {
  const c: Columns = { t: h.t, series: h.series, telling, step: h.step, firstSample: h.firstSample };
  let n = c.t.length;
  while (n > 0 && !known(c, n - 1)) n--;
  const series: Columns["series"] = {};
  for (const name of seriesNames) if (c.series[name]) series[name] = c.series[name].slice(0, n);
  return { ...c, t: c.t.slice(0, n), series };
}

/**
 * Adds the values of a second. Seconds nearer than apart to the last point
 * that was added share it, and the greatest value of each stays: a spike must
 * not vanish. Returns new columns over the same arrays.
 */
export function append(c: Columns, time: number, values: Values, apart: number): Columns {
  const n = c.t.length;
  const last = c.t[n - 1];
  if (last !== undefined && time <= last) return c;
  const before = c.t[n - 2];
  const share = last !== undefined && before !== undefined && time - before < apart && time - last < apart;
  if (share) c.t[n - 1] = time;
  else c.t.push(time);
  for (const name of new Set([...Object.keys(c.series), ...Object.keys(values)])) {
    const v = values[name];
    let column = c.series[name];
    if (!column) {
      if (v === undefined) continue;
      column = c.series[name] = new Array<number | null>(n).fill(null);
    }
    if (!share) column.push(v ?? null);
    else if (v !== undefined) column[n - 1] = Math.max(column[n - 1] ?? v, v);
  }
  return { ...c };
}

/** Columns whose lines are broken at some times, as where a container took the place of another. */
export function cut(c: Columns, times: readonly number[]): Columns {
  const inside = times.filter((at) => c.t.length > 1 && at > c.t[0]! && at < c.t.at(-1)!);
  if (inside.length === 0) return c;
  const t = [...c.t];
  const series = Object.fromEntries(Object.entries(c.series).map(([name, column]) => [name, [...column!]]));
  for (const at of inside) {
    const i = t.findIndex((x) => x >= at);
    const exact = t[i] === at;
    if (!exact) t.splice(i, 0, at);
    for (const column of Object.values(series)) column.splice(i, exact ? 1 : 0, null);
  }
  return { ...c, t, series };
}

/** Drops points before a time, so that a page that stays open does not grow. */
export function forget(c: Columns, before: number): Columns {
  const n = c.t.findIndex((t) => t >= before);
  if (n <= 600) return c;
  const series: Columns["series"] = {};
  for (const [name, column] of Object.entries(c.series)) series[name] = column?.slice(n);
  return { ...c, t: c.t.slice(n), series };
}

/** A stretch without samples. */
export interface Gap {
  from: number;
  to: number;
}

/** The gaps between the first sample and to. */
export function gaps(c: Columns, from: number, to: number, up: boolean): Gap[] {
  const out: Gap[] = [];
  const long = Math.max(3 * c.step, 15_000);
  const start = c.firstSample ?? Number.NEGATIVE_INFINITY;
  let last = c.firstSample !== undefined && c.firstSample < from ? from : undefined;
  const note = (a: number, b: number) => {
    if (b - a > Math.min(long, 1.5 * c.step) && b > from && a < to) out.push({ from: a, to: b });
  };
  let empty = false;
  for (let i = 0; i < c.t.length; i++) {
    const t = c.t[i]!;
    if (t < start) continue;
    if (!known(c, i)) {
      empty = true;
      continue;
    }
    if (last !== undefined && (empty || t - last > long)) note(last, t);
    last = t;
    empty = false;
  }
  if (last !== undefined && to - last > (up ? long : 2 * c.step)) note(last, to);
  return out;
}

/** Why there are no samples, as far as the events tell. */
export function gapReason(g: Gap, events: readonly Event[], step: number): string {
  const slack = 2 * step + 5000;
  const near = events.filter((e) => e.time >= g.from - slack && e.time <= g.to);
  const of = (...kinds: Event["kind"][]) => near.find((e) => kinds.includes(e.kind));
  if (of("gap")) return "tallyman was not running";
  // An engine that answered again before the gap is not its reason.
  const away = near.some((e) => e.kind === "engine" && e.action === "down" && !near.some((x) => x.kind === "engine" && x.action === "up" && x.time >= e.time && x.time <= g.from));
  if (away) return "Docker did not answer";
  if (of("death", "stop", "oom", "destroy")) return "container down";
  return "no samples";
}

/** The index of the point nearest to a time, or -1 when none is nearer than far. */
export function nearest(t: readonly number[], time: number, far: number): number {
  let lo = 0;
  let hi = t.length - 1;
  if (hi < 0) return -1;
  while (lo < hi) {
    const mid = (lo + hi) >> 1;
    if (t[mid]! < time) lo = mid + 1;
    else hi = mid;
  }
  if (lo > 0 && time - t[lo - 1]! <= t[lo]! - time) lo--;
  return Math.abs(t[lo]! - time) <= far ? lo : -1;
}

/** The sums of stacked columns, lowest first; a point is null where no part is known. */
export function stack(parts: readonly (readonly (number | null)[])[], n: number): (number | null)[][] {
  const out: (number | null)[][] = parts.map(() => new Array<number | null>(n).fill(null));
  for (let i = 0; i < n; i++) {
    if (!parts.some((p) => p[i] !== null && p[i] !== undefined)) continue;
    let sum = 0;
    parts.forEach((p, k) => {
      sum += p[i] ?? 0;
      out[k]![i] = sum;
    });
  }
  return out;
}

/** The least and the greatest value between two times. */
export function extremes(t: readonly number[], column: readonly (number | null)[], from: number, to: number): { low: number; high: number; at: number } | undefined {
  let out: { low: number; high: number; at: number } | undefined;
  for (let i = 0; i < t.length; i++) {
    const v = column[i];
    if (v === null || v === undefined || t[i]! < from || t[i]! > to) continue;
    if (!out) out = { low: v, high: v, at: t[i]! };
    else if (v > out.high) (out.high = v), (out.at = t[i]!);
    else if (v < out.low) out.low = v;
  }
  return out;
}

/** At most so many indexes, evenly spread, of the points between two times. */
export function sampleOf(t: readonly number[], from: number, to: number, most: number): number[] {
  const inside: number[] = [];
  t.forEach((v, i) => {
    if (v >= from && v <= to) inside.push(i);
  });
  if (inside.length <= most) return inside;
  return Array.from({ length: most }, (_, i) => inside[Math.round((i * (inside.length - 1)) / (most - 1))]!);
}
