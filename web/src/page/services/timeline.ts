// SPDX-License-Identifier: Apache-2.0

import { batch, type ReadonlySignal, signal } from "@preact/signals";
import { container, inWords } from "../../api/client";
import type { Service, ServiceChart } from "../../api/schema";
import { alarmSpans } from "../../chart/alarms";
import type { Columns } from "../../chart/columns";
import { happenedTo } from "../../chart/happened";
import { Model } from "../../chart/model";
import { findWatched } from "../../chart/watched";
import { all, type Range } from "../../format/range";
import { day, hour, minute, second } from "../../format/time";
import { type Drawn, lines } from "./data";

/** A chart tells so many lines apart. */
export const most = 8;
const pointsMost = 400;
const reloadLeast = 5 * second;

/** One service over time, on the axis of its container. */
export class Timeline {
  /** The names of the lines of each chart, by their places; undefined where a place is free. */
  readonly names = signal<(string | undefined)[][]>([]);
  /** How many lines of each chart have no place. */
  readonly crowded = signal<number[]>([]);
  readonly leftOut = signal(0);
  readonly problem = signal("");
  readonly loaded = signal(false);
  readonly model: Model;

  private range: Range = { live: true, span: hour };
  private loading: AbortController | undefined;
  private busy = false;
  private loadedAt = 0;

  constructor(
    readonly service: Service,
    private readonly charts: readonly ServiceChart[],
    /** How often it is asked, in milliseconds. */
    private readonly every: number,
    pin: ReadonlySignal<number | undefined>,
  ) {
    this.model = new Model(pin);
  }

  stop(): void {
    this.loading?.abort();
  }

  private resolve(r: Range): { from: number; to: number } {
    if (!r.live) return { from: r.from, to: r.to };
    const to = Date.now();
    if (r.span !== all) return { from: to - r.span, to };
    const first = this.model.instances.peek().reduce((t, i) => Math.min(t, i.started ?? t), to);
    return { from: Math.min(first < to ? first : to - day, to - minute), to };
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
    const { signal } = stop;
    const s = this.service;
    this.busy = true;
    this.loadedAt = Date.now();
    void findWatched(this.model, s.host, signal);
    try {
      const { from, to } = this.model.view.peek();
      const points = Math.max(120, Math.min(pointsMost, Math.round(this.model.width.peek() / 2)));
      const step = Math.max(second, Math.ceil((to - from) / points / second) * second);
      const start = Math.floor(from / step) * step;
      const end = Math.floor(Math.min(to, Date.now()) / step) * step;
      if (end <= start) return;
      const [found, events, alarms, instances] = await Promise.all([
        Promise.all(this.charts.map(async (c) => (await Promise.all(c.lines.map((l) => lines(l, s, start / second, end / second, step / second, signal)))).flat())),
        happenedTo(s, from, to, signal),
        alarmSpans({ host: s.host, workload: s.workload }, from, signal),
        container(s.container, s.host, signal).then((d) => d.instances, () => undefined),
      ]);
      const t = Array.from({ length: Math.floor((end - start) / step + 1e-6) + 1 }, (_, i) => start + i * step);
      const before = this.names.peek();
      const names = found.map((chart, i) => places(before[i] ?? [], chart));
      batch(() => {
        this.names.value = names;
        this.crowded.value = found.map((chart, i) => chart.filter((l) => !names[i]!.includes(l.name)).length);
        this.model.columns.value = columnsOf(t, Math.max(step, this.every), found, names);
        this.model.events.value = events.events;
        this.leftOut.value = events.left;
        this.model.heard.value = true;
        this.model.alarms.value = alarms === "off" ? undefined : alarms;
        if (instances) this.model.instances.value = instances;
        this.problem.value = "";
        this.loaded.value = true;
      });
    } catch (err) {
      if (!signal.aborted) this.problem.value = inWords(err);
    } finally {
      if (this.loading === stop) this.busy = false;
    }
  }
}

/** Gives each line a place, which it keeps as long as it is there. */
export function places(before: readonly (string | undefined)[], found: readonly Drawn[]): (string | undefined)[] {
  const there = new Set(found.map((l) => l.name));
  const out: (string | undefined)[] = Array.from({ length: most }, (_, i) => (there.has(before[i] ?? "") ? before[i] : undefined));
  for (const name of there) {
    const free = out.indexOf(undefined);
    if (free >= 0 && !out.includes(name)) out[free] = name;
  }
  return out;
}

/** The column of a place of a chart. */
export const columnOf = (chart: number, place: number) => `${chart}.${place}`;

function columnsOf(t: number[], step: number, found: readonly (readonly Drawn[])[], names: readonly (readonly (string | undefined)[])[]): Columns {
  const series: Columns["series"] = {};
  found.forEach((chart, i) => {
    for (const l of chart) {
      const place = names[i]!.indexOf(l.name);
      if (place >= 0 && l.points.some((v) => v !== null)) series[columnOf(i, place)] = l.points;
    }
  });
  const telling = Object.keys(series);
  const known = (i: number) => telling.some((name) => series[name]![i] != null);
  // What is to come yet is no gap.
  let n = t.length;
  while (n > 0 && !known(n - 1)) n--;
  for (const name of telling) series[name] = series[name]!.slice(0, n);
  return { t: t.slice(0, n), series, telling, step, firstSample: t.find((_, i) => known(i)) };
}
