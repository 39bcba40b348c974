// SPDX-License-Identifier: Apache-2.0

import { type ReadonlySignal, useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { ApiError, inWords } from "../api/client";
import type { Entry } from "../api/loki";
import type { Event } from "../api/schema";
import type { Model } from "../chart/model";
import { totals } from "../format/logline";
import { counted } from "../format/number";
import { outputName } from "../format/origin";
import { all, type Range, writeRange } from "../format/range";
import { show } from "../format/text";
import { iso, moment, second } from "../format/time";
import { LogData, telling as usual } from "./data";
import { momentOf } from "./lines";
import { LogList } from "./list";
import { markOf } from "./meant";
import { Histogram } from "../part/histogram";
import { logsHref, param, setParams } from "../part/place";
import { useRetry } from "../part/retry";

const wrapText = param("wrap");
const atText = param("at");

export interface DockProps {
  /** Whose lines these are, and what the list is called. */
  query: string;
  label: string;
  /** Which events stand between them. */
  telling?: (e: Event) => boolean;
  /** Where a line is from, as far as it is told beside it, and the page of that; those of the usual lines are of one workload. */
  origin?: { named(e: Entry): string; href(e: Entry): string | undefined };
  model: Model;
  range: ReadonlySignal<Range>;
  pin: ReadonlySignal<number | undefined>;
  /** Of what is gone there is nothing to follow. */
  gone: boolean;
  /** Why its log cannot be read. */
  absent: string;
  zoom(from: number, to: number): void;
  unpin(): void;
}

/** Lines of a log under charts: the same range, the same cursor. */
export function LogDock({ query, label, telling = usual, origin, model, range, pin, gone, absent, zoom, unpin }: DockProps) {
  const width = useSignal(800);
  const again = useSignal(0);
  const data = useMemo(() => new LogData(() => (width.peek() < 500 ? 60 : 120)), []);
  const events = useComputed(() => model.events.value.filter(telling));
  // A fixed range, or one that is live; the seconds of a live one do not ask for the lines anew.
  const stretch = useComputed(() => {
    const r = range.value;
    if (!r.live) return `${r.from} ${r.to}`;
    return gone ? `${model.view.value.from} ${model.view.value.to}` : `${r.span}`;
  });
  const pinned = useComputed(() => pin.value);
  useSignalEffect(() => {
    again.value;
    const [a, b] = stretch.value.split(" ").map(Number) as [number, number | undefined];
    const at = pinned.value;
    void data.show({ query, from: b === undefined ? (a === all ? 0 : Date.now() - a) : a, to: b, at });
  });
  useEffect(() => () => data.stop(), []);

  const mixed = useComputed(() => data.lines.entries.value.some((e) => e.labels["filename"])).value;
  const lineView = useMemo(() => ({
    needle: "",
    exact: false,
    colour: () => undefined,
    named: (e: Entry) => origin?.named(e) ?? (mixed ? outputName(e.labels) : ""),
    traces: undefined,
    narrow: undefined,
    aroundHref: (e: Entry) => logsHref(query, { from: iso(e.t - 120_000), to: iso(e.t + 120_000), at: markOf(e) }),
    containerHref: (e: Entry) => origin?.href(e),
  }), [query, mixed, origin]);
  useRetry(() => (data.lines.problem.value ? inWords(data.lines.problem.value) : data.volumeProblem.value), () => { again.value++; });
  const view = model.view.value;
  const { volume } = data;
  const sum = volume.value ? totals(volume.value, view.from, view.to + second) : undefined;
  const problem = data.lines.problem.value;
  const nothing = data.lines.loaded.value && data.lines.entries.value.length === 0;
  const live = range.value.live && !gone;
  const wrap = wrapText.value === "1";
  const at = momentOf({ from: view.from, to: live ? undefined : view.to, at: pinned.value });
  const near = { from: iso(view.from), to: iso(view.to), at: atText.value };
  return (
    <>
      <header class="row rh">
        <h2>Logs</h2>
        <span class="mid ell" role="status">
          {sum ? counted(sum.all, "line") : ""}
          {sum && sum.error > 0 && <span class="crit"> · {counted(sum.error, "error")}</span>}
          {at !== undefined && <span class="wide"> · around {moment(at, Date.now())}</span>}
        </span>
        <span class="grow" />
        <button type="button" class="btn wide" aria-pressed={wrap} onClick={() => setParams({ wrap: wrap ? undefined : "1" })}>Wrap</button>
        <a class="btn q" href={logsHref(query, live && at === undefined ? rangeOf(range.value) : near)}>Open in Logs</a>
      </header>
      <div class="dvol">
        <div class="lab">lines</div>
        <Histogram volume={volume.value} problem={problem ? "" : data.volumeProblem.value} view={view} events={[]} at={at} zoom={zoom} width={width} axis={false} hover={model.hover} />
      </div>
      {problem ? (
        <p class="none">
          {problem instanceof ApiError && problem.code === "nologs" ? inWords(problem) : `The logs cannot be read: ${show(inWords(problem))}`}{" "}
          <button type="button" class="btn q" onClick={() => { again.value++; }}>Try again</button>
        </p>
      ) : nothing ? (
        <p class="none">
          {absent ? show(absent) : "No line in this range."} {absent && <a class="link" href="/doctor">Doctor</a>}
        </p>
      ) : null}
      <LogList
        lines={data.lines}
        events={events}
        wrap={wrap}
        label={label}
        live={live}
        at={at}
        toNow={() => {
          unpin();
          again.value++;
        }}
        hover={(t) => { model.hover.value = t; }}
        view={lineView}
      />
    </>
  );
}

function rangeOf(r: Range): Record<string, string> {
  const params = new URLSearchParams();
  writeRange(params, r);
  return Object.fromEntries(params);
}
