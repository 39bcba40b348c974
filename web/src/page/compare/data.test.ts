// SPDX-License-Identifier: Apache-2.0

import { expect, it } from "vitest";
import type { HistoryAnswer } from "../../api/schema";
import { together } from "./data";

const h = (series: HistoryAnswer["series"], firstSample?: number): HistoryAnswer => ({ start: 0, end: 40, step: 10, t: [10, 20, 30, 40], series, firstSample });

it("has one column for each container and each number, and nothing of what is to come", () => {
  const c = together([h({ cpuUser: [1, 2, null, null], cpuSystem: [1, null, null, null] }, 12), h({ workingSet: [null, 5, 6, null] }, 25)]);
  expect(c.t).toEqual([10, 20, 30]);
  expect(c.series).toEqual({ "cpu.0": [2, 2, null], "memory.1": [null, 5, 6] });
  expect(c.telling).toEqual(["cpu.0", "memory.1"]);
  expect(c.firstSample).toBe(12);
  expect(together([]).t).toEqual([]);
});
