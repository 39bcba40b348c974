// SPDX-License-Identifier: Apache-2.0

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Entry } from "../api/loki";
import type { Event } from "../api/schema";
import { shapeOf } from "../format/logline";
import { merge, withGaps } from "./lines";
import { rowsOf } from "./rows";
import { asText } from "./whole";

let id = 0;
function entry(ms: number, line: string, more: Partial<Entry> = {}): Entry {
  return { id: ++id, ns: `${ms}000000`, t: ms, line, labels: { name: "a", stream: "stdout", level: "info" }, meta: {}, source: "a", shape: shapeOf(line), ...more };
}
const base = Date.UTC(2026, 10, 20, 12);

// The day of the lines is today, where nothing else is said.
beforeEach(() => void vi.useFakeTimers({ now: base }));
afterEach(() => void vi.useRealTimers());

test("lines that come twice are kept once, in the order of their times", () => {
  const one = entry(base, "one");
  const three = entry(base + 2, "three");
  const all = merge([one, three], [entry(base, "one"), entry(base + 1, "two"), entry(base, "one", { source: "b" }), entry(base + 2, "three")]);
  expect(all.map((e) => e.line + e.source)).toEqual(["onea", "oneb", "twoa", "threea"]);
});

test("events and gaps stand between the lines, parts with their head", () => {
  const list = [entry(base, "Error: x", { labels: { name: "a", level: "error" } }), entry(base + 1, "    at f"), entry(base + 3000, "tallyman: gone", { meta: { tallyman_gap: "12" } }), entry(base + 4000, "next")];
  const event = (t: number) => ({ id: `e${t}`, time: t }) as Event;
  const rows = rowsOf(list, [event(base - 3_600_000), event(base + 3500), event(base + 9000)]);
  expect(rows.map((r) => r.as)).toEqual(["line", "line", "gap", "event", "line", "event"]);
  expect(rows.slice(0, 2)).toMatchObject([{ kind: "error", joins: false, heads: 2 }, { kind: "error", joins: true, heads: 0 }]);
});

test("lines that were left out have a row at their place", () => {
  const list = [entry(base, "a"), entry(base + 1, "b"), entry(base + 2, "c")];
  expect(rowsOf(list, [], false, [{ ns: list[0]!.ns, n: 7 }, { ns: list[2]!.ns, n: 9 }]).map((r) => (r.as === "hole" ? r.n : r.as))).toEqual(["line", 7, "line", "line", 9]);
});

test("a new day has a row", () => {
  expect(rowsOf([entry(base, "a"), entry(base + 86_400_000, "b")], []).map((r) => r.as)).toEqual(["line", "day", "line"]);
  vi.setSystemTime(base + 86_400_000);
  expect(rowsOf([entry(base, "a")], []).map((r) => r.as)).toEqual(["day", "line"]);
});

test("a file has the exact time, the container and the line as it is", () => {
  expect(asText([entry(base, "\u001b[31mred")])).toBe("2026-11-20T12:00:00.000000000Z a stdout \u001b[31mred\n");
  const more = (labels: Record<string, string>) => asText([entry(base, "x", { labels })]).slice(31);
  const others: Record<string, string>[] = [{ filename: "/var/log/a.log" }, { name: "a", filename: "/a.log" }, { unit: "docker.service" }];
  expect(others.map(more)).toEqual(["/var/log/a.log x\n", "a: /a.log x\n", "docker.service x\n"]);
});

test("notes of missing lines stand between the lines, once, and not where lines are not loaded", () => {
  const list = [entry(base + 1, "a"), entry(base + 5, "b")];
  const gap = (ms: number) => entry(base + ms, "tallyman: lines are missing here", { meta: { tallyman_gap: "1" } });
  const texts = (older: boolean, newer: boolean) => withGaps(list, [gap(0), gap(3), gap(9)], older, newer).map((e) => (e.meta["tallyman_gap"] ? "gap" : e.line));
  expect(texts(false, false)).toEqual(["gap", "a", "gap", "b", "gap"]);
  expect(texts(true, true)).toEqual(["a", "gap", "b"]);
  expect(withGaps(withGaps(list, [gap(3)], true, true), [gap(3)], true, true)).toHaveLength(3);
  expect(withGaps([], [gap(3)], false, false)).toHaveLength(0);
  expect(withGaps(list, [], false, false)).toBe(list);
  expect(rowsOf(withGaps(list, [gap(3)], true, true), []).map((r) => r.key)).toEqual(rowsOf(withGaps(list, [gap(3)], true, true), []).map((r) => r.key));
});

test("among hits stand the events of their containers near them; the rest is one row", () => {
  const event = (t: number, name: string, host = "h") => ({ id: `${name}${t}`, time: t, name, host }) as Event;
  const labels = { name: "a", host: "h", level: "info" };
  const list = [entry(base, "hit one", { labels }), entry(base + 60_000, "hit two", { labels })];
  const events = [
    event(base + 4000, "a"),
    event(base + 4001, "b"),
    event(base + 4002, "a", "other host"),
    ...Array.from({ length: 26 }, (_, i) => event(base + 20_000 + i, "a")),
    event(base + 55_000, "a"),
    event(base + 64_999, "a"),
    event(base + 66_000, "a"),
  ];
  const read = (hits: boolean) => rowsOf(list, events, false, [], hits).map((r) => (r.as === "line" ? r.entry.line : r.as === "events" ? `${r.events.length} events` : r.as === "event" ? r.event.id.slice(0, 1) + (r.t - base) : r.as));
  expect(read(true)).toEqual(["hit one", "28 events", "a4000", "a55000", "hit two", "1 events", "a64999"]);
  expect(read(false)).toHaveLength(2 + events.length);
  const loop = Array.from({ length: 300 }, (_, i) => event(base + 60_001 + i, "a"));
  expect(rowsOf(list, loop, false, [], true).length).toBeLessThan(10);
});
