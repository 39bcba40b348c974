// SPDX-License-Identifier: Apache-2.0

import { type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { type Entry, lines } from "../api/loki";
import { groups } from "../format/logline";
import { beside } from "../format/logql";
import { second } from "../format/time";
import { merge, moved } from "./lines";

// Parts of a trace are written at once: so far around a line its others are looked for, and so many of them.
const reach = BigInt(2 * second) * 1_000_000n;
const before = 60;
const after = 200;
// So many lines wait to be looked up at most, those that were drawn last.
const waitingMost = 40;

const telling = /(?:Error|Exception|Throwable|Traceback|panic: |goroutine \d)/;

/** Whether a line looks like one of a stack trace. */
export function ofTrace(e: Pick<Entry, "line" | "shape">): boolean {
  return e.shape !== "plain" || telling.test(e.line.length > 400 ? e.line.slice(0, 400) : e.line);
}

/** The group that a line is in, out of the lines around it in the order of time; none when it stands alone. */
export function groupOf(all: readonly Entry[], e: Entry): Entry[] {
  const own = all.filter((x) => x.source === e.source);
  const at = own.findIndex((x) => x.ns === e.ns && x.line === e.line);
  if (at < 0) return [];
  const starts = groups(own);
  const found = own.filter((_, i) => starts[i] === starts[at]);
  return found.length > 1 ? found : [];
}

/**
 * The stack traces of lines that a filter has torn out of them. Each is looked
 * up when its line is on the screen: two questions about two seconds of one
 * stream, one line after the other.
 */
export class Traces {
  private readonly found = new Map<number, Signal<readonly Entry[]>>();
  private waiting: Entry[] = [];
  private busy = false;

  constructor(private readonly ask = lines) {}

  /** All lines of a line's trace; none as long as they are not known, and when there are no others. */
  of(e: Entry): ReadonlySignal<readonly Entry[]> {
    let s = this.found.get(e.id);
    if (!s) this.found.set(e.id, (s = signal<readonly Entry[]>([])));
    return s;
  }

  /** Looks a line's trace up. What it returns takes that back. */
  want(e: Entry): () => void {
    if (this.of(e).peek().length === 0) {
      this.waiting = [...this.waiting.filter((x) => x.id !== e.id), e].slice(-waitingMost);
      if (!this.busy) void this.work();
    }
    return () => {
      this.waiting = this.waiting.filter((x) => x.id !== e.id);
    };
  }

  private async work(): Promise<void> {
    this.busy = true;
    for (let e = this.waiting.pop(); e; e = this.waiting.pop()) {
      const query = beside(e.labels);
      try {
        const [a, b] = await Promise.all([
          this.ask({ query, start: moved(e.ns, -reach), end: e.ns, limit: before }),
          this.ask({ query, start: e.ns, end: moved(e.ns, reach), limit: after, forward: true }),
        ]);
        const group = groupOf(merge(a, b), e);
        if (group.length) (this.of(e) as Signal<readonly Entry[]>).value = group;
      } catch {
        // Without it the line is as it is.
      }
    }
    this.busy = false;
    if (this.found.size > 2000) for (const id of [...this.found.keys()].slice(0, 1000)) this.found.delete(id);
  }
}
