// SPDX-License-Identifier: Apache-2.0

import { signal as state } from "@preact/signals";
import { ApiError, doctor, get, inWords, servers } from "../../api/client";
import { anything, type EventFilter, eventPage, eventSummary, siblings } from "../../api/kept";
import { counts } from "../../api/loki";
import { Poll } from "../../api/poll";
import { valuesAt } from "../../api/prom";
import { brokeOff } from "../../api/reach";
import type { Alarm, Event, EventsSummary, Service, SiblingsAnswer, UsageAnswer } from "../../api/schema";
import { spans } from "../../chart/alarms";
import type { Span } from "../../chart/model";
import { all, type Range } from "../../format/range";
import { minute, second } from "../../format/time";
import { execActions } from "../../part/eventrows";
import { virtual } from "../../format/device";
import { services as toAsk } from "./attention";

const every = 5000;

/** One answer of tallyman, asked for again when it is old. */
export class Answer<T> {
  /** The last one; it stays when later tries fail. */
  readonly value = state<T | undefined>(undefined);
  readonly problem = state("");
  /** Whether tallyman does not have it at all. */
  readonly off = state(false);
  private asking: AbortController | undefined;
  private due = 0;

  constructor(
    /** What it is, for a sentence. */ readonly name: string,
    private readonly ask: (stop: AbortSignal) => Promise<T>,
    private readonly lasts: number,
  ) {}

  /** Whether it is known now: an answer that is old because the newest try failed is not. */
  get known(): boolean {
    return !this.problem.value && (this.off.value || this.value.value !== undefined);
  }

  /** Asks if it is time to; returns what went wrong. */
  async refresh(): Promise<unknown> {
    if (this.asking || Date.now() < this.due) return undefined;
    const stop = (this.asking = new AbortController());
    let failed: unknown;
    try {
      const value = await this.ask(stop.signal);
      if (stop.signal.aborted) return undefined;
      this.value.value = value;
      this.problem.value = "";
      this.off.value = false;
    } catch (err) {
      if (stop.signal.aborted) return undefined;
      failed = err;
      this.off.value = err instanceof ApiError && err.status === 404;
      this.problem.value = this.off.value ? "" : inWords(err);
    }
    this.asking = undefined;
    this.due = failed && !this.off.value ? 0 : Date.now() + this.lasts - second;
    return failed;
  }

  stop(): void {
    this.asking?.abort();
    this.asking = undefined;
  }

  /** Forgets the answer, of another question, and asks anew. */
  restart(): void {
    this.stop();
    this.due = 0;
    this.value.value = undefined;
    this.problem.value = "";
    void this.refresh();
  }
}

/** How often what happened over the range. */
export interface Lanes {
  from: number;
  to: number;
  deaths: EventsSummary;
  changes: EventsSummary;
  gaps: EventsSummary;
  absences: EventsSummary;
}

/** The alarms that fired in the range. */
export interface Alarms {
  spans: Span[];
  /** Whether there are older ones that were not asked for. */
  more: boolean;
}

/** How often containers were started of each image over the range. */
export interface Starts {
  images: { image: string; columns: number[]; sum: number }[];
  /** How many images more there are, and their starts. */
  others: { images: number; sum: number };
}

const columns = 120;
const startColumns = 48;
const imagesMost = 8;
const alarmsMost = 1000;
const eventsMost = 120;
// Beyond so many services nobody asks which containers are not alike: a question each.
const siblingsMost = 24;

/** Which events a lane is of. Of the starts of tallyman only those after a time without it are a gap. */
export const laneFilters = {
  deaths: { types: ["container"], actions: ["die"] },
  changes: { types: ["tallyman"], actions: ["drift"] },
  gaps: { types: ["tallyman"], actions: ["gap", "forward_lost"] },
  absences: { types: ["tallyman"], actions: ["start"], text: "tallyman was not running" },
} satisfies Record<string, Partial<EventFilter>>;

/** All that the page asks. */
export class OverviewData {
  readonly servers = new Answer("hosts and containers", servers, every);
  readonly alarms = new Answer<Alarm[]>("alarms", async (stop) => (await get<"alarms">("alarms", { state: "firing" }, stop)).alarms, every);
  readonly services = new Answer<Service[]>("services", async (stop) => (await get<"services">("services", {}, stop)).services, every);
  readonly siblings = new Answer<{ found: SiblingsAnswer[]; left: number }>("siblings", (stop) => this.compare(stop), minute);
  readonly doctor = new Answer("what was dropped", doctor, 30 * second);
  readonly events = new Answer<Event[]>("last events", async (stop) => (await eventPage({ ...anything, types: ["container", "engine", "tallyman", "service", "check"], without: execActions }, { limit: eventsMost }, stop)).events, every);
  readonly usage = new Answer<UsageAnswer>("the last 15 minutes", (stop) => get<"usage">("usage", { start: Date.now() - 15 * minute, points: 40 }, stop), 30 * second);
  readonly network = new Answer<Map<string, number>>("network", (stop) => throughput(stop), 15 * second);
  readonly lines = new Answer<number | undefined>("log lines", async (stop) => (await valuesAt("sum(rate(tallyman_log_lines_read_total[2m]))", Date.now(), stop))[0]?.value, 15 * second);
  readonly lanes = new Answer<Lanes>("what happened", (stop) => this.happened(stop), 15 * second);
  readonly fired = new Answer<Alarms>("alarms of the range", (stop) => this.firedIn(stop), 15 * second);
  readonly starts = new Answer<Starts>("starts", (stop) => this.started(stop), minute);
  /** Whether only what is worth knowing at once is asked. */
  brief = false;

  constructor(private range: Range) {}

  /** What is worth knowing at once; the rest comes after it. */
  private readonly first = [this.servers, this.alarms, this.services];
  private readonly rest = [this.doctor, this.events, this.usage, this.network, this.lines, this.lanes, this.fired, this.starts];

  readonly poll = new Poll<true>(async (stop) => {
    stop.addEventListener("abort", () => this.first.forEach((a) => a.stop()));
    if (!this.brief) for (const a of this.rest) void a.refresh();
    const failed = await Promise.all(this.first.map((a) => a.refresh()));
    // Who containers are compared with follows from what there is.
    if (!this.brief && this.servers.value.peek()) void this.siblings.refresh();
    // An error is an answer, too; where nothing answers, nothing does.
    const broke = failed.find(brokeOff);
    if (broke) throw broke;
    return true;
  }, every);

  start(): void {
    this.poll.start();
  }

  stop(): void {
    this.poll.stop();
    for (const a of [...this.first, ...this.rest, this.siblings]) a.stop();
  }

  /** Everything that failed, by name. */
  get failed(): { name: string; problem: string }[] {
    return [...this.first, this.siblings, ...this.rest].filter((a) => a.problem.value).map((a) => ({ name: a.name, problem: a.problem.value }));
  }

  /** What the sentence about what is calm rests on. */
  get rests(): readonly Answer<unknown>[] {
    return [this.servers, this.alarms, this.services, this.siblings, this.doctor];
  }

  /** How much was lost since tallyman started; undefined while that is not known. */
  get dropped(): number | undefined {
    return this.doctor.value.value?.dropped.reduce((n, d) => n + d.count, 0);
  }

  /** Shows another range. */
  show(r: Range): void {
    if (r === this.range) return;
    this.range = r;
    for (const a of [this.lanes, this.fired, this.starts]) a.restart();
  }

  /** The range at this moment. */
  view(now: number, oldest?: number): { from: number; to: number } {
    const r = this.range;
    if (!r.live) return { from: r.from, to: r.to };
    return { from: r.span === all ? (oldest ?? 0) : now - r.span, to: now };
  }

  /** The same of whole seconds, with a beginning where the range is all there is. */
  private async stretch(stop: AbortSignal): Promise<{ start: number; end: number }> {
    const { from, to } = this.view(Date.now());
    const start = from > 0 ? from : (await eventSummary(anything, { points: 1 }, stop)).start;
    return { start: Math.floor(start), end: Math.ceil(to) };
  }

  private async happened(stop: AbortSignal): Promise<Lanes> {
    const within = await this.stretch(stop);
    const one = (kind: keyof typeof laneFilters) => eventSummary({ ...anything, ...laneFilters[kind] }, { ...within, points: columns }, stop);
    const [deaths, changes, gaps, absences] = await Promise.all([one("deaths"), one("changes"), one("gaps"), one("absences")]);
    return { from: within.start, to: within.end, deaths, changes, gaps, absences };
  }

  private async firedIn(stop: AbortSignal): Promise<Alarms> {
    const { start, end } = await this.stretch(stop);
    const [active, ended] = await Promise.all([get<"alarms">("alarms", { state: "firing" }, stop), get<"alarms/history">("alarms/history", { start, limit: alarmsMost }, stop)]);
    const found = spans(active.alarms, ended.alarms).filter((s) => s.tone !== "info" && s.fired !== undefined && s.fired < end && (s.ended ?? end) >= start);
    return { spans: found, more: ended.more };
  }

  private async started(stop: AbortSignal): Promise<Starts> {
    const { start, end } = await this.stretch(stop);
    const step = Math.max(second, Math.ceil((end - start) / startColumns));
    const found = await counts(`sum by (image) (count_over_time({source="event"} | type="container" | action="start" [${step}ms]))`, start + step, start + startColumns * step, step, stop);
    const images = found
      .map((s) => {
        const columns = new Array<number>(startColumns).fill(0);
        for (const [t, v] of s.values) {
          const i = Math.round((t * 1000 - start) / step) - 1;
          if (i >= 0 && i < startColumns) columns[i] = Number(v);
        }
        return { image: s.metric["image"] ?? "", columns, sum: columns.reduce((n, v) => n + v, 0) };
      })
      .filter((s) => s.sum > 0)
      .sort((a, b) => b.sum - a.sum || a.image.localeCompare(b.image));
    const left = images.slice(imagesMost);
    return { images: images.slice(0, imagesMost), others: { images: left.length, sum: left.reduce((n, s) => n + s.sum, 0) } };
  }

  private async compare(stop: AbortSignal): Promise<{ found: SiblingsAnswer[]; left: number }> {
    const asked = toAsk(this.servers.value.peek()!.hosts);
    const found: SiblingsAnswer[] = [];
    for (const one of asked.slice(0, siblingsMost)) {
      try {
        found.push(await siblings(one.host, one.workload, stop));
      } catch (err) {
        // It went between the two questions, or its configuration is not kept.
        if (!(err instanceof ApiError) || err.status !== 404) throw err;
      }
    }
    return { found, left: Math.max(0, asked.length - siblingsMost) };
  }
}

/** What goes through the real interfaces of each host, in bytes per second. */
async function throughput(stop: AbortSignal): Promise<Map<string, number>> {
  const through = (way: string) => `sum by (host) (rate(node_network_${way}_bytes_total{device!~"${virtual}"}[1m]))`;
  const found = await valuesAt(`${through("receive")} + ${through("transmit")}`, Date.now(), stop);
  return new Map(found.map((p) => [p.labels["host"] ?? "", p.value]));
}
