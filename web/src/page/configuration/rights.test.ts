// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import type { Configuration } from "../../api/schema";
import { found } from "./data";
import { board, toggledRight, understand } from "./rights";

const c = (workload: string, rights?: Configuration["rights"], state: Configuration["state"] = "running"): Configuration => ({ host: "h", workload, id: workload, state, kept: 1, first: 1, newest: 1, rights });
const all = [
  c("shop/web/1", [{ id: "root" }, { id: "capabilities", detail: "NET_ADMIN, SYS_ADMIN" }]),
  c("shop/db/1", []),
  c("new"),
  c("old", undefined, "gone"),
];

test("the filter is words and settings", () => {
  expect(understand('Shop set:privileged=yes set:Cmd="a b" set: set:x= set:NetworkMode=host')).toEqual({
    words: ["shop"],
    settings: [{ name: "privileged", value: "yes" }, { name: "Cmd", value: "a b" }, { name: "NetworkMode", value: "host" }],
    wrong: ["set:", "set:x="],
  });
});

test("a right is put into the filter and taken out of it", () => {
  expect(toggledRight("web", "root")).toBe("web set:root=yes");
  expect(toggledRight("web set:root=yes", "root")).toBe("web");
});

test("the board has who is there and known", () => {
  const b = board(all);
  expect([b.present, b.known]).toEqual([3, 2]);
  expect(b.rows.filter((r) => r.holders.length > 0).map((r) => `${r.id}: ${r.holders.map((h) => `${h.c.workload} ${h.detail ?? ""}`)}`)).toEqual(["capabilities: shop/web/1 NET_ADMIN, SYS_ADMIN", "root: shop/web/1 "]);
});

test("the list by what the server found", () => {
  const f = (text: string, having?: Set<string>) => found(all, understand(text), having)?.map((x) => x.workload).join(" ");
  expect(f("shop set:root=yes")).toBe(undefined);
  expect(f("shop set:root=yes", new Set(["h shop/web/1", "h new"]))).toBe("shop/web/1");
  expect(f("set:networkmode=host")).toBe(undefined);
  expect(f("set:networkmode=host", new Set(["h shop/db/1"]))).toBe("shop/db/1");
  expect(f("set:")).toBe("shop/web/1 shop/db/1 new old");
});
