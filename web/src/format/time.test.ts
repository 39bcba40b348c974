// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { ago, hms, iso, isoNanos, moment, parseWhen, span, stamp, zone } from "./time";

// Friday 20 November 2026, 14:40:12 in Berlin (UTC+1).
const now = Date.UTC(2026, 10, 20, 13, 40, 12);

test("times are in the reader's zone", () => {
  expect(hms(now)).toBe("14:40:12");
  expect(iso(now)).toBe("2026-11-20T14:40:12+01:00");
  expect(zone(now)).toBe("UTC+1");
  expect(zone(Date.UTC(2026, 6, 1))).toBe("UTC+2");
});

test.each([
  [0, "14:40"],
  [15 * 3600, "yesterday 23:40"],
  [9 * 86400, "11 Nov 14:40"],
  [370 * 86400, "2025-11-15 14:40"],
])("stamp of %d s back is %s", (back, want) => expect(stamp(now - back * 1000, now)).toBe(want));

test("ages take their greatest unit", () => {
  expect([0, 59, 60, 3599, 7200, 86400 * 12].map((s) => span(s * 1000))).toEqual(["0 s", "59 s", "1 min", "59 min", "2 h", "12 d"]);
  expect(ago(now, now)).toBe("just now");
  expect(ago(now - 480_000, now)).toBe("8 min ago");
});

test.each([
  ["now", "2026-11-20T14:40:12+01:00"],
  ["-2h", "2026-11-20T12:40:12+01:00"],
  ["- 1.5 h", "2026-11-20T13:10:12+01:00"],
  ["-3d", "2026-11-17T14:40:12+01:00"],
  ["14:02", "2026-11-20T14:02:00+01:00"],
  ["9:05:07", "2026-11-20T09:05:07+01:00"],
  ["yesterday", "2026-11-19T00:00:00+01:00"],
  ["Yesterday 14:02", "2026-11-19T14:02:00+01:00"],
  ["2026-10-01", "2026-10-01T00:00:00+02:00"],
  ["2026-10-01 08:15", "2026-10-01T08:15:00+02:00"],
  ["2026-11-20T13:02:11Z", "2026-11-20T14:02:11+01:00"],
  ["2026-11-20T14:02:11+01:00", "2026-11-20T14:02:11+01:00"],
])("parseWhen(%j)", (text, want) => {
  const got = parseWhen(text, now);
  expect(got === undefined ? got : iso(got)).toBe(want);
});

test.each(["", "soon", "25:00", "14:61", "2026-02-31", "-2y", "14"])("parseWhen(%j) is no time", (text) => {
  expect(parseWhen(text, now)).toBeUndefined();
});

test("what iso writes is read back", () => expect(parseWhen(iso(now), 0)).toBe(now));

test("a moment keeps its milliseconds, and a line its nanoseconds", () => {
  expect(iso(now + 7)).toBe("2026-11-20T14:40:12.007+01:00");
  expect(parseWhen(iso(now + 123), 0)).toBe(now + 123);
  expect(isoNanos(`${now + 7}000042`)).toBe("2026-11-20T14:40:12.007000042+01:00");
  expect(parseWhen(`${isoNanos(`${now + 7}000042`)}~x1`, 0)).toBe(now + 7);
});

test("a day stands where it is not today's", () => {
  expect(moment(now, now)).toBe("14:40:12");
  expect(moment(now - 86_400_000, now)).toBe("19 Nov 14:40:12");
  expect(moment(now - 366 * 86_400_000, now)).toBe("2025-11-19 14:40:12");
});
