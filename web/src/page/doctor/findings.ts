// SPDX-License-Identifier: Apache-2.0

import type { Costs, Disk, Dropped, Feature, Store } from "../../api/schema";
import { bytes, bytesLike, cores, count, plain, size } from "../../format/number";
import type { Mark } from "../../format/state";

type FeatureState = Feature["state"];

/** The shape and the word of a feature's state. */
export const states: Record<FeatureState, { mark: Mark; word: string }> = {
  works: { mark: "ok", word: "works" },
  partly: { mark: "warn", word: "works partly" },
  off: { mark: "crit", word: "does not work" },
  unknown: { mark: "unknown", word: "not known" },
};

/** A state that a newer tallyman has and this page does not know is not known. */
export function stateOf(s: FeatureState): FeatureState {
  return Object.hasOwn(states, s) ? s : "unknown";
}

const groups = ["Engines", "Containers", "Host", "Rights", "Storage", "tallyman"];
const worst: FeatureState[] = ["off", "partly", "unknown", "works"];

export interface FeatureGroup {
  name: string;
  features: Feature[];
}

/** Features by group, in a fixed order; within a group the worst comes first. */
export function grouped(features: readonly Feature[]): FeatureGroup[] {
  const place = (g: string) => (groups.includes(g) ? groups.indexOf(g) : groups.length);
  const out = new Map<string, Feature[]>();
  for (const f of features) out.set(f.group, [...(out.get(f.group) ?? []), f]);
  return [...out]
    .sort(([a], [b]) => place(a) - place(b) || a.localeCompare(b, "en"))
    .map(([name, list]) => ({ name, features: [...list].sort((a, b) => worst.indexOf(stateOf(a.state)) - worst.indexOf(stateOf(b.state))) }));
}

/** Whether something is missing that was expected. */
export function lacking(f: Feature): boolean {
  return stateOf(f.state) !== "works";
}

/** All of it in a sentence: "3 of 21 do not work, 2 can be unlocked." */
export function verdict(features: readonly Feature[]): { mark: Mark; text: string } {
  if (features.length === 0) return { mark: "unknown", text: "Nothing has been checked yet." };
  const of = (s: FeatureState) => features.filter((f) => stateOf(f.state) === s).length;
  const off = of("off");
  const partly = of("partly");
  const unknown = of("unknown");
  if (off + partly + unknown === 0) return { mark: "ok", text: "Everything works here." };
  const parts: string[] = [];
  const add = (n: number, one: string, many: string) => {
    if (n > 0) parts.push(`${n}${parts.length === 0 ? ` of ${features.length}` : ""} ${n === 1 ? one : many}`);
  };
  add(off, "does not work", "do not work");
  add(partly, "works partly", "work partly");
  add(unknown, "is not known", "are not known");
  const unlocked = features.filter((f) => lacking(f) && f.unlock).length;
  if (unlocked > 0) parts.push(`${unlocked} can be unlocked`);
  return { mark: off ? "crit" : partly ? "warn" : "unknown", text: parts.join(", ") + "." };
}

/** A piece of advice: what is to be pasted, and the words around it. */
export interface Advice {
  code: boolean;
  text: string;
}

/** The pieces of an unlock: in backticks stands what is to be pasted; without any all of it is, if it looks so. */
export function adviceOf(unlock: string): Advice[] {
  const pieces = unlock.split("`");
  if (pieces.length < 3 || pieces.length % 2 === 0) return [{ code: pasted(unlock), text: unlock }];
  return pieces.map((text, i) => ({ code: i % 2 === 1, text: text.trim() })).filter((p) => p.text !== "" && p.text !== ".");
}

const commands = new Set(["docker", "sudo", "mount", "systemctl", "sysctl", "usermod", "modprobe", "chmod", "chown", "setfacl", "tallyman"]);

/** Whether an unlock is something to paste: a flag, a setting or a command, rather than advice. */
export function pasted(unlock: string): boolean {
  const [first = ""] = unlock.trim().split(/\s+/);
  return first.startsWith("-") || /^[\w.-]+[:=]/.test(first) || commands.has(first);
}

const sentence = (text: string) => (/[.!?…]$/.test(text) ? text : text + ".");

/** Detail and reason as sentences. */
export function says(f: Feature): string {
  return [f.detail, f.reason].filter((t) => t).map((t, _, all) => (all.length > 1 ? sentence(t!) : t!)).join(" ");
}

/** A name with its value, and the share of a limit where there is one. */
export interface Line {
  name: string;
  /** undefined when it is not known. */
  value: string | undefined;
  share?: number;
  title?: string;
}

const text = (v: number) => {
  const q = bytes(v);
  return `${q.n} ${q.unit}`;
};

/** Cores of what should need few: 0.012. */
export function fine(v: number): string {
  return `${v > 0 && v < 0.0995 ? v.toFixed(3) : cores(v)} cores`;
}

function time(seconds: number): string {
  return seconds < 1 ? `${plain(seconds * 1000)} ms` : `${plain(seconds)} s`;
}

/** What tallyman itself takes. */
export function costLines(c: Costs): Line[] {
  const within = (v: number | undefined, limit: number | undefined, say: (v: number) => string, of: (v: number, limit: number) => string): Pick<Line, "value" | "share"> =>
    v === undefined ? { value: undefined } : limit ? { value: of(v, limit), share: v / limit } : { value: say(v) };
  const { memory, memoryLimit, files, filesLimit, rounds, lateRounds, roundSeconds } = c;
  return [
    { name: "CPU", value: c.cpu === undefined ? undefined : fine(c.cpu) },
    { name: "Memory", ...within(memory, memoryLimit, text, (v, l) => `${bytesLike(v, l)} of ${size(l)}`), title: memoryLimit ? undefined : "It has no limit" },
    { name: "Resident", value: c.resident === undefined ? undefined : text(c.resident), title: "With the pages of its files that are in memory" },
    { name: "Descriptors", ...within(files, filesLimit, count, (v, l) => `${count(v)} of ${count(l)}`), title: "Open files and sockets" },
    { name: "Goroutines", value: c.goroutines === undefined ? undefined : count(c.goroutines) },
    { name: "Rounds", value: rounds === undefined ? undefined : [count(rounds), roundSeconds !== undefined && `${time(roundSeconds)} each`, lateRounds !== undefined && (lateRounds ? `${count(lateRounds)} late` : "none late")].filter(Boolean).join(", ") },
  ];
}

/** What the engine's own processes take. */
export function daemonLines(c: Costs): Line[] {
  return c.daemons.map((d) => ({
    name: d.name,
    value: [d.cpu !== undefined && fine(d.cpu), d.memory !== undefined && text(d.memory)].filter(Boolean).join(", ") || undefined,
  }));
}

/** The calls to each engine, the most frequent first. */
export function callLines(c: Costs): Line[] {
  const by = new Map<string, { call: string; count: number }[]>();
  for (const one of c.calls) by.set(one.engine, [...(by.get(one.engine) ?? []), one]);
  return [...by].map(([name, calls]) => ({ name, value: calls.sort((a, b) => b.count - a.count).map((x) => `${count(x.count)} ${x.call}`).join(", ") }));
}

function length(seconds: number): string {
  const hours = seconds / 3600;
  return hours >= 48 ? `${plain(hours / 24)} d` : `${plain(hours)} h`;
}

/** What a store holds and until when, without its size. */
export function kept(s: Store, ago: (t: number) => string): string {
  return [
    s.oldest !== undefined ? `oldest ${ago(s.oldest)}` : "",
    s.retention ? `kept for ${length(s.retention)}` : "no limit in time",
    s.series !== undefined ? `${count(s.series)} series` : "",
  ].filter(Boolean).join(", ");
}

/** A store's size against its limit. */
export function storeSize(s: Store): Line & { value: string } {
  return s.limit ? { name: s.name, value: `${text(s.bytes)} of ${size(s.limit)}`, share: s.bytes / s.limit } : { name: s.name, value: `${text(s.bytes)}, no limit` };
}

/** The free space of the disk that holds the stores, and how near it is to the reserve. */
export function diskLine(d: Disk): Line & { value: string; mark: Mark; reserve: string } {
  const { size: all, free, reserve } = d;
  const mark: Mark = reserve && free < reserve ? "crit" : reserve && free < 2 * reserve ? "warn" : "ok";
  return {
    name: d.path,
    value: all ? `${text(free)} free of ${size(all)}` : `${text(free)} free`,
    share: all ? 1 - free / all : undefined,
    mark,
    reserve: !reserve ? "" : mark === "crit" ? `Less than the reserve of ${size(reserve)} is free.` : `tallyman leaves ${size(reserve)} of it free.`,
  };
}

const reasons: Record<string, string> = {
  slow_store: "the store did not keep up",
  slow_sink: "the receiver did not keep up",
  refused: "the store refused them",
  store_failed: "the store could not write them",
  disk_full: "the disk is full",
  low_disk: "the disk is below the reserve",
  queue_full: "the queue was full",
  too_old: "they were too old",
  out_of_order: "they came out of order",
  series_limit: "there were too many series",
  label_limit: "they had too many or too long labels",
  too_many_series: "there were too many series",
  cardinality: "there were too many series",
};

/** "1,200 samples: the store could not write them." */
export function dropWords(d: Dropped): string {
  return `${count(d.count)} ${d.count === 1 ? d.what.replace(/s$/, "") : d.what}: ${sentence(reasons[d.reason] ?? d.reason.replaceAll("_", " "))}`;
}
