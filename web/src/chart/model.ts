// SPDX-License-Identifier: Apache-2.0

import { computed, type ReadonlySignal, signal } from "@preact/signals";
import type { Event, Instance, WatchedAnswer as Watched } from "../api/schema";
import { type Columns, type Gap, gapReason, gaps, known, lastKnown, nearest, noColumns } from "./columns";
import { type EventMark, merge } from "./marks";

// Marks nearer than this would overlap.
const markSize = 17;

/** An alarm on the time axis. */
export interface Span {
  id: string;
  /** When its condition began to hold, when it fired, and when it ended; those that have not yet are undefined. */
  since: number;
  fired: number | undefined;
  ended: number | undefined;
  tone: "crit" | "warn" | "info";
  name: string;
  text: string;
}

/** What all charts of a page share: samples, events, the stretch of time that shows, and one cursor. */
export class Model {
  readonly columns = signal<Columns>(noColumns);
  readonly view = signal({ from: 0, to: 1 });
  /** Width of the plots in CSS pixels; they all have the same. */
  readonly width = signal(0);
  /** Oldest first. */
  readonly events = signal<Event[]>([]);
  /** Whether the events of the range are known. */
  readonly heard = signal(false);
  readonly instances = signal<Instance[]>([]);
  /** Undefined where alarms are not known. */
  readonly alarms = signal<readonly Span[] | undefined>(undefined);
  /** Since when there are samples of the host, and why there are none before. */
  readonly watched = signal<Watched>({});
  /** Whether the container runs, so that samples are due. */
  readonly up = signal(true);
  /** Where the pointer is. */
  readonly hover = signal<number | undefined>(undefined);
  /** The stretch that is being selected. */
  readonly selection = signal<{ from: number; to: number } | undefined>(undefined);

  /** The time whose values are shown: under the pointer, else pinned, else none. */
  readonly cursor: ReadonlySignal<number | undefined>;
  /** Pixels per millisecond; it stays the same while a live range moves. */
  readonly scale: ReadonlySignal<number>;
  /**
   * The time at the left edge when the scale last changed. Marks and lines are
   * placed from here and moved together, so that a second costs one transform.
   */
  readonly base: ReadonlySignal<number>;
  readonly shift: ReadonlySignal<string>;
  readonly marks: ReadonlySignal<EventMark[]>;
  readonly gaps: ReadonlySignal<(Gap & { reason: string })[]>;

  constructor(readonly pin: ReadonlySignal<number | undefined>) {
    this.cursor = computed(() => this.hover.value ?? pin.value);
    this.scale = computed(() => {
      const { from, to } = this.view.value;
      return this.width.value / (to - from);
    });
    this.base = computed(() => {
      this.scale.value;
      return this.view.peek().from;
    });
    this.shift = computed(() => `transform: translateX(${(-(this.view.value.from - this.base.value) * this.scale.value).toFixed(1)}px)`);
    this.marks = computed(() => merge(this.events.value, this.scale.value > 0 ? markSize / this.scale.value : 0));
    this.gaps = computed(() => {
      const { from, to } = this.view.value;
      const c = this.columns.value;
      // What comes is no gap: a range may end later than now.
      return gaps(c, from, Math.min(to, Date.now()), this.up.value).map((g) => ({ ...g, reason: gapReason(g, this.events.value, c.step) }));
    });
  }

  /** Pixels from the left edge of the moved layer. */
  place(t: number): number {
    return (t - this.base.value) * this.scale.value;
  }

  /** Pixels from the left edge of the plot as it shows now. */
  position(t: number): number {
    return (t - this.view.value.from) * this.scale.value;
  }

  timeAt(x: number): number {
    const { from, to } = this.view.peek();
    const width = this.width.peek() || 1;
    return from + (Math.max(0, Math.min(width, x)) / width) * (to - from);
  }

  private readonly reading = computed((): { index: number; stale: boolean } => {
    const c = this.columns.value;
    const at = this.cursor.value;
    if (at === undefined) return { index: c.t.length - 1, stale: false };
    const index = this.gapAt(at) ? -1 : nearest(c.t, at, Math.max(3 * c.step, 15_000));
    // A pinned moment without a sample has the last one before it; the pointer says that there is a gap.
    if ((index >= 0 && known(c, index)) || this.hover.value !== undefined) return { index, stale: false };
    const last = lastKnown(c, at);
    return { index: last, stale: last >= 0 };
  });
  /** The point that the cursor, or else the newest moment, reads; -1 where there is none. */
  readonly index = computed(() => this.reading.value.index);
  /** Whether that point is one before the moment, which has none of its own. */
  readonly stale = computed(() => this.reading.value.stale);

  gapAt(t: number): (Gap & { reason: string }) | undefined {
    return this.gaps.value.find((g) => t > g.from && t < g.to);
  }

  /** The time by so many samples from another. */
  step(from: number, by: number): number | undefined {
    const { t } = this.columns.peek();
    const at = nearest(t, from, Number.POSITIVE_INFINITY);
    return at < 0 ? undefined : t[Math.max(0, Math.min(t.length - 1, at + by))];
  }
}
