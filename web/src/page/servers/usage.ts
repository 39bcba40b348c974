// SPDX-License-Identifier: Apache-2.0

import type { ContainerUsage, HostUsage, Measure } from "../../api/schema";
import { placesOf } from "../../format/colour";
import { matches, type Term } from "../../format/filter";
import { localName, show } from "../../format/text";
import { type Group, grouped, type Grouping, type Sort } from "./arrange";

// What containers took of their hosts in a range, put in order.

/** What rows of the past are sorted by. */
export const pastColumns = ["name", "cpu", "memory", "network"] as const;
export type PastColumn = (typeof pastColumns)[number];

const flow = (c: ContainerUsage) => (c.rx || c.tx ? (c.rx?.mean ?? 0) + (c.tx?.mean ?? 0) : undefined);

function measure(c: ContainerUsage, by: string): number | undefined {
  switch (by) {
    case "memory":
      return c.memory?.mean;
    case "network":
      return flow(c);
    default: // columns that only the present has, too
      return c.cpu?.mean;
  }
}

const byName = (a: { name: string }, b: { name: string }) => a.name.localeCompare(b.name, "en", { numeric: true });

/** Filters, sorts by the mean and groups; groups stand by their sums. What is not known comes last. */
export function arrangePast(all: readonly ContainerUsage[], terms: readonly Term[], sort: Sort, by: Grouping): Group<ContainerUsage>[] {
  const sign = sort.down ? -1 : 1;
  const compare = (x: number | undefined, y: number | undefined) => (x === undefined || y === undefined ? Number(x === undefined) - Number(y === undefined) : (x - y) * sign);
  const rows = all.filter((c) => matches(c, terms)).sort((a, b) => (sort.by === "name" ? byName(a, b) * sign : compare(measure(a, sort.by), measure(b, sort.by)) || byName(a, b)));
  const groups = grouped(rows, by, (c) => c);
  if (sort.by === "name") return groups;
  const sums = new Map(groups.map((g) => [g, g.rows.reduce((n, c) => n + (measure(c, sort.by) ?? 0), 0)]));
  return groups.sort((a, b) => (sums.get(a)! - sums.get(b)!) * sign);
}

/** A part of what a host took. */
export interface Part {
  key: string;
  label: string;
  of?: ContainerUsage;
  color: string;
  mean: number;
  points: readonly (number | null)[];
}

const colors = ["c1", "c2", "c3", "c4", "c5"];

const add = (a: readonly (number | null)[], b: readonly (number | null)[], sign = 1) =>
  Array.from({ length: Math.max(a.length, b.length) }, (_, i) => (a[i] == null && b[i] == null ? null : (a[i] ?? 0) + sign * (b[i] ?? 0)));

const positive = (v: number | null) => (v === null ? null : Math.max(0, v));

/** What a host took, by whom: the five that took most, the others, and what is not in containers, where the whole is known. */
export function partsOf(host: HostUsage, containers: readonly ContainerUsage[], what: "cpu" | "memory"): Part[] {
  const of = (c: ContainerUsage): Measure => c[what] ?? { mean: 0, max: 0, points: [] };
  const most = (by: "cpu" | "memory") => [...containers].filter((c) => (c[by]?.mean ?? 0) > 0).sort((a, b) => b[by]!.mean - a[by]!.mean).slice(0, colors.length);
  const byCpu = most("cpu");
  const placed = placesOf(byCpu.map((c) => c.id).sort(), colors.length);
  const top = most(what);
  // Who is in both has one colour; the rest takes what is free.
  const taken = new Set(top.map((c) => placed.get(c.id)));
  const free = colors.filter((_, i) => !taken.has(i));
  const parts: Part[] = top.map((c) => {
    const place = placed.get(c.id);
    return { key: c.id, label: fullName(c), of: c, color: place === undefined ? free.shift()! : colors[place]!, mean: of(c).mean, points: of(c).points ?? [] };
  });
  const rest = containers.filter((c) => c[what] && !top.includes(c));
  if (rest.length > 0) parts.push({ key: "others", label: `${rest.length} ${rest.length === 1 ? "other" : "others"}`, color: "c6", mean: rest.reduce((n, c) => n + of(c).mean, 0), points: rest.reduce<(number | null)[]>((sum, c) => add(sum, of(c).points ?? []), []) });
  const whole = host[what];
  if (whole) {
    const inside = containers.reduce<(number | null)[]>((sum, c) => add(sum, of(c).points ?? []), []);
    const outside = add(whole.points ?? [], inside, -1).map((v, i) => (whole.points?.[i] == null ? null : positive(v)));
    parts.push({ key: "outside", label: "not in containers", color: "c8", mean: Math.max(0, whole.mean - containers.reduce((n, c) => n + of(c).mean, 0)), points: outside });
  }
  return parts;
}

export function fullName(c: ContainerUsage): string {
  return show(c.project ? `${c.project} / ${localName(c.name, c.project)}` : c.name);
}

const height = 60;

/** The areas of stacked parts in a box of n - 1 by 60, the first at the bottom. What did not run took nothing; where there is no sample of anything is a hole. */
export function areas(parts: readonly Part[], n: number, top: number): string[] {
  const base = new Array<number>(n).fill(0);
  const hole = base.map((_, i) => parts.every((p) => p.points[i] == null));
  return parts.map((p) => {
    let path = "";
    let run: number[] = [];
    const y = (v: number) => (height - (Math.min(v, top) / (top || 1)) * height).toFixed(1);
    const close = () => {
      if (run.length > 0) {
        const up = run.map((i) => `${i} ${y(base[i]! + (p.points[i] ?? 0))}`);
        const down = run.map((i) => `${i} ${y(base[i]!)}`).reverse();
        path += `M${up.join("L")}L${down.join("L")}Z`;
      }
      run = [];
    };
    for (let i = 0; i < n; i++) {
      if (hole[i]) close();
      else run.push(i);
    }
    close();
    for (let i = 0; i < n; i++) base[i]! += p.points[i] ?? 0;
    return path;
  });
}
