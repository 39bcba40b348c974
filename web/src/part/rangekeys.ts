// SPDX-License-Identifier: Apache-2.0

import { type Range, zoomed } from "../format/range";
import type { Key } from "./keys";
import { moveRange, range, setRange } from "./place";

/** The keys that move and zoom the range of a page whose axis is that of a histogram; shown is that range where it is not the address's. */
export function rangeKeys(view: () => { from: number; to: number }, at: number | undefined, shown: () => Range = () => range.peek(), choose: (r: Range) => void = setRange): Key[] {
  return [
    { keys: ["[", "]"], label: "Earlier, later", run: (e) => moveRange(view(), e.key === "[" ? -0.5 : 0.5) },
    { keys: ["+", "-"], label: "Zoom in, out", run: (e) => choose(zoomed(shown(), view(), e.key === "+" ? -1 : 1, at, Date.now())) },
  ];
}
