// SPDX-License-Identifier: Apache-2.0

import { signal } from "@preact/signals";
import { expect, test } from "vitest";
import { fromHistory } from "./columns";
import { Model } from "./model";

test("a pinned moment without a sample has the last one before it, the pointer says that there is a gap", () => {
  const pin = signal<number | undefined>(undefined);
  const m = new Model(pin);
  const cpu = [1, 2, 3, ...new Array<null>(12).fill(null), 9];
  m.columns.value = fromHistory({ start: 0, end: 160_000, step: 10_000, t: cpu.map((_, i) => i * 10_000), series: { cpuUser: cpu } });
  m.view.value = { from: 0, to: 160_000 };
  expect([m.index.value, m.stale.value]).toEqual([15, false]);
  pin.value = 12_000;
  expect([m.index.value, m.stale.value]).toEqual([1, false]);
  pin.value = 90_000;
  expect([m.index.value, m.stale.value]).toEqual([2, true]);
  m.hover.value = 80_000;
  expect([m.index.value, m.stale.value]).toEqual([-1, false]);
  m.hover.value = undefined;
  pin.value = -50_000;
  expect([m.index.value, m.stale.value]).toEqual([-1, false]);
});
