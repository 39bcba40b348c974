// SPDX-License-Identifier: Apache-2.0

import { describe, expect, it } from "vitest";
import type { Alarm, Chart, Rule, Trial } from "../../api/schema";
import { type Alarms, drawn, lasted, matchersOf, ordered, place, trialWords, verdict, waits } from "./data";

const alarm = (severity: string, more: Partial<Alarm> = {}): Alarm => ({ id: "1", rule: "R", state: "firing", severity, summary: "s", value: 1, labels: {}, since: 1000, ...more });
const rule = (name: string, more: Partial<Rule> = {}): Rule => ({ name, group: "g", language: "promql", expr: "up", severity: "warning", for: 0, state: "inactive", active: 0, took: 0, builtin: true, ...more });
const all = (active: Alarm[], rules: Rule[] = [rule("A")]): Alarms => ({ active, history: [], more: false, rules, receivers: [], silences: [] });

describe("the verdict", () => {
  it("says what fires, and how grave it is", () => {
    expect(verdict(all([alarm("critical")]))).toEqual({ mark: "crit", text: "1 alarm fires" });
    expect(verdict(all([alarm("critical"), alarm("warning")]))).toEqual({ mark: "crit", text: "2 alarms fire, 1 of them critical" });
    expect(verdict(all([alarm("warning")])).mark).toBe("warn");
    expect(verdict(all([alarm("own words")])).mark).toBe("warn");
  });
  it("is calm when nothing fires that anybody is told of", () => {
    expect(verdict(all([]))).toEqual({ mark: "ok", text: "Nothing fires. 1 rule watches" });
    expect(verdict(all([alarm("info")])).mark).toBe("ok");
    expect(verdict(all([alarm("critical", { state: "pending" })])).mark).toBe("ok");
  });
  it("is not calm when rules fail, or when there are none", () => {
    expect(verdict(all([], [rule("A", { error: "no" })])).mark).toBe("warn");
    expect(verdict(all([], [])).mark).toBe("unknown");
  });
});

it("puts rules in order", () => {
  const of = [rule("C"), rule("B", { state: "pending" }), rule("A"), rule("Z", { error: "no" }), rule("Y", { state: "firing" })];
  expect(ordered(of).map((r) => r.name)).toEqual(["Y", "Z", "B", "A", "C"]);
});

it("silences what an alarm is about, and nothing else", () => {
  expect(matchersOf(alarm("critical", { labels: { alertname: "A", workload: 'a"b', severity: "critical", kind: "crash" } }))).toEqual(['alertname="A"', 'workload="a\\"b"']);
});

it("says times in words", () => {
  expect(waits(0)).toBe("at once");
  expect(waits(300_000)).toBe("5 min");
  expect(waits(7_200_000)).toBe("2 h");
  expect(lasted(alarm("info", { fired: 1000, cleared: 61_000 }))).toBe("1 min");
});

it("says how often a rule would have fired", () => {
  const trial = (more: Partial<Trial>): Trial => ({ cut: false, start: 0, end: 7 * 86_400_000, episodes: [], expr: "up", fired: 0, for: 0, group: "g", interval: 60_000, keep: 0, language: "promql", lasted: 0, severity: "warning", waited: 0, ...more });
  expect(trialWords(trial({}))).toBe("It would not have fired in the last 7 d.");
  expect(trialWords(trial({ waited: 2 }))).toBe("It would not have fired in the last 7 d, only been pending 2 times.");
  expect(trialWords(trial({ fired: 1, lasted: 600_000 }))).toBe("It would have fired 1 time in the last 7 d, for 10 min in all.");
  expect(trialWords(trial({ fired: 3, lasted: 7_200_000, cut: true }))).toContain("There was no time to look further back.");
});

describe("what a rule looked at", () => {
  const chart = (more: Partial<Chart> = {}): Chart => ({ language: "promql", expr: "a", op: ">", threshold: 20, start: 0, end: 240_000, times: [0, 1000, 2000, 120_000, 121_000], values: [0, 10, 40, 40, 0], ...more });
  it("is drawn with its threshold and its holes", () => {
    const { line, most, level } = drawn(chart());
    expect(line).toBe("M0.00 98.00L0.42 74.50L0.83 4.00M50.00 4.00L50.42 98.00");
    expect([most, level]).toEqual([40, 51]);
  });
  it("has the threshold in it when no value comes near", () => {
    const { most, level } = drawn(chart({ times: [0], values: [1], threshold: 100 }));
    expect([most, level]).toEqual([100, 4]);
    expect(drawn(chart({ times: [0], values: [0], threshold: 0 })).level).toBe(98);
    expect(drawn(chart({ times: [0, 1000], values: [-5, 5], op: "<", threshold: -10 })).level).toBe(98);
  });
  it("stands where its time is", () => {
    expect([-1, 0, 60_000, 240_000, 999_000].map((t) => place(chart(), t))).toEqual([0, 0, 25, 100, 100]);
  });
});
