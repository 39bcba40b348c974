// SPDX-License-Identifier: Apache-2.0

import { useRef } from "preact/hooks";
import type { Event } from "../api/schema";
import { zoom, zoomed } from "../format/range";
import { iso } from "../format/time";
import { type Key, useKeys } from "../part/keys";
import { range, setParams, setRange } from "../part/place";
import type { Model } from "./model";

/** What gestures and keys do to the time that a page shows; now is the server's present. */
export function useTimeActions(model: Model, now: () => number, canLive: boolean) {
  const wheel = useRef(0);
  const fixed = (from: number, to: number, mode: "push" | "replace" = "push") => setRange({ live: false, from, to }, mode);
  const pin = (t: number) => setParams({ at: iso(t) });
  return {
    pin,
    select: (e: Event) => pin(e.time),
    freeze: () => fixed(model.view.peek().from, model.view.peek().to),
    zoomTo: (from: number, to: number) => {
      const middle = (from + to) / 2;
      const z = zoom(from, to, middle, 1, now());
      fixed(z.from, z.to);
    },
    // A turn of the wheel is many steps but one entry in the history.
    zoomAround: (t: number, factor: number) => {
      const { from, to } = model.view.peek();
      const z = zoom(from, to, t, factor, now());
      const turned = Date.now();
      fixed(z.from, z.to, turned - wheel.current < 1000 ? "replace" : "push");
      wheel.current = turned;
    },
    zoomKey: (by: -1 | 1) => {
      const r = range.peek();
      const view = model.view.peek();
      setRange(zoomed(r.live && canLive ? r : { live: false, ...view }, view, by, model.cursor.peek(), now()));
    },
    move: (share: number) => {
      const { from, to } = model.view.peek();
      const by = Math.min((to - from) * share, now() - to);
      if (by !== 0) fixed(from + by, to + by);
    },
    step: (by: number) => {
      const at = model.step(model.pin.peek() ?? model.view.peek().to, by);
      if (at !== undefined) pin(at);
    },
    jump: (by: -1 | 1) => {
      const marks = model.marks.peek();
      const at = model.pin.peek();
      const { from, to } = model.view.peek();
      const inside = marks.filter((m) => m.lead.time >= from && m.lead.time <= to);
      const next = by > 0 ? inside.find((m) => at === undefined || m.lead.time > at) : inside.findLast((m) => at === undefined || m.lead.time < at);
      if (next) pin(next.lead.time);
    },
    escape: () => {
      if (model.selection.peek()) model.selection.value = undefined;
      else if (model.pin.peek() === undefined) return false;
      else setParams({ at: undefined });
      return true;
    },
  };
}

/** The keys of a page with a time axis, and those of its own. */
export function useTimeKeys(title: string, actions: ReturnType<typeof useTimeActions>, own: Key[]): void {
  useKeys(title, [
    { keys: ["ArrowLeft", "ArrowRight"], label: "Cursor by one sample, with Shift by ten", run: (e) => actions.step((e.key === "ArrowLeft" ? -1 : 1) * (e.shiftKey ? 10 : 1)) },
    { keys: ["n", "p"], label: "Next, previous event", run: (e) => actions.jump(e.key === "n" ? 1 : -1) },
    { keys: ["[", "]"], label: "Earlier, later", run: (e) => actions.move(e.key === "[" ? -0.5 : 0.5) },
    { keys: ["+", "-"], label: "Zoom in, out", run: (e) => actions.zoomKey(e.key === "+" ? -1 : 1) },
    ...own,
    { keys: ["Escape"], label: "Let go of the selection, then of the cursor", run: actions.escape },
  ]);
}
