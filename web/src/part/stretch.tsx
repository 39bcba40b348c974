// SPDX-License-Identifier: Apache-2.0

import { useSignal } from "@preact/signals";
import type { TargetedPointerEvent } from "preact";
import { useRef } from "preact/hooks";
import "./stretch.css";

const dragLeast = 5;

/** The ends of a drag as shares of the width, 0 to 1, where it began first. */
type Drag = { a: number; b: number };

/** What a mouse drags out of a box over time; done gets the two ends as shares of its width, the earlier first. */
export function useStretch(done: (a: number, b: number) => void) {
  const box = useRef<HTMLDivElement>(null);
  const drag = useSignal<Drag | undefined>(undefined);
  const at = useSignal<number | undefined>(undefined);
  const share = (e: PointerEvent) => {
    const b = box.current!.getBoundingClientRect();
    return Math.max(0, Math.min(1, (e.clientX - b.left) / b.width));
  };
  const on = {
    ref: box,
    onPointerDown: (e: TargetedPointerEvent<HTMLDivElement>) => {
      if (e.button !== 0 || e.pointerType === "touch") return;
      e.currentTarget.setPointerCapture(e.pointerId);
      drag.value = { a: share(e), b: share(e) };
    },
    onPointerMove: (e: PointerEvent) => {
      at.value = share(e);
      if (drag.peek()) drag.value = { a: drag.peek()!.a, b: share(e) };
    },
    onPointerLeave: () => { at.value = undefined; },
    onPointerCancel: () => { drag.value = undefined; },
    onPointerUp: (e: PointerEvent) => {
      const d = drag.peek();
      drag.value = undefined;
      if (!d || Math.abs(d.a - share(e)) * box.current!.clientWidth < dragLeast) return;
      done(Math.min(d.a, share(e)), Math.max(d.a, share(e)));
    },
  };
  return { on, drag, at };
}

/** What is being dragged, drawn within the box. */
export function Selection({ drag }: { drag: { value: Drag | undefined } }) {
  const d = drag.value;
  return d ? <div class="hsel" style={{ left: `${Math.min(d.a, d.b) * 100}%`, width: `${Math.abs(d.a - d.b) * 100}%` }} /> : null;
}
