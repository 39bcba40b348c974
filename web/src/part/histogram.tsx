// SPDX-License-Identifier: Apache-2.0

import { type ReadonlySignal, useSignal } from "@preact/signals";
import type { TargetedKeyboardEvent, TargetedPointerEvent } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Event } from "../api/schema";
import { gravest, lineClass } from "../chart/marks";
import { timeTicks } from "../chart/scale";
import { kinds, scaleOf, totals, type Volume } from "../format/logline";
import { count, counted } from "../format/number";
import { show } from "../format/text";
import { dated, hm, hms, iso, minute, span as length } from "../format/time";
import "../style/search.css";

const dragLeast = 5;
const marksMost = 60;

/** What the columns count, for one of them, and how its grave ones are called. */
export interface Counted {
  one: string;
  error: string;
  warn: string;
}

const ofLines: Counted = { one: "line", error: "error", warn: "warning" };

interface Props {
  volume: Volume | undefined;
  problem: string;
  view: { from: number; to: number };
  events: readonly Event[];
  /** A moment that is pinned. */
  at: number | undefined;
  zoom(from: number, to: number): void;
  width: { value: number };
  axis: boolean;
  hover?: ReadonlySignal<number | undefined>;
  of?: Counted;
}

/** How many lines or events there are over time, by level; a click or a drag narrows the range. */
export function Histogram({ volume, problem, view, events, at, zoom, width, axis, hover, of = ofLines }: Props) {
  const ref = useRef<HTMLDivElement>(null);
  const on = useSignal<number | undefined>(undefined);
  const drag = useSignal<{ x: number; to: number; id: number } | undefined>(undefined);
  useLayoutEffect(() => {
    const el = ref.current!;
    const watch = new ResizeObserver(() => {
      width.value = el.clientWidth;
    });
    watch.observe(el);
    width.value = el.clientWidth;
    return () => watch.disconnect();
  }, []);

  const { from, to } = view;
  const share = (t: number) => (t - from) / (to - from);
  const percent = (t: number) => `${(100 * Math.max(0, Math.min(1, share(t)))).toFixed(2)}%`;
  const n = volume?.counts.unknown.length ?? 0;
  const sums = volume ? Array.from({ length: n }, (_, i) => kinds.reduce((s, k) => s + volume.counts[k][i]!, 0)) : [];
  // What stands above the scale is as high as there is room, broken, and says how much it is.
  const { top, broken } = scaleOf(sums);
  const above = broken ? sums.flatMap((n, i) => (n > top ? [i] : [])) : [];
  const bounds = (i: number): [number, number] => [volume!.start + i * volume!.step, volume!.start + (i + 1) * volume!.step];
  const words = (i: number) => {
    const [a, b] = bounds(i);
    const t = volume!.step < minute ? hms : hm;
    const graves = (["error", "warn"] as const).filter((k) => volume!.counts[k][i]).map((k) => counted(volume!.counts[k][i]!, of[k]));
    return `${dated(a, Date.now())}${t(a)} – ${t(b)}: ${[counted(sums[i]!, of.one), ...graves].join(", ")}`;
  };

  const xOf = (e: TargetedPointerEvent<HTMLElement>) => {
    const box = ref.current!.getBoundingClientRect();
    return Math.max(0, Math.min(1, (e.clientX - box.left) / box.width));
  };
  const timeAt = (x: number) => from + x * (to - from);
  const columnAt = (t: number) => (volume ? Math.max(0, Math.min(n - 1, Math.floor((t - volume.start) / volume.step))) : undefined);
  const take = (i: number | undefined) => {
    if (i === undefined || !volume) return;
    const [a, b] = bounds(i);
    zoom(a, b);
  };
  const key = (e: TargetedKeyboardEvent<HTMLElement>) => {
    if (!volume) return;
    const now = on.value ?? n - 1;
    const by = { ArrowLeft: -1, ArrowRight: 1, Home: -n, End: n, PageUp: -10, PageDown: 10 }[e.key];
    if (by !== undefined) on.value = Math.max(0, Math.min(n - 1, now + by));
    else if (e.key === "Enter") take(now);
    else return;
    e.preventDefault();
  };
  const all = volume ? totals(volume, from, to) : undefined;
  const dragged = drag.value && Math.abs(drag.value.x - drag.value.to) * width.value >= dragLeast ? drag.value : undefined;
  const cursor = hover?.value ?? at;
  return (
    <div class="hist">
      <div
        ref={ref}
        class="bars"
        role="slider"
        tabIndex={0}
        aria-label={`${of.one === "line" ? "Lines" : "Events"} over time; Enter narrows the range to these`}
        aria-orientation="horizontal"
        aria-valuemin={0}
        aria-valuemax={Math.max(0, n - 1)}
        aria-valuenow={on.value ?? Math.max(0, n - 1)}
        aria-valuetext={volume && n > 0 ? words(Math.min(on.value ?? n - 1, n - 1)) : "not counted yet"}
        onKeyDown={key}
        onBlur={() => { on.value = undefined; }}
        onPointerDown={(e) => {
          if (e.button !== 0) return;
          drag.value = { x: xOf(e), to: xOf(e), id: e.pointerId };
          if (e.pointerType !== "touch") e.currentTarget.setPointerCapture(e.pointerId);
        }}
        onPointerMove={(e) => {
          on.value = columnAt(timeAt(xOf(e)));
          if (drag.value) drag.value = { ...drag.value, to: xOf(e) };
        }}
        onPointerUp={(e) => {
          const d = drag.value;
          drag.value = undefined;
          if (!d) return;
          const x = xOf(e);
          if (Math.abs(d.x - x) * width.value < dragLeast) take(columnAt(timeAt(x)));
          else zoom(timeAt(Math.min(d.x, x)), timeAt(Math.max(d.x, x)));
        }}
        onPointerCancel={() => { drag.value = undefined; }}
        onPointerLeave={() => { on.value = undefined; }}
      >
        <svg viewBox="0 0 1000 100" preserveAspectRatio="none" aria-hidden="true">
          {volume && kinds.map((k) => {
            let d = "";
            for (let i = 0; i < n; i++) {
              const v = volume.counts[k][i]!;
              if (!v) continue;
              let below = 0;
              for (const other of kinds) {
                if (other === k) break;
                below += volume.counts[other][i]!;
              }
              const scale = Math.max(top, sums[i]!);
              const [a, b] = bounds(i);
              const x = 1000 * share(a);
              const w = 1000 * (share(b) - share(a));
              // The least that can be seen: a line among thousands must not vanish.
              const h = Math.max(3, (82 * v) / scale);
              d += `M${x.toFixed(2)} ${(100 - (82 * below) / scale).toFixed(2)}h${(w * 0.88).toFixed(2)}v${(-h).toFixed(2)}h${(-w * 0.88).toFixed(2)}z`;
            }
            return d && <path key={k} class={k} d={d} />;
          })}
        </svg>
        {above.slice(0, marksMost).map((i) => <span key={i} class="brk" style={{ left: percent(bounds(i)[0]), width: `${(100 * (share(bounds(i)[1]) - share(bounds(i)[0]))).toFixed(2)}%` }} />)}
        {above.length > 0 && above.length <= 3 && above.map((i) => <span key={i} class={share(bounds(i)[0]) > 0.9 ? "high left" : "high"} style={{ left: percent(bounds(i)[0]) }}>{count(sums[i]!)}</span>)}
        {gravest(events, marksMost).filter((e) => e.time > from && e.time < to).map((e) => (
          <span key={e.id} class={`v ${lineClass(e)}`} style={{ left: percent(e.time) }} title={`${iso(e.time)}  ${show(`${e.name ?? ""} ${e.text}`)}`} />
        ))}
        {cursor !== undefined && cursor > from && cursor < to && <span class="cur" style={{ left: percent(cursor) }} />}
        {dragged && <span class="sel" style={{ left: `${100 * Math.min(dragged.x, dragged.to)}%`, width: `${100 * Math.abs(dragged.x - dragged.to)}%` }} />}
        {on.value !== undefined && on.value < n && !dragged && (
          <>
            <span class="col" style={{ left: percent(bounds(on.value)[0]), width: `${(100 * (share(bounds(on.value)[1]) - share(bounds(on.value)[0]))).toFixed(2)}%` }} />
            <span class={share(bounds(on.value)[0]) > 0.5 ? "htip left" : "htip"} style={{ left: percent(bounds(on.value)[share(bounds(on.value)[0]) > 0.5 ? 0 : 1]) }}>{words(on.value)}</span>
          </>
        )}
        {volume && all && all.all > 0 && <span class="top">{counted(Math.round(top), of.one)} in {length(volume.step)}{broken && `, ${count(Math.max(...sums))} at most`}</span>}
        {problem && <p class="not">Not counted: {show(problem)}</p>}
      </div>
      {axis && (
        <div class="hax" aria-hidden="true">
          {timeTicks(from, to, Math.max(2, width.value / 110)).filter((t) => share(t.t) > 0.02 && share(t.t) < 0.98).map((t) => (
            <span key={t.t} style={{ left: percent(t.t) }}>{t.label}</span>
          ))}
        </div>
      )}
    </div>
  );
}
