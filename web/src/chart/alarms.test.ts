// SPDX-License-Identifier: Apache-2.0

import { expect, it } from "vitest";
import type { Alarm } from "../api/schema";
import { spans } from "./alarms";

const alarm = (id: string, more: Partial<Alarm> = {}): Alarm => ({ id, rule: "R", state: "firing", severity: "warning", summary: "s", value: 1, labels: {}, since: 1000, ...more });

it("draws what is there and what has ended, the gravest on top", () => {
  const active = [alarm("now", { severity: "critical", fired: 2000 }), alarm("soon", { state: "pending" })];
  const history = [alarm("now", { severity: "critical", fired: 2000 }), alarm("was", { state: "cleared", fired: 500, cleared: 900, since: 400 }), alarm("lost", { fired: 100 })];
  expect(spans(active, history).map((s) => [s.id, s.since, s.fired, s.ended, s.tone])).toEqual([
    ["was", 400, 500, 900, "warn"],
    ["soon", 1000, undefined, undefined, "warn"],
    ["now", 1000, 2000, undefined, "crit"],
  ]);
});
