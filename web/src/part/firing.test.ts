// SPDX-License-Identifier: Apache-2.0

import { beforeEach, describe, expect, it } from "vitest";
import type { Alarm, Container } from "../api/schema";
import { alarmOn, firing, judge, needsAttention, told, toneOf } from "./firing";

const alarm = (more: Partial<Alarm> = {}): Alarm => ({ id: "1", rule: "Throttled", state: "firing", severity: "warning", host: "h", workload: "shop/api/1", summary: "api is slow", value: 1, labels: {}, since: 1000, ...more });
const container = (more: Partial<Container> = {}) => ({ id: "a", host: "h", workload: "shop/api/1", state: "running", ...more }) as Container;

beforeEach(() => {
  firing.value = undefined;
});

it("knows the colour of a severity", () => {
  expect(["critical", "warning", "info", "", "own"].map(toneOf)).toEqual(["crit", "warn", "info", "warn", "warn"]);
});

it("counts what somebody is told of", () => {
  expect(told.value).toEqual([]);
  firing.value = [alarm(), alarm({ id: "2", severity: "info" }), alarm({ id: "3", silenced: true }), alarm({ id: "4", acknowledged: true })];
  expect(told.value.map((a) => a.id)).toEqual(["1", "4"]);
});

describe("a container", () => {
  it("has the mark of its state while nothing fires, and is not well before that is known", () => {
    expect(judge(container())).toEqual({ mark: "unknown", words: "running; whether an alarm fires is not known yet" });
    expect(judge(container({ state: "exited", exitCode: 3 })).mark).toBe("crit");
    expect(needsAttention(container())).toBe(false);
    firing.value = [];
    expect(judge(container())).toEqual({ mark: "ok", words: "running" });
    expect(needsAttention(container())).toBe(false);
  });
  it("has the worst of its state and its alarms, with the words of both", () => {
    firing.value = [alarm()];
    expect(judge(container())).toEqual({ mark: "warn", words: "running; alarm Throttled: api is slow" });
    expect(needsAttention(container())).toBe(true);
    firing.value = [alarm({ severity: "critical" }), alarm({ id: "2" })];
    expect(judge(container()).mark).toBe("crit");
    expect(judge(container({ state: "exited", exitCode: 3 })).words).toBe("failed, exit 3");
  });
  it("has nothing of another's alarms, and none of information", () => {
    firing.value = [alarm({ host: "other" }), alarm({ workload: "shop/db/1" }), alarm({ severity: "info" }), alarm({ workload: undefined })];
    expect(judge(container()).mark).toBe("ok");
  });
  it("that is gone has none: its successor has", () => {
    firing.value = [alarm({ severity: "critical" })];
    expect(alarmOn(container({ state: "gone" }))).toBeUndefined();
    expect(needsAttention(container({ state: "gone" }))).toBe(false);
  });
});
