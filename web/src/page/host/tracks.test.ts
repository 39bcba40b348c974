// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { type Known, sections } from "./tracks";

const all = { cpu: true, memory: true, network: true, disk: true };
const known = (more: Partial<Known> = {}): Known => ({
  seats: { cpu: ["a", undefined, "b"], memory: [], network: [], disk: [] },
  counts: { cpu: 5, memory: 0, network: 0, disk: 0 },
  nameOf: (w) => w.toUpperCase(),
  hrefOf: (w) => `/${w}`,
  why: (feature) => `because of ${feature}`,
  measured: true,
  counters: true,
  shared: all,
  ...more,
});
const of = (id: string, k: Known) => sections(k).find((s) => s.spec.id === id)!;

test("every part has a name: the containers, the others, what is not in containers, what is free", () => {
  const names = of("cpu", known()).spec.lines.filter((l) => l.name !== "").map((l) => l.name);
  expect(names).toEqual(["A", "B", "3 others", "not in containers", "whole host", "free", "all cores"]);
  expect(of("cpu", known()).spec.lines[2]).toMatchObject({ series: "cpu2", name: "B", href: "/b", kind: "stack" });
  expect(of("cpu", known()).spec.unknown).toEqual([]);
  expect(of("network", known()).spec.unknown!.map((u) => u.name)).toEqual(["not in containers", "free"]);
  expect(of("disk", known()).spec.unknown!.map((u) => u.name)).toEqual(["free"]);
});

test("what is not known has its name and the doctor's reason", () => {
  expect(of("memory", known({ counters: false })).spec.unknown).toEqual([
    { name: "not in containers", why: "because of host/cpu" },
    { name: "free", why: "because of host/cpu" },
  ]);
  expect(of("disk", known({ shared: { ...all, disk: false } })).spec.unknown![0]).toEqual({ name: "containers", why: "because of container/blockio" });
  expect(of("pressure", known()).missing).toBe("because of host/pressure");
});

test("without the engine's own metrics nothing folds out", () => {
  expect(of("ping", known()).more!.sections.length).toBeGreaterThan(3);
  expect(of("ping", known({ measured: false })).more).toBeUndefined();
});

test("ticks of every chart can be read", () => {
  const every = sections(known()).flatMap((s) => [s, ...(s.more?.sections ?? [])]);
  for (const { spec } of every) for (const v of [0, 0.0004, 0.25, 3, 1500, 4e6]) expect(spec.tick(v), `${spec.id} ${v}`).toMatch(/^[\d.]+(e\+\d)?( ?[\w%/]+)?$/);
});
