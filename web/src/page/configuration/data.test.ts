// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import type { Configuration } from "../../api/schema";
import { byChange, byProject, found, pick, refOf, type Version } from "./data";
import { understand } from "./rights";

const version = (n: number, hash: string): Version => ({ n, hash, time: n * 1000, kind: "container", host: "h", id: "c" });

test("an address names two versions", () => {
  // 64 MiB, 128, 64 and 128 again: hashes come twice.
  const all = [version(4, "y"), version(3, "x"), version(2, "y"), version(1, "x")];
  const f = (a: string, b: string, want: string) => {
    const p = pick(all, a, b);
    expect(`${p.a?.n} ${p.b?.n}`, `${a} ${b}`).toBe(want);
  };
  f("", "", "3 4");
  f("", refOf(all[1]!), "2 3");
  f("", refOf(all[3]!), "undefined 1");
  f("x", "y.2000", "1 2");
  f("x", "y", "3 4");
  f("y.4000", "x.1000", "1 4");
  f("unknown", "unknown", "3 4");
  f("y.4000", "y.4000", "undefined 4");
  expect(pick([], "a", "b")).toEqual({ b: undefined });
});

test("the list by day, by project, by words", () => {
  const now = new Date(2026, 10, 20, 12).getTime();
  const day = 86_400_000;
  const c = (workload: string, changed: number | undefined, project?: string): Configuration => ({ host: "h", workload, project, id: "i", state: "running", kept: 1, first: 1, newest: 1, changed, changes: changed ? [{ path: "HostConfig.Memory", text: "1 → 2" }] : undefined });
  const all = [c("shop/api/1", now - 1000, "shop"), c("shop/db/1", now - day, "shop"), c("blog/app/1", now - 3 * day, "blog"), c("old", now - 30 * day), c("calm", undefined)];
  const gone: Configuration = { ...c("run", undefined), state: "gone" };
  expect(byChange(all, now).map((g) => `${g.name}: ${g.items.map((x) => x.workload)}`)).toEqual(["Today: shop/api/1", "Yesterday: shop/db/1", "This week: blog/app/1", "Earlier: old", "Unchanged: calm"]);
  expect(byChange([gone, ...all], now).at(-1)).toEqual({ name: "Gone, unchanged", items: [gone] });
  expect(byProject(all).map((g) => `${g.name}: ${g.items.map((x) => x.workload)}`)).toEqual(["blog: blog/app/1", "shop: shop/api/1,shop/db/1", "No project: calm,old"]);
  expect(found(all, understand("shop DB"), undefined)?.length).toBe(1);
  expect(found(all, understand("memory"), undefined)?.length).toBe(4);
});
