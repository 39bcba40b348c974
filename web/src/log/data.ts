// SPDX-License-Identifier: Apache-2.0

import { signal as state } from "@preact/signals";
import { ApiError, inWords } from "../api/client";
import { counts, type Entry, lines, nanos } from "../api/loki";
import type { Event } from "../api/schema";
import { happened } from "../chart/happened";
import { tone } from "../chart/marks";
import { columnsOf, columnStep, levelKind, type Volume, withLines } from "../format/logline";
import { counting } from "../format/logql";
import { day, hour } from "../format/time";
import { LogLines, type Wanted } from "./lines";

// What is never told beside a line does not crowd out what is.
const untold = ["exec_create", "exec_start", "exec_die", "kill", "attach", "top", "resize"];
const gapsMost = 200;
// What the tail adds to the columns is counted anew so often.
const recountEvery = 30_000;
// A live range hears of new events and gaps so often.
const eventsEvery = 10_000;

/** Events that say something beside a line: deaths, starts, changes, trouble. */
export function telling(e: Event): boolean {
  return e.type === "container" && (e.kind === "start" || e.kind === "death" || tone(e) !== "");
}

/** The lines of a query, their numbers over time, and the events around them. */
export class LogData {
  readonly lines = new LogLines();
  readonly volume = state<Volume | undefined>(undefined);
  readonly volumeProblem = state("");
  readonly events = state<Event[]>([]);
  /** Notes that lines are missing, where the query of the lines leaves them out. */
  readonly gaps = state<Entry[]>([]);
  /** Where the columns start when the range is all there is. */
  readonly first = state<number | undefined>(undefined);
  private asking = new AbortController();
  private timer = 0;
  private eventTimer = 0;

  constructor(
    /** How many columns there is room for. */
    private readonly columns: () => number,
    /** Of which containers events are told; none on a page that knows them, and has a stream, itself. */
    private readonly mine?: (e: Event) => boolean,
  ) {
    this.lines.tells = mine !== undefined;
    this.lines.arrived = (found: readonly Entry[]) => {
      if (this.volume.peek()) this.volume.value = withLines(this.volume.peek()!, found.map((e) => ({ t: e.t, kind: levelKind(e.labels["level"]) })));
    };
  }

  async show(w: Wanted): Promise<void> {
    this.stop();
    this.lines.late.value = true;
    const { asking } = this;
    if (w.from <= 0) {
      const oldest = await lines({ query: w.query, start: "0", end: nanos(w.to ?? Date.now() + day), limit: 1, forward: true }).catch((): Entry[] => []);
      if (this.asking !== asking) return;
      this.first.value = (oldest[0]?.t ?? Date.now() - day) - 1000;
    } else this.first.value = undefined;
    void this.count(w);
    this.gaps.value = [];
    void this.happened(w);
    await this.lines.show(w);
  }

  stop(): void {
    this.asking.abort();
    this.asking = new AbortController();
    clearTimeout(this.timer);
    clearTimeout(this.eventTimer);
    this.lines.stop();
  }

  private async happened(w: Wanted): Promise<void> {
    if (!this.mine && !w.gaps) return;
    const { signal } = this.asking;
    if (!document.hidden) {
      const from = w.from <= 0 ? (this.first.peek() ?? Date.now() - day) : w.from;
      const [found, gaps] = await Promise.all([
        this.mine && happened([{ all: { types: ["container"], without: untold }, keep: { actions: ["die", "oom"] } }], from, w.to ?? Date.now() + 1000, signal).catch(() => undefined),
        w.gaps ? lines({ query: w.gaps, start: nanos(from), end: nanos(w.to ?? Date.now() + hour), limit: gapsMost }, signal).catch(() => undefined) : [],
      ]);
      if (signal.aborted) return;
      if (found) this.events.value = found.events.filter((e) => telling(e) && this.mine!(e));
      if (gaps && (gaps.length > 0 || this.gaps.peek().length > 0)) this.gaps.value = gaps;
    }
    if (w.to === undefined) this.eventTimer = window.setTimeout(() => void this.happened(w), eventsEvery);
  }

  private async count(w: Wanted): Promise<void> {
    const { signal } = this.asking;
    const to = w.to ?? Date.now();
    const from = w.from <= 0 ? (this.first.peek() ?? to - day) : w.from;
    const step = columnStep(from, to, this.columns());
    const start = Math.floor(from / step) * step;
    try {
      const found = await counts(counting(w.query, step), start + step, Math.ceil(to / step) * step + step, step, signal);
      if (signal.aborted) return;
      this.volume.value = columnsOf(found, from, to, step);
      this.volumeProblem.value = "";
    } catch (err) {
      if (signal.aborted) return;
      this.volume.value = undefined;
      // What is wrong with the query is said of its lines.
      this.volumeProblem.value = err instanceof ApiError && err.message.startsWith("parse error") ? "" : inWords(err);
    }
    if (w.to !== undefined) return;
    const length = Date.now() - from;
    const began = Date.now();
    const again = () => {
      // A hidden tab counts when it is seen again.
      if (document.hidden) {
        this.timer = window.setTimeout(again, 1000);
        return;
      }
      void this.count({ ...w, from: w.from <= 0 ? w.from : w.from + (Date.now() - began) });
    };
    this.timer = window.setTimeout(again, Math.max(recountEvery, length / 100));
  }
}
