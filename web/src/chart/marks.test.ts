// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import type { Event } from "../api/schema";
import { gravest, lineClass, merge, pinnedOf } from "./marks";

const event = (time: number, kind: Event["kind"], severity: Event["severity"] = "") => ({ id: String(time), time, type: "container", action: "", kind, severity, text: "" }) as Event;

test("near events share the gravest one's mark", () => {
  const marks = merge([event(0, "exec"), event(5, "death", "critical"), event(9, "start"), event(40, "create")], 17);
  expect(marks.map((m) => [m.lead.kind, m.events.length])).toEqual([["death", 3], ["create", 1]]);
});

test("a mark of many names the gravest, in the order of time", () => {
  const many = [event(1, "exec"), event(2, "create"), event(3, "exec"), event(4, "death", "critical"), event(5, "exec")];
  expect(gravest(many, 2).map((e) => e.time)).toEqual([2, 4]);
  expect(gravest(many, 9)).toEqual(many);
});

test("deaths and changes have lines of their own", () => {
  expect([event(0, "death", "critical"), event(0, "death"), event(0, "create"), event(0, "exec"), event(0, "health", "critical")].map(lineClass)).toEqual(["crit", "plain", "conf", "plain", "plain"]);
});

test("a pinned moment means the event of its very time, and of a second the first in it", () => {
  const events = [{ time: 5100 }, { time: 5200 }, { time: 6000 }];
  expect(pinnedOf(events, 5200)).toBe(events[1]);
  expect(pinnedOf(events, 5000)).toBe(events[0]);
  expect(pinnedOf(events, 5150)).toBeUndefined();
  expect(pinnedOf(events, undefined)).toBeUndefined();
});
