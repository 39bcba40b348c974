// SPDX-License-Identifier: Apache-2.0

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ApiError } from "./client";
import { fetchPart, pauses, reach } from "./reach";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Fails so many times, then answers. */
function failing(times: number, err: Error) {
  return vi.fn(async () => {
    if (times-- > 0) throw err;
    return "answer";
  });
}

test("what breaks off is asked again, not for ever", async () => {
  for (let times = 0; times <= pauses.length + 1; times++) {
    const ask = failing(times, new TypeError("Failed to fetch"));
    const answer = reach(ask).catch((err: Error) => err.message);
    await vi.runAllTimersAsync();
    expect(await answer).toBe(times <= pauses.length ? "answer" : "Failed to fetch");
    expect(ask).toHaveBeenCalledTimes(Math.min(times, pauses.length) + 1);
  }
});

test("an error is an answer, and who leaves does not ask again", async () => {
  for (const err of [new ApiError(500, "error", "no", ""), new DOMException("left", "AbortError")]) {
    const ask = failing(1, err);
    await expect(reach(ask)).rejects.toBe(err);
    expect(ask).toHaveBeenCalledTimes(1);
  }
});

test("a part of the page is asked for again whatever was wrong", async () => {
  const load = failing(1, new Error("Unable to preload CSS for /assets/a.css"));
  const loaded = fetchPart(load);
  await vi.runAllTimersAsync();
  expect(await loaded).toBe("answer");
});
