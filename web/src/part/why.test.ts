// SPDX-License-Identifier: Apache-2.0

import { expect, it } from "vitest";
import type { Why } from "../api/schema";
import { iso } from "../format/time";
import { besides, changeLines, exitLine, figureWords, meaningLine, whyReport } from "./why";

const noon = Date.UTC(2026, 10, 28, 12);
const why: Why = {
  container: "ab", name: "web", host: "harbor", workload: "shop/web/1", image: "web:1", at: noon, guess: "It crashed by itself (exit 139).",
  exit: { code: 139, words: "Died, exit 139 (SIGSEGV)", meaning: "SIGSEGV: it used memory that is not its own", ranFor: 90, restarts: 2 },
  chain: [
    { kind: "change", time: noon - 1000, title: "Its configuration was changed", changes: [{ path: "HostConfig.Memory", setting: "memory limit", before: "768.0 MiB", after: "512.0 MiB" }], left: 2 },
    { kind: "siblings", time: noon - 500, title: "shop/db/1: Died, exit 1", text: "3 times" },
  ],
  lines: [{ time: noon - 60_000, text: "bye ``` now" }],
  before: [{ name: "memory", unit: "bytes", first: 1, max: 67108864, last: 33554432, limit: 67108864 }, { name: "threads", unit: "", first: 1, max: 5, last: 4 }],
  siblings: [{ time: noon - 500, text: "Died, exit 1", workload: "shop/db/1", times: 3 }, { time: noon + 500, text: "Died, exit 1", workload: "shop/api/1" }], notKnown: ["figures: none"],
};

it("says figures with peak and limit", () => {
  expect(figureWords(why.before[0]!)).toEqual({ last: "32 MiB", most: "64 MiB", limit: "64 MiB" });
  expect(figureWords(why.before[1]!)).toEqual({ last: "4", most: "5", limit: "no limit" });
});

it("says how it ended, and what the code means", () => {
  expect(exitLine(why)).toBe("Died, exit 139 (SIGSEGV), after 1 min, restarted 2 times");
  expect(meaningLine(why)).toBe("Exit 139 means SIGSEGV: it used memory that is not its own.");
  expect(meaningLine({ ...why, exit: { code: 3, words: "Died, exit 3" } })).toBe("");
});

it("tells of others once, and of what was changed in words", () => {
  expect(besides(why).map((s) => s.workload)).toEqual(["shop/api/1"]);
  expect(changeLines(why.chain[0]!)).toEqual(["memory limit: 768.0 MiB → 512.0 MiB", "and 2 more"]);
});

it("makes a report that a ticket can hold", () => {
  const text = whyReport(why);
  for (const part of ["## Why web died", "**It crashed by itself", `1. ${iso(noon - 1000)} **Its configuration`, "   - memory limit: 768.0 MiB → 512.0 MiB", "| memory | 32 MiB | 64 MiB | 64 MiB |", "shop/api/1: Died, exit 1", "- figures: none"]) expect(text).toContain(part);
});

it("lets nothing of a stranger out of its place in the report", () => {
  const evil = "a\n# b `c` **d** [e](http://x) <img src=x> | f www.x.y";
  const text = whyReport({ ...why, name: evil, guess: evil, notKnown: [evil], lines: [{ time: noon, text: "``` ```` \n# out" }] });
  expect(text).toContain("## Why a \\# b \\`c\\` \\*\\*d\\*\\* \\[e\\](http\\://x) \\<img src=x\\> \\| f www\\.x.y died");
  const lines = text.split("\n");
  expect(lines.filter((l) => /^`{5}$/.test(l))).toHaveLength(2);
  expect(lines.filter((l) => l.startsWith("# "))).toHaveLength(0);
});
