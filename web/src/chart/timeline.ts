// SPDX-License-Identifier: Apache-2.0

import { batch, type ReadonlySignal, signal } from "@preact/signals";
import { inWords } from "../api/client";
import { all, type Range } from "../format/range";
import { day, hour, minute, second } from "../format/time";
import { Model } from "./model";

const reloadLeast = 5 * second;

/** What is drawn over a range and asked for again while that goes on: a page says what it asks for. */
export abstract class Timeline {
  /** How many events of the range are not drawn. */
  readonly leftOut = signal(0);
  /** Why the history cannot be read. */
  readonly problem = signal("");
  readonly loaded = signal(false);
  readonly model: Model;

  private range: Range = { live: true, span: hour };
  private loading: AbortController | undefined;
  private busy = false;
  private loadedAt = 0;

  constructor(pin: ReadonlySignal<number | undefined>) {
    this.model = new Model(pin);
  }

  /** Asks for what is between two times, and gives what takes it over. */
  protected abstract ask(from: number, to: number, stop: AbortSignal): Promise<(() => void) | undefined>;

  /** When what is drawn began, for the range of all. */
  protected abstract first(): number | undefined;

  stop(): void {
    this.loading?.abort();
  }

  private resolve(r: Range): { from: number; to: number } {
    if (!r.live) return { from: r.from, to: r.to };
    const to = Date.now();
    if (r.span !== all) return { from: to - r.span, to };
    return { from: Math.min(this.first() ?? to - day, to - minute), to };
  }

  /** Shows another range: the axis at once, samples when they come. */
  show(r: Range): void {
    this.range = r;
    this.model.view.value = this.resolve(r);
    void this.load();
  }

  /** A live range moves on with each second. */
  tick(): void {
    if (!this.range.live) return;
    const view = (this.model.view.value = this.resolve(this.range));
    if (!this.busy && Date.now() - this.loadedAt > Math.max(reloadLeast, (view.to - view.from) / 300)) void this.load();
  }

  async load(): Promise<void> {
    this.loading?.abort();
    const stop = (this.loading = new AbortController());
    this.busy = true;
    this.loadedAt = Date.now();
    try {
      const { from, to } = this.model.view.peek();
      const take = await this.ask(from, to, stop.signal);
      if (!take || stop.signal.aborted) return;
      batch(() => {
        take();
        this.model.heard.value = true;
        this.problem.value = "";
        this.loaded.value = true;
      });
    } catch (err) {
      if (!stop.signal.aborted) this.problem.value = inWords(err);
    } finally {
      if (this.loading === stop) this.busy = false;
    }
  }
}
