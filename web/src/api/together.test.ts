// SPDX-License-Identifier: Apache-2.0

import { effect, signal } from "@preact/signals";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Together } from "./together";

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("window", globalThis);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("one message is done at once, a storm in a few turns, in order", () => {
  const t = new Together(0, 250);
  const got = signal<number[]>([]);
  let drawn = 0;
  const stop = effect(() => {
    got.value;
    drawn++;
  });
  vi.advanceTimersByTime(1000);
  for (let i = 0; i < 100; i++) {
    t.add(() => { got.value = [...got.peek(), i]; });
    if (i === 0) expect(got.value).toEqual([0]);
    vi.advanceTimersByTime(10);
  }
  t.now();
  expect(got.value).toEqual([...Array(100).keys()]);
  expect(drawn).toBeLessThanOrEqual(1 + 6);
  stop();
});

test("what waits is gathered first, and forgotten when it is dropped", () => {
  const t = new Together(120, 500);
  const got: string[] = [];
  vi.advanceTimersByTime(1000);
  t.add(() => got.push("a"));
  t.add(() => got.push("b"));
  expect(got).toEqual([]);
  vi.advanceTimersByTime(120);
  expect(got).toEqual(["a", "b"]);
  t.add(() => got.push("c"));
  vi.advanceTimersByTime(400);
  expect(got).toEqual(["a", "b"]);
  vi.advanceTimersByTime(100);
  expect(got).toEqual(["a", "b", "c"]);
  t.add(() => got.push("d"));
  t.drop();
  vi.advanceTimersByTime(1000);
  expect(got).toEqual(["a", "b", "c"]);
});

test("one that fails takes no other along", () => {
  const report = vi.fn();
  vi.stubGlobal("reportError", report);
  const t = new Together(0, 0);
  const got: string[] = [];
  t.add(() => { throw new Error("broken"); });
  t.add(() => got.push("a"));
  expect(got).toEqual(["a"]);
  expect(report).toHaveBeenCalledOnce();
});
