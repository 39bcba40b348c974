// SPDX-License-Identifier: Apache-2.0

import { expect, test } from "vitest";
import type { Entry } from "../api/loki";
import { shapeOf } from "../format/logline";
import { groupOf, ofTrace, Traces } from "./trace";

let id = 0;
const base = Date.UTC(2026, 10, 20, 12);
function entry(ms: number, line: string, source = "a"): Entry {
  return { id: ++id, ns: `${base + ms}000000`, t: base + ms, line, labels: { host: "h", source: "container", name: source, stream: "stderr", level: "error" }, meta: {}, source, shape: shapeOf(line) };
}
const trace = [entry(0, "ready"), entry(10, "java.lang.IllegalStateException: pool"), entry(10, "other", "b"), entry(11, "\tat Pool.take"), entry(12, "\tat Api.checkout"), entry(13, "next")];

test("lines that may be of a trace", () => {
  const f = (line: string) => ofTrace({ line, shape: shapeOf(line) });
  expect(["\tat Pool.take", "Traceback (most recent call last):", "ValueError: x", "java.lang.IllegalStateException: pool", "panic: x"].map(f)).toEqual([true, true, true, true, true]);
  expect(["ready", "level=info msg=x"].map(f)).toEqual([false, false]);
});

test("a line is found in its group, whichever of them it is", () => {
  const texts = (e: Entry) => groupOf(trace, { ...e, id: ++id }).map((x) => x.line);
  const all = ["java.lang.IllegalStateException: pool", "\tat Pool.take", "\tat Api.checkout"];
  expect(texts(trace[1]!)).toEqual(all);
  expect(texts(trace[4]!)).toEqual(all);
  expect(texts(trace[0]!)).toEqual([]);
  expect(texts(entry(50, "elsewhere"))).toEqual([]);
});

test("traces are looked up one after the other, the newest first, and not when they are out of sight", async () => {
  const asked: string[] = [];
  const traces = new Traces(async (q) => {
    asked.push(`${q.query} ${q.start} ${q.end} ${q.limit} ${q.forward ?? false}`);
    return trace.filter((e) => e.ns >= q.start && e.ns < q.end && e.source === "a");
  });
  traces.want(trace[1]!);
  const gone = traces.want(trace[0]!);
  traces.want(trace[3]!);
  gone();
  await new Promise((done) => setTimeout(done, 10));
  expect(asked).toHaveLength(4);
  const query = '{host="h", source="container", name="a", stream="stderr"}';
  expect(asked.slice(0, 2)).toEqual([`${query} ${base - 1990}000000 ${base + 10}000000 60 false`, `${query} ${base + 10}000000 ${base + 2010}000000 200 true`]);
  expect(traces.of(trace[1]!).value).toHaveLength(3);
  expect(traces.of(trace[3]!).value).toHaveLength(3);
  expect(traces.of(trace[0]!).value).toHaveLength(0);
  // What is known is not asked again, and a failure is no more than no answer.
  traces.want(trace[1]!);
  const failing = new Traces(() => Promise.reject(new Error("away")));
  failing.want(trace[1]!);
  await new Promise((done) => setTimeout(done, 10));
  expect(asked).toHaveLength(4);
  expect(failing.of(trace[1]!).value).toHaveLength(0);
});
