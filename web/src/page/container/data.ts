// SPDX-License-Identifier: Apache-2.0

import { batch, type ReadonlySignal, signal } from "@preact/signals";
import { container, history, inWords, servers } from "../../api/client";
import { Live } from "../../api/live";
import type { Container, Event, Now, Tick } from "../../api/schema";
import { alarmSpans } from "../../chart/alarms";
import { append, cut, forget, fromHistory, type Values, type WorkloadSeries } from "../../chart/columns";
import { happenedTo, unique } from "../../chart/happened";
import { Model } from "../../chart/model";
import { findWatched } from "../../chart/watched";
import { all, type Range } from "../../format/range";
import { isUp } from "../../format/state";
import { day, hour, minute } from "../../format/time";
import { lifeWithin } from "./death";

// Live seconds that are kept to be put after stored samples, which end up to an interval ago.
const secondsKept = 120;
// A live page reads the stored samples again at times: they hold what ticks do not.
const reloadLeast = minute;
const identifyAfter = 1500;
const alarmsEvery = 10_000;

/** The state of one Container page: who it is, what it does, what is known of the range. */
export class ContainerData {
  readonly detail = signal<Container | undefined>(undefined);
  readonly now = signal<Now | undefined>(undefined);
  /** Why the container cannot be shown, and why its history cannot. */
  readonly problem = signal("");
  readonly historyProblem = signal("");
  /** How many events of the range are not drawn. */
  readonly leftOut = signal(0);
  readonly loaded = signal(false);
  /** The life that shows in place of a range of which it is a moment only. */
  readonly life = signal<{ from: number; to: number } | undefined>(undefined);
  readonly model: Model;

  private range: Range = { live: true, span: hour };
  private whole = false;
  private stream: Live<{ container: Container | null }> | undefined;
  private seconds: { time: number; values: Values }[] = [];
  private skew = 0;
  private loadedAt = 0;
  private lastTick = 0;
  private alarmsAt = 0;
  private loading: AbortController | undefined;
  private timer = 0;

  constructor(
    readonly host: string,
    readonly workload: string,
    private readonly id: string | undefined,
    pin: ReadonlySignal<number | undefined>,
  ) {
    this.model = new Model(pin);
  }

  start(): void {
    if (this.id !== undefined) {
      // A container that is named by its id is gone: there is nothing to follow.
      void this.identify();
      return;
    }
    this.stream = new Live(
      { view: "container", host: this.host, workload: this.workload },
      {
        // The stream of a workload that has no container waits for one; what is known of it says more.
        snapshot: (s) => (s.container ? this.known(s.container) : void this.identify()),
        tick: (t) => this.tick(t),
        container: (c) => this.known(c),
        event: (e) => this.happened(e),
      },
    );
    this.stream.start();
    this.timer = window.setTimeout(() => {
      if (!this.detail.peek()) void this.identify();
    }, identifyAfter);
  }

  stop(): void {
    clearTimeout(this.timer);
    this.loading?.abort();
    this.stream?.stop();
  }

  /** Starts anew after a problem. */
  again(): void {
    this.stop();
    this.problem.value = "";
    this.start();
  }

  // Asks who the container is when the stream does not say.
  private async identify(): Promise<void> {
    try {
      let id = this.id;
      if (id === undefined) {
        const host = (await servers()).hosts?.find((h) => h.host === this.host);
        const same = (host?.containers ?? []).filter((c) => c.workload === this.workload);
        id = (same.find((c) => c.state !== "gone") ?? same.sort((a, b) => (b.goneAt ?? 0) - (a.goneAt ?? 0))[0])?.id;
      }
      if (this.detail.peek()) return;
      // The stream goes on: it tells when there is one.
      if (id === undefined) this.problem.value = "No container of this workload is known on this host.";
      else this.known(await container(id, this.host));
    } catch (err) {
      this.problem.value = inWords(err);
    }
  }

  private known(d: Container): void {
    const before = this.detail.peek();
    batch(() => {
      this.problem.value = "";
      this.detail.value = d;
      // A container keeps its life over restarts; its last start is not its first.
      this.model.instances.value = (d.instances ?? []).map((i) => (i.id === d.id && d.created && i.started ? { ...i, started: Math.min(d.created, i.started) } : i));
      this.model.up.value = isUp(d);
      if (d.now || !isUp(d)) this.now.value = d.now;
    });
    const hole = this.lastTick > 0 && this.time() - this.lastTick > 3000;
    if (!before || before.id !== d.id || before.state !== d.state || hole) this.show(this.range, this.whole);
  }

  /** The server's present. */
  time(): number {
    return Date.now() + this.skew;
  }

  private resolve(r: Range): { from: number; to: number } {
    const d = this.detail.peek();
    const pin = this.model.pin.peek();
    const life = r.live && d && !this.whole ? lifeWithin(d, r.span) : undefined;
    this.life.value = life && (pin === undefined || (pin >= life.from && pin <= life.to)) ? life : undefined;
    if (this.life.peek()) return life!;
    if (!r.live) return { from: r.from, to: r.to };
    // The end of a gone container stands a little before the right edge, so that its mark is whole.
    const margin = r.span === all ? minute : r.span / 50;
    const to = d?.state === "gone" && d.goneAt ? d.goneAt + margin : this.time();
    if (r.span !== all) return { from: to - r.span, to };
    const first = this.model.columns.peek().firstSample ?? d?.created ?? to - day;
    return { from: Math.min(first, to - minute), to };
  }

  /** Shows another range, the whole of it where that is asked for: the axis at once, samples when they come. */
  show(r: Range, whole = false): void {
    this.range = r;
    this.whole = whole;
    this.model.view.value = this.resolve(r);
    void this.load();
  }

  async load(): Promise<void> {
    this.loading?.abort();
    const stop = (this.loading = new AbortController());
    this.loadedAt = this.time();
    if (this.alarmsAt < Number.POSITIVE_INFINITY) void this.loadAlarms(stop.signal);
    const { host, workload } = this;
    void findWatched(this.model, host, stop.signal);
    try {
      if (this.range.live && this.range.span === all) {
        const { firstSample } = await history({ host, workload, start: 0, end: Math.round(this.time()), points: 2 }, stop.signal);
        if (firstSample !== undefined) this.model.view.value = { ...this.resolve(this.range), from: firstSample };
      }
      const { from, to } = this.model.view.peek();
      const points = Math.max(200, Math.min(1200, Math.round(this.model.width.peek())));
      // One point before the left edge lets the curve start at it.
      const start = Math.floor(from - Math.max(this.model.columns.peek().step, (to - from) / points));
      const end = Math.ceil(to);
      const [stored, found] = await Promise.all([
        history({ host, workload, start, end, points }, stop.signal),
        happenedTo({ host, workload }, start, end, stop.signal),
      ]);
      batch(() => {
        let columns = cut(fromHistory(stored), this.seams());
        const last = columns.t.at(-1) ?? 0;
        for (const s of this.seconds) if (s.time > last && s.time <= to) columns = append(columns, s.time, s.values, this.apart());
        this.model.columns.value = columns;
        // What happened since the request left came over the stream and stays.
        const came = this.model.events.peek().filter((e) => this.range.live || e.time <= to);
        this.model.events.value = unique([...found.events, ...came]).filter((e) => e.time >= from);
        this.leftOut.value = found.left;
        this.model.heard.value = true;
        this.historyProblem.value = "";
        this.loaded.value = true;
      });
    } catch (err) {
      if (!stop.signal.aborted) this.historyProblem.value = inWords(err);
    }
  }

  private async loadAlarms(stop: AbortSignal): Promise<void> {
    this.alarmsAt = this.time();
    const found = await alarmSpans({ host: this.host, workload: this.workload }, this.model.view.peek().from, stop);
    if (stop.aborted) return;
    this.model.alarms.value = found === "off" ? undefined : found;
    if (found === "off") this.alarmsAt = Number.POSITIVE_INFINITY;
  }

  // When a container took the place of the one before.
  private seams(): number[] {
    return this.model.instances.peek().slice(1).flatMap((i) => i.started ?? []);
  }

  // Two points of a curve per pixel are enough.
  private apart(): number {
    return 0.5 / (this.model.scale.peek() || 1);
  }

  private tick(t: Tick): void {
    this.skew = t.time - Date.now();
    this.lastTick = t.time;
    const d = this.detail.peek();
    const now = d && t.now[d.id];
    batch(() => {
      if (now) this.now.value = now;
      const values = d && now ? valuesOf(now, d) : undefined;
      if (values) {
        this.seconds.push({ time: t.time, values });
        if (this.seconds.length > secondsKept) this.seconds.shift();
      }
      if (!this.range.live || d?.state === "gone" || this.life.peek()) return;
      const view = this.model.view.peek();
      this.model.view.value = this.range.span === all ? { from: view.from, to: t.time } : { from: t.time - this.range.span, to: t.time };
      if (values && this.loaded.peek()) {
        this.model.columns.value = forget(append(this.model.columns.peek(), t.time, values, this.apart()), this.model.view.peek().from);
      }
    });
    if (this.range.live && t.time - this.alarmsAt > alarmsEvery && this.loading) void this.loadAlarms(this.loading.signal);
    if (this.range.live && t.time - this.loadedAt > Math.max(reloadLeast, length(this.model) / 100)) void this.load();
  }

  private happened(e: Event): void {
    const d = this.detail.peek();
    if (d && e.actor === d.id && (d.lastEvent?.time ?? 0) <= e.time) this.detail.value = { ...d, lastEvent: e };
    const list = this.model.events.peek();
    const { from, to } = this.model.view.peek();
    if (list.some((x) => x.id === e.id) || e.time < from || (!this.range.live && e.time > to)) return;
    this.model.events.value = [...list, e].sort((a, b) => a.time - b.time);
  }
}

function length(m: Model): number {
  const { from, to } = m.view.peek();
  return to - from;
}

// What a tick says, under the names of the stored series.
function valuesOf(n: Now, c: Container): Values {
  const out: Values = {};
  const put = (name: WorkloadSeries, v: number | undefined) => {
    if (v !== undefined) out[name] = v;
  };
  put("cpuUser", n.cpuUser);
  put("cpuSystem", n.cpuSystem);
  put("throttled", n.throttled);
  put("cpuLimit", c.cpuLimit);
  put("anon", n.anon);
  put("cache", n.cache);
  put("kernel", n.kernel);
  put("swap", n.swap);
  put("workingSet", n.memory);
  put("memoryLimit", c.memoryLimit);
  put("rx", n.rx);
  put("tx", n.tx);
  put("blkRead", n.blkRead);
  put("blkWrite", n.blkWrite);
  put("pids", n.pids);
  return out;
}
