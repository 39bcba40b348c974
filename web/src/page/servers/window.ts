// SPDX-License-Identifier: Apache-2.0

import type { RefObject } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

// Up to this many rows all lists of a page are drawn whole. Beyond, what is far from the screen costs more than it gives:
// a tick walks all that is drawn to paint it, and 100 live rows took twice the processor that 50 take.
export const wholeUpTo = 60;
const spare = 400;

/** The rows of a long list that are near the screen, and the height of those before and after. */
export interface View {
  start: number;
  end: number;
  before: number;
  after: number;
}

/** The part of a list of heights that lies between two offsets. */
export function part(heights: readonly number[], top: number, bottom: number): View {
  let start = 0;
  let y = 0;
  while (start < heights.length && y + heights[start]! < top) y += heights[start++]!;
  const before = y;
  let end = start;
  while (end < heights.length && y < bottom) y += heights[end++]!;
  let after = 0;
  for (let i = end; i < heights.length; i++) after += heights[i]!;
  return { start, end, before, after };
}

/** Follows the scrolling of main and says which rows of a list to draw, unless the whole of it is wanted. */
export function useWindow(body: RefObject<HTMLElement | null>, heights: readonly number[], whole: boolean): View {
  const [span, setSpan] = useState<[number, number]>([0, 2000]);
  const at = useRef(span);

  useLayoutEffect(() => {
    const main = body.current?.closest("main");
    if (whole || !main) return;
    let frame = 0;
    const look = () => {
      frame = 0;
      const offset = main.getBoundingClientRect().top - (body.current?.getBoundingClientRect().top ?? 0);
      const next: [number, number] = [offset - spare, offset + main.clientHeight + spare];
      // A new part is drawn when half of the spare rows are used up.
      if (Math.abs(next[0] - at.current[0]) < spare / 2 && Math.abs(next[1] - at.current[1]) < spare / 2) return;
      at.current = next;
      setSpan(next);
    };
    const soon = () => {
      frame ||= requestAnimationFrame(look);
    };
    look();
    main.addEventListener("scroll", soon, { passive: true });
    addEventListener("resize", soon);
    // Lists above this one grow and shrink.
    const watch = new ResizeObserver(look);
    for (const child of main.children) watch.observe(child);
    return () => {
      watch.disconnect();
      cancelAnimationFrame(frame);
      main.removeEventListener("scroll", soon);
      removeEventListener("resize", soon);
    };
  }, [whole]);

  return whole ? { start: 0, end: heights.length, before: 0, after: 0 } : part(heights, span[0], span[1]);
}
