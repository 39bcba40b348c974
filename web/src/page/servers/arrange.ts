// SPDX-License-Identifier: Apache-2.0

import type { Container, Now } from "../../api/schema";
import { matches, type Term } from "../../format/filter";
import { crashLoop } from "../../format/state";
import { judge, needsAttention } from "../../part/firing";

/** What a row is sorted by; a leading minus in the URL means greatest first. */
export const columns = ["name", "cpu", "memory", "network", "disk", "restarts", "event"] as const;
export type Column = (typeof columns)[number];
export interface Sort {
  by: Column;
  down: boolean;
}

export type Segment = "all" | "attention" | "gone";

/** What arranging needs of a row. */
export interface Arrangeable {
  info: Container;
  now: Now | undefined;
}

export interface Group<R> {
  /** The project or the image, or undefined for the containers without one, and for those of no group. */
  key: string | undefined;
  origin: string | undefined;
  rows: R[];
}

/** What rows are grouped by; those of a host, or all, stand together without a head. */
export const groupings = ["project", "image", "host", "none"] as const;
export type Grouping = (typeof groupings)[number];

export function readGrouping(text: string): Grouping {
  return groupings.find((g) => g === text) ?? "project";
}

/** The groups of some rows, each in the order in which its first row stands. */
export function grouped<R>(rows: readonly R[], by: Grouping, info: (r: R) => { project?: string; origin?: string; image: string }): Group<R>[] {
  const groups = new Map<string | undefined, Group<R>>();
  for (const row of rows) {
    const { project, origin, image } = info(row);
    const key = by === "project" ? project : by === "image" ? image : undefined;
    let group = groups.get(key);
    if (!group) groups.set(key, (group = { key, origin: by === "project" ? origin : undefined, rows: [] }));
    group.rows.push(row);
  }
  return [...groups.values()];
}

export function readSort(text: string): Sort {
  const by = text.replace(/^-/, "") as Column;
  return columns.includes(by) ? { by, down: text.startsWith("-") } : { by: "cpu", down: true };
}

/** The text of a sort in the URL; the usual one leaves nothing. */
export function writeSort(s: Sort): string {
  return s.by === "cpu" && s.down ? "" : (s.down ? "-" : "") + s.by;
}

/** The sort after a click on a column's head: names start with a, values with the greatest. */
export function clickSort(s: Sort, by: Column): Sort {
  return s.by === by ? { by, down: !s.down } : { by, down: by !== "name" };
}

/** Reports whether a container is in the segment: all that exist, those to look at, or those removed. */
export function inSegment(c: Container, segment: Segment): boolean {
  if (segment === "gone") return c.state === "gone";
  if (segment === "attention") return needsAttention(c);
  return c.state !== "gone";
}

function both(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined && b === undefined ? undefined : (a ?? 0) + (b ?? 0);
}

function measure({ info, now }: Arrangeable, by: Column): number | string | undefined {
  switch (by) {
    case "name":
      return info.name;
    case "cpu":
      return now?.cpu;
    case "memory":
      return now?.memory;
    case "network":
      return both(now?.rx, now?.tx);
    case "disk":
      return both(now?.blkRead, now?.blkWrite);
    case "restarts":
      return info.restartCount ?? 0;
    case "event":
      return info.lastEvent?.time ?? info.goneAt ?? info.started ?? info.created;
  }
}

// What is not known comes last in either direction; equal ones stand by name.
function compare(a: Arrangeable, b: Arrangeable, { by, down }: Sort): number {
  const x = measure(a, by);
  const y = measure(b, by);
  if (x === undefined || y === undefined) {
    if (x !== undefined) return -1;
    if (y !== undefined) return 1;
  } else if (typeof x === "string" || typeof y === "string") {
    return String(x).localeCompare(String(y), "en", { numeric: true }) * (down ? -1 : 1);
  } else if (x !== y) {
    return (x - y) * (down ? -1 : 1);
  }
  return a.info.name.localeCompare(b.info.name, "en", { numeric: true });
}

function weight(rows: readonly Arrangeable[], by: Column): number {
  return rows.reduce((sum, r) => {
    const v = measure(r, by);
    return typeof v !== "number" ? sum : by === "event" ? Math.max(sum, v) : sum + v;
  }, 0);
}

// Where one looks for what is wrong the gravest come first; a crash loop is the gravest, and comes first in the usual order, too.
function gravity(r: Arrangeable, segment: Segment, sort: Sort): number {
  if (segment !== "attention" && writeSort(sort) !== "") return 0;
  if (crashLoop(r.info, Date.now())) return 2;
  return segment === "attention" && judge(r.info).mark === "crit" ? 1 : 0;
}

/** Filters, groups and sorts. Groups are sorted by the same measure as rows. */
export function arrange<R extends Arrangeable>(rows: readonly R[], segment: Segment, terms: readonly Term[], sort: Sort, by: Grouping = "project"): Group<R>[] {
  const groups = grouped(rows.filter(({ info }) => inSegment(info, segment) && matches(info, terms)), by, (r) => r.info);
  const grave = new Map(rows.map((r) => [r, gravity(r, segment, sort)]));
  for (const g of groups) g.rows.sort((a, b) => grave.get(b)! - grave.get(a)! || compare(a, b, sort));
  const worst = (g: Group<R>) => grave.get(g.rows[0]!)!;
  return groups.sort((a, b) => {
    if (worst(a) !== worst(b)) return worst(b) - worst(a);
    const byName = (a.key ?? "\uffff").localeCompare(b.key ?? "\uffff", "en", { numeric: true });
    if (sort.by === "name") return byName * (sort.down ? -1 : 1);
    return (weight(a.rows, sort.by) - weight(b.rows, sort.by)) * (sort.down ? -1 : 1) || byName;
  });
}

/** Brings groups into the order that stood before: what is new comes last in its place. */
export function keepOrder<R extends Arrangeable>(next: Group<R>[], before: readonly Group<R>[]): Group<R>[] {
  const at = new Map<string, number>();
  const groupAt = new Map<string | undefined, number>();
  before.forEach((g, i) => {
    groupAt.set(g.key, i);
    g.rows.forEach((r, j) => at.set(r.info.id, j));
  });
  const place = <K>(m: Map<K, number>, k: K) => m.get(k) ?? Number.MAX_SAFE_INTEGER;
  for (const g of next) g.rows.sort((a, b) => place(at, a.info.id) - place(at, b.info.id));
  return next.sort((a, b) => place(groupAt, a.key) - place(groupAt, b.key));
}
