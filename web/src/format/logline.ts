// SPDX-License-Identifier: Apache-2.0

import { bare } from "./ansi";
import { day, hour, minute, second } from "./time";

/** The kinds of levels that are told apart by eye, the gravest last. */
export const kinds = ["unknown", "debug", "info", "warn", "error"] as const;
export type Kind = (typeof kinds)[number];

const levels: Record<Kind, string[]> = { unknown: ["unknown"], debug: ["debug", "trace"], info: ["info"], warn: ["warn"], error: ["error", "critical", "fatal"] };
const kindOf = new Map(kinds.flatMap((k) => levels[k].map((l) => [l, k] as const)));

/** The levels of a kind, as streams are labelled. */
export function levelsOf(k: Kind): string[] {
  return levels[k];
}

export function levelKind(level: string | undefined): Kind {
  return kindOf.get(level ?? "") ?? "unknown";
}

/**
 * What a line is to a stack trace: a part of one, the head of one whose last
 * line stands at the margin (Python), or neither.
 */
export type Shape = "part" | "traceback" | "plain";

const part = /^(?:\s+\S|Caused by: |Suppressed: |\.\.\. \d+ more|goroutine \d+ \[|created by \S+ in goroutine|\} ?$)/;
const framed = /^(?:[\w.*/()-]+\(.*\)|\t.+:\d+(?: \+0x[\da-f]+)?)$/;

export function shapeOf(line: string): Shape {
  const text = bare(line.length > 400 ? line.slice(0, 400) : line);
  if (text.startsWith("Traceback (most recent call last)")) return "traceback";
  return part.test(text) ? "part" : "plain";
}

export interface Shaped {
  /** Who wrote it: a container's stream, a file or a unit. */
  source: string;
  t: number;
  line: string;
  shape: Shape;
}

// Parts of a trace are written at once.
const together = 2 * second;

/** For each line where its group starts; a line that stands alone starts its own. */
export function groups(lines: readonly Shaped[]): Uint32Array {
  const out = new Uint32Array(lines.length);
  // Whether the group at hand is a traceback, or a trace of goroutines, whose lines stand at the margin.
  let python = false;
  let go = false;
  for (let i = 0; i < lines.length; i++) {
    out[i] = i;
    const l = lines[i]!;
    const before = lines[i - 1];
    let joins = false;
    if (before && before.source === l.source && l.t - before.t <= together) {
      if (l.shape === "part") joins = true;
      else if (python && before.shape === "part" && l.shape === "plain") {
        joins = true; // the exception itself ends the traceback
        python = false;
      } else if (go && framed.test(l.line)) joins = true;
    }
    if (joins) {
      out[i] = out[i - 1]!;
      if (l.line.startsWith("goroutine ")) go = true;
    } else {
      python = l.shape === "traceback";
      go = l.line.startsWith("goroutine ");
    }
  }
  return out;
}

/** A number as it was written, where a double would change it. */
export class Exact {
  constructor(readonly text: string) {}
}

/** The object or list that a line is; undefined for anything else. */
export function json(line: string): object | undefined {
  const text = bare(line).trim();
  if (!/^[{[]/.test(text) || !/[}\]]$/.test(text)) return undefined;
  try {
    const keep = (_: string, value: unknown, context?: { source?: string }) =>
      typeof value === "number" && context?.source !== undefined && String(value) !== context.source ? new Exact(context.source) : value;
    const value: unknown = JSON.parse(text, keep);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

const pair = /(?:^|\s)([A-Za-z_][\w.-]*)=("(?:[^"\\]|\\.)*"|[^\s"=]*)(?=\s|$)/g;

/** The fields of a line in logfmt, from two on. */
export function logfmt(line: string): [string, string][] | undefined {
  const out = [...bare(line.length > 16_384 ? line.slice(0, 16_384) : line).matchAll(pair)].map(([, k, v]): [string, string] => [k!, v!.startsWith('"') ? v!.slice(1, -1).replace(/\\(["\\])/g, "$1") : v!]);
  return out.length >= 2 ? out : undefined;
}

/** Whether a line is made of pairs of logfmt and of nothing else. */
export function onlyPairs(text: string): boolean {
  return text.replace(pair, "").trim() === "";
}

/** Text in parts that are found, a key of logfmt, or neither. */
export interface Part {
  text: string;
  as: "" | "hit" | "key";
}

export function parts(text: string, needle: string, exact: boolean): Part[] {
  const out: Part[] = [];
  const plain = (s: string) => {
    let from = 0;
    for (const m of s.matchAll(/(^|\s)([A-Za-z_][\w.-]*=)(?=[^\s=])/g)) {
      const at = m.index + m[1]!.length;
      if (at > from) out.push({ text: s.slice(from, at), as: "" });
      out.push({ text: m[2]!, as: "key" });
      from = at + m[2]!.length;
    }
    if (from < s.length) out.push({ text: s.slice(from), as: "" });
  };
  if (needle === "") {
    plain(text);
    return out;
  }
  const low = exact ? text : text.toLowerCase();
  // Another case may have another length; then nothing is marked rather than the wrong letters.
  const wanted = low.length === text.length ? (exact ? needle : needle.toLowerCase()) : "";
  let from = 0;
  for (let at = wanted ? low.indexOf(wanted) : -1; at >= 0; at = low.indexOf(wanted, from)) {
    if (at > from) plain(text.slice(from, at));
    out.push({ text: text.slice(at, at + wanted.length), as: "hit" });
    from = at + wanted.length;
  }
  if (from < text.length) plain(text.slice(from));
  return out;
}

/** Counts of lines by kind in columns of one width; column i is from start + i * step on. */
export interface Volume {
  start: number;
  step: number;
  counts: Record<Kind, number[]>;
}

const steps = [
  ...[1, 2, 5, 10, 15, 30].map((n) => n * second),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * minute),
  ...[1, 2, 3, 6, 12].map((n) => n * hour),
  ...[1, 2, 7, 14, 28, 91].map((n) => n * day),
];

/** The width of columns for a stretch of time, so many at most. */
export function columnStep(from: number, to: number, most: number): number {
  return steps.find((s) => (to - from) / s <= most) ?? Math.ceil((to - from) / most / day) * day;
}

function empty(start: number, step: number, n: number): Volume {
  const zero = () => new Array<number>(n).fill(0);
  return { start, step, counts: { unknown: zero(), debug: zero(), info: zero(), warn: zero(), error: zero() } };
}

/** Columns out of what the server counted: a value at a time counts the step before it. */
export function columnsOf(series: readonly { metric: Record<string, string>; values: [number, string][] }[], from: number, to: number, step: number): Volume {
  const start = Math.floor(from / step) * step;
  const v = empty(start, step, Math.max(1, Math.ceil((to - start) / step)));
  for (const s of series) {
    const list = v.counts[levelKind(s.metric["level"])];
    for (const [at, n] of s.values) {
      const i = Math.round((at * 1000 - start) / step) - 1;
      if (i >= 0 && i < list.length) list[i]! += Number(n);
    }
  }
  return v;
}

/** The same with lines that have come since; new columns are added at the end. */
export function withLines(v: Volume, lines: readonly { t: number; kind: Kind }[]): Volume {
  const out: Volume = { ...v, counts: { ...v.counts } };
  for (const k of kinds) out.counts[k] = [...v.counts[k]];
  for (const l of lines) {
    const i = Math.floor((l.t - v.start) / v.step);
    if (i < 0 || i > 5000) continue;
    while (out.counts.unknown.length <= i) for (const k of kinds) out.counts[k].push(0);
    out.counts[l.kind][i]!++;
  }
  return out;
}

/** The height of columns: that of the highest, or where few stand far above all others, so much that the others are told apart. */
export function scaleOf(sums: readonly number[]): { top: number; broken: boolean } {
  const some = sums.filter((n) => n > 0).sort((a, b) => a - b);
  const highest = some.at(-1) ?? 1;
  const usual = some[Math.max(0, Math.ceil(some.length * 0.98) - 1)] ?? highest;
  const cap = Math.max(1, usual === highest && some.length > 1 ? some.at(-2)! : usual) * 1.2;
  return some.length >= 5 && highest > 2.5 * cap ? { top: cap, broken: true } : { top: highest, broken: false };
}

/** How many lines of each kind the columns that reach into a stretch hold. */
export function totals(v: Volume, from: number, to: number): Record<Kind, number> & { all: number } {
  const out = { unknown: 0, debug: 0, info: 0, warn: 0, error: 0, all: 0 };
  for (const k of kinds) {
    v.counts[k].forEach((n, i) => {
      const at = v.start + i * v.step;
      if (at + v.step <= from || at >= to) return;
      out[k] += n;
      out.all += n;
    });
  }
  return out;
}
