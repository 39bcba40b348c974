// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { places } from "./timeline";

const drawn = (...names: string[]) => names.map((name) => ({ name, points: [] }));

test("a line keeps its place and its colour while others come and go", () => {
  const first = places([], drawn("get", "set", "del"));
  expect(first.slice(0, 3)).toEqual(["get", "set", "del"]);
  const next = places(first, drawn("del", "new", "get"));
  expect(next.slice(0, 3)).toEqual(["get", "new", "del"]);
  expect(places([], drawn(...Array.from({ length: 11 }, (_, i) => `l${i}`)))).toHaveLength(8);
});
