// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { hms, moment } from "../../format/time";
import { type Evidence, judge, otherwise, type Piece, pressureOf, type Stress, type Taken } from "./neighbour";

const t = Array.from({ length: 60 }, (_, i) => i * 10_000);
const flat = (v: number) => t.map(() => v);
const rising = (calm: number, hot: number, a = 30, b = 40) => t.map((_, i) => (i >= a && i <= b ? hot : calm));
const look = (pressure: Parameters<typeof pressureOf>[1]) => pressureOf(t, pressure, 0, 600_000);

test("pressure that rose is found with what was before it", () => {
  expect(look({ cpu: rising(0.02, 0.5), memory: flat(0) })).toEqual({ as: "rose", stress: { want: "cpu", from: 300_000, to: 400_000, level: 0.5, since: 200_000, until: 300_000, before: expect.closeTo(0.02, 5) } });
  // What a window smears is in neither of the two.
  expect(pressureOf(t, { cpu: rising(0.02, 0.5) }, 0, 600_000, 30_000)).toMatchObject({ stress: { from: 300_000, since: 170_000, until: 270_000 } });
});

test("the worst of several is told, over a hole of a point", () => {
  const io = rising(0, 0.2, 10, 50);
  io[30] = 0.01;
  expect(look({ cpu: rising(0, 0.4, 20, 24), io })).toMatchObject({ as: "rose", stress: { want: "io", from: 100_000, to: 500_000 } });
});

test("it begins where pressure left what is usual", () => {
  const slow = rising(0.1, 0.9);
  slow[28] = 0.16;
  slow[29] = 0.18;
  expect(look({ cpu: slow })).toMatchObject({ as: "rose", stress: { from: 280_000, to: 400_000 } });
});

test("where tasks wait all the time it may still rise", () => {
  expect(look({ cpu: rising(0.5, 0.9) })).toMatchObject({ as: "rose", stress: { from: 300_000, to: 400_000, before: 0.5 } });
});

test.each<[string, Parameters<typeof pressureOf>[1], string]>([
  ["nothing is known", {}, "unknown"],
  ["too few points", { cpu: t.map((_, i) => (i < 4 ? 0.9 : null)) }, "few"],
  ["it is calm", { cpu: flat(0.03), memory: flat(0), io: flat(0.01) }, "calm"],
  ["it rose to less than a tenth", { cpu: rising(0.01, 0.08) }, "calm"],
  ["one spike", { cpu: rising(0.01, 0.9, 30, 30) }, "calm"],
  ["it was so from the start on", { cpu: flat(0.6) }, "always"],
  ["it was so before the range, and ended", { cpu: rising(0.01, 0.9, 0, 10) }, "calm"],
  ["it is high and rose by little", { cpu: rising(0.3, 0.4) }, "always"],
])("it says nothing of a neighbour: %s", (_, pressure, want) => {
  const got = look(pressure);
  expect(got.as).toBe(want);
  if (got.as !== "rose") expect(otherwise(got)).toMatch(/\.$/);
});

const stress: Stress = { want: "cpu", from: 300_000, to: 400_000, level: 0.5, since: 200_000, until: 300_000, before: 0.02 };
const taken = (workload: string, before: number, during: number): Taken => ({ workload, before, during });
const words = (pieces: Piece[]) => pieces.map((p) => (typeof p === "string" ? p : `<${p.workload}>`)).join("");
const start = `From ${moment(300_000, Date.now())} to ${hms(400_000)} tasks waited for a CPU 50 % of the time, 2.0 % before`;
const evidence = (more: Partial<Evidence>): Evidence => ({ stress, use: [], host: undefined, capacity: 4, waited: [], throttled: [], ...more });

test.each<[string, Partial<Evidence>, string]>([
  ["one grew", { use: [taken("api", 0.3, 0.2), taken("worker", 0.3, 2.1)] }, ": <worker> took most of what was added, CPU 0.30 cores before and 2.10 cores then."],
  [
    "one grew and others waited",
    { use: [taken("worker", 0, 2), taken("api", 1, 1)], waited: [taken("worker", 0, 0.9), taken("api", 0.01, 0.4), taken("db", 0, 0.2), taken("web", 0, 0.3), taken("calm", 0.2, 0.25)], throttled: [taken("api", 0, 0.5)] },
    ": <worker> took most of what was added, CPU 0.00 cores before and 2.00 cores then; meanwhile <api> waited 40 % of the time (1.0 % before) and <web> waited 30 % of the time (0 % before).",
  ],
  [
    "one grew and another was throttled; how containers waited is not known",
    { use: [taken("worker", 0, 2)], throttled: [taken("worker", 0, 1), taken("api", 0.01, 0.5)] },
    ": <worker> took most of what was added, CPU 0.00 cores before and 2.00 cores then; meanwhile <api> was held back by its own CPU limit for 0.50 s each second (0.01 before).",
  ],
  ["it grew outside of containers", { use: [taken("api", 1, 1.1)], host: { before: 1.2, during: 3.5 } }, ": what was added is not in containers, 2.20 cores of CPU."],
  ["many grew a little", { use: ["a", "b", "c"].map((w) => taken(w, 0, 0.5)) }, "; no container alone took more of it."],
  ["one grew by too little to matter", { use: [taken("a", 0, 0.1)] }, "; no container alone took more of it."],
  ["nobody grew", { use: [taken("a", 1, 0.5)], host: { before: 2, during: 1.5 } }, "; no container alone took more of it."],
  ["what they take is not known", { use: undefined }, "; which container took more CPU is not known here."],
  ["there are none", { use: [] }, "; which container took more CPU is not known here."],
])("the sentence when %s", (_, more, want) => {
  expect(words(judge(evidence(more)))).toBe(start + want);
});

test("memory and disks have units of their own", () => {
  const G = 1 << 30;
  expect(words(judge(evidence({ stress: { ...stress, want: "memory" }, capacity: 4 * G, use: [taken("a", 0.5 * G, 3 * G)] })))).toContain("memory 512 MiB before and 3 GiB then");
  expect(words(judge(evidence({ stress: { ...stress, want: "io" }, capacity: undefined, use: [taken("a", 0, 50 << 20)] })))).toContain("block IO 0 B/s before and 50.0 MiB/s then");
  expect(words(judge(evidence({ stress: { ...stress, want: "io" }, capacity: undefined, use: [taken("a", 0, 1000)] })))).toContain("no container alone");
});
