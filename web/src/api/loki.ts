// SPDX-License-Identifier: Apache-2.0

import { type Shape, shapeOf } from "../format/logline";
import { ApiError, session, toLogin } from "./client";
import { stream, tryNow } from "./live";
import { reach } from "./reach";

const base = "/loki/api/v1/";

/** A log line as it is stored. */
export interface Entry {
  /** One per line that was received, for lists. */
  id: number;
  /** Nanoseconds since the epoch, 19 digits: they sort as text. */
  ns: string;
  /** The same in milliseconds. */
  t: number;
  line: string;
  labels: Record<string, string>;
  meta: Record<string, string>;
  /** Who wrote it: a container's stream, a file or a unit. */
  source: string;
  shape: Shape;
}

interface Stream {
  stream: Record<string, string>;
  values: [ns: string, line: string, more?: { structuredMetadata?: Record<string, string>; parsed?: Record<string, string> }][];
}

export interface Series {
  metric: Record<string, string>;
  values: [seconds: number, value: string][];
}

interface Vector {
  metric: Record<string, string>;
  value: [seconds: number, value: string];
}

type Query = Record<string, string | number>;

type Kind = "streams" | "matrix" | "vector";

const ask = <T>(path: string, query: Query, type: Kind, signal?: AbortSignal) => reach(() => once<T>(path, query, type, signal));

async function once<T>(path: string, query: Query, type: Kind, signal?: AbortSignal): Promise<T> {
  const params = new URLSearchParams(Object.entries(query).map(([k, v]): [string, string] => [k, String(v)]));
  const answer = await fetch(`${base}${path}?${params}`, { headers: { Accept: "application/json", "X-Loki-Response-Encoding-Flags": "categorize-labels" }, signal });
  if (answer.ok) {
    const { data } = (await answer.json()) as { data: { resultType: string; result: T } };
    if (data.resultType !== type) throw new ApiError(400, "logs", "This query gives numbers, not lines.", "");
    return data.result;
  }
  if (answer.status === 401) toLogin();
  if (answer.status === 404) throw new ApiError(404, "nologs", "This tallyman keeps no logs.", "The setting keep.logs is off.");
  throw new ApiError(answer.status, "logs", (await answer.text()).trim() || `tallyman answered ${answer.status}.`, "");
}

const none: Record<string, string> = {};
// What the labels of a stream are; in a tail the others are a line's own.
const ofStream = new Set(["host", "source", "name", "workload", "image", "stream", "filename", "unit", "level"]);
let last = 0;

/** The lines of streams, oldest first; merged says that metadata stands among the labels. */
export function entries(streams: readonly Stream[], merged: boolean): Entry[] {
  const out: Entry[] = [];
  for (const s of streams) {
    let own = s.stream;
    let shared = none;
    if (merged) {
      const all = Object.entries(s.stream);
      own = Object.fromEntries(all.filter(([k]) => ofStream.has(k)));
      shared = Object.fromEntries(all.filter(([k]) => !ofStream.has(k)));
    }
    for (const [ns, line, more] of s.values) {
      let meta = more ? { ...more.structuredMetadata, ...more.parsed } : shared;
      let labels = own;
      if (own["overflow"]) {
        // Lines of many streams: what each would have as its labels is metadata.
        const all = Object.entries(meta);
        labels = { ...own, ...Object.fromEntries(all.filter(([k]) => ofStream.has(k))) };
        meta = Object.fromEntries(all.filter(([k]) => !ofStream.has(k)));
      }
      out.push({ id: ++last, ns, t: Math.floor(Number(ns) / 1e6), line, labels, meta, source: `${meta["container_id"] ?? labels["name"] ?? labels["host"]} ${labels["stream"] ?? labels["filename"] ?? labels["unit"]}`, shape: shapeOf(line) });
    }
  }
  return out.sort((a, b) => (a.ns < b.ns ? -1 : a.ns > b.ns ? 1 : 0));
}

/** Milliseconds as the API takes times. */
export const nanos = (ms: number) => (ms <= 0 ? "0" : `${Math.floor(ms)}000000`);

/** Lines of a query within [start, end), nanoseconds; the newest, or (forward) the oldest of them. Oldest first in any case. */
export async function lines(q: { query: string; start: string; end: string; limit: number; forward?: boolean }, signal?: AbortSignal): Promise<Entry[]> {
  const found = await ask<Stream[]>("query_range", { query: q.query, start: q.start, end: q.end, limit: q.limit, direction: q.forward ? "forward" : "backward" }, "streams", signal);
  // Those of one moment stand in the order of the query, too.
  if (!q.forward) for (const s of found) s.values.reverse();
  return entries(found, false);
}

/** A metric query at each step; the first value is at start. */
export function counts(query: string, start: number, end: number, step: number, signal?: AbortSignal): Promise<Series[]> {
  return ask<Series[]>("query_range", { query, start: nanos(start), end: nanos(end), step: `${step}ms` }, "matrix", signal);
}

/** How many bytes there are of each combination of some labels; a stream may lack some. */
export async function volumes(query: string, labels: readonly string[], start: number, end: number, signal?: AbortSignal): Promise<{ labels: Record<string, string>; amount: number }[]> {
  const found = await ask<Vector[]>("index/volume", { query, start: nanos(start), end: nanos(end), targetLabels: labels.join(","), partial: "true", limit: 2000 }, "vector", signal);
  return found.map((v) => ({ labels: v.metric, amount: Number(v.value[1]) }));
}

/** How many lines of a log query there are of each combination of some labels. */
export async function countedBy(query: string, labels: readonly string[], start: number, end: number, signal?: AbortSignal): Promise<{ labels: Record<string, string>; amount: number }[]> {
  const length = Math.max(1000, Math.ceil(end - start));
  const found = await ask<Vector[]>("query", { query: `sum by (${labels.join(", ")}) (count_over_time(${query} [${length}ms]))`, time: nanos(end) }, "vector", signal);
  return found.map((v) => ({ labels: v.metric, amount: Number(v.value[1]) }));
}

const retries = [1000, 2000, 4000, 8000];
// A tail without lines says nothing; so often it is asked whether tallyman is there.
const probeEvery = 15_000;
const longBreak = 60_000;

/**
 * Tail is one WebSocket with the lines of a query as they come in. It closes
 * while the tab is hidden and reconnects by itself, from the newest line on,
 * until stopped. The frame shows its silence as that of a stream.
 */
export class Tail {
  private socket: WebSocket | undefined;
  private retry = 0;
  private probe = 0;
  private failures = 0;
  private stopped = true;
  /** When the last connection was seen alive, 0 before the first. */
  private good = 0;

  constructor(
    private readonly query: string,
    /** The time in nanoseconds from which on lines are wanted. */
    private readonly from: () => string,
    private readonly take: (lines: Entry[], dropped: number) => void,
    /** Is called instead of going on after a break so long that there may be more lines than one answer has. */
    private readonly lost: () => void,
    /** Whether the frame hears of it: not on a page that has another stream. */
    private readonly tells: boolean,
  ) {}

  start(): void {
    this.stopped = false;
    document.addEventListener("visibilitychange", this.seen);
    if (this.tells) tryNow.value = () => this.open();
    if (!document.hidden) this.open();
  }

  stop(): void {
    this.stopped = true;
    document.removeEventListener("visibilitychange", this.seen);
    this.close();
    if (this.tells) tryNow.value = undefined;
    this.tell({ phase: "idle", last: 0, next: 0 });
  }

  private tell(s: typeof stream.value): void {
    if (this.tells) stream.value = s;
  }

  private readonly seen = () => {
    if (document.hidden) {
      this.close();
      this.tell({ ...stream.value, phase: "idle", next: 0 });
    } else if (!this.socket) this.open();
  };

  private open(): void {
    this.close();
    if (this.stopped) return;
    if (this.good && Date.now() - this.good > longBreak) {
      this.good = 0;
      this.lost();
      return;
    }
    const params = new URLSearchParams({ query: this.query, start: this.from(), limit: "5000" });
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}${base}tail?${params}`);
    this.socket = socket;
    socket.onopen = () => {
      if (this.socket !== socket) socket.close();
      else this.alive();
    };
    socket.onmessage = (m: MessageEvent<string>) => {
      if (this.socket !== socket) return;
      this.alive();
      const said = JSON.parse(m.data) as { streams: Stream[]; dropped_entries?: { labels: Record<string, string> }[] };
      this.take(entries(said.streams, true), (said.dropped_entries ?? []).reduce((n, d) => n + Number(d.labels["dropped"] ?? 1), 0));
    };
    socket.onclose = () => {
      if (this.socket === socket) this.failed();
    };
    this.watch();
  }

  private alive(): void {
    this.failures = 0;
    this.good = Date.now();
    this.tell({ phase: "live", last: this.good, next: 0 });
  }

  private watch(): void {
    clearInterval(this.probe);
    this.probe = window.setInterval(() => {
      const asked = this.socket;
      session().then(
        () => {
          if (this.socket === asked && asked?.readyState === WebSocket.OPEN) this.alive();
        },
        () => {
          if (this.socket === asked) this.failed();
        },
      );
    }, probeEvery);
  }

  private failed(): void {
    this.close();
    if (this.stopped) return;
    const wait = retries[Math.min(this.failures++, retries.length - 1)]!;
    this.tell({ phase: "stale", last: stream.value.last, next: Date.now() + wait });
    this.retry = window.setTimeout(() => this.open(), wait);
    // A socket does not tell a lost login from a lost server; asking does, and leaves for the login page.
    session().catch(() => undefined);
  }

  private close(): void {
    clearTimeout(this.retry);
    clearInterval(this.probe);
    const socket = this.socket;
    if (socket?.readyState === WebSocket.OPEN) this.good = Date.now();
    this.socket = undefined;
    // One that is still connecting is closed when it is open; before, browsers complain.
    if (socket && socket.readyState !== WebSocket.CONNECTING) socket.close();
  }
}
