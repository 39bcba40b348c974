// SPDX-License-Identifier: Apache-2.0

import { change, get } from "../../api/client";
import type { Alarm, Chart, DetailAnswer, Receiver, Rule, Silence, Trial } from "../../api/schema";
import { counted } from "../../format/number";
import { hour, minute, second, span } from "../../format/time";

/** What the page of alarms shows. */
export interface Alarms {
  active: Alarm[];
  history: Alarm[];
  more: boolean;
  rules: Rule[];
  receivers: Receiver[];
  silences: Silence[];
}

/** Asks for all of it. */
export async function alarms(signal?: AbortSignal): Promise<Alarms> {
  const [active, history, rules, receivers, silences] = await Promise.all([
    get<"alarms">("alarms", {}, signal),
    get<"alarms/history">("alarms/history", { limit: 100 }, signal),
    get<"alarms/rules">("alarms/rules", {}, signal),
    get<"alarms/receivers">("alarms/receivers", {}, signal),
    get<"alarms/silences">("alarms/silences", {}, signal),
  ]);
  return { active: active.alarms, history: history.alarms.filter((a) => a.state === "cleared"), more: history.more, rules: rules.rules, receivers: receivers.receivers, silences: silences.silences.filter((s) => s.state !== "expired") };
}

/** Says that somebody knows of an alarm, or takes that back. */
export const acknowledge = (a: Alarm, on: boolean) => change(on ? "POST" : "DELETE", `alarms/acknowledged/${encodeURIComponent(a.id)}`);

/** Has nobody told of what a workload, or a host, raises by a rule, for an hour. */
export const silence = (a: Alarm, until: number) => change("POST", "alarms/silences", { matchers: matchersOf(a), until, comment: "from the page" });

export const endSilence = (s: Silence) => change("DELETE", `alarms/silences/${encodeURIComponent(s.id)}`);

export const testReceiver = (r: Receiver) => change("POST", `alarms/receivers/${r.number}/test`) as Promise<{ answer: string }>;

/** How often a rule would have fired in the last seven days. */
export async function trialOf(r: Rule): Promise<Trial> {
  const { trials } = await get<"alarms/rules/{name}/test">(`alarms/rules/${encodeURIComponent(r.name)}/test`, {});
  const own = trials.find((t) => t.group === r.group && t.expr === r.expr) ?? trials[0];
  if (!own) throw new Error("There is no such rule any more.");
  return own;
}

/** What an alarm's rule looked at. */
export const detailOf = (a: Alarm): Promise<DetailAnswer> => get<"alarms/{id}">(`alarms/${encodeURIComponent(a.id)}`, {});

/** The lines of a chart of 100 by 100, in which the threshold and 0 are. A hole stays a hole. */
export function drawn(c: Chart): { line: string; most: number; level: number } {
  const most = Math.max(...c.values, c.op ? c.threshold : 0);
  const least = Math.min(0, ...c.values, c.op ? c.threshold : 0);
  const y = (v: number) => 98 - ((v - least) / (most - least || 1)) * 94;
  const hole = 3 * ((c.times[1] ?? 0) - (c.times[0] ?? 0));
  let line = "";
  let last = -Infinity;
  c.times.forEach((t, i) => {
    line += `${t - last > hole ? "M" : "L"}${place(c, t).toFixed(2)} ${y(c.values[i] ?? 0).toFixed(2)}`;
    last = t;
  });
  return { line, most, level: y(c.threshold) };
}

/** Where a time is in a chart, 0 to 100. */
export const place = (c: Chart, t: number): number => Math.min(100, Math.max(0, ((t - c.start) / (c.end - c.start || 1)) * 100));

/** A trial in one sentence. */
export function trialWords(t: Trial): string {
  const looked = `in the last ${span(t.end - t.start)}`;
  const cut = t.cut ? " There was no time to look further back." : "";
  if (t.fired === 0) return `It would not have fired ${looked}${t.waited ? `, only been pending ${counted(t.waited, "time")}` : ""}.${cut}`;
  return `It would have fired ${counted(t.fired, "time")} ${looked}, for ${span(Math.max(second, t.lasted))} in all.${cut}`;
}

/** What tells an alarm from others that may come, as Alertmanager writes it. */
export function matchersOf(a: Alarm): string[] {
  return Object.entries(a.labels)
    .filter(([name]) => ["alertname", "host", "workload", "engine", "device"].includes(name))
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`);
}

/** What the page says first. */
export function verdict(a: Alarms): { mark: string; text: string } {
  const firing = a.active.filter((x) => x.state === "firing");
  const grave = firing.filter((x) => x.severity !== "info");
  if (grave.length > 0) {
    const critical = grave.filter((x) => x.severity === "critical").length;
    const text = `${counted(grave.length, "alarm")} ${grave.length === 1 ? "fires" : "fire"}`;
    return { mark: critical > 0 ? "crit" : "warn", text: critical > 0 && critical < grave.length ? `${text}, ${critical} of them critical` : text };
  }
  const failing = a.rules.filter((r) => r.error).length;
  if (failing > 0) return { mark: "warn", text: `Nothing fires, but ${counted(failing, "rule")} cannot be evaluated` };
  if (a.rules.length === 0) return { mark: "unknown", text: "There are no rules" };
  return { mark: "ok", text: firing.length > 0 ? "Nothing fires that anybody is told of" : `Nothing fires. ${counted(a.rules.length, "rule")} ${a.rules.length === 1 ? "watches" : "watch"}` };
}

/** How long an alarm was there. */
export function lasted(a: Alarm): string {
  const end = a.cleared ?? 0;
  const from = a.fired ?? a.since;
  return end > from ? span(end - from) : span(second);
}

/** For how long a condition must hold before its rule fires. */
export function waits(ms: number): string {
  if (ms === 0) return "at once";
  if (ms % hour === 0) return `${ms / hour} h`;
  return ms % minute === 0 ? `${ms / minute} min` : span(ms);
}

/** Rules in order: what fires, what fails, what is pending, then the others by name. */
export function ordered(rules: readonly Rule[]): Rule[] {
  const rank = (r: Rule) => (r.state === "firing" ? 0 : r.error ? 1 : r.state === "pending" ? 2 : 3);
  return [...rules].sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name) || a.severity.localeCompare(b.severity));
}
