// SPDX-License-Identifier: Apache-2.0

import { date, day, hm, hms, hour, midnight, minute, second, weekday } from "../format/time";

/** A value axis: its top and the lines below it. The top itself has no line. */
export interface Axis {
  top: number;
  ticks: number[];
}

/** The least step of 1, 2 or 5 times a power of ten, or of a power of two, that is not under v. */
function niceStep(v: number, base: "decimal" | "binary"): number {
  if (base === "binary") return 2 ** Math.ceil(Math.log2(v) - 1e-9);
  const power = 10 ** Math.floor(Math.log10(v) + 1e-9);
  for (const m of [1, 2, 5]) if (m * power >= v * (1 - 1e-9)) return m * power;
  return 10 * power;
}

/** An axis from 0 that holds max with a little air, in at most so many steps. */
export function axis(max: number, base: "decimal" | "binary", steps: number, least: number): Axis {
  const need = Math.max(max * 1.05, least);
  const step = niceStep(need / steps, base);
  const n = Math.ceil(need / step - 1e-9);
  const ticks = Array.from({ length: n - 1 }, (_, i) => (i + 1) * step);
  return { top: n * step, ticks: ticks.length ? ticks : [step / 2] };
}

/** A line of the time axis. A major one starts an hour or a day. */
export interface TimeTick {
  t: number;
  label: string;
  major: boolean;
}

const timeSteps = [
  ...[1, 2, 5, 10, 15, 30].map((n) => n * second),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * minute),
  ...[1, 2, 3, 6, 12].map((n) => n * hour),
  ...[1, 2, 7, 14, 28, 91].map((n) => n * day),
];

/** Round times between from and to, so many at most, in the reader's zone. */
export function timeTicks(from: number, to: number, most: number): TimeTick[] {
  const step = timeSteps.find((s) => (to - from) / s <= most) ?? timeSteps.at(-1)!;
  const out: TimeTick[] = [];
  if (step < day) {
    // Days with a change of clock are not 24 h: each counts from its own midnight, and hours by the clock.
    for (let start = midnight(from); start <= to; start = midnight(start + 26 * hour)) {
      const end = midnight(start + 26 * hour);
      const d = new Date(start);
      for (let n = 0; ; n++) {
        const t = step < hour ? start + n * step : new Date(d.getFullYear(), d.getMonth(), d.getDate(), (n * step) / hour).getTime();
        if (t >= end || t > to) break;
        if (t < from) continue;
        const major = n === 0 || (step < hour && t % hour === 0);
        out.push({ t, label: n === 0 ? date(t) : step < minute ? hms(t) : hm(t), major });
      }
    }
    return out;
  }
  const days = Math.round(step / day);
  let n = 0;
  for (let t = midnight(from); t <= to; t = midnight(t + 26 * hour), n++) {
    if (t < from || Math.round(t / day) % days !== 0) continue;
    out.push({ t, label: step === day ? weekday(t) : date(t), major: false });
  }
  return out;
}
