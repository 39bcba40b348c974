// SPDX-License-Identifier: Apache-2.0

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ApiError } from "./client";
import { stream } from "./live";
import { Poll } from "./poll";

const page = Object.assign(new EventTarget(), { hidden: false });

function hide(hidden: boolean): void {
  page.hidden = hidden;
  page.dispatchEvent(new Event("visibilitychange"));
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("document", page);
  vi.stubGlobal("window", globalThis);
  page.hidden = false;
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function polling(answers: (() => Promise<number>)[]) {
  let asked = 0;
  const poll = new Poll(() => (answers[asked++] ?? answers.at(-1)!)(), 5000);
  poll.start();
  return { poll, asked: () => asked };
}

const answer = (n: number) => () => Promise.resolve(n);
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

test("it asks every 5 s while the tab is visible, and at once when it is again", async () => {
  const { poll, asked } = polling([answer(1), answer(2), answer(3)]);
  await pass(0);
  expect([poll.value.value, stream.value.phase]).toEqual([1, "live"]);
  await pass(5000);
  expect(poll.value.value).toBe(2);
  hide(true);
  await pass(60_000);
  expect([asked(), stream.value.phase]).toEqual([2, "idle"]);
  hide(false);
  await pass(0);
  expect([asked(), poll.value.value]).toEqual([3, 3]);
  poll.stop();
  await pass(60_000);
  expect(asked()).toBe(3);
});

test("without an answer the last one stays and is stale; it recovers by itself", async () => {
  const { poll } = polling([answer(1), () => Promise.reject(new TypeError("refused")), answer(3)]);
  await pass(5000);
  expect([poll.value.value, stream.value.phase, poll.problem.value]).toEqual([1, "stale", "tallyman does not answer."]);
  expect(stream.value.next).toBeGreaterThan(Date.now());
  await pass(5000);
  expect([poll.value.value, stream.value.phase, poll.problem.value]).toEqual([3, "live", ""]);
  poll.stop();
});

test("an error is an answer, in the server's words", async () => {
  const { poll } = polling([() => Promise.reject(new ApiError(500, "internal", "It broke.", "Try later."))]);
  await pass(0);
  expect([poll.value.value, stream.value.phase, poll.problem.value]).toEqual([undefined, "live", "It broke. Try later."]);
  poll.stop();
});

test("an answer that takes too long does not come", async () => {
  const poll = new Poll((signal) => new Promise<number>((_, no) => signal.addEventListener("abort", () => no(signal.reason))), 5000);
  poll.start();
  await pass(10_000);
  expect(poll.problem.value).toBe("tallyman does not answer.");
  poll.stop();
});
