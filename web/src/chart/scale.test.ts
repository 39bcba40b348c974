// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { iso } from "../format/time";
import { axis, timeTicks } from "./scale";

const MiB = 1024 ** 2;

test.each([
  [1.52, { top: 2, ticks: [0.5, 1, 1.5] }],
  [0.61, { top: 0.8, ticks: [0.2, 0.4, 0.6] }],
  [0, { top: 0.01, ticks: [0.005] }],
  [16, { top: 20, ticks: [5, 10, 15] }],
])("axis for %d cores", (max, want) => {
  const got = axis(max, "decimal", 4, 0.01);
  expect(got.top).toBeCloseTo(want.top);
  expect(got.ticks.map((t) => +t.toFixed(4))).toEqual(want.ticks);
});

test("bytes step in powers of two", () => {
  expect(axis(768 * MiB, "binary", 4, 1)).toEqual({ top: 1024 * MiB, ticks: [256 * MiB, 512 * MiB, 768 * MiB] });
});

test("an axis always holds its value and has one to three lines", () => {
  for (let v = 1e-3; v < 1e13; v *= 1.07) {
    for (const base of ["decimal", "binary"] as const) {
      const a = axis(v, base, 4, 1e-3);
      expect(a.top, `${v}`).toBeGreaterThanOrEqual(v);
      expect(a.ticks.length, `${v}`).toBeGreaterThanOrEqual(1);
      expect(a.ticks.length, `${v}`).toBeLessThanOrEqual(3);
    }
  }
});

test("time is cut at round times of the reader's zone", () => {
  const from = Date.UTC(2026, 10, 20, 12, 40);
  const ticks = timeTicks(from, from + 3600_000, 7);
  expect(ticks.map((t) => t.label)).toEqual(["13:40", "13:50", "14:00", "14:10", "14:20", "14:30", "14:40"]);
  expect(ticks.filter((t) => t.major).map((t) => t.label)).toEqual(["14:00"]);
});

test("days start at midnight also when the clock changes", () => {
  const from = Date.UTC(2026, 9, 24, 22);
  const ticks = timeTicks(from, from + 3 * 86400_000, 4);
  expect(ticks.map((t) => iso(t.t).slice(0, 16))).toEqual(["2026-10-25T00:00", "2026-10-26T00:00", "2026-10-27T00:00"]);
  const hours = timeTicks(from, from + 30 * 3600_000, 8);
  expect(hours.map((t) => t.label)).toEqual(["25 Oct", "06:00", "12:00", "18:00", "26 Oct"]);
});
