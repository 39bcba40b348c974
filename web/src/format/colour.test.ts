// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { placesOf } from "./colour";

const names = Array.from({ length: 30 }, (_, i) => `shop-api-${i}`);

test("a name keeps its place alone, and no two share one while there are enough", () => {
  for (const name of names) expect(placesOf([name], 7).get(name)).toBe(placesOf([name, "zz"], 7).get(name));
  expect(new Set(placesOf(names.slice(0, 7), 7).values()).size).toBe(7);
  expect([...placesOf(["a", "b"], 3, [0, 1]).values()][0]).toBe(2);
});

test("neighbours are told apart", () => {
  const all = [...placesOf(names, 7).values()];
  all.forEach((p, i) => expect(p).not.toBe(all[i + 1]));
});
