// SPDX-License-Identifier: Apache-2.0

import type { Curve } from "../../api/prom";
import { oneOf, quote } from "../../format/selector";

// What the containers of a host take of it. A part that is drawn has a name: the
// containers that took most in the range, the others of them, what is not in containers,
// and what is free.

export const resources = ["cpu", "memory", "network", "disk"] as const;
export type Resource = (typeof resources)[number];

/** The colours of the containers that a chart tells apart; a container keeps its own through the page. */
export const slots = ["c1", "c2", "c3", "c4", "c5", "c7"] as const;

type Numbers = (number | null)[];

const both = (a: string, b: string, sel: string, w: string) => `(sum by (workload) (rate(${a}{${sel}}[${w}])) + sum by (workload) (rate(${b}{${sel}}[${w}])))`;

// What each workload takes, on the average of a window.
const each: Record<Resource, (sel: string, w: string) => string> = {
  cpu: (sel, w) => `sum by (workload) (rate(container_cpu_usage_seconds_total{${sel}}[${w}]))`,
  memory: (sel, w) => `sum by (workload) (avg_over_time(container_memory_working_set_bytes{${sel}}[${w}]))`,
  network: (sel, w) => both("container_network_receive_bytes_total", "container_network_transmit_bytes_total", sel, w),
  disk: (sel, w) => both("container_fs_reads_bytes_total", "container_fs_writes_bytes_total", sel, w),
};

const containersOf = (host: string) => `host=${quote(host)},workload!=""`;

/** Several queries as one, whose answers are told apart by the label "of". */
export function union(parts: Readonly<Record<string, string>>): string {
  return Object.entries(parts)
    .map(([name, query]) => `label_replace(${query}, "of", ${quote(name)}, "", "")`)
    .join(" or ");
}

/** A time in milliseconds as PromQL writes it. */
export const duration = (ms: number) => `${Math.max(1, Math.round(ms))}ms`;

/** How much each workload took in a range, for all that are shared. */
export function rankQuery(host: string, range: number, window: number): string {
  // As many looks as show who took most; each is an average, so that nothing is between two of them.
  const apart = Math.max(window, Math.ceil(range / 60 / 1000) * 1000);
  return union(Object.fromEntries(resources.map((r) => [r, `sum_over_time((${each[r](containersOf(host), duration(apart))})[${duration(range)}:${duration(apart)}])`])));
}

/** What these workloads take of something over time, and all of them together. */
export function shareQuery(r: Resource, host: string, top: readonly string[], window: number): string {
  const sel = containersOf(host);
  const all = `sum(${each[r](sel, duration(window))})`;
  return union(top.length > 0 ? { top: each[r](`${sel},${oneOf("workload", top)}`, duration(window)), all } : { all });
}

/** What each workload took of something in the window before the moment that is asked for. */
export const useQuery = (r: Resource, host: string, window: number) => each[r](containersOf(host), duration(window));

/** The greatest of each resource, by the answer to rankQuery, and of how many. */
export function ranked(found: readonly { labels: Record<string, string>; value: number }[]): Record<Resource, { top: string[]; of: number }> {
  const of = (r: Resource) => {
    const mine = found.filter((p) => p.labels["of"] === r).sort((a, b) => b.value - a.value || (a.labels["workload"]! < b.labels["workload"]! ? -1 : 1));
    const some = mine.filter((p) => p.value > 0);
    return { top: some.slice(0, slots.length).map((p) => p.labels["workload"]!), of: mine.length };
  };
  return { cpu: of("cpu"), memory: of("memory"), network: of("network"), disk: of("disk") };
}

export type Seats = Record<Resource, (string | undefined)[]>;

/**
 * Gives each container that is drawn a colour, as a place among the slots: the one that it
 * has had, which kept remembers, as far as no other of the same chart has it.
 */
export function seat(top: Record<Resource, readonly string[]>, kept: Map<string, number>): Seats {
  const out = {} as Seats;
  for (const r of resources) {
    const row = new Array<string | undefined>(slots.length).fill(undefined);
    const late: string[] = [];
    for (const w of top[r]) {
      const at = kept.get(w);
      if (at !== undefined && row[at] === undefined) row[at] = w;
      else late.push(w);
    }
    const elsewhere = new Set(resources.flatMap((o) => top[o]).map((w) => kept.get(w)));
    for (const w of late) {
      const free = row.flatMap((x, i) => (x === undefined ? [i] : []));
      const at = free.find((i) => !elsewhere.has(i)) ?? free[0]!;
      row[at] = w;
      if (!kept.has(w)) kept.set(w, at);
    }
    out[r] = row;
  }
  return out;
}

/** What the host itself tells of a resource. */
export interface Whole {
  /** What is used of it in all; undefined where the host's own counters are not known. */
  used?: Numbers;
  /** What there is; undefined where that is not known. */
  total?: Numbers;
  /** How many containers run. Without one they take nothing, which is not unknown. */
  running?: Numbers;
}

/** The columns of a chart, under names that begin with that of the resource. */
export function columnsOf(r: Resource, found: readonly Curve[], row: readonly (string | undefined)[], whole: Whole, n: number): Record<string, Numbers> {
  const out: Record<string, Numbers> = {};
  const top = row.map((w) => (w === undefined ? undefined : found.find((c) => c.labels["of"] === "top" && c.labels["workload"] === w)?.points));
  top.forEach((points, i) => {
    if (points) out[r + i] = points;
  });
  const said = found.find((c) => c.labels["of"] === "all")?.points;
  const all = Array.from({ length: n }, (_, i) => said?.[i] ?? (whole.running?.[i] === 0 ? 0 : null));
  const column = (name: string, value: (i: number) => number | null) => {
    const points = Array.from({ length: n }, (_, i) => value(i));
    if (points.some((v) => v !== null)) out[r + name] = points;
  };
  const at = (c: Numbers | undefined, i: number) => c?.[i] ?? null;
  column("Others", (i) => (all[i] === null ? null : Math.max(0, all[i]! - top.reduce((sum, c) => sum + (c?.[i] ?? 0), 0))));
  // The host is asked a round before its containers are: its first sample alone is not what they take all of.
  const alone = (i: number) => all[i] === null && all[i + 1] != null && (i === 0 || at(whole.used, i - 1) === null);
  // Both are measured at moments of their own, so that a busy container may seem to take a little more than the host.
  column("Rest", (i) => (all[i] === null || at(whole.used, i) === null ? null : Math.max(0, at(whole.used, i)! - all[i]!)));
  column("Whole", (i) => (all[i] === null && !alone(i) ? at(whole.used, i) : null));
  column("Free", (i) => (at(whole.total, i) === null || at(whole.used, i) === null || alone(i) ? null : Math.max(0, at(whole.total, i)! - Math.max(at(whole.used, i)!, all[i] ?? 0))));
  if (whole.total) out[r + "Total"] = whole.total;
  return out;
}
