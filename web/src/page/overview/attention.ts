// SPDX-License-Identifier: Apache-2.0

import type { Alarm, Container, Host, Service, Servers, SiblingsAnswer } from "../../api/schema";
import { inShort, strangers } from "../../format/setting";
import { serviceHref, serviceState } from "../../format/service";
import { assess, crashLoop, isUp } from "../../format/state";
import { localName } from "../../format/text";
import { toneOf } from "../../part/firing";
import { configHref, containerHref, hostHref, rangeAround } from "../../part/place";

/** How bad something is, the worst first; what differs is not bad in itself. */
export const grades = ["crit", "warn", "conf"] as const;
export type Grade = (typeof grades)[number];

/** One thing that somebody should look at. */
export interface Item {
  key: string;
  grade: Grade;
  text: string;
  /** What else is wrong with the same thing. */
  more: string[];
  host: string;
  project: string;
  /** 0 where that is not known. */
  since: number;
  action: "Why" | "Open" | "Mend" | "Compare";
  href: string;
}

interface Fact extends Omit<Item, "key" | "more"> {
  workload: string;
  /** What tells it from others of its host where it is of no workload. */
  id: string;
}

/** What all of it is judged by; undefined is what tallyman does not have at all. */
export interface Known {
  hosts: readonly Host[];
  alarms?: readonly Alarm[];
  services?: readonly Service[];
  siblings?: readonly SiblingsAnswer[];
}

/** Alarms that fire and that somebody is told of. */
export const toldOf = (alarms: readonly Alarm[]) => alarms.filter((a) => a.state === "firing" && a.severity !== "info" && !a.silenced);

const placeOf = (host: string, workload: string) => `${host}\n${workload}`;

const nameMost = 64;

/** A container's name within its project; of an endless one the beginning, so that what is wrong with it has room. */
function shortName(c: Container): string {
  const name = [...localName(c.name, c.project)];
  return name.length > nameMost ? `${name.slice(0, nameMost - 1).join("")}…` : name.join("");
}

/** The name of a container as people say it, and that of its project. */
function named(hosts: readonly Host[]): (host: string, workload: string) => { name: string; project: string } {
  const by = new Map<string, Container>();
  for (const c of containersOf(hosts)) {
    const key = placeOf(c.host, c.workload);
    if (!by.has(key) || c.state !== "gone") by.set(key, c);
  }
  return (host, workload) => {
    const c = by.get(placeOf(host, workload));
    return c ? { name: shortName(c), project: c.project ?? "" } : { name: workload.split("/").join(" / "), project: "" };
  };
}

/** All containers, each once: two engines may be one under two addresses. */
export function containersOf(hosts: readonly Host[]): Container[] {
  return [...new Map(hosts.flatMap((h) => h.containers).map((c) => [`${c.host} ${c.id}`, c])).values()];
}

function ofContainer(c: Container, now: number): Fact | undefined {
  const { mark, words } = assess(c, now);
  if (mark !== "crit" && mark !== "warn") return undefined;
  const since = crashLoop(c, now) ? c.crashes!.first : isUp(c) ? (c.lastEvent?.kind === "health" ? c.lastEvent.time : 0) : (c.finished ?? 0);
  const died = c.state !== "running" || crashLoop(c, now);
  return {
    grade: mark, text: `${shortName(c)}: ${words}`, host: c.host, project: c.project ?? "", workload: c.workload, id: c.id, since,
    action: died ? "Why" : "Open",
    href: containerHref(c, since ? rangeAround(since, crashLoop(c, now) ? now : since) : {}),
  };
}

function ofAlarm(a: Alarm, project: string, now: number): Fact {
  const since = a.fired ?? a.since;
  const host = a.host ?? "";
  const workload = a.workload ?? "";
  return {
    grade: toneOf(a.severity) === "crit" ? "crit" : "warn", text: a.summary || a.rule, host, project, workload, id: a.labels["kind"] === "silent" ? silent : a.id, since,
    action: a.why ? "Why" : "Open",
    href: host && workload ? containerHref({ host, workload, id: "" }, rangeAround(since, now)) : `/alarms?${new URLSearchParams({ id: a.id })}`,
  };
}

/** The silence of a host is one thing, also where an alarm tells of it. */
const silent = "silent";

function ofHost(h: Host): Fact | undefined {
  const { up, error, since, lastGood, name } = h.engine;
  if (up || (!h.engine.failure && !error)) return undefined;
  return { grade: "crit", text: h.engine.failure === "silent" ? `${h.host} is silent: what runs there is not known` : `Docker on ${h.host} does not answer${error ? `: ${error}` : ""}`, host: h.host, project: "", workload: "", id: h.engine.failure === "silent" ? silent : `engine ${name}`, since: since ?? lastGood ?? 0, action: "Open", href: hostHref(h.host) };
}

const isBad = (s: Service) => s.state === "down" || s.state === "auth";

function ofService(s: Service, name: string, project: string): Fact {
  return { grade: "warn", text: `${s.type} of ${name} is ${serviceState(s.state).word}${s.reason ? `: ${s.reason}` : ""}`, host: s.host, project, workload: s.workload, id: `${s.type} ${s.where}`, since: s.since, action: "Mend", href: serviceHref(s) };
}

function ofSiblings(s: SiblingsAnswer, name: (host: string, workload: string) => { name: string; project: string }): Fact | undefined {
  if (s.differences.length === 0) return undefined;
  const off = [...strangers(s.differences)].sort((a, b) => a - b);
  const odd = off.map((i) => s.members[i]!);
  const first = odd[0] ?? s.members[0];
  if (!first) return undefined;
  const workload = first.workload ?? "";
  const { name: one, project } = name(first.host, workload);
  const what = inShort(s.differences.map((d) => d.path));
  const text = odd.length === 1 ? `${one} differs from its siblings: ${what}` : odd.length > 1 ? `${one} and ${odd.length - 1} more differ from their siblings: ${what}` : `${one} and its siblings differ: ${what}`;
  return { grade: "conf", text, host: first.host, project, workload, id: "siblings", since: odd.length > 0 ? Math.max(...odd.map((m) => m.time)) : 0, action: "Compare", href: configHref({ host: first.host, workload }) };
}

/** What needs attention, the worst first and of equals the newest. What is wrong with one container is one row. */
export function attention(k: Known, now: number): Item[] {
  const name = named(k.hosts);
  // In this order they lead a row: the state of a container says most.
  const facts: Fact[] = [
    ...containersOf(k.hosts).flatMap((c) => ofContainer(c, now) ?? []),
    ...toldOf(k.alarms ?? []).map((a) => ofAlarm(a, name(a.host ?? "", a.workload ?? "").project, now)),
    ...k.hosts.flatMap((h) => ofHost(h) ?? []),
    ...(k.services ?? []).filter(isBad).map((s) => ofService(s, name(s.host, s.workload).name, name(s.host, s.workload).project)),
    ...(k.siblings ?? []).flatMap((s) => ofSiblings(s, name) ?? []),
  ];
  const rank = (f: { grade: Grade }) => grades.indexOf(f.grade);
  const by = new Map<string, Fact[]>();
  for (const f of facts) {
    const key = placeOf(f.host, f.workload || ` ${f.id}`);
    by.set(key, [...(by.get(key) ?? []), f]);
  }
  return [...by]
    .map(([key, list]): Item & { workload?: string; id?: string } => {
      // Of equals that leads of which it is known why.
      const [lead, ...others] = [...list].sort((a, b) => rank(a) - rank(b) || Number(b.action === "Why") - Number(a.action === "Why"));
      return { ...lead!, key, more: others.filter((f) => f.id !== silent).map((f) => f.text) };
    })
    .sort((a, b) => rank(a) - rank(b) || b.since - a.since || a.text.localeCompare(b.text));
}

/** What is calm, in true numbers. */
export interface Calm {
  containers: { calm: number; all: number };
  hosts: number;
  services?: { up: number; all: number; pending: number };
}

/** Counts what is calm: of containers those that run or were stopped, on an engine that answers, and of which no row speaks. */
export function calmOf(k: Known, items: readonly Item[], now: number): Calm {
  const spoken = new Set(items.map((i) => i.key));
  const away = new Set(k.hosts.filter((h) => !h.engine.up).map((h) => `${h.host} ${h.engine.name}`));
  const present = containersOf(k.hosts).filter((c) => c.state !== "gone");
  const calm = present.filter((c) => assess(c, now).mark !== "unknown" && !spoken.has(placeOf(c.host, c.workload)) && !away.has(`${c.host} ${c.engine}`));
  return {
    containers: { calm: calm.length, all: present.length },
    hosts: new Set(k.hosts.map((h) => h.host)).size,
    services: k.services && { up: k.services.filter((s) => s.state === "up" || s.state === "paused").length, all: k.services.length, pending: k.services.filter((s) => s.state === "pending").length },
  };
}

/** Whether Overview is what to open first: there are more hosts than one, or something is wrong. What merely differs is not. */
export function opensFirst(s: Servers, alarms: readonly Alarm[] | undefined, services: readonly Service[] | undefined, now: number): boolean {
  return new Set(s.hosts.map((h) => h.host)).size > 1 || attention({ hosts: s.hosts, alarms, services }, now).length > 0;
}

/** One container of each service with several, to ask about its siblings. */
export function services(hosts: readonly Host[]): { host: string; workload: string }[] {
  const by = new Map<string, Set<string>>();
  for (const c of containersOf(hosts)) {
    if (!c.service || !isUp(c)) continue;
    const key = placeOf(c.host, `${c.project ?? ""}\n${c.service}`);
    by.set(key, (by.get(key) ?? new Set()).add(c.workload));
  }
  return [...by].filter(([, members]) => members.size > 1).map(([key, members]) => ({ host: key.split("\n")[0]!, workload: [...members].sort()[0]! }));
}
