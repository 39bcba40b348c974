// SPDX-License-Identifier: Apache-2.0

import { type ReadonlySignal, signal } from "@preact/signals";
import { container } from "../../api/client";
import type { Service, ServiceChart } from "../../api/schema";
import { alarmSpans } from "../../chart/alarms";
import type { Columns } from "../../chart/columns";
import { happenedTo } from "../../chart/happened";
import { Timeline } from "../../chart/timeline";
import { findWatched } from "../../chart/watched";
import { second } from "../../format/time";
import { type Drawn, lines } from "./data";

/** A chart tells so many lines apart. */
export const most = 8;
const pointsMost = 400;

/** One service over time, on the axis of its container. */
export class ServiceTimeline extends Timeline {
  /** The names of the lines of each chart, by their places; undefined where a place is free. */
  readonly names = signal<(string | undefined)[][]>([]);
  /** How many lines of each chart have no place. */
  readonly crowded = signal<number[]>([]);

  constructor(
    readonly service: Service,
    private readonly charts: readonly ServiceChart[],
    /** How often it is asked, in milliseconds. */
    private readonly every: number,
    pin: ReadonlySignal<number | undefined>,
  ) {
    super(pin);
  }

  protected first(): number | undefined {
    const starts = this.model.instances.peek().flatMap((i) => i.started ?? []);
    return starts.length > 0 ? Math.min(...starts) : undefined;
  }

  protected async ask(from: number, to: number, signal: AbortSignal): Promise<(() => void) | undefined> {
    const s = this.service;
    void findWatched(this.model, s.host, signal);
    const points = Math.max(120, Math.min(pointsMost, Math.round(this.model.width.peek() / 2)));
    const step = Math.max(second, Math.ceil((to - from) / points / second) * second);
    const start = Math.floor(from / step) * step;
    const end = Math.floor(Math.min(to, Date.now()) / step) * step;
    if (end <= start) return undefined;
    const [found, events, alarms, instances] = await Promise.all([
      Promise.all(this.charts.map(async (c) => (await Promise.all(c.lines.map((l) => lines(l, s, start / second, end / second, step / second, signal)))).flat())),
      happenedTo(s, from, to, signal),
      alarmSpans({ host: s.host, workload: s.workload }, from, signal),
      container(s.container, s.host, signal).then((d) => d.instances, () => undefined),
    ]);
    const t = Array.from({ length: Math.floor((end - start) / step + 1e-6) + 1 }, (_, i) => start + i * step);
    const before = this.names.peek();
    const names = found.map((chart, i) => places(before[i] ?? [], chart));
    return () => {
      this.names.value = names;
      this.crowded.value = found.map((chart, i) => chart.filter((l) => !names[i]!.includes(l.name)).length);
      this.model.columns.value = columnsOf(t, Math.max(step, this.every), found, names);
      this.model.events.value = events.events;
      this.leftOut.value = events.left;
      this.model.alarms.value = alarms === "off" ? undefined : alarms;
      if (instances) this.model.instances.value = instances;
    };
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
