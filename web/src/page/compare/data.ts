// SPDX-License-Identifier: Apache-2.0

import type { ReadonlySignal } from "@preact/signals";
import { history } from "../../api/client";
import type { HistoryAnswer } from "../../api/schema";
import type { Columns } from "../../chart/columns";
import { happenedTo, unique } from "../../chart/happened";
import { Timeline } from "../../chart/timeline";
import { findWatched } from "../../chart/watched";
import type { Chosen } from "../../format/chosen";

type Series = HistoryAnswer["series"];
type Numbers = (number | null)[];

/** What is compared of containers, from their stored series. */
export const compared = {
  cpu: (s: Series) => sum(s.cpuUser, s.cpuSystem),
  memory: (s: Series) => s.workingSet,
  rx: (s: Series) => s.rx,
  tx: (s: Series) => s.tx,
  blkRead: (s: Series) => s.blkRead,
  blkWrite: (s: Series) => s.blkWrite,
  pids: (s: Series) => s.pids,
} satisfies Record<string, (s: Series) => Numbers | undefined>;

export type Compared = keyof typeof compared;

function sum(a: Numbers | undefined, b: Numbers | undefined): Numbers | undefined {
  if (!a || !b) return a ?? b;
  return a.map((v, i) => (v === null && b[i] == null ? null : (v ?? 0) + (b[i] ?? 0)));
}

/** The column of what is compared, of one of the containers. */
export const columnOf = (what: Compared, i: number) => `${what}.${i}`;

/** The series of several containers on one axis: they were asked for over the same time in the same steps. */
export function together(all: readonly HistoryAnswer[]): Columns {
  const t = all[0]?.t ?? [];
  const series: Columns["series"] = {};
  all.forEach((h, i) => {
    for (const [what, of] of Object.entries(compared)) {
      const column = of(h.series);
      if (column) series[columnOf(what as Compared, i)] = column;
    }
  });
  const telling = Object.keys(series);
  const known = (i: number) => telling.some((name) => series[name]![i] != null);
  // What is to come yet is no gap.
  let n = t.length;
  while (n > 0 && !known(n - 1)) n--;
  for (const name of telling) series[name] = series[name]!.slice(0, n);
  const firsts = all.flatMap((h) => h.firstSample ?? []);
  return { t: t.slice(0, n), series, telling, step: all[0]?.step ?? 1000, firstSample: firsts.length > 0 ? Math.min(...firsts) : undefined };
}

/** Several containers over one time. */
export class Comparison extends Timeline {
  constructor(
    private readonly of: readonly Chosen[],
    pin: ReadonlySignal<number | undefined>,
  ) {
    super(pin);
  }

  protected first(): number | undefined {
    return this.model.watched.peek().first;
  }

  protected async ask(from: number, to: number, stop: AbortSignal): Promise<() => void> {
    // Of several hosts there is no one time before which nobody watched.
    if (new Set(this.of.map((c) => c.host)).size === 1) void findWatched(this.model, this.of[0]!.host, stop);
    const points = Math.max(200, Math.min(1200, Math.round(this.model.width.peek())));
    const start = Math.floor(from - (to - from) / points);
    const end = Math.ceil(to);
    const [found, events] = await Promise.all([
      Promise.all(this.of.map(({ host, workload }) => history({ host, workload, start, end, points }, stop))),
      Promise.all(this.of.map((c) => happenedTo(c, start, end, stop))),
    ]);
    return () => {
      this.model.columns.value = together(found);
      this.model.events.value = unique(events.flatMap((e) => e.events)).filter((e) => e.time >= from);
      this.leftOut.value = events.reduce((n, e) => n + e.left, 0);
    };
  }
}
