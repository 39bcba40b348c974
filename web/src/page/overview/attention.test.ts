// SPDX-License-Identifier: Apache-2.0

import { expect, test, vi } from "vitest";
import type { Alarm, Container, Host, Service, Servers, SiblingsAnswer } from "../../api/schema";
import { inOrder } from "./held";

vi.stubGlobal("history", { state: null });
vi.stubGlobal("location", { pathname: "/", search: "", href: "http://x/" });
const { attention, calmOf, opensFirst, services } = await import("./attention");

const now = 1_800_000_000_000;
const container = (name: string, more: Partial<Container> = {}): Container => ({ id: name, name, workload: `shop/${name}`, host: "h", engine: "local", image: "i", origin: "compose", project: "shop", state: "running", restartCount: 0, ...more });
const host = (containers: Container[], more: Partial<Host> = {}): Host => ({ host: "h", engine: { name: "local", address: "", up: true }, containers, ...more });
const alarm = (more: Partial<Alarm> = {}): Alarm => ({ id: "a", rule: "R", severity: "warning", state: "firing", summary: "web keeps dying", since: now - 9000, value: 1, labels: {}, host: "h", workload: "shop/web", ...more });
const service = (state: string, more: Partial<Service> = {}): Service => ({ type: "REDIS", state, container: "c", workload: "shop/db", host: "h", name: "db", instance: "db", every: 60, origin: "detection", series: 1, since: now - 5000, where: "", ...more });
const away: Partial<Host> = { engine: { name: "local", address: "", up: false, error: "connection refused", since: now - 60_000 } };
const unlike = (values: (number | null)[]): SiblingsAnswer =>
  ({ members: values.map((_, i) => ({ host: "h", workload: `shop/api-${i}`, name: `api-${i}`, time: now - 1000 * (i + 1) })), differences: [{ path: "HostConfig.Memory", values }] }) as unknown as SiblingsAnswer;

test("a silent host is one row, with its alarm", () => {
  const gone = host([container("web", { state: "unknown" })], { engine: { name: "h/local", address: "", up: false, failure: "silent", since: now - 60_000 } });
  const items = attention({ hosts: [gone], alarms: [alarm({ rule: "HostSilent", severity: "critical", summary: "h is silent", workload: undefined, labels: { kind: "silent" } })] }, now);
  expect(items.map((i) => [i.grade, i.text, i.more])).toEqual([["crit", "h is silent", []]]);
});

test("what is wrong with one container is one row, and the worst stands first", () => {
  const web = container("web", { state: "exited", exitCode: 3, finished: now - 8000 });
  const items = attention({ hosts: [host([web, container("db"), container("api-2")])], alarms: [alarm()], services: [service("down", { reason: "refused" })], siblings: [unlike([1, 1, 2])] }, now);
  expect(items.map((i) => [i.grade, i.text, i.more, i.action])).toEqual([
    ["crit", "web: failed, exit 3", ["web keeps dying"], "Why"],
    ["warn", "REDIS of db is down: refused", [], "Mend"],
    ["conf", "api-2 differs from its siblings: Memory limit", [], "Compare"],
  ]);
  expect(items[0]!.since).toBe(now - 8000);
  expect(items[2]!.since).toBe(now - 3000);
});

test("alarms that nobody is told of, pending ones and services that are not asked yet are no rows", () => {
  const alarms = [alarm({ silenced: true }), alarm({ severity: "info" }), alarm({ state: "pending" })];
  const known = { hosts: [host([container("web"), container("db")])], alarms, services: [service("pending"), service("up"), service("paused")] };
  expect(attention(known, now)).toEqual([]);
  expect(calmOf(known, [], now)).toEqual({ containers: { calm: 2, all: 2 }, hosts: 1, services: { up: 2, all: 3, pending: 1 } });
});

test("an endless name leaves room for what is wrong", () => {
  const [item] = attention({ hosts: [host([container("x".repeat(1000), { state: "dead" })])] }, now);
  expect(item!.text).toBe(`${"x".repeat(63)}…: dead: the engine could not remove it`);
});

test("nothing on an engine that does not answer is called calm", () => {
  const known = { hosts: [host([container("web")], away)] };
  const items = attention(known, now);
  expect(items.map((i) => i.text)).toEqual(["Docker on h does not answer: connection refused"]);
  expect(calmOf(known, items, now).containers).toEqual({ calm: 0, all: 1 });
});

test("neither is what a row speaks of, nor what is not known yet; what is gone does not count", () => {
  const containers = [container("web", { health: "starting" }), container("db", { state: "exited", exitCode: 0 }), container("old", { state: "gone" }), container("api", { health: "unhealthy" })];
  const known = { hosts: [host(containers)] };
  expect(calmOf(known, attention(known, now), now).containers).toEqual({ calm: 1, all: 3 });
});

test("the root is Overview with two hosts, or where something is wrong", () => {
  const of = (...hosts: Host[]) => ({ hosts }) as Servers;
  expect(opensFirst(of(host([container("web")])), [], [], now)).toBe(false);
  expect(opensFirst(of(host([]), host([], { host: "other" })), undefined, undefined, now)).toBe(true);
  expect(opensFirst(of(host([], away)), [], [], now)).toBe(true);
  expect(opensFirst(of(host([container("web")])), [alarm()], [], now)).toBe(true);
  expect(opensFirst(of(host([container("db")])), [], [service("auth")], now)).toBe(true);
});

test("siblings are asked for once for each service with several containers that run", () => {
  const api = (n: number, more: Partial<Container> = {}) => container(`api-${n}`, { service: "api", ...more });
  expect(services([host([api(2), api(1), api(3, { state: "exited" }), container("web", { service: "web" })])])).toEqual([{ host: "h", workload: "shop/api-1" }]);
});

test("rows keep their order, new ones come after them", () => {
  expect(inOrder(["c", "a", "n", "b"], ["a", "gone", "b", "c"], (x) => x)).toEqual(["a", "b", "c", "n"]);
});
