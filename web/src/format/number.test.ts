// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { bytes, bytesLike, count, counted, cores, percent, plain, rate, size, strain } from "./number";

const MiB = 1024 ** 2;

test.each([
  [0, "0", "B"],
  [999, "999", "B"],
  [1000, "0.98", "KiB"],
  [301 * MiB, "301", "MiB"],
  [1.9 * 1024 * MiB, "1.90", "GiB"],
  [11.8 * 1024 * MiB, "11.8", "GiB"],
  [999.7 * MiB, "0.98", "GiB"],
])("bytes(%d) reads %s %s", (v, n, unit) => {
  expect(bytes(v)).toEqual({ n, unit });
});

test("rates carry their second", () => {
  expect(rate(3.72 * MiB)).toEqual({ n: "3.72", unit: "MiB/s" });
  expect(rate(0)).toEqual({ n: "0", unit: "B/s" });
});

test("limits drop zeros, and a value follows its whole", () => {
  expect(size(512 * MiB)).toBe("512 MiB");
  expect(size(1.5 * 1024 * MiB)).toBe("1.5 GiB");
  expect(plain(4)).toBe("4");
  expect(plain(0.1 + 0.2)).toBe("0.3");
  expect(bytesLike(2.8 * 1024 * MiB, 16 * 1024 * MiB)).toBe("2.80");
  expect(bytesLike(5, 0)).toBe("0.00");
});

test.each([
  [0, "0.00"],
  [0.614, "0.61"],
  [9.996, "10.0"],
  [12.34, "12.3"],
  [128.4, "128"],
])("cores(%d) is %s", (v, want) => expect(cores(v)).toBe(want));

test("shares and counts", () => {
  expect(percent(0.934)).toBe("93 %");
  expect(percent(0.006)).toBe("0.6 %");
  expect(percent(0)).toBe("0 %");
  expect(count(147204)).toBe("147,204");
  expect(counted(1, "host")).toBe("1 host");
  expect(counted(2, "entry", "entries")).toBe("2 entries");
});

test("strain starts above 80 and 90 %, and never without a limit", () => {
  expect([0.8, 0.81, 0.9, 0.91].map((v) => strain(v, 1))).toEqual(["", "warn", "warn", "crit"]);
  expect(strain(100, undefined)).toBe("");
});

test("small CPU has three digits", () => {
  expect([0, 0.0004, 0.004, 0.0099, 0.01, 0.61].map(cores)).toEqual(["0.00", "<0.001", "0.004", "0.010", "0.01", "0.61"]);
});
