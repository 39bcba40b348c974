// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { columnsOf, columnStep, Exact, groups, json, levelKind, logfmt, parts, shapeOf, totals, withLines, scaleOf } from "./logline";
import { minute, second } from "./time";

const lines = (all: string, source = "a") => all.split("\n").map((line) => ({ source, t: 0, line, shape: shapeOf(line) }));

test("lines of a stack trace belong together", () => {
  const f = (all: string, want: number[]) => expect([...groups(lines(all))], all).toEqual(want);
  f("one\ntwo", [0, 1]);
  f("java.lang.X: no\n\tat a.b(C.java:1)\n\tat a.c(C.java:2)\nCaused by: Y\n\t... 3 more\nnext", [0, 0, 0, 0, 0, 5]);
  f('Traceback (most recent call last):\n  File "x.py", line 1, in f\n    g()\nValueError: bad\nnext', [0, 0, 0, 0, 4]);
  f("panic: boom\n\ngoroutine 1 [running]:\nmain.f(0x1)\n\t/x/main.go:4 +0x1d\nnext line", [0, 1, 1, 1, 1, 5]);
  f("TypeError: x is not a function\n    at f (/app/a.js:1:2)\nok", [0, 0, 2]);
});

test("lines of another container or another time do not", () => {
  const [a, b] = [lines("Error: x\n  at f"), lines("  at g", "b")];
  expect([...groups([...a, ...b])]).toEqual([0, 0, 2]);
  expect([...groups([a[0]!, { ...a[1]!, t: 5000 }])]).toEqual([0, 1]);
});

test("a line that is JSON is an object, with its numbers as they were", () => {
  const f = (line: string, want: unknown) => expect(json(line), line).toEqual(want);
  f('{"a":1,"b":[true,null]}', { a: 1, b: [true, null] });
  f(' \u001b[32m[1,2]\u001b[0m ', [1, 2]);
  f("{not json}", undefined);
  f("[info] started]", undefined);
  f('"text"', undefined);
  f("{}x", undefined);
  f("12", undefined);
  const big = (json('{"id":12345678901234567890}') as { id: unknown }).id;
  expect(big instanceof Exact ? big.text : String(big)).toMatch(/^1234567890123456/);
  expect(Object.keys(json('{"__proto__":{"x":1}}')!)).toEqual(["__proto__"]);
});

test("logfmt has at least two fields", () => {
  expect(logfmt('msg="said \\"no\\"" status=503 dur=')).toEqual([["msg", 'said "no"'], ["status", "503"], ["dur", ""]]);
  expect(logfmt("a=b alone")).toBeUndefined();
  expect(logfmt("https://x/?a=b&c=d")).toBeUndefined();
});

test("hits and keys are told from the rest", () => {
  const f = (text: string, needle: string, exact: boolean, want: string) => expect(parts(text, needle, exact).map((p) => `${p.as}<${p.text}>`).join(""), text).toBe(want);
  f("plain", "", false, "<plain>");
  f("GET status=200", "", false, "<GET >key<status=><200>");
  f("Time out, timeout", "TIME", false, "hit<Time>< out, >hit<time><out>");
  f("Time time", "time", true, "<Time >hit<time>");
  f("İx x", "x", false, "<İx x>");
  f("", "x", false, "");
});

test("levels are of five kinds", () => {
  expect(["trace", "fatal", "critical", "warn", "", undefined, "constructor"].map(levelKind)).toEqual(["debug", "error", "error", "warn", "unknown", "unknown", "unknown"]);
});

test("columns are of round width and at their place", () => {
  expect(columnStep(0, 60 * minute, 120)).toBe(30 * second);
  expect(columnStep(0, 400 * 86400e3, 120)).toBe(7 * 86400e3);
  const v = columnsOf([{ metric: { level: "error" }, values: [[20, "3"], [30, "1"], [1000, "9"]] }, { metric: {}, values: [[20, "2"]] }], 12_000, 31_000, 10_000);
  expect(v.start).toBe(10_000);
  expect(v.counts.error).toEqual([3, 1, 0]);
  expect(v.counts.unknown).toEqual([2, 0, 0]);
  const more = withLines(v, [{ t: 45_000, kind: "info" }, { t: 11_000, kind: "error" }, { t: 0, kind: "info" }]);
  expect(more.counts.info).toEqual([0, 0, 0, 1]);
  expect(more.counts.error).toEqual([4, 1, 0, 0]);
  expect(v.counts.error).toEqual([3, 1, 0]);
  expect(totals(more, 20_000, 50_000)).toEqual({ unknown: 0, debug: 0, info: 1, warn: 0, error: 1, all: 2 });
});

test("one spike does not rule the scale of the columns", () => {
  expect(scaleOf([...Array(50).fill(10), 1000])).toEqual({ top: 12, broken: true });
  expect(scaleOf([...Array(200).fill(10), 900, 1000])).toEqual({ top: 12, broken: true });
  expect(scaleOf([...Array(50).fill(10), 25])).toEqual({ top: 25, broken: false });
  expect(scaleOf([1, 0, 1000])).toEqual({ top: 1000, broken: false });
  expect(scaleOf([])).toEqual({ top: 1, broken: false });
});
