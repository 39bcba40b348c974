// SPDX-License-Identifier: Apache-2.0

import { afterEach, expect, test, vi } from "vitest";
import type { Event } from "../api/schema";
import { concerns, happenedTo } from "./happened";

afterEach(() => vi.unstubAllGlobals());

test("the drift of another workload does not stand on a container's page", () => {
  expect(concerns({ type: "tallyman", workload: "shop/db/1" }, "shop/api/1")).toBe(false);
  expect(concerns({ type: "tallyman", workload: "shop/api/1" }, "shop/api/1")).toBe(true);
  expect(concerns({ type: "engine" }, "shop/api/1")).toBe(true);
});

const event = (id: string, time: number, more: Partial<Event> = {}) => ({ id, time, type: "container", action: "exec", kind: "exec", text: id, workload: "shop/api/1", ...more }) as Event;

test("a death that is older than the newest events is drawn, and what is left out is counted", async () => {
  const asked: URLSearchParams[] = [];
  vi.stubGlobal("fetch", async (address: string) => {
    const q = new URL(address, "http://x").searchParams;
    const summary = address.includes("summary");
    asked.push(q);
    const own = q.get("workload") === "shop/api/1";
    const body = summary
      ? { total: 7000 }
      : !own
        ? { events: [event("other", 5, { type: "tallyman", workload: "shop/db/1" }), event("gap", 6, { type: "tallyman", action: "gap", workload: undefined })], more: false }
        : q.getAll("action").includes("die")
          ? { events: [event("death", 1, { action: "die", kind: "death" }), event("e2", 20)], more: false }
          : { events: [event("e2", 20), event("e1", 10)], more: true };
    return { ok: true, json: async () => body };
  });
  const found = await happenedTo({ host: "h", workload: "shop/api/1" }, 0, 100, new AbortController().signal);
  expect(found.events.map((e) => e.id)).toEqual(["death", "gap", "e1", "e2"]);
  expect(found.left).toBe(7000 - 3);
  expect(asked.find((q) => q.getAll("action").length)?.getAll("action")).toEqual(["die", "oom", "drift"]);
});
