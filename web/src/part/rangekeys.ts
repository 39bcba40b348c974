// SPDX-License-Identifier: Apache-2.0

import { zoomed } from "../format/range";
import type { Key } from "./keys";
import { moveRange, range, setRange } from "./place";

/** The keys that move and zoom the range of a page whose axis is that of a histogram. */
export function rangeKeys(view: () => { from: number; to: number }, at: number | undefined): Key[] {
  return [
    { keys: ["[", "]"], label: "Earlier, later", run: (e) => moveRange(view(), e.key === "[" ? -0.5 : 0.5) },
    { keys: ["+", "-"], label: "Zoom in, out", run: (e) => setRange(zoomed(range.peek(), view(), e.key === "+" ? -1 : 1, at, Date.now())) },
  ];
}
