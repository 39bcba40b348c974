// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { examples, givesLines, namesOf, seriesOf } from "./data";

test("series are named by what tells them apart", () => {
  expect(namesOf([{ __name__: "m", name: "a", id: "1", host: "h" }, { __name__: "m", name: "b", id: "2", host: "h" }])).toEqual(["a", "b"]);
  expect(namesOf([{ name: "a", cpu: "0" }, { name: "a", cpu: "1" }])).toEqual(["0", "1"]);
  expect(namesOf([{ name: "a", cpu: "0" }, { name: "b", cpu: "0" }, { name: "b", cpu: "1" }])).toEqual(["name=a, cpu=0", "name=b, cpu=0", "name=b, cpu=1"]);
  expect(namesOf([{}])).toEqual(["value"]);
  expect(namesOf([{ __name__: "up" }])).toEqual(["up"]);
});

test("the greatest mean comes first, and what has no value is left out", () => {
  expect(seriesOf([{ labels: { a: "1" }, points: [1, null] }, { labels: { a: "2" }, points: [3, 5] }, { labels: {}, points: [null] }]).map((s) => [s.mean, s.last, s.max])).toEqual([[4, 5, 5], [1, 1, 1]]);
});

test("examples are of what is there", () => {
  expect(examples("promql", [])).toEqual([]);
  expect(examples("promql", ["node_load1", "redis_commands_total"]).map((e) => e.query)).toEqual(["node_load1", "rate(redis_commands_total[5m])"]);
  expect(givesLines("logql", ' {a="b"}') && !givesLines("logql", "rate({})") && !givesLines("promql", "{}")).toBe(true);
});
