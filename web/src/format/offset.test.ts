// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { offsets, rowAt } from "./offset";

test("the row at an offset", () => {
  const tops = offsets([20, 50, 20], (height) => height);
  expect([...tops]).toEqual([0, 20, 70, 90]);
  expect([-5, 0, 19, 20, 69, 70, 500].map((y) => rowAt(tops, y))).toEqual([0, 0, 0, 1, 1, 2, 2]);
  expect(rowAt(offsets([], () => 20), 10)).toBe(0);
});
