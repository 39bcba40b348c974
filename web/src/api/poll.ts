// SPDX-License-Identifier: Apache-2.0

import { signal } from "@preact/signals";
import { ApiError, inWords } from "./client";
import { stream, tryNow } from "./live";

// An answer that takes longer than this does not come.
const patience = 10_000;

/**
 * Poll asks for the same thing again and again while the tab is visible, for a
 * page without a stream of its own. The frame shows its silence as that of a
 * stream.
 */
export class Poll<T> {
  /** The last answer; it stays when later ones fail. */
  readonly value = signal<T | undefined>(undefined);
  /** Why the last try failed, "" when it did not. */
  readonly problem = signal("");
  private timer = 0;
  private asking: AbortController | undefined;

  constructor(
    private readonly ask: (signal: AbortSignal) => Promise<T>,
    private readonly every: number,
  ) {}

  start(): void {
    document.addEventListener("visibilitychange", this.seen);
    tryNow.value = () => this.again();
    if (!document.hidden) void this.once();
  }

  stop(): void {
    document.removeEventListener("visibilitychange", this.seen);
    this.pause();
    tryNow.value = undefined;
    stream.value = { phase: "idle", last: 0, next: 0 };
  }

  /** Asks now instead of later. */
  again(): void {
    this.pause();
    void this.once();
  }

  private readonly seen = () => {
    if (document.hidden) {
      this.pause();
      stream.value = { ...stream.value, phase: "idle", next: 0 };
    } else if (!this.asking) {
      this.again();
    }
  };

  private pause(): void {
    clearTimeout(this.timer);
    this.asking?.abort();
    this.asking = undefined;
  }

  private async once(): Promise<void> {
    const asking = (this.asking = new AbortController());
    const limit = setTimeout(() => asking.abort(), patience);
    const start = Date.now();
    let failed: unknown;
    let answer: T | undefined;
    try {
      answer = await this.ask(asking.signal);
    } catch (err) {
      // An answer that was not waited for is no answer.
      failed = asking.signal.aborted ? new TypeError("no answer in time") : err;
    }
    clearTimeout(limit);
    if (this.asking !== asking) return;
    this.asking = undefined;

    const wait = Math.max(1000, this.every - (Date.now() - start));
    this.timer = window.setTimeout(() => void this.once(), wait);
    if (failed === undefined) this.value.value = answer;
    this.problem.value = failed === undefined ? "" : inWords(failed);
    // An error is an answer, too: tallyman is there.
    if (failed === undefined || failed instanceof ApiError) stream.value = { phase: "live", last: Date.now(), next: 0 };
    else stream.value = { phase: this.value.peek() === undefined ? "connecting" : "stale", last: stream.value.last, next: Date.now() + wait };
  }
}
