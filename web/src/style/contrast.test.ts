// SPDX-License-Identifier: Apache-2.0

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const css = readFileSync(join(import.meta.dirname, "tokens.css"), "utf8");

/** The light and the dark colour of each token that is written as a pair. */
const tokens = new Map([...css.matchAll(/--([\w-]+): light-dark\((#[0-9a-f]{3,6}), (#[0-9a-f]{3,6})\)/g)].map((m) => [m[1]!, [m[2]!, m[3]!] as const]));

function luminance(hex: string): number {
  const full = hex.length === 4 ? hex.replace(/[0-9a-f]/g, "$&$&") : hex;
  const [r, g, b] = [1, 3, 5].map((i) => {
    const c = parseInt(full.slice(i, i + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [hi, lo] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
  return (hi + 0.05) / (lo + 0.05);
}

function check(front: string[], back: string[], least: number): void {
  for (const f of front) {
    for (const b of back) {
      ["light", "dark"].forEach((theme, i) => {
        expect(contrast(tokens.get(f)![i]!, tokens.get(b)![i]!), `${f} on ${b}, ${theme}`).toBeGreaterThanOrEqual(least);
      });
    }
  }
}

test("text is readable on every surface", () => {
  check(["text", "text-2", "text-3", "link", "crit", "warn", "ok", "conf"], ["bg", "surface", "raised"], 4.5);
  check(["text"], ["hover", "select"], 4.5);
  check(["crit"], ["crit-bg"], 4.5);
  check(["warn"], ["warn-bg"], 4.5);
  check(["conf"], ["conf-bg"], 4.5);
  check(["on-accent"], ["accent"], 4.5);
});

test("curves, marks and the focus ring stand out", () => {
  check(["c1", "c2", "c3", "c4", "c6", "c7", "c8", "limit", "crit-fill", "warn-fill", "ok-fill", "unknown", "focus"], ["surface"], 3);
});
