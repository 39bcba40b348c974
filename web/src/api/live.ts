// SPDX-License-Identifier: Apache-2.0

import { signal } from "@preact/signals";
import { address, session } from "./client";
import type { DataOf, Message, QueryOf } from "./route";
import { Together } from "./together";

/** How the stream is. A page without a stream is idle. */
export interface Stream {
  phase: "idle" | "connecting" | "live" | "stale";
  /** When the last message came, 0 before the first. */
  last: number;
  /** When the next try to connect starts, 0 when none is planned. */
  next: number;
}

/** The state of the one stream of this tab, for the frame. */
export const stream = signal<Stream>({ phase: "idle", last: 0, next: 0 });

/** Tries to reach tallyman now instead of later; set while there is a stream. */
export const tryNow = signal<(() => void) | undefined>(undefined);

/** What is done with the messages of a view, whose snapshots are of one kind. */
export interface Handlers<Snapshot extends DataOf<"snapshot">> {
  snapshot(s: Snapshot): void;
  tick(t: DataOf<"tick">): void;
  container?(c: DataOf<"container">): void;
  event?(e: DataOf<"event">): void;
  engine?(e: DataOf<"engine">): void;
}

/** After how long without a message a stream is stale: three missed ticks. tallyman says first how far they are apart. */
export const patience = (tick: number) => 3.5 * Math.max(tick, 1000);
const retries = [1000, 2000, 4000, 8000];
// In a storm of events the page is drawn this often.
const storm = 250;

/**
 * Live is one stream of server-sent events. It closes while the tab is hidden
 * and opens again with a new snapshot; it reconnects by itself until stopped.
 */
export class Live<Snapshot extends DataOf<"snapshot">> {
  private source: EventSource | undefined;
  private watch = 0;
  private retry = 0;
  private failures = 0;
  private staleAfter = patience(1000);
  private readonly together = new Together(0, storm);

  constructor(
    private readonly query: QueryOf<"live">,
    private readonly handlers: Handlers<Snapshot>,
  ) {}

  start(): void {
    document.addEventListener("visibilitychange", this.seen);
    tryNow.value = () => this.again();
    if (!document.hidden) this.open();
  }

  stop(): void {
    document.removeEventListener("visibilitychange", this.seen);
    this.together.drop();
    this.close();
    tryNow.value = undefined;
    stream.value = { phase: "idle", last: 0, next: 0 };
  }

  private again(): void {
    this.close();
    this.open();
  }

  private readonly seen = () => {
    if (document.hidden) {
      this.close();
      stream.value = { ...stream.value, phase: "idle", next: 0 };
    } else if (!this.source) {
      this.failures = 0;
      this.open();
    }
  };

  private open(): void {
    const source = new EventSource(address("live", this.query));
    this.source = source;
    stream.value = { ...stream.value, phase: stream.value.phase === "stale" ? "stale" : "connecting", next: 0 };
    this.guard(this.staleAfter);

    const on = <Event extends Message["event"]>(name: Event, handle: ((data: DataOf<Event>) => void) | undefined) => {
      source.addEventListener(name, (m: MessageEvent<string>) => {
        if (this.source !== source) return;
        this.failures = 0;
        this.guard(this.staleAfter);
        const last = Date.now();
        this.together.add(() => {
          stream.value = { phase: "live", last, next: 0 };
          handle?.(JSON.parse(m.data) as DataOf<Event>);
        });
        if (name === "snapshot" || name === "tick") this.together.now();
      });
    };
    // It comes before anything that could be shown.
    source.addEventListener("interval", (m: MessageEvent<string>) => {
      if (this.source !== source) return;
      this.staleAfter = patience((JSON.parse(m.data) as DataOf<"interval">).ms);
      this.guard(this.staleAfter);
    });
    on("snapshot", (s) => this.handlers.snapshot(s as Snapshot));
    on("tick", (t) => this.handlers.tick(t));
    on("container", this.handlers.container?.bind(this.handlers));
    on("event", this.handlers.event?.bind(this.handlers));
    on("engine", this.handlers.engine?.bind(this.handlers));
    source.onerror = () => {
      if (this.source === source) this.failed();
    };
  }

  private failed(): void {
    this.close();
    const wait = retries[Math.min(this.failures, retries.length - 1)]!;
    this.failures++;
    this.guard(stream.value.last ? Math.max(0, stream.value.last + this.staleAfter - Date.now()) : 0);
    stream.value = { ...stream.value, next: Date.now() + wait };
    this.retry = window.setTimeout(() => this.open(), wait);
    // EventSource does not tell a lost login from a lost server; asking does, and leaves for the login page.
    session().catch(() => undefined);
  }

  // Says "stale" unless a message comes within ms.
  private guard(ms: number): void {
    clearTimeout(this.watch);
    this.watch = window.setTimeout(() => {
      stream.value = { ...stream.value, phase: "stale" };
      // An open connection that says nothing is as dead as a closed one.
      if (this.source) this.failed();
    }, ms);
  }

  private close(): void {
    this.together.now();
    clearTimeout(this.watch);
    clearTimeout(this.retry);
    this.source?.close();
    this.source = undefined;
  }
}
