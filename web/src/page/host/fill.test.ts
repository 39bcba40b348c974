// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { hour, minute } from "../../format/time";
import { filling } from "./fill";

const G = 1 << 30;
const times = (n: number, apart = minute) => Array.from({ length: n }, (_, i) => i * apart);
// Ups and downs that are the same each time.
const noise = (i: number) => (((i * 7919) % 13) - 6) / 6;

function at(free: (i: number) => number | null, n = 60, apart = minute) {
  const t = times(n, apart);
  return filling(t, t.map((_, i) => free(i)), 100 * G);
}

test("a steady loss tells when nothing is left", () => {
  const got = at((i) => 50 * G - i * (G / 10))!; // 6 GiB an hour
  expect(got.perHour / G).toBeCloseTo(6, 3);
  expect(got.full / hour).toBeCloseTo((50 - 5.9) / 6, 2);
});

test("so it does under ups and downs, over holes, and beside a jump", () => {
  const noisy = at((i) => 50 * G - i * (G / 10) + (noise(i) * G) / 2)!;
  expect(noisy.perHour / G).toBeGreaterThan(5);
  expect(noisy.perHour / G).toBeLessThan(7);
  expect(at((i) => (i % 3 ? 50 * G - i * (G / 10) : null))!.perHour / G).toBeCloseTo(6, 2);
  const jump = at((i) => 50 * G - i * (G / 10) - (i > 30 ? 0.5 * G : 0))!;
  expect(jump.perHour / G).toBeLessThan(8);
  expect(at((i) => 50 * G - i * (G / 500), 1000, minute)!.perHour / G).toBeCloseTo(0.12, 3);
});

test.each<[string, (i: number) => number | null, number?, number?]>([
  ["nothing changes", () => 50 * G],
  ["it grows emptier", (i) => 50 * G + i * G],
  ["ups and downs alone", (i) => 50 * G + noise(i) * G],
  ["less than matters", (i) => 50 * G - i * 1000],
  ["too few points", (i) => 50 * G - i * G, 9],
  ["too short a time", (i) => 50 * G - i * G, 20, 1000],
  ["one jump", (i) => (i < 30 ? 50 : 45) * G],
  ["it was filled and is no more", (i) => 50 * G - Math.min(i, 25) * G],
  ["it would end 48 times as far away as was seen", (i) => 1e4 * G - i * (G / 10)],
  ["nothing is known", () => null],
])("it says nothing: %s", (_, free, n, apart) => {
  expect(at(free, n, apart)).toBeUndefined();
});
