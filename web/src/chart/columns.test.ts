// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import type { Event, HistoryAnswer } from "../api/schema";
import { append, type Columns, cut, extremes, fromHistory, gapReason, gaps, nearest, sampleOf, stack } from "./columns";

function stored(cpu: (number | null)[], more: Partial<HistoryAnswer> = {}): Columns {
  return fromHistory({ start: 0, end: cpu.length * 10_000, step: 10_000, t: cpu.map((_, i) => i * 10_000), series: { cpuUser: cpu, cpuLimit: cpu.map(() => 2) }, ...more });
}

test("empty points at the end make room for ticks", () => {
  expect(stored([1, null, 2, null, null]).t).toEqual([0, 10_000, 20_000]);
});

test("ticks are added, near ones share a point and keep the spike", () => {
  let c = stored([1, 1]);
  c = append(c, 11_000, { cpuUser: 2 }, 500);
  c = append(c, 12_000, { cpuUser: 3, rx: 7 }, 500);
  expect(c.t).toEqual([0, 10_000, 11_000, 12_000]);
  expect(c.series.rx).toEqual([null, null, null, 7]);
  c = append(c, 13_000, { cpuUser: 9 }, 5000);
  c = append(c, 13_000, { cpuUser: 5 }, 5000);
  c = append(c, 14_000, { cpuUser: 1 }, 5000);
  expect(c.t).toEqual([0, 10_000, 11_000, 14_000]);
  expect(c.series.cpuUser).toEqual([1, 1, 2, 9]);
});

test("a hole in the samples is a gap, and so is an end without samples", () => {
  const c = stored([1, null, null, null, 2, 2]);
  expect(gaps(c, 0, 60_000, true)).toEqual([{ from: 0, to: 40_000 }]);
  expect(gaps(stored([1, 1]), 0, 100_000, true)).toEqual([{ from: 10_000, to: 100_000 }]);
  expect(gaps(stored([1, 1]), 0, 25_000, true)).toEqual([]);
});

test("what was before the first sample is no gap", () => {
  expect(gaps(stored([null, null, null, null, 1, 1], { firstSample: 40_000 }), 0, 55_000, true)).toEqual([]);
  expect(gaps(stored([null, null, null, null, 1, 1], { firstSample: -90_000 }), 0, 55_000, true)).toEqual([{ from: 0, to: 40_000 }]);
});

test("events tell why", () => {
  const event = (kind: Event["kind"], time: number, action = "") => ({ id: "1", time, type: "container", action, kind, text: "" }) as Event;
  const gap = { from: 100_000, to: 200_000 };
  expect(gapReason(gap, [event("death", 104_000), event("start", 195_000)], 10_000)).toBe("container down");
  expect(gapReason(gap, [event("gap", 190_000), event("death", 104_000)], 10_000)).toBe("tallyman was not running");
  expect(gapReason(gap, [event("engine", 100_500, "down"), event("engine", 190_000, "up")], 10_000)).toBe("Docker did not answer");
  expect(gapReason(gap, [event("engine", 90_000, "down"), event("engine", 95_000, "up")], 10_000)).toBe("no samples");
  expect(gapReason(gap, [event("death", 20_000)], 10_000)).toBe("no samples");
});

test("nearest", () => {
  expect([-5, 14, 16, 99].map((t) => nearest([0, 10, 20], t, 1000))).toEqual([0, 1, 2, 2]);
  expect(nearest([0, 10, 20], 99, 30)).toBe(-1);
  expect(nearest([], 5, 30)).toBe(-1);
});

test("stacks, extremes, samples", () => {
  expect(stack([[1, null, null], [2, 3, null]], 3)).toEqual([[1, 0, null], [3, 3, null]]);
  expect(extremes([0, 1, 2, 3], [9, 1, 5, null], 1, 3)).toEqual({ low: 1, high: 5, at: 2 });
  expect(sampleOf([0, 1, 2, 3, 4, 5, 6], 1, 5, 3)).toEqual([1, 3, 5]);
});

test("no line is drawn over a re-creation, however short it was", () => {
  const c = cut(stored([1, 1, 2, 2]), [-5, 14_000, 20_000, 99_000]);
  expect(c.t).toEqual([0, 10_000, 14_000, 20_000, 30_000]);
  expect(c.series.cpuUser).toEqual([1, 1, null, null, 2]);
  const one = cut(stored([1, 1, 2, 2]), [14_000]);
  expect(one.series.cpuUser).toEqual([1, 1, null, 2, 2]);
  expect(gaps(one, 0, 30_000, true)).toEqual([]);
});
