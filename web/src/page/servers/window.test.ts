// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { part } from "./window";

const heights = Array.from({ length: 1000 }, () => 35);

test("only rows near the screen are drawn, and the whole height stays", () => {
  const v = part(heights, 3500, 4500);
  expect(v.start).toBeLessThanOrEqual(100);
  expect(v.end - v.start).toBeLessThan(35);
  expect(v.before + v.after + (v.end - v.start) * 35).toBe(35_000);
});

test("past either end nothing breaks", () => {
  expect(part(heights, -500, 0)).toMatchObject({ start: 0, end: 0, before: 0 });
  expect(part(heights, 90_000, 91_000)).toMatchObject({ start: 1000, end: 1000, before: 35_000, after: 0 });
});
