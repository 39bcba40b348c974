// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { all, nextSpan, rangeLabel, readRange, writeRange, zoom, zoomed } from "./range";
import { hour } from "./time";

const now = Date.UTC(2026, 10, 20, 13, 40, 12);

test.each(["", "range=5m", "range=7d", "range=all", "from=2026-11-20T14%3A02%3A11%2B01%3A00&to=2026-11-20T14%3A31%3A07%2B01%3A00"])("%j survives reading and writing", (text) => {
  const out = new URLSearchParams("q=shop");
  writeRange(out, readRange(new URLSearchParams(text), now));
  out.delete("q");
  expect(out.toString()).toBe(text);
});

test("a range that makes no sense is the usual one", () => {
  for (const text of ["range=2y", "from=now&to=-2h", "from=soon&to=now"]) {
    expect(readRange(new URLSearchParams(text), now)).toEqual({ live: true, span: hour });
  }
});

test("a link may say it in words", () => {
  expect(readRange(new URLSearchParams("from=-2h&to=now"), now)).toEqual({ live: false, from: now - 2 * hour, to: now });
});

test("labels", () => {
  expect(rangeLabel({ live: true, span: hour })).toBe("1 h");
  expect(rangeLabel({ live: false, from: now - hour, to: now }, now)).toBe("13:40 – 14:40");
  expect(rangeLabel({ live: false, from: now - hour, to: now }, now + 24 * hour)).toBe("20 Nov 13:40 – 14:40");
  expect(rangeLabel({ live: false, from: now - 30_000, to: now }, now)).toBe("14:39:42 – 14:40:12");
  expect(rangeLabel({ live: false, from: now - 24 * hour, to: now })).toBe("19 Nov 14:40 – 20 Nov 14:40");
});

test("spans step and stop at their ends", () => {
  expect(nextSpan(hour, 1)).toBe(6 * hour);
  expect(nextSpan(all, 1)).toBe(all);
});

test("zooming keeps the time under the pointer and ends at now", () => {
  expect(zoom(0, hour, hour / 4, 0.5, 2 * hour)).toEqual({ from: hour / 8, to: (hour / 8) * 5 });
  expect(zoom(0, hour, hour, 4, hour)).toEqual({ from: -3 * hour, to: hour });
  const least = zoom(0, 2000, 1000, 0.1, hour);
  expect(least.to - least.from).toBe(1000);
});

test("+ and - step a live range through the spans, and go on below the shortest", () => {
  const view = { from: now - 5 * 60_000, to: now };
  expect(zoomed({ live: true, span: hour }, view, -1, undefined, now)).toEqual({ live: true, span: 15 * 60_000 });
  expect(zoomed({ live: true, span: 5 * 60_000 }, view, -1, undefined, now)).toEqual({ live: false, from: now - 150_000, to: now });
  expect(zoomed({ live: true, span: all }, view, 1, undefined, now)).toEqual({ live: true, span: all });
  expect(zoomed({ live: false, ...view }, view, -1, now - 60_000, now)).toEqual({ live: false, from: now - 180_000, to: now - 30_000 });
});
