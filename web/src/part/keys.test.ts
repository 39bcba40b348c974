// SPDX-License-Identifier: Apache-2.0

import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { keyMap, listen } from "./keys";

let press: (key: string) => void;
const ran: string[] = [];

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("HTMLInputElement", class {});
  vi.stubGlobal("document", { querySelector: () => null, addEventListener: (_: string, run: (e: unknown) => void) => { press = (key) => run({ key, target: null, preventDefault: () => undefined }); } });
  ran.length = 0;
  (keyMap() as { title: string; keys: object[] }[]).splice(0, keyMap().length, { title: "t", keys: ["g s", "g l", "l"].map((k) => ({ keys: [k], label: k, run: () => ran.push(k) })) });
  listen();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it("takes two keys for one, if the second comes soon", () => {
  press("g");
  press("s");
  press("g");
  vi.advanceTimersByTime(2000);
  press("l");
  expect(ran).toEqual(["g s", "l"]);
});

it("waits for each second key as long, whatever was pressed before", () => {
  press("g");
  press("s");
  vi.advanceTimersByTime(1400);
  press("g");
  vi.advanceTimersByTime(200);
  press("l");
  expect(ran).toEqual(["g s", "g l"]);
});

it("asks the next of a name when there was nothing to do", () => {
  const [first, second] = [vi.fn(() => false), vi.fn()];
  (keyMap() as { title: string; keys: object[] }[]).push({ title: "a", keys: [{ keys: ["Escape"], label: "", run: first }, { keys: ["Escape"], label: "", run: second }] });
  press("Escape");
  press("Escape");
  expect([first.mock.calls.length, second.mock.calls.length]).toEqual([2, 2]);
});
