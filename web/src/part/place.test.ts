// SPDX-License-Identifier: Apache-2.0
import { expect, test, vi } from "vitest";

vi.stubGlobal("history", { state: null });
vi.stubGlobal("location", { pathname: "/", search: "" });
const { configHref, eventsHref } = await import("./place");

test("an address of a workload holds nothing else of what has the workload", () => {
  const of = { host: "h", workload: "shop/api/1", changes: [{ path: "x" }], engine: { name: "local" } };
  expect(eventsHref(of, { range: "7d" })).toBe("/events?host=h&workload=shop%2Fapi%2F1&range=7d");
  expect(configHref(of, { a: "1" })).toBe("/configuration?host=h&workload=shop%2Fapi%2F1&a=1");
});
