// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import type { Event } from "../api/schema";
import { calm, distance } from "./calm";
import { rowsOf } from "./eventrows";

const noon = new Date(2026, 10, 20, 12).getTime();
let n = 0;
const e = (s: number, action: string, more: Partial<Event> = {}): Event => ({ id: `e${n++}`, time: noon + s * 1000, host: "h", type: "container", action, actor: "c", name: "web", workload: "web", kind: "start", severity: "info", text: action, ...more });
const net = (s: number, action: string, container = "c"): Event => e(s, action, { type: "network", actor: "net", name: undefined, workload: undefined, severity: "", attributes: { container } });
const crash = (s: number, more: Partial<Event> = {}): Event => e(s, "die", { severity: "critical", text: "Died, exit 2", attributes: { exitCode: "2" }, ...more });

/** What the rows say, the oldest first. */
const said = (events: Event[], open: string[] = [], at?: number) =>
  rowsOf([...events].sort((a, b) => b.time - a.time), (rows) => calm(rows, new Set(open), at)).flatMap((r) => (r.as === "day" ? [] : [`${(r.t - noon) / 1000} ${r.said ?? r.event.text}${r.as === "event" && r.parts.length ? ` +${r.parts.length}` : ""}`])).reverse();

test("a restart that was asked for is one row", () => {
  expect(said([e(0, "kill"), e(0.2, "die"), net(0.25, "disconnect"), e(0.3, "stop"), net(0.4, "connect"), e(0.6, "start"), e(0.7, "restart")])).toEqual(["0.6 Restarted, took 0.6 s +6"]);
});

test("a stop is one row, a start later another", () => {
  expect(said([e(0, "kill"), e(0.2, "die", { text: "Stopped, exit 0" }), net(0.3, "disconnect"), e(0.4, "stop"), net(300, "connect"), e(300.1, "start")])).toEqual(["0.2 Stopped, exit 0 +3", "300.1 start +1"]);
});

test("a signal after a start is a row of its own", () => {
  expect(said([net(0, "connect"), e(0.1, "start"), e(5, "kill"), e(6, "kill")])).toEqual(["0.1 start +1", "5 kill", "6 kill"]);
});

test("a death that nobody asked for stays a death, with its next start", () => {
  expect(said([crash(0), net(0.1, "disconnect"), net(0.5, "connect"), e(0.7, "start")])).toEqual(["0 Died, exit 2; started again 0.7 s later +3"]);
});

test("a death for want of memory is one row, whichever of the two the engine tells first", () => {
  const oom = (s: number) => e(s, "oom", { severity: "critical", text: "Out of memory" });
  expect(said([oom(0), crash(0.1)])).toEqual(["0.1 Died, exit 2 +1"]);
  expect(said([crash(0), oom(0.1)])).toEqual(["0 Died, exit 2 +1"]);
  expect(said([oom(0)])).toEqual(["0 Out of memory"]);
});

test("a loop is one row that opens", () => {
  const all = Array.from({ length: 18 }, (_, i) => [crash(i * 20), e(i * 20 + 1, "start")]).flat();
  expect(said(all)).toEqual(["340 Died 18\u00d7, exit 2, in 6 min"]);
  const fold = rowsOf([...all].reverse(), (rows) => calm(rows, new Set(), undefined)).find((r) => r.as === "fold")!;
  expect(said(all, [fold.key]).length).toBe(19);
  // The moment that is meant opens it.
  expect(said(all, [], noon + 40_000).length).toBe(19);
  expect(distance(fold, noon + 40_500)).toBe(500);
});

test("deaths of others, with another exit or long after stay apart", () => {
  expect(said([crash(0), crash(60, { workload: "other", actor: "d" }), crash(120, { attributes: { exitCode: "3" }, actor: "f" }), crash(1800, { actor: "g" })]).length).toBe(4);
});

test("networks and volumes by the way are one row, not two of them", () => {
  const volume = (s: number) => e(s, "create", { type: "volume", actor: "v", severity: "" });
  expect(said([net(0, "create", ""), net(1, "connect", "x"), volume(2), e(3, "start"), net(4, "destroy", ""), volume(5)])).toEqual(["2 3 events of networks and volumes", "3 start", "4 destroy", "5 create"]);
});

test("execs are left as they are", () => {
  expect(said([e(0, "exec_start", { kind: "exec", attributes: { execID: "x" }, text: "ls" }), e(1, "exec_die", { kind: "exec", attributes: { execID: "x" }, text: "ls" })])).toEqual(["1 ls +1"]);
});
