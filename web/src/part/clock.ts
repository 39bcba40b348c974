// SPDX-License-Identifier: Apache-2.0

import { effect, type Signal, signal } from "@preact/signals";
import { stream } from "../api/live";
import { clock, nowMinute } from "./now";

export { clock, nowMinute };

/** Whether the window is a phone's, where tables become cards and charts lose the gutter. */
export const narrow = follow("(max-width: 760px)");

/** Whether there is room for a third column beside the rail and the page. */
export const wide = follow("(min-width: 1280px)");

/** Whether it is so wide that tables have room for more columns. */
export const roomy = follow("(min-width: 1600px)");

/** What a media query says, as it changes. */
function follow(query: string): Signal<boolean> {
  const list = matchMedia(query);
  const out = signal(list.matches);
  list.addEventListener("change", () => {
    out.value = list.matches;
  });
  return out;
}

// So old the clock may become.
const second = 1000;

/** Starts the clock. Where messages come it goes with them, so that both are one drawing of the page. */
export function startClock(): void {
  let timer = 0;
  const go = () => {
    if (Date.now() - clock.peek() >= 0.9 * second) clock.value = Date.now();
  };
  const run = () => {
    clearInterval(timer);
    if (document.hidden) return;
    clock.value = Date.now();
    timer = window.setInterval(go, second);
  };
  effect(() => {
    if (stream.value.last) go();
  });
  document.addEventListener("visibilitychange", run);
  run();
}
