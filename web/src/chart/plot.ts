// SPDX-License-Identifier: Apache-2.0

import uPlot from "uplot";
import { type Columns, stack } from "./columns";
import { type Axis, axis } from "./scale";

/** One line of a chart, in the order it is drawn. */
export interface Line<Name extends string = string> {
  /** The series that the columns hold. */
  series: Name;
  name: string;
  /** The page of what the line is of. */
  href?: string;
  /** A token of the palette; "" for what has no colour. */
  color: string;
  /** stack: part of a whole; area and down: above and below zero; limit: dashed steps; named: read at the cursor and not drawn; peak: so, too, and a limit that it came near to is in sight. */
  kind: "stack" | "line" | "area" | "down" | "limit" | "named" | "peak";
}

export interface ChartSpec<Name extends string = string> {
  lines: Line<Name>[];
  base: "decimal" | "binary";
  /** The top of an empty chart. */
  least: number;
  tick(v: number): string;
  /** Zero lies in the middle: up is sent, down is received. */
  mirror?: boolean;
}

// A limit far above what is used would press the curve flat; the legend names it anyhow.
const limitInSight = 3;

/** Resolves a token to the colour of the present theme, with an alpha. */
function color(host: HTMLElement, token: string, alpha = 1): string {
  host.style.color = `var(--${token})`;
  const [r, g, b] = getComputedStyle(host).color.match(/[\d.]+/g) ?? ["0", "0", "0"];
  host.style.color = "";
  return alpha === 1 ? `rgb(${r},${g},${b})` : `rgba(${r},${g},${b},${alpha})`;
}

/** One chart: one uPlot for its whole life, fed by setData. */
export class Plot {
  private readonly plot: uPlot;
  private view = { from: 0, to: 1 };
  private scale: Axis = { top: 1, ticks: [] };
  private limit: number | undefined;
  private readonly peaks: readonly Line[];
  private palette = new Map<string, string>();
  private readonly spec: ChartSpec;

  constructor(
    private readonly host: HTMLElement,
    drawn: ChartSpec,
    width: number,
    height: number,
  ) {
    const spec = (this.spec = { ...drawn, lines: drawn.lines.filter((l) => l.kind !== "named" && l.kind !== "peak") });
    this.peaks = drawn.lines.filter((l) => l.kind === "peak");
    const stacked = spec.lines.filter((l) => l.kind === "stack");
    const at = (l: Line) => spec.lines.indexOf(l) + 1;
    this.plot = new uPlot(
      {
        width,
        height,
        padding: [0, 0, 0, 0],
        legend: { show: false },
        cursor: { show: false },
        axes: [{ show: false }, { show: false }],
        scales: {
          x: { time: false, range: () => [this.view.from, this.view.to] },
          y: { range: () => [spec.mirror ? -this.scale.top : 0, this.scale.top] },
        },
        series: [
          {},
          ...spec.lines.map((l): uPlot.Series => ({
            stroke: () => this.ink(l.color),
            width: 1.25,
            // A sample with gaps on both sides has no line; it is drawn as a point.
            points: { show: true, size: 3, width: 0, fill: () => this.ink(l.color), filter: (u: uPlot, i: number) => lonely(u.data[i]!, u.data[0]!, this.view) },
            dash: l.kind === "limit" ? [5, 4] : undefined,
            paths: l.kind === "limit" ? uPlot.paths.stepped!({ align: 1 }) : undefined,
            fill: l.kind === "area" || l.kind === "down" ? () => this.ink(l.color, 0.18) : l === stacked[0] ? () => this.ink(l.color, 0.55) : undefined,
            fillTo: 0,
          })),
        ],
        bands: stacked.slice(1).map((l, i) => ({ series: [at(l), at(stacked[i]!)] as [number, number], fill: () => this.ink(l.color, 0.55) })),
        hooks: { drawClear: [() => this.grid()], draw: [() => this.words()] },
      },
      [[], ...spec.lines.map(() => [])],
      host,
    );
  }

  /** Shows columns between two times. */
  draw(c: Columns, from: number, to: number): void {
    const n = c.t.length;
    const read = (l: Line) => c.series[l.series] ?? [];
    const stacked = this.spec.lines.filter((l) => l.kind === "stack");
    const sums = stack(stacked.map(read), n);
    const columns = this.spec.lines.map((l) => {
      if (l.kind === "stack") return c.series[l.series] ? sums[stacked.indexOf(l)]! : new Array<null>(n).fill(null);
      const values = read(l);
      if (values.length === 0) return new Array<null>(n).fill(null);
      return l.kind === "down" ? values.map((v) => (v === null ? null : -v)) : values;
    });

    let max = 0;
    let peak = 0;
    let limit: number | undefined;
    // The lines to the samples just outside of the view are in it, too.
    let first = 0;
    while (first + 1 < n && c.t[first + 1]! < from) first++;
    let last = n - 1;
    while (last > 0 && c.t[last - 1]! > to) last--;
    const look = (values: readonly (number | null)[], seen: (v: number) => void) => {
      for (let i = first; i <= last; i++) {
        const v = values[i];
        if (v !== null && v !== undefined) seen(v);
      }
    };
    this.spec.lines.forEach((l, k) => look(columns[k]!, l.kind === "limit" ? (v) => { limit = Math.max(limit ?? 0, v); } : (v) => { max = Math.max(max, Math.abs(v)); }));
    for (const l of this.peaks) look(read(l), (v) => { peak = Math.max(peak, v); });
    const inSight = limit !== undefined && limit <= Math.max(max * limitInSight, peak * limitInSight, this.spec.least);
    this.limit = inSight ? lastOf(columns[this.spec.lines.findIndex((l) => l.kind === "limit")]!) : undefined;
    this.scale = axis(inSight ? Math.max(max, limit!) : max, this.spec.base, this.spec.mirror ? 2 : 4, this.spec.least);
    this.view = { from, to };
    this.plot.batch(() => {
      this.plot.setData([c.t, ...columns], false);
      this.plot.setScale("x", { min: from, max: to });
    });
  }

  resize(width: number, height: number): void {
    this.plot.setSize({ width, height });
  }

  /** Draws again with the colours of another theme. */
  recolor(): void {
    this.palette.clear();
    this.plot.redraw(false);
  }

  destroy(): void {
    this.plot.destroy();
  }

  private ink(token: string, alpha = 1): string {
    const key = token + alpha;
    let known = this.palette.get(key);
    if (!known) this.palette.set(key, (known = color(this.host, token, alpha)));
    return known;
  }

  private lines(): number[] {
    const { top, ticks } = this.scale;
    return this.spec.mirror ? [...ticks, ...ticks.map((t) => -t)].filter((t) => Math.abs(t) < top) : ticks;
  }

  private grid(): void {
    const { ctx, bbox } = this.plot;
    ctx.save();
    ctx.lineWidth = 1;
    ctx.setLineDash([]);
    const line = (v: number) => {
      const y = Math.round(this.plot.valToPos(v, "y", true)) + 0.5;
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
    };
    ctx.strokeStyle = this.ink("grid");
    this.lines().forEach(line);
    if (this.spec.mirror) {
      ctx.strokeStyle = this.ink("line-2");
      line(0);
    }
    ctx.restore();
  }

  private words(): void {
    const { ctx, bbox } = this.plot;
    const px = uPlot.pxRatio;
    ctx.save();
    ctx.font = `${10.5 * px}px ${getComputedStyle(document.body).fontFamily}`;
    ctx.textBaseline = "middle";
    for (const v of this.lines()) {
      const text = this.spec.tick(Math.abs(v));
      const y = this.plot.valToPos(v, "y", true);
      ctx.fillStyle = this.ink("surface", 0.78);
      ctx.beginPath();
      ctx.roundRect(bbox.left + 3 * px, y - 7 * px, ctx.measureText(text).width + 7 * px, 14 * px, 3 * px);
      ctx.fill();
      ctx.fillStyle = this.ink("axis");
      ctx.fillText(text, bbox.left + 6 * px, y + 0.5 * px);
    }
    if (this.limit !== undefined) {
      const text = `limit ${this.spec.tick(this.limit)}`;
      const y = this.plot.valToPos(this.limit, "y", true) - 8 * px;
      ctx.fillStyle = this.ink("limit");
      ctx.fillText(text, bbox.left + bbox.width - ctx.measureText(text).width - 6 * px, Math.max(8 * px, y));
    }
    ctx.restore();
  }
}

function lonely(values: ArrayLike<number | null | undefined>, t: ArrayLike<number>, view: { from: number; to: number }): number[] {
  const out: number[] = [];
  const missing = (i: number) => values[i] === null || values[i] === undefined;
  for (let i = 0; i < values.length; i++) {
    if (!missing(i) && missing(i - 1) && missing(i + 1) && t[i]! >= view.from && t[i]! <= view.to) out.push(i);
  }
  return out;
}

function lastOf(values: readonly (number | null | undefined)[]): number | undefined {
  for (let i = values.length - 1; i >= 0; i--) if (typeof values[i] === "number") return values[i] as number;
  return undefined;
}
