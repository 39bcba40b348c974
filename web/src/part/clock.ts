// SPDX-License-Identifier: Apache-2.0

import { signal } from "@preact/signals";
import { clock, nowMinute } from "./now";

export { clock, nowMinute };

/** Whether the window is a phone's, where tables become cards and charts lose the gutter. */
const phone = matchMedia("(max-width: 760px)");
export const narrow = signal(phone.matches);

/** Whether it is so wide that tables have room for more columns. */
const broad = matchMedia("(min-width: 1600px)");
export const roomy = signal(broad.matches);

export function startClock(): void {
  let timer = 0;
  const run = () => {
    clearInterval(timer);
    if (document.hidden) return;
    clock.value = Date.now();
    timer = window.setInterval(() => {
      clock.value = Date.now();
    }, 1000);
  };
  document.addEventListener("visibilitychange", run);
  phone.addEventListener("change", () => {
    narrow.value = phone.matches;
  });
  broad.addEventListener("change", () => {
    roomy.value = broad.matches;
  });
  run();
}
