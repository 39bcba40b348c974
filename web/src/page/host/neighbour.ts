// SPDX-License-Identifier: Apache-2.0

import { cores, percent, rate, size } from "../../format/number";
import { hms, minute, moment, second } from "../../format/time";

// Whether a container of the host took from the others, as far as that can be seen:
// first when the host was under pressure, then who took more meanwhile than before.

/** What tasks can wait for. */
export const wants = ["cpu", "memory", "io"] as const;
export type Want = (typeof wants)[number];

type Numbers = readonly (number | null)[];

/** A stretch of time in which tasks waited for something much more than before it. */
export interface Stress {
  want: Want;
  from: number;
  to: number;
  /** The share of time in which some tasks waited, and in the stretch before, from since to until. */
  level: number;
  since: number;
  until: number;
  before: number;
}

/** What the pressure of a range tells. */
export type Pressure = { as: "rose"; stress: Stress } | { as: "calm" } | { as: "always"; want: Want; level: number } | { as: "few" } | { as: "unknown" };

const fewest = 6; // points
const shortest = 30 * second;
const longestBefore = 15 * minute;
const least = 0.1; // of the time
const risen = (before: number) => Math.min(2 * before, before + 0.25);

/**
 * Finds the worst stretch in which pressure rose: tasks waited for a tenth of the time at
 * least, and twice as much as before it or a quarter of the time more. Each point is
 * the average of a window that ends there: what rises has begun up to a window before
 * it is seen, and the stretch before ends there.
 */
export function pressureOf(t: readonly number[], pressure: Partial<Record<Want, Numbers>>, from: number, to: number, window = 0): Pressure {
  let worst: Stress | undefined;
  let always: { want: Want; level: number } | undefined;
  let known = 0; // points
  for (const want of wants) {
    const points = t.flatMap((at, i) => (at >= from && at <= to && typeof pressure[want]?.[i] === "number" ? [{ at, v: pressure[want][i] }] : []));
    known = Math.max(known, points.length);
    if (points.length < fewest) continue;
    const sorted = points.map((p) => p.v).sort((a, b) => a - b);
    const calm = sorted[Math.floor(sorted.length / 4)]!;
    if (calm >= 2 * least && calm > (always?.level ?? 0)) always = { want, level: calm };
    const limit = Math.max(least, risen(calm));
    // It begins where pressure left what is usual, not where it was much already.
    const foot = (calm + limit) / 2;
    for (let [a, b] of runs(points.map((p) => p.v >= limit))) {
      while (a > 0 && points[a - 1]!.v > foot && points[a - 1]!.v < limit) a--;
      const start = points[a]!.at;
      const end = points[b]!.at;
      if (b - a < 2 || end - start < shortest) continue;
      const until = start - window;
      const earliest = until - Math.max(shortest, Math.min(end - start, longestBefore));
      const quiet = points.filter((p, i) => i < a && p.at >= earliest && p.at <= until && p.v < limit);
      if (quiet.length < 2) continue;
      const level = mean(points.slice(a, b + 1).map((p) => p.v));
      const stress = { want, from: start, to: end, level, since: quiet[0]!.at, until, before: mean(quiet.map((p) => p.v)) };
      if (stress.level < risen(stress.before)) continue;
      if (!worst || weight(stress) > weight(worst)) worst = stress;
    }
  }
  if (worst) return { as: "rose", stress: worst };
  if (always) return { as: "always", ...always };
  return { as: known >= fewest ? "calm" : known > 0 ? "few" : "unknown" };
}

const weight = (s: Stress) => (s.level - s.before) * (s.to - s.from);
const mean = (v: readonly number[]) => v.reduce((a, b) => a + b, 0) / v.length;

// Stretches of what is set, over holes of one.
function runs(set: readonly boolean[]): [number, number][] {
  const out: [number, number][] = [];
  set.forEach((on, i) => {
    if (!on) return;
    const last = out.at(-1);
    if (last && i - last[1] <= 2) last[1] = i;
    else out.push([i, i]);
  });
  return out;
}

/** What a container took, and how it fared, before and meanwhile. */
export interface Taken {
  workload: string;
  before: number;
  during: number;
}

/** What is known of the host for a judgement. */
export interface Evidence {
  stress: Stress;
  /** What each container took of that resource; undefined when that is not known. */
  use: readonly Taken[] | undefined;
  /** What the whole host used, undefined when that is not known. */
  host: { before: number; during: number } | undefined;
  /** What the host has of it, undefined for what has no bound. */
  capacity: number | undefined;
  /** The share of time in which tasks of each container waited, or were held back by its own CPU limit. */
  waited: readonly Taken[];
  throttled: readonly Taken[];
}

/** A piece of a sentence: words, or the name of a container. */
export type Piece = string | { workload: string };

const nouns: Record<Want, string> = { cpu: "a CPU", memory: "memory", io: "disks" };

/** A value of what was taken. */
const amount: Record<Want, (v: number) => string> = {
  cpu: (v) => `${cores(v)} cores`,
  memory: size,
  io: (v) => `${rate(v).n} ${rate(v).unit}`,
};
const verbs: Record<Want, string> = { cpu: "CPU", memory: "memory", io: "block IO" };
// Of what has no bound less than this is no neighbour's fault.
const leastIO = 1 << 20;
const mostWaiting = 2;

/** One sentence about who grew while the others waited. */
export function judge(e: Evidence): Piece[] {
  const { stress: s } = e;
  const out: Piece[] = [`From ${moment(s.from, Date.now())} to ${hms(s.to)} tasks waited for ${nouns[s.want]} ${percent(s.level)} of the time, ${percent(s.before)} before`];
  if (!e.use || e.use.length === 0) return [...out, `; which container took more ${verbs[s.want]} is not known here.`];
  const grew = e.use.map((u) => ({ ...u, by: u.during - u.before })).sort((a, b) => b.by - a.by);
  const first = grew[0]!;
  const outside = e.host ? Math.max(0, e.host.during - e.host.before - grew.reduce((sum, g) => sum + g.by, 0)) : 0;
  const all = grew.reduce((sum, g) => sum + Math.max(0, g.by), 0) + outside;
  const floor = e.capacity ? e.capacity / 20 : leastIO;
  if (first.by >= floor && first.by >= all / 2) {
    out.push(": ", { workload: first.workload }, ` took most of what was added, ${verbs[s.want]} ${amount[s.want](first.before)} before and ${amount[s.want](first.during)} then`);
    const worse = (list: readonly Taken[], by: number) => list.filter((w) => w.workload !== first.workload && w.during >= by && w.during >= 2 * w.before).sort((a, b) => b.during - b.before - (a.during - a.before));
    const waiting = worse(e.waited, least).slice(0, mostWaiting);
    const held = waiting.length > 0 ? [] : worse(e.throttled, 0.05).slice(0, mostWaiting);
    for (const [i, w] of [...waiting, ...held].entries()) {
      const how = waiting.length > 0 ? `waited ${percent(w.during)} of the time (${percent(w.before)} before)` : `was held back by its own CPU limit for ${w.during.toFixed(2)} s each second (${w.before.toFixed(2)} before)`;
      out.push(i === 0 ? "; meanwhile " : " and ", { workload: w.workload }, ` ${how}`);
    }
    return [...out, "."];
  }
  if (outside >= floor && outside >= all / 2) return [...out, `: what was added is not in containers, ${amount[s.want](outside)} of ${verbs[s.want]}.`];
  return [...out, "; no container alone took more of it."];
}

/** The sentence where pressure did not rise, or is not known. */
export function otherwise(p: Exclude<Pressure, { as: "rose" }>): string {
  switch (p.as) {
    case "always":
      return `Tasks wait for ${nouns[p.want]} ${percent(p.level)} of the time, and did so in most of this range: the host has too little of it for what runs here. No container began it.`;
    case "calm":
      return "No container took from the others in this range: pressure did not rise.";
    case "few":
      return "Whether containers take from each other is not known yet: there are only a few samples in this range.";
    case "unknown":
      return "Whether containers take from each other is not known: there are no samples of pressure (PSI) in this range. It needs Linux 4.20 or later, in some distributions psi=1 on the kernel's command line.";
  }
}
