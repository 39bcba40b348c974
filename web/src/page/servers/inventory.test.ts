// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import type { Container, Host, Servers } from "../../api/schema";
import { Inventory } from "./inventory";

function host(name: string, id: string, more: Partial<Host> = {}): Host {
  const container = { id, name: "shop-api-1", image: "api", host: name, engine: name, workload: "shop/api/1", state: "running", now: { t: 1, cpu: 1 } } as Container;
  return { host: name, engine: { name, address: "", up: true }, containers: [container], ...more };
}

const answer = (...hosts: Host[]): Servers => ({ time: 1, version: "", auth: true, interval: 10, hosts });

function filled(...hosts: Host[]): Inventory {
  const i = new Inventory();
  i.snapshot(answer(...hosts));
  return i;
}

const cpus = (i: Inventory) => i.hosts.value.map((b) => b.rows.value.map((r) => r.now?.cpu));

test("two hosts with a workload of one key keep their own rows", () => {
  const i = filled(host("harbor-1", "a"), host("harbor-2", "b"));
  i.tick({ time: 2, now: { a: { t: 2, cpu: 2 }, b: { t: 2, cpu: 3 } } });
  expect(cpus(i)).toEqual([[2], [3]]);
  i.event({ id: "e", time: 5, host: "harbor-2", type: "container", action: "die", actor: "b", kind: "death", severity: "critical", text: "Died" });
  expect(i.hosts.value.map((b) => b.rows.value[0]!.info.lastEvent?.text)).toEqual([undefined, "Died"]);
});

test("one engine under two addresses has its containers in both blocks", () => {
  const i = filled(host("harbor-1", "a"), host("also-harbor-1", "a"));
  i.tick({ time: 2, now: { a: { t: 2, cpu: 2 } } });
  expect(cpus(i)).toEqual([[2], [2]]);
  expect(i.hosts.value.map((b) => b.rows.value[0]!.info.host)).toEqual(["harbor-1", "also-harbor-1"]);
  i.container({ ...i.hosts.value[1]!.rows.value[0]!.info, state: "paused" });
  expect(i.hosts.value.map((b) => b.rows.value[0]!.info.state)).toEqual(["running", "paused"]);
  i.snapshot(answer(host("harbor-1", "a")));
  i.tick({ time: 3, now: { a: { t: 3, cpu: 4 } } });
  expect(cpus(i)).toEqual([[4]]);
});

test("figures of a machine follow the ticks; a host without any has none", () => {
  const i = filled(host("harbor-1", "a", { cpu: 1, load1: 2, diskUsed: 61, diskSize: 100, diskMount: "/" }), host("harbor-2", "b"));
  const [near, far] = i.hosts.value;
  const disk = near!.disk.value;
  i.tick({ time: 2, hosts: { "harbor-1": { cpu: 3, load1: 4, diskUsed: 61, diskSize: 101, diskAvail: 39, diskMount: "/" } }, now: {} });
  expect([near!.cpu.value, near!.load.value, near!.disk.value]).toEqual([3, 4, { used: 61, size: 100, mount: "/" }]);
  expect(near!.disk.value).toBe(disk);
  expect([far!.cpu.value, far!.load.value, far!.disk.value]).toEqual([undefined, undefined, undefined]);
});

test("only the block of the engine that is away says so", () => {
  const i = filled(host("harbor-1", "a"), host("harbor-2", "b"));
  i.engine({ host: "harbor-2", engine: { name: "harbor-2", address: "", up: false, failure: "refused" } });
  expect(i.hosts.value.map((b) => b.engine.value.up)).toEqual([true, false]);
});
