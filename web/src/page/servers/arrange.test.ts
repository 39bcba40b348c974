// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import type { Container, Now } from "../../api/schema";
import { parseFilter } from "../../format/filter";
import { type Arrangeable, arrange, clickSort, type Group, keepOrder, readGrouping, readSort, writeSort } from "./arrange";

function row(name: string, now?: Partial<Now>, more: Partial<Container> = {}): Arrangeable {
  return { info: { id: name, name, image: "img", host: "h", engine: "local", workload: name, origin: "name", restartCount: 0, state: "running", ...more }, now: now && { t: 0, ...now } };
}

const rows = [
  row("shop-db-1", { cpu: 1.3, memory: 900 }, { project: "shop" }),
  row("shop-api-2", { cpu: 0.2, memory: 50 }, { project: "shop", health: "unhealthy" }),
  row("shop-api-10", { cpu: 0.2 }, { project: "shop" }),
  row("shop-job-1", undefined, { project: "shop", state: "exited", exitCode: 0 }),
  row("lonely", { cpu: 2.5, memory: 1 }),
  row("old", undefined, { state: "gone" }),
];

const names = (groups: Group<Arrangeable>[]) => groups.map((g) => [g.key, ...g.rows.map((r) => r.info.name)]);

test("the greatest CPU is on top, what has none comes last, gone ones have their own segment", () => {
  expect(names(arrange(rows, "all", [], readSort("")))).toEqual([
    [undefined, "lonely"],
    ["shop", "shop-db-1", "shop-api-2", "shop-api-10", "shop-job-1"],
  ]);
  expect(names(arrange(rows, "gone", [], readSort("")))).toEqual([[undefined, "old"]]);
  expect(names(arrange(rows, "attention", [], readSort("")))).toEqual([["shop", "shop-api-2"]]);
});

test("not known stays last when the order turns, and names count numbers", () => {
  expect(names(arrange(rows, "all", parseFilter("project:shop"), readSort("memory")))).toEqual([["shop", "shop-api-2", "shop-db-1", "shop-api-10", "shop-job-1"]]);
  expect(names(arrange(rows, "all", [], readSort("name")))).toEqual([
    ["shop", "shop-api-2", "shop-api-10", "shop-db-1", "shop-job-1"],
    [undefined, "lonely"],
  ]);
});

test("groups are projects, images or none", () => {
  const some = [row("a", { cpu: 1 }, { project: "p", image: "x" }), row("b", { cpu: 2 }, { image: "x" }), row("c", { cpu: 4 }, { project: "p", image: "y" })];
  const by = (text: string) => names(arrange(some, "all", [], readSort(""), readGrouping(text)));
  expect(by("")).toEqual([["p", "c", "a"], [undefined, "b"]]);
  expect(by("image")).toEqual([["y", "c"], ["x", "b", "a"]]);
  expect(by("host")).toEqual([[undefined, "c", "b", "a"]]);
  expect(by("none")).toEqual(by("host"));
});

test("a frozen order takes new rows at the end", () => {
  const before = arrange(rows, "all", [], readSort(""));
  const busier = rows.map((r) => (r.info.name === "shop-api-2" ? row("shop-api-2", { cpu: 9 }, { project: "shop" }) : r));
  const after = arrange([row("shop-new-1", { cpu: 20 }, { project: "shop" }), ...busier], "all", [], readSort(""));
  expect(names(keepOrder(after, before))).toEqual([
    [undefined, "lonely"],
    ["shop", "shop-db-1", "shop-api-2", "shop-api-10", "shop-job-1", "shop-new-1"],
  ]);
});

test("a sort goes through the URL and turns with a second click", () => {
  for (const text of ["", "name", "-name", "-memory", "cpu"]) expect(writeSort(readSort(text))).toBe(text);
  expect(readSort("-nonsense")).toEqual({ by: "cpu", down: true });
  expect(clickSort(readSort(""), "cpu")).toEqual({ by: "cpu", down: false });
  expect(clickSort(readSort(""), "name")).toEqual({ by: "name", down: false });
});

test("a crash loop comes first in the usual order, and the gravest where one looks for what is wrong", () => {
  const crashes = { count: 6, first: Date.now() - 60_000, last: Date.now(), exitCode: "2" };
  const more = [...rows, row("loop", { cpu: 0.001 }, { project: "edge", crashes }), row("ill", { cpu: 3 }, { health: "unhealthy" })];
  expect(names(arrange(more, "all", [], readSort("")))[0]).toEqual(["edge", "loop"]);
  expect(names(arrange(more, "attention", [], readSort("-memory")))[0]).toEqual(["edge", "loop"]);
  expect(names(arrange(more, "all", [], readSort("name"))).at(0)).toEqual(["edge", "loop"]);
  expect(names(arrange(more, "all", [], readSort("-memory"))).at(-1)).toEqual(["edge", "loop"]);
});
