// SPDX-License-Identifier: Apache-2.0

import { expect, it } from "vitest";
import type { ContainerUsage } from "../../api/schema";
import { parseFilter } from "../../format/filter";
import { readSort } from "./arrange";
import { areas, arrangePast, partsOf } from "./usage";

const m = (mean: number, ...points: (number | null)[]) => ({ mean, max: mean * 2, points });
const c = (name: string, cpu?: number, more: Partial<ContainerUsage> = {}): ContainerUsage => ({ id: name, name, host: "h", workload: name, image: "i", state: "running", ran: 60, cpu: cpu === undefined ? undefined : m(cpu, cpu, cpu), ...more });

const all = [c("a", 0.1, { project: "p", memory: m(9) }), c("b", 2), c("d", 0.3, { project: "p", memory: m(4) }), c("gone", 1, { state: "gone" }), c("unknown", undefined)];
const names = (text: string, by: Parameters<typeof arrangePast>[3] = "none", q = "") => arrangePast(all, parseFilter(q), readSort(text), by).map((g) => [g.key, ...g.rows.map((r) => r.name)]);

it("sorts by the mean, also what is gone; what is not known comes last", () => {
  expect(names("")).toEqual([[undefined, "b", "gone", "d", "a", "unknown"]]);
  expect(names("memory")).toEqual([[undefined, "d", "a", "b", "gone", "unknown"]]);
  expect(names("name")).toEqual([[undefined, "a", "b", "d", "gone", "unknown"]]);
  expect(names("", "project")).toEqual([[undefined, "b", "gone", "unknown"], ["p", "d", "a"]]);
  expect(names("", "none", "project:p")).toEqual([[undefined, "d", "a"]]);
});

it("names the five largest, the others and what is not in containers", () => {
  const many = Array.from({ length: 7 }, (_, i) => c(`c${i}`, 0.1 * (i + 1)));
  const parts = partsOf({ host: "h", watched: 60, cores: 8, cpu: m(4, 4, null) }, many, "cpu");
  expect(parts.map((p) => p.label)).toEqual(["c6", "c5", "c4", "c3", "c2", "2 others", "not in containers"]);
  expect(new Set(parts.map((p) => p.color)).size).toBe(7);
  expect(parts[5]!.mean).toBeCloseTo(0.3);
  expect(parts[6]!.mean).toBeCloseTo(1.2);
  expect(parts[6]!.points.map((v) => v && Number(v.toFixed(3)))).toEqual([1.2, null]);
  // Where the host's own counters are not read that is not known.
  expect(partsOf({ host: "h", watched: 60 }, many, "cpu").map((p) => p.key)).not.toContain("outside");
});

it("stacks areas, and leaves holes", () => {
  const part = (...points: (number | null)[]) => ({ key: "", label: "", color: "", mean: 0, points });
  expect(areas([part(1, 1, null, null), part(1, null, null, 1)], 4, 2)).toEqual(["M0 30.0L1 30.0L1 60.0L0 60.0ZM3 60.0L3 60.0Z", "M0 0.0L1 30.0L1 30.0L0 30.0ZM3 30.0L3 60.0Z"]);
});
