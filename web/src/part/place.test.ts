// SPDX-License-Identifier: Apache-2.0
import { effect } from "@preact/signals";
import { expect, test, vi } from "vitest";

vi.stubGlobal("history", { state: null, pushState() {}, replaceState() {} });
vi.stubGlobal("location", { pathname: "/logs", search: "?range=15m&at=14:02&q=x", href: "http://x/logs?range=15m" });
const { configHref, eventsHref, hrefAround, hostHref, kept, rangeParams, setParams, zoomTo } = await import("./place");

test("an address of a workload holds nothing else of what has the workload", () => {
  const of = { host: "h", workload: "shop/api/1", changes: [{ path: "x" }], engine: { name: "local" } };
  expect(eventsHref(of, { range: "7d" })).toBe("/events?host=h&workload=shop%2Fapi%2F1&range=7d");
  expect(configHref(of, { a: "1" })).toBe("/configuration?host=h&workload=shop%2Fapi%2F1&a=1");
});

test("the range and the pinned moment go along, where an address has none of its own", () => {
  const to = (href: string) => kept(href).pathname + kept(href).search;
  expect(to("/events")).toBe("/events?range=15m&at=14%3A02");
  expect(to("/container?host=h&at=9")).toBe("/container?host=h&at=9&range=15m");
  expect(to("/container?host=h&from=1&to=2")).toBe("/container?host=h&from=1&to=2");
});

test("addresses that were drawn follow the range and the filter", () => {
  const drawn: string[] = [];
  const stop = effect(() => {
    drawn.push(hostHref("h", rangeParams()));
  });
  const around: string[] = [];
  const stopToo = effect(() => {
    around.push(hrefAround(Date.UTC(2026, 10, 20)));
  });
  zoomTo(Date.UTC(2026, 10, 20, 10), Date.UTC(2026, 10, 20, 11));
  setParams({ q: "y" });
  stop();
  stopToo();
  expect(drawn.at(-1)).toMatch(/from=2026-11-20T/);
  expect(around.at(-1)).toMatch(/^\/logs\?.*q=y/);
});
