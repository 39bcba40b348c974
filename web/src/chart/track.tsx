// SPDX-License-Identifier: Apache-2.0

import { type ReadonlySignal, useComputed, useSignalEffect } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { Quantity } from "../format/number";
import { iso, moment, stamp } from "../format/time";
import { theme } from "../part/theme";
import { NotKnown } from "../part/value";
import { extremes, noColumns, sampleOf, stack } from "./columns";
import type { Model } from "./model";
import { type ChartSpec, type Line, Plot } from "./plot";

export interface TrackSpec<Name extends string = string> extends ChartSpec<Name> {
  id: string;
  title: string;
  /** What stands beside the title, such as the unit. */
  note?: string;
  value(v: number): Quantity;
  /** What the list of lines would have, too, if it were known, and why it is not. */
  unknown?: { name: string; why: string }[];
  /** Height that the chart is worth; spare height is shared in proportion. */
  height: number;
}

/** A head with names and values at the cursor, and the chart to its right. */
export function Track({ model, spec, height, missing, children }: { model: Model; spec: TrackSpec; height: ReadonlySignal<number>; missing: string; children?: ComponentChildren }) {
  const present = useComputed(() => spec.lines.filter((l) => model.columns.value.series[l.series]).map((l) => l.series).join(" "));
  const there = new Set(present.value.split(" "));
  const drawn = spec.lines.filter((l) => l.kind !== "limit" && l.kind !== "named" && l.kind !== "peak" && there.has(l.series));
  const empty = model.columns.value.t.length > 0 && drawn.length === 0;
  return (
    <section class="track" aria-label={spec.title}>
      <div class="lab">
        <h2>
          {spec.title} <small>{spec.note}</small>
        </h2>
        {!empty && (
          <ul class="leg">
            {spec.lines.filter((l) => there.has(l.series)).map((l) => (
              <Legend key={l.series} model={model} line={l} spec={spec} />
            ))}
            {spec.unknown?.map((u) => (
              <li key={u.name}>
                <i />
                <span class="ell">{u.name}</span>
                <b>
                  <NotKnown why={u.why} />
                </b>
              </li>
            ))}
          </ul>
        )}
        {children}
      </div>
      {empty ? (
        <div class="plot none">
          <p>
            <span class="nk">not known</span> {missing}
          </p>
        </div>
      ) : (
        <Chart model={model} spec={spec} height={height} />
      )}
    </section>
  );
}

function Legend({ model, line, spec }: { model: Model; line: Line; spec: TrackSpec }) {
  const read = (part: "n" | "unit") =>
    useComputed(() => {
      const i = model.index.value;
      const v = model.columns.value.series[line.series]?.[i];
      if (v === null || v === undefined) return part === "unit" ? "" : i < 0 && model.cursor.value !== undefined ? "gap" : "–";
      return spec.value(v)[part];
    });
  return (
    <li>
      <i class={line.kind === "limit" ? "dash" : line.color} />
      {line.href ? <a class="ell" href={line.href} title={line.name}>{line.name}</a> : <span class="ell" title={line.name}>{line.name}</span>}
      <b>
        {read("n")}
        <span class="u">{read("unit")}</span>
      </b>
    </li>
  );
}

function Chart({ model, spec, height }: { model: Model; spec: TrackSpec; height: ReadonlySignal<number> }) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<Plot>(null);
  const size = useRef("");
  const nothing = useComputed(() => model.columns.value !== noColumns && model.columns.value.t.length === 0);

  useEffect(() => () => plot.current?.destroy(), []);
  useSignalEffect(() => {
    const width = Math.round(model.width.value);
    const h = height.value;
    const { from, to } = model.view.value;
    const columns = model.columns.value;
    if (!host.current || width === 0) return;
    if (!plot.current) plot.current = new Plot(host.current, spec, width, h);
    else if (size.current !== `${width} ${h}`) plot.current.resize(width, h);
    size.current = `${width} ${h}`;
    plot.current.draw(columns, from, to);
  });
  useSignalEffect(() => {
    theme.value;
    plot.current?.recolor();
  });

  return (
    <div class="plot" style={{ height: `${height.value}px` }}>
      <div ref={host} aria-hidden="true" />
      {nothing.value && <p class="nothing">Fewer than two samples in this range.</p>}
      <Reading model={model} spec={spec} />
    </div>
  );
}

const mostRows = 60;

/** The chart as a sentence and a table, for those who do not see it. It follows the stored samples, not each second. */
function Reading({ model, spec }: { model: Model; spec: TrackSpec }) {
  const { from, to } = model.view.peek();
  const stored = useComputed(() => model.columns.value.series);
  const content = useMemo(() => {
    const c = model.columns.peek();
    const lines = spec.lines.filter((l) => c.series[l.series]);
    const text = (v: number | null | undefined) => {
      if (v === null || v === undefined) return "no sample";
      const q = spec.value(v);
      return `${q.n} ${q.unit}`.trim();
    };
    const stacked = lines.filter((l) => l.kind === "stack");
    const sentences: string[] = [];
    const say = (name: string, column: readonly (number | null)[]) => {
      const e = extremes(c.t, column, from, to);
      if (e) sentences.push(`${name} ${text(e.low)} to ${text(e.high)}, highest at ${moment(e.at, Date.now())}`);
    };
    if (stacked.length > 0) say(spec.title, stack(stacked.map((l) => c.series[l.series]!), c.t.length).at(-1)!);
    for (const l of lines) if (l.kind === "line" || l.kind === "area" || l.kind === "down") say(`${spec.title}, ${l.name},`, c.series[l.series]!);
    return (
      <div class="sr">
        <p>{sentences.length ? sentences.join(". ") + "." : `${spec.title}: no samples in this range.`}</p>
        <table>
          <caption>
            {spec.title}, {stamp(from, to)} to {stamp(to, to)}
          </caption>
          <thead>
            <tr>
              <th scope="col">Time</th>
              {lines.map((l) => <th key={l.series} scope="col">{l.name}</th>)}
            </tr>
          </thead>
          <tbody>
            {sampleOf(c.t, from, to, mostRows).map((i) => (
              <tr key={i}>
                <th scope="row">{iso(c.t[i]!)}</th>
                {lines.map((l) => <td key={l.series}>{text(c.series[l.series]?.[i])}</td>)}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    );
  }, [stored.value]);
  return content;
}
