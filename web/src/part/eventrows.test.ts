// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { anything } from "../api/kept";
import type { Event } from "../api/schema";
import { driftPair, fits, merged, ranFor, rowsOf, runLength, volumeOf } from "./eventrows";

const noon = new Date(2026, 10, 20, 12).getTime();
const at = (s: number, more: Partial<Event> = {}): Event => ({ id: `e${s}`, time: noon + s * 1000, host: "h", type: "container", action: "start", actor: "c", name: "web", workload: "shop/web/1", kind: "start", severity: "good", text: "Started", ...more });
const exec = (s: number, action: string, id: string, text = "exec: ls, exit 0"): Event => at(s, { action, kind: "exec", severity: "", attributes: { execID: id, command: "ls" }, text });

test("an exec is one row with its length", () => {
  const rows = rowsOf([exec(9, "exec_die", "x"), at(8), exec(7, "exec_start", "x"), exec(6, "exec_create", "x"), exec(5, "exec_start", "y"), exec(4, "exec_create", "y"), exec(3, "exec_die", "z")]);
  expect(rows.map((r) => (r.as !== "event" ? r.as : `${r.event.id} ${r.parts.map((p) => p.id).join(",")}`))).toEqual(["day", "e9 e7,e6", "e8 ", "e5 e4", "e3 "]);
  const of = (i: number) => (rows[i]!.as === "event" ? ranFor(rows[i] as never) : NaN);
  expect([of(1), of(2), of(3), of(4)]).toEqual([2000, undefined, undefined, undefined]);
  expect([runLength(30), runLength(2000), runLength(12_400), runLength(200_000)]).toEqual(["0.0 s", "2.0 s", "12 s", "3 min"]);
});

test("execs of one id in two containers stay apart", () => {
  expect(rowsOf([exec(9, "exec_die", "x"), { ...exec(8, "exec_start", "x"), actor: "other" }]).length).toBe(3);
});

test("each day has its heading", () => {
  const day = 86_400;
  expect(rowsOf([at(day), at(1), at(0), at(-day)]).map((r) => r.as)).toEqual(["day", "event", "day", "event", "event", "day", "event"]);
});

test("new events fit as the server says", () => {
  const f = (filter: Partial<typeof anything>, e: Event, want: boolean) => expect(fits({ ...anything, ...filter }, e), JSON.stringify(filter)).toBe(want);
  const die = at(1, { action: "die", kind: "death", severity: "critical", text: "Out of memory: the kernel killed it, exit 137", attributes: { oomKilled: "true", note: "Ünique" } });
  f({}, die, true);
  f({ severities: ["critical"] }, die, true);
  f({ severities: ["plain"] }, die, false);
  f({ severities: ["plain"] }, exec(1, "exec_die", "x"), true);
  f({ hosts: ["h", "i"], workloads: ["shop/web/1"], types: ["container"], actions: ["die"] }, die, true);
  f({ hosts: ["i"] }, die, false);
  f({ without: ["die"] }, die, false);
  for (const text of ["out of MEMORY", "web", "oomkilled", "ünique", "shop/"]) f({ text }, die, true);
  f({ text: "nowhere" }, die, false);
});

test("events are there once, newest first", () => {
  expect(merged([at(3), at(1)], [at(2), at(3)]).map((e) => e.id)).toEqual(["e3", "e2", "e1"]);
  const have = [at(1)];
  expect(merged(have, [at(1)])).toBe(have);
});

test("columns by severity", () => {
  const v = volumeOf({ start: 5, step: 10, counts: { critical: [1, 0], warning: [0, 2], info: [0, 3], good: [1, 1], plain: [2, 0] }, total: 10, severities: {}, types: {}, actions: {}, hosts: {}, workloads: [] });
  expect(v).toEqual({ start: 5, step: 10, counts: { error: [1, 0], warn: [0, 2], info: [0, 3], debug: [3, 1], unknown: [0, 0] } });
});

test("a drift names its two configurations", () => {
  expect(driftPair(at(1, { kind: "drift", attributes: { from: "a", to: "b" } }))).toEqual({ a: "a", b: `b.${noon + 1000}` });
  expect(driftPair(at(1, { attributes: { from: "a", to: "b" } }))).toBeUndefined();
});
