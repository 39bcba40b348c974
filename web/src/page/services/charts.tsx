// SPDX-License-Identifier: Apache-2.0

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { inWords } from "../../api/client";
import type { Service, ServiceChart } from "../../api/schema";
import { bytes, plain, type Quantity, rate } from "../../format/number";
import { show } from "../../format/text";
import { hms } from "../../format/time";
import { type Drawn, lines } from "./data";

const minutes = 60;
const points = 120;
const width = 360;
const height = 90;
const again = 15_000;

/** What matters first of a service, over the last hour. */
export function Charts({ s, charts }: { s: Service; charts: readonly ServiceChart[] }) {
  if (charts.length === 0) return <p class="mid">The plugin has no charts. Its values are series with job="{s.type.toLowerCase()}" and instance="{show(s.instance)}".</p>;
  return (
    <div class="vcharts">
      {charts.map((c) => <Chart key={c.title} s={s} c={c} />)}
    </div>
  );
}

function quantity(unit: string, v: number): Quantity {
  switch (unit) {
    case "bytes":
      return bytes(v);
    case "bytes per second":
      return rate(v);
    case "seconds":
      return v > 0 && v < 1 ? { n: plain(v * 1000), unit: "ms" } : { n: plain(v), unit: "s" };
    case "ratio":
      return { n: plain(v * 100), unit: "%" };
    case "per second":
      return { n: plain(v), unit: "/s" };
    default:
      return { n: plain(v), unit: "" };
  }
}

function Chart({ s, c }: { s: Service; c: ServiceChart }) {
  const drawn = useSignal<{ at: number; lines: Drawn[] } | undefined>(undefined);
  const problem = useSignal("");
  useEffect(() => {
    const stop = new AbortController();
    let timer = 0;
    const ask = async () => {
      const step = (minutes * 60) / points;
      const to = Math.floor(Date.now() / 1000);
      try {
        const all = await Promise.all(c.lines.map((l) => lines(l, s, to - minutes * 60, to, step, stop.signal)));
        drawn.value = { at: to, lines: all.flat() };
        problem.value = "";
      } catch (err) {
        if (stop.signal.aborted) return;
        problem.value = inWords(err);
      }
      timer = window.setTimeout(ask, again);
    };
    void ask();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [s.type, s.instance]);
  const d = drawn.value;
  const most = d ? Math.max(0, ...d.lines.flatMap((l) => l.points.map((v) => v ?? 0))) : 0;
  const unit = c.lines.some((l) => l.rate) && (c.unit === "" || c.unit === "bytes" || c.unit === "seconds") ? { "": "per second", bytes: "bytes per second", seconds: "ratio" }[c.unit]! : c.unit;
  const shown = (v: number) => {
    const q = quantity(unit, v);
    return `${q.n}${q.unit && (q.unit === "/s" || q.unit === "%" ? q.unit : ` ${q.unit}`)}`;
  };
  return (
    <figure class="vchart">
      <figcaption><b>{c.title}</b> <span class="dim">{d && d.lines.length > 0 ? `up to ${shown(most)}` : ""}</span></figcaption>
      {problem.value && !d ? (
        <p class="mid">{show(problem.value)}</p>
      ) : d && d.lines.every((l) => l.points.every((v) => v === null)) ? (
        <p class="mid">Nothing in the last hour: the service does not give it.</p>
      ) : (
        <>
          <svg viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label={d ? `${c.title}: ${d.lines.map((l) => `${l.name} ${lastOf(l, shown)}`).join(", ")}` : c.title}>
            {d?.lines.map((l, i) => <path key={l.name} class={`l${i % 8}`} d={pathOf(l.points, most)} />)}
          </svg>
          <p class="vaxis dim"><span>{d ? hms((d.at - minutes * 60) * 1000).slice(0, 5) : ""}</span><span>{d ? hms(d.at * 1000).slice(0, 5) : ""}</span></p>
          <ul>
            {d?.lines.map((l, i) => <li key={l.name}><i class={`c${(i % 8) + 1}`} /><span class="ell">{show(l.name)}</span> <b>{lastOf(l, shown)}</b></li>)}
          </ul>
        </>
      )}
    </figure>
  );
}

/** The newest value of a line, when it is not old. */
function lastOf(l: Drawn, shown: (v: number) => string): string {
  for (const v of l.points.slice(-3).reverse()) if (v !== null) return shown(v);
  return "–";
}

/** A line from 0 to the greatest value; nothing is drawn over a hole. */
export function pathOf(values: readonly (number | null)[], most: number): string {
  let path = "";
  let open = false;
  values.forEach((v, i) => {
    if (v === null) {
      open = false;
      return;
    }
    const x = ((i / Math.max(1, values.length - 1)) * width).toFixed(1);
    const y = (height - 1 - (most > 0 ? Math.max(0, v) / most : 0) * (height - 4)).toFixed(1);
    path += `${open ? "L" : "M"}${x} ${y}${open ? "" : `h.1`}`;
    open = true;
  });
  return path;
}
