// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import type { Entry } from "../api/loki";
import { before, beyond, merge, momentOf } from "./lines";

const entry = (ns: string, n: number) => ({ id: n, ns, t: 0, line: `line ${n}`, labels: {}, meta: {}, source: "web stdout", shape: "text" }) as unknown as Entry;

// A store with so many lines at each of some moments, asked as the page asks it.
function store(at: Record<string, number>) {
  let n = 0;
  const all = Object.entries(at).flatMap(([ns, count]) => Array.from({ length: count }, () => entry(ns, n++)));
  return {
    all,
    backward: (end: string, limit: number) => Promise.resolve(all.filter((e) => e.ns <= end).slice(-limit)),
    forward: (start: string, limit: number) => Promise.resolve(all.filter((e) => e.ns >= start).slice(0, limit)),
  };
}

async function older(at: Record<string, number>) {
  const s = store(at);
  let have = await s.backward("9", 500);
  for (let more = true, turns = 0; more && turns < 100; turns++) {
    const first = have[0]!.ns;
    ({ all: have, more } = await beyond(() => have, (limit) => s.backward(first, limit), () => s.backward(String(Number(first) - 1), 500), before));
  }
  return { got: have, want: s.all };
}

test("more lines of one moment than a page has do not end the list", async () => {
  const cases: Record<string, number>[] = [{ "1": 100, "2": 1700, "3": 10 }, { "1": 501 }, { "1": 500, "2": 500 }, { "1": 1, "5": 2600 }];
  for (const at of cases) {
    const { got, want } = await older(at);
    expect(got.map((e) => e.id)).toEqual(want.map((e) => e.id));
  }
});

test("what is beyond the most of one moment is passed over, and the list goes on", async () => {
  const { got } = await older({ "1": 20, "2": 6000 });
  expect(got.filter((e) => e.ns === "1").length).toBe(20);
  expect(got.filter((e) => e.ns === "2").length).toBe(5000);
});

test("the same towards newer lines", async () => {
  const s = store({ "1": 5, "2": 1200, "3": 3 });
  let have = await s.forward("1", 500);
  for (let more = true, turns = 0; more && turns < 100; turns++) {
    const last = have.at(-1)!.ns;
    ({ all: have, more } = await beyond(() => have, (limit) => s.forward(last, limit), () => s.forward(String(Number(last) + 1), 500), merge));
  }
  expect(have.map((e) => e.id)).toEqual(s.all.map((e) => e.id));
});

test("a moment outside of the range is none to show the lines around", () => {
  expect(momentOf({ from: 10, to: 20, at: 15 })).toBe(15);
  expect(momentOf({ from: 10, to: 20, at: 25 })).toBeUndefined();
  expect(momentOf({ from: 10, to: 20, at: 5 })).toBeUndefined();
  expect(momentOf({ from: 10, to: undefined, at: 25 })).toBe(25);
  expect(momentOf({ from: 0, to: undefined, at: undefined })).toBeUndefined();
});
