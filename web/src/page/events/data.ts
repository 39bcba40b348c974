// SPDX-License-Identifier: Apache-2.0

import { signal as state } from "@preact/signals";
import { inWords } from "../../api/client";
import { type EventFilter, eventPage, eventSummary } from "../../api/kept";
import type { Event, EventsSummary } from "../../api/schema";
import { type Volume, withLines } from "../../format/logline";
import { columnKind, fits, merged, volumeOf } from "../../part/eventrows";

const pageSize = 300;
// Beyond so many the oldest are forgotten while new ones come; they can be asked for again.
const keptMost = 20_000;
// What came live is counted anew so often; a long range, which is much to count, less often.
const recountEvery = 30_000;
const recountLeast = 600_000;

export interface Wanted {
  filter: EventFilter;
  /** 0 for all that is kept. */
  from: number;
  /** undefined for a range that ends now. */
  to: number | undefined;
}

/** The events of a range, their numbers over time, and those that come. */
export class EventData {
  /** The newest first. */
  readonly events = state<Event[]>([]);
  readonly more = state(false);
  readonly loaded = state(false);
  readonly problem = state("");
  readonly summary = state<EventsSummary | undefined>(undefined);
  readonly volume = state<Volume | undefined>(undefined);
  readonly countProblem = state("");
  /** Grows when other events are shown. */
  readonly turn = state(0);
  wanted: Wanted | undefined;
  private next: string | undefined;
  private asking = new AbortController();
  private loading = false;
  private timer = 0;
  private since = 0;

  constructor(/** How many columns there is room for. */ private readonly columns: () => number) {}

  /** Shows other events; those of before stay until the answer is there. */
  async show(w: Wanted): Promise<void> {
    this.stop();
    this.wanted = w;
    this.since = Date.now();
    const { signal } = this.asking;
    this.loaded.value = false;
    void this.count();
    try {
      const found = await eventPage(w.filter, { ...this.stretch(), limit: pageSize }, signal);
      this.events.value = found.events;
      this.next = found.next;
      this.more.value = found.more;
      this.problem.value = "";
      this.turn.value++;
    } catch (err) {
      if (signal.aborted) return;
      this.events.value = [];
      this.more.value = false;
      this.problem.value = inWords(err);
    }
    this.loaded.value = true;
    // A rare event may lie behind what one question looks at.
    if (this.events.peek().length === 0 && this.more.peek()) await this.older();
  }

  stop(): void {
    this.asking.abort();
    this.asking = new AbortController();
    this.loading = false;
    clearTimeout(this.timer);
  }

  /** Reads on behind the oldest. */
  async older(): Promise<void> {
    const w = this.wanted;
    if (this.loading || !this.more.peek() || !w || this.next === undefined) return;
    this.loading = true;
    const { signal } = this.asking;
    try {
      do {
        const found = await eventPage(w.filter, { ...this.stretch(), before: this.next, limit: pageSize }, signal);
        this.events.value = merged(this.events.peek(), found.events);
        this.next = found.next;
        this.more.value = found.more;
      } while (this.more.peek() && this.events.peek().length === 0);
    } catch (err) {
      if (signal.aborted) return;
      this.problem.value = inWords(err);
    }
    this.loading = false;
  }

  /** Takes an event that has just happened. */
  happened(e: Event): void {
    const w = this.wanted;
    if (!w || w.to !== undefined || !this.loaded.peek() || !fits(w.filter, e) || this.events.peek().some((x) => x.id === e.id)) return;
    const all = merged(this.events.peek(), [e]);
    if (all.length > keptMost) {
      all.length = keptMost;
      this.next = all.at(-1)!.id;
      this.more.value = true;
    }
    this.events.value = all;
    if (this.volume.peek()) this.volume.value = withLines(this.volume.peek()!, [{ t: e.time, kind: columnKind(e) }]);
  }

  private stretch(): { start?: number; end?: number } {
    const w = this.wanted!;
    // A live range has moved on since it was chosen.
    const from = w.from > 0 && w.to === undefined ? w.from + (Date.now() - this.since) : w.from;
    return { start: from > 0 ? Math.floor(from) : undefined, end: w.to === undefined ? undefined : Math.ceil(w.to) };
  }

  private async count(): Promise<void> {
    const { signal } = this.asking;
    const w = this.wanted!;
    try {
      const found = await eventSummary(w.filter, { ...this.stretch(), points: this.columns() }, signal);
      this.summary.value = found;
      this.volume.value = volumeOf(found);
      this.countProblem.value = "";
    } catch (err) {
      if (signal.aborted) return;
      this.volume.value = undefined;
      this.countProblem.value = inWords(err);
    }
    if (w.to !== undefined) return;
    const again = () => {
      // A hidden tab counts when it is seen again.
      if (document.hidden) this.timer = window.setTimeout(again, 1000);
      else void this.count();
    };
    this.timer = window.setTimeout(again, Math.min(recountLeast, Math.max(recountEvery, (Date.now() - w.from) / 100)));
  }
}
