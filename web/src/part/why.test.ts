// SPDX-License-Identifier: Apache-2.0

import { expect, it } from "vitest";
import type { Why } from "../api/schema";
import { exitLine, figureWords, killedWords, whyReport } from "./why";

const why: Why = {
  container: "ab", name: "web", host: "harbor", workload: "shop/web/1", image: "web:1", at: Date.UTC(2026, 10, 28, 12), guess: "It crashed by itself (exit 139).",
  exit: { code: 139, words: "Died, exit 139 (SIGSEGV)", ranFor: 90, restarts: 2 }, lines: [{ time: Date.UTC(2026, 10, 28, 11, 59), text: "bye ``` now" }],
  before: [{ name: "memory", unit: "bytes", first: 1, max: 67108864, last: 33554432, limit: 67108864 }, { name: "threads", unit: "", first: 1, max: 5, last: 4 }],
  siblings: [{ time: Date.UTC(2026, 10, 28, 11, 58), text: "Died, exit 1", workload: "shop/db/1", times: 3 }], notKnown: ["figures: none"],
};

it("says figures with peak and limit", () => {
  expect(figureWords(why.before[0]!)).toBe("32 MiB, at most 64 MiB, limit 64 MiB");
  expect(figureWords(why.before[1]!)).toBe("4, at most 5");
});

it("says which process the kernel killed", () => {
  const k = { time: why.at, task: "tail", pid: 7, anonymous: 67108864 };
  expect(killedWords(k)).toBe("tail, process 7, which had 64 MiB");
  expect(killedWords({ ...k, anonymous: undefined })).toBe("tail, process 7");
  expect(whyReport({ ...why, killed: [k] })).toContain("the kernel killed tail, process 7, which had 64 MiB");
});

it("makes a report that a ticket can hold", () => {
  expect(exitLine(why)).toBe("Died, exit 139 (SIGSEGV), after 1 min, restarted 2 times");
  const text = whyReport(why);
  for (const part of ["## Why web died", "It crashed by itself", "shop/db/1: Died, exit 1, 3 times", "not known: figures: none", "bye ''' now"]) expect(text).toContain(part);
});
