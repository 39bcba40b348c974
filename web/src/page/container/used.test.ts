// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import type { ProcessesAnswer } from "../../api/schema";
import { used } from "./used";

const at = (time: number, ...all: [pid: number, cpu: number, name?: string][]): ProcessesAnswer => ({ time, left: 0, processes: all.map(([pid, cpu, name = "a"]) => ({ pid, cpu, name, parent: 1, uid: 0, state: "S", threads: 1, memory: 0 })) });

test("the CPU of a process is what it took between two looks", () => {
  expect([...used(undefined, at(1000, [1, 5]))]).toEqual([]);
  expect([...used(at(1000, [1, 5], [2, 9], [3, 1]), at(3000, [1, 6], [2, 1], [3, 2, "b"], [4, 1]))]).toEqual([[1, 0.5]]);
});
