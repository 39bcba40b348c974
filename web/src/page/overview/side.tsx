// SPDX-License-Identifier: Apache-2.0

import { cores, count, counted, plain, size } from "../../format/number";
import { type Range, rangeLabel } from "../../format/range";
import { shortImage, show } from "../../format/text";
import { ago, iso, stamp } from "../../format/time";
import { calm } from "../../part/calm";
import { nowMinute } from "../../part/clock";
import { rowsOf } from "../../part/eventrows";
import { EventMark } from "../../part/mark";
import { eventsHref, rangeAround, rangeOf } from "../../part/place";
import { NotKnown } from "../../part/value";
import type { OverviewData } from "./data";

const eventsMost = 12;

/** The newest of what happened, what belongs together as one row. */
export function Events({ data }: { data: OverviewData }) {
  const found = data.events.value.value;
  const rows = found && rowsOf(found, (r) => calm(r, new Set(), undefined)).filter((r) => r.as !== "day").slice(0, eventsMost);
  const several = new Set(data.servers.value.value?.hosts.map((h) => h.host)).size > 1;
  return (
    <section class="ocard" aria-labelledby="overview-events" aria-busy={!found}>
      <header><h2 id="overview-events">Last events</h2><span class="grow" /><a class="link" href="/events">All events</a></header>
      {rows?.length === 0 && <p class="oless">Nothing has happened that is kept.</p>}
      {data.events.off.value && <p class="oless">This tallyman keeps no events.</p>}
      <ul class="oevents">
        {rows?.map((r) => (
          <li key={r.key}>
            <a href={eventsHref({}, rangeAround(r.t, r.t))} title={iso(r.t)}>
              <time dateTime={iso(r.t)}>{stamp(r.t, nowMinute.value)}</time>
              <EventMark of={r.event} />
              <span class="owords">{several && <span class="dim">{show(r.event.host)} </span>}{r.event.name && <b>{show(r.event.name)} </b>}{show(("said" in r && r.said) || r.event.text)}</span>
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** How often containers were started, by image. */
export function Starts({ data, range }: { data: OverviewData; range: Range }) {
  const s = data.starts.value.value;
  const all = s ? s.images.reduce((n, i) => n + i.sum, 0) + s.others.sum : 0;
  const top = s ? Math.max(1, ...s.images.flatMap((i) => i.columns)) : 1;
  return (
    <section class="ocard" aria-labelledby="overview-starts" aria-busy={!s}>
      <header>
        <h2 id="overview-starts">Starts by image</h2><span class="dim">{rangeLabel(range)}</span><span class="grow" />
        {all > 0 && <a class="link" href={`/events?${new URLSearchParams({ ...rangeOf(range), type: "container", action: "start" })}`}>{count(all)} in all</a>}
      </header>
      {data.starts.off.value && <p class="oless">This tallyman keeps no events.</p>}
      {s && all === 0 && <p class="oless">No container was started in this range.</p>}
      <ul class="ostarts">
        {s?.images.map((i) => (
          <li key={i.image}>
            <span class="ell" title={show(i.image)}>{show(shortImage(i.image) || "no image")}</span>
            <svg viewBox={`0 0 ${i.columns.length} 16`} preserveAspectRatio="none" aria-hidden="true">
              <path class="base" d={`M0 15.5h${i.columns.length}`} />
              <path d={i.columns.map((v, at) => (v > 0 ? `M${at + 0.1} 16v${-Math.max(2, (15 * v) / top).toFixed(1)}h.8V16z` : "")).join("")} />
            </svg>
            <b class="num">{count(i.sum)}</b>
          </li>
        ))}
      </ul>
      {s && s.others.images > 0 && <p class="oless">{counted(s.others.images, "other image")}, started {counted(s.others.sum, "time")}.</p>}
    </section>
  );
}

/** What tallyman holds, loses and takes. */
export function Itself({ data }: { data: OverviewData }) {
  const d = data.doctor.value.value;
  const lines = data.lines.value.value;
  const dropped = data.dropped;
  const series = d?.stores.map((s) => s.series).filter((n) => n !== undefined);
  const oldest = d && Math.min(...d.stores.map((s) => s.oldest ?? Infinity));
  const limit = d?.stores.every((s) => s.limit) ? d.stores.reduce((n, s) => n + s.limit, 0) : 0;
  const taken = (cpu: number | undefined, memory: number | undefined) => [cpu === undefined ? "" : `${cores(cpu)} cores`, memory === undefined ? "" : size(memory)].filter(Boolean).join(", ");
  const rows: [string, string | undefined][] = d
    ? [
        ["Series", series!.length > 0 ? count(series!.reduce((n, v) => n + v, 0)) : undefined],
        ["Log lines", lines === undefined ? undefined : `${plain(lines)} /s`],
        ["Dropped", dropped === 0 ? "0 since its start" : `${count(dropped!)} since its start`],
        ["History", oldest! < Infinity ? `since ${ago(oldest!, nowMinute.value)}, ${size(d.stores.reduce((n, s) => n + s.bytes, 0))}${limit ? ` of ${size(limit)}` : ""}` : undefined],
        ["Takes", taken(d.cost.cpu, d.cost.memory) || undefined],
        ...d.cost.daemons.map((x): [string, string | undefined] => [x.name, taken(x.cpu, x.memory) || undefined]),
      ]
    : [];
  return (
    <section class="ocard" aria-labelledby="overview-self" aria-busy={!d}>
      <header><h2 id="overview-self">tallyman itself</h2><span class="grow" /><a class="link" href="/doctor">Doctor</a></header>
      <dl>
        {rows.map(([name, value]) => (
          <div key={name}><dt>{show(name)}</dt><dd class={name === "Dropped" && dropped ? "warn" : ""}>{value ?? <NotKnown why="It was not measured yet, or is not kept; Doctor tells why." />}</dd></div>
        ))}
      </dl>
    </section>
  );
}
