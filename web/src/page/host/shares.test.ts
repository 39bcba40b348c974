// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import { columnsOf, ranked, rankQuery, seat, shareQuery, union, useQuery } from "./shares";

const none = { cpu: [], memory: [], network: [], disk: [] };

test("queries name the host and the containers as texts, whatever they are called", () => {
  const host = 'a"}) or vector(1)';
  expect(shareQuery("cpu", host, ["x.y", 'b"|c'], 30_000)).toBe(
    'label_replace(sum by (workload) (rate(container_cpu_usage_seconds_total{host="a\\"}) or vector(1)",workload!="",workload=~"x\\\\.y|b\\"\\\\|c"}[30000ms])), "of", "top", "", "")' +
      ' or label_replace(sum(sum by (workload) (rate(container_cpu_usage_seconds_total{host="a\\"}) or vector(1)",workload!=""}[30000ms]))), "of", "all", "", "")',
  );
  expect(shareQuery("memory", "h", [], 30_000)).toBe('label_replace(sum(sum by (workload) (avg_over_time(container_memory_working_set_bytes{host="h",workload!=""}[30000ms]))), "of", "all", "", "")');
  expect(useQuery("disk", "h", 60_000)).toContain("container_fs_writes_bytes_total");
  // Of an hour there is a look each minute, each over that minute.
  expect(rankQuery("h", 3_600_000, 30_000)).toContain("[60000ms])))[3600000ms:60000ms]");
  expect(union({ a: "1", b: "2" })).toBe('label_replace(1, "of", "a", "", "") or label_replace(2, "of", "b", "", "")');
});

test("the greatest come first, at most as many as there are colours", () => {
  const points = Array.from({ length: 9 }, (_, i) => ({ labels: { of: "cpu", workload: `w${i}` }, value: i }));
  const got = ranked([...points, { labels: { of: "memory", workload: "m" }, value: 0 }]);
  expect(got.cpu).toEqual({ top: ["w8", "w7", "w6", "w5", "w4", "w3"], of: 9 });
  expect(got.memory).toEqual({ top: [], of: 1 });
  expect(got.disk).toEqual({ top: [], of: 0 });
});

test("a container keeps its colour through the page and over time", () => {
  const kept = new Map<string, number>();
  const first = seat({ ...none, cpu: ["a", "b"], memory: ["b", "c"] }, kept);
  expect(first.cpu.slice(0, 2)).toEqual(["a", "b"]);
  expect(first.memory[1]).toBe("b");
  expect(first.memory[0]).toBeUndefined(); // that is a's
  expect(first.memory[2]).toBe("c");
  const second = seat({ ...none, cpu: ["c", "b", "d"] }, kept);
  expect(second.cpu[1]).toBe("b");
  expect(second.cpu[2]).toBe("c");
});

test("two containers with one colour are told apart where they meet", () => {
  const kept = new Map([["a", 0], ["b", 0]]);
  const got = seat({ ...none, cpu: ["a", "b"] }, kept).cpu;
  expect(got.filter((w) => w !== undefined).sort()).toEqual(["a", "b"]);
});

const curve = (of: string, points: (number | null)[], workload?: string) => ({ labels: { of, ...(workload && { workload }) }, points });

test("the parts are as much as the host uses, and with what is free all that it has", () => {
  const got = columnsOf("cpu", [curve("top", [1, 2, null], "a"), curve("all", [1.5, 2, null])], ["a"], { used: [2, 1.9, 3], total: [4, 4, 4] }, 3);
  expect(got["cpu0"]).toEqual([1, 2, null]);
  expect(got["cpuOthers"]).toEqual([0.5, 0, null]);
  expect(got["cpuRest"]).toEqual([0.5, 0, null]); // never less than nothing
  expect(got["cpuFree"]).toEqual([2, 2, 1]);
  expect(got["cpuWhole"]).toEqual([null, null, 3]); // what the containers took of it is not known
  expect(got["cpuTotal"]).toEqual([4, 4, 4]);
  expect(got["cpu0"]![0]! + got["cpuOthers"]![0]! + got["cpuRest"]![0]! + got["cpuFree"]![0]!).toBe(4);
});

test("what is not known is left out, and no container is none", () => {
  expect(columnsOf("disk", [], [], {}, 2)).toEqual({});
  expect(columnsOf("cpu", [], [], { used: [1, 1], running: [0, 3] }, 2)).toEqual({ cpuOthers: [0, null], cpuRest: [1, null], cpuWhole: [null, 1] });
  expect(columnsOf("network", [curve("top", [1], "a"), curve("all", [1])], [undefined, "a"], {}, 1)).toEqual({ network1: [1], networkOthers: [0] });
});

test("the first sample of a host, before that of its containers, is no part of the chart", () => {
  const got = columnsOf("memory", [curve("all", [null, null, 2, 2])], [], { used: [null, 3, 3, 3], total: [null, 4, 4, 4] }, 4);
  expect(got["memoryWhole"]).toBeUndefined();
  expect(got["memoryFree"]).toEqual([null, null, 1, 1]);
  expect(columnsOf("memory", [curve("all", [null, null, 2])], [], { used: [3, 3, 3] }, 3)["memoryWhole"]).toEqual([3, 3, null]); // that lasts
});
