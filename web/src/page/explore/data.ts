// SPDX-License-Identifier: Apache-2.0

import { type ReadonlySignal, signal } from "@preact/signals";
import { counts, type Entry, lines, nanos } from "../../api/loki";
import { type Curve, curves } from "../../api/prom";
import type { Columns } from "../../chart/columns";
import { happened } from "../../chart/happened";
import { Timeline } from "../../chart/timeline";
import type { Language } from "../../format/completing";
import { day, second } from "../../format/time";

/** A chart tells so many lines apart. */
export const most = 8;
const pointsMost = 400;
/** So many lines of a log query are shown; Logs has all. */
export const linesMost = 100;

/** A series of an answer. */
export interface Series {
  labels: Record<string, string>;
  points: (number | null)[];
  mean: number;
  last: number | undefined;
  max: number;
}

/** Whether a query gives lines: LogQL whose first sign is a selector. */
export function givesLines(language: Language, query: string): boolean {
  return language === "logql" && query.trimStart().startsWith("{");
}

/** The series of an answer, that with the greatest mean first. */
export function seriesOf(found: readonly Curve[]): Series[] {
  return found
    .map(({ labels, points }) => {
      const some = points.filter((v): v is number => v !== null);
      return { labels, points, mean: some.reduce((a, b) => a + b, 0) / Math.max(1, some.length), last: some.at(-1), max: Math.max(...some) };
    })
    .filter((s) => s.last !== undefined)
    .sort((a, b) => b.mean - a.mean);
}

/** What series are called: the labels that tell them apart. */
export function namesOf(all: readonly Record<string, string>[]): string[] {
  const keys = [...new Set(all.flatMap((l) => Object.keys(l)))];
  const apart = keys.filter((k) => all.some((l) => l[k] !== all[0]![k]));
  // Where some always go together one of them is enough: a container's name, not its id.
  const telling = apart.filter((k) => !["id", "image", "instance"].includes(k));
  const tells = (by: readonly string[]) => new Set(all.map((l) => by.map((k) => l[k]).join("\n"))).size === all.length;
  const by = tells(["name"]) ? ["name"] : tells(telling) ? telling : apart;
  return all.map((l) => {
    const some = by.filter((k) => l[k]);
    if (some.length === 1) return l[some[0]!]!;
    return some.map((k) => `${k}=${l[k]}`).join(", ") || l["__name__"] || l["name"] || "value";
  });
}

/** The answer of a query over the range of the page. */
export class Explored extends Timeline {
  readonly series = signal<Series[]>([]);
  readonly lines = signal<Entry[]>([]);

  constructor(
    private readonly language: Language,
    private readonly query: string,
    pin: ReadonlySignal<number | undefined>,
  ) {
    super(pin);
  }

  protected first(): number | undefined {
    return Date.now() - 7 * day;
  }

  protected async ask(from: number, to: number, stop: AbortSignal): Promise<(() => void) | undefined> {
    if (givesLines(this.language, this.query)) {
      const found = await lines({ query: this.query, start: nanos(from), end: nanos(to), limit: linesMost }, stop);
      return () => { this.lines.value = found.reverse(); };
    }
    const points = Math.max(120, Math.min(pointsMost, Math.round(this.model.width.peek() / 2)));
    const step = Math.max(second, Math.ceil((to - from) / points / second) * second);
    const start = Math.floor(from / step) * step;
    const end = Math.max(start + step, Math.floor(Math.min(to, Date.now()) / step) * step);
    const [found, events] = await Promise.all([
      this.language === "promql" ? curves(this.query, start, end, step, stop) : counts(this.query, start, end, step, stop).then((all) => all.map((s) => curveOf(s, start, end, step))),
      happened([{ all: { actions: ["die", "oom", "start_failed", "drift"], severities: ["critical", "warning", "info"] } }], from, to, stop).catch(() => undefined),
    ]);
    const series = seriesOf(found);
    return () => {
      this.series.value = series;
      this.model.columns.value = columnsOf(series, start, end, step);
      if (events) {
        this.model.events.value = events.events;
        this.leftOut.value = events.left;
      }
    };
  }
}

function curveOf(s: { metric: Record<string, string>; values: [number, string][] }, start: number, end: number, step: number): Curve {
  const points = new Array<number | null>(Math.floor((end - start) / step + 1e-6) + 1).fill(null);
  for (const [t, v] of s.values) {
    const i = Math.round((t * 1000 - start) / step);
    if (i >= 0 && i < points.length && Number.isFinite(Number(v))) points[i] = Number(v);
  }
  return { labels: s.metric, points };
}

/** The column of the nth series. */
export const columnOf = (n: number) => `s${n}`;

function columnsOf(all: readonly Series[], start: number, end: number, step: number): Columns {
  const t = Array.from({ length: Math.floor((end - start) / step + 1e-6) + 1 }, (_, i) => start + i * step);
  const series: Columns["series"] = {};
  all.slice(0, most).forEach((s, i) => { series[columnOf(i)] = s.points; });
  const telling = Object.keys(series);
  return { t, series, telling, step, firstSample: t.find((_, i) => telling.some((n) => series[n]![i] != null)) };
}

/** Queries to begin with, of what is there. */
export function examples(language: Language, names: readonly string[]): { say: string; query: string }[] {
  if (language === "logql") {
    return [
      { say: "The last errors of all containers", query: '{source="container", level="error"}' },
      { say: "Who writes the most lines", query: 'sum by (name) (count_over_time({source="container"} [1m]))' },
      { say: "Errors a minute, by container", query: 'sum by (name) (count_over_time({source="container", level=~"error|critical|fatal"} [1m]))' },
      { say: "What the kernel said of killing", query: '{source="journal"} |~ "(?i)out of memory|killed process"' },
      { say: "Configurations that are privileged", query: '{source="snapshot"} | json | HostConfig_Privileged="true"' },
    ];
  }
  const has = (n: string) => names.includes(n);
  const own = names.filter((n) => !/^(?:container|node|go|process|tallyman|machine|cadvisor|engine|docker|promhttp|scrape|up|ALERTS)(?:_|$)/.test(n));
  return [
    { need: "container_cpu_usage_seconds_total", say: "CPU by container", query: 'sum by (name) (rate(container_cpu_usage_seconds_total{name!=""}[1m]))' },
    { need: "container_memory_working_set_bytes", say: "Memory by container", query: 'container_memory_working_set_bytes{name!=""}' },
    { need: "container_network_receive_bytes_total", say: "Received by container", query: 'sum by (name) (rate(container_network_receive_bytes_total{name!=""}[1m]))' },
    { need: "node_filesystem_avail_bytes", say: "Space left on the file systems", query: "min by (host, mountpoint) (node_filesystem_avail_bytes)" },
    { need: "node_load1", say: "Load of the hosts", query: "node_load1" },
    ...own.slice(0, 3).map((n) => ({ need: n, say: n, query: /_total$/.test(n) ? `rate(${n}[5m])` : n })),
  ].filter((e) => has(e.need));
}
