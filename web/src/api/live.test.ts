// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { patience } from "./live";

test("a stream is stale after three missed ticks, however far they are apart", () => {
  expect(patience(1000)).toBe(3500);
  expect(patience(5000)).toBe(17500);
  expect(patience(0)).toBe(3500);
});
