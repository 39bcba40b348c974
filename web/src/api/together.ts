// SPDX-License-Identifier: Apache-2.0

import { batch } from "@preact/signals";

/**
 * Together does what messages ask for in turns: those that come close to each other
 * cost the page one drawing. What comes after a rest is done after first milliseconds,
 * what follows at least apart milliseconds after the turn before.
 */
export class Together {
  private waiting: (() => void)[] = [];
  private timer = 0;
  private last = 0;

  constructor(
    private readonly first: number,
    private readonly apart: number,
  ) {}

  /** Does it in the next turn. */
  add(what: () => void): void {
    this.waiting.push(what);
    const wait = Math.max(this.first, this.last + this.apart - performance.now());
    if (wait <= 0) this.now();
    else this.timer ||= window.setTimeout(() => this.now(), wait);
  }

  /** Does all that waits. */
  now(): void {
    clearTimeout(this.timer);
    this.timer = 0;
    if (this.waiting.length === 0) return;
    const turn = this.waiting;
    this.waiting = [];
    this.last = performance.now();
    batch(() => {
      for (const what of turn) {
        try {
          what();
        } catch (err) {
          reportError(err); // the others are done all the same
        }
      }
    });
  }

  /** Forgets what waits. */
  drop(): void {
    clearTimeout(this.timer);
    this.timer = 0;
    this.waiting = [];
  }
}
