// SPDX-License-Identifier: Apache-2.0

import { severities } from "../../api/kept";
import type { EventsSummary } from "../../api/schema";
import { timeTicks } from "../../chart/scale";
import { count, counted } from "../../format/number";
import { all, type Range, rangeLabel } from "../../format/range";
import { show } from "../../format/text";
import { dated, hm, iso, second, stamp } from "../../format/time";
import { clock, narrow, nowMinute } from "../../part/clock";
import { eventsHref, go, rangeOf } from "../../part/place";
import { Selection, useStretch } from "../../part/stretch";
import { type Alarms, laneFilters, type OverviewData } from "./data";

/** A mark on a lane, its ends as times. */
interface Mark {
  from: number;
  to: number;
  tone: "crit" | "warn" | "conf" | "";
  words: string;
}

const time = (t: number) => `${dated(t, clock.peek())}${hm(t)}`;

/** The columns of a summary in which something is; those with something critical are drawn so where that counts. */
export function marksOf(s: EventsSummary, one: string, tone: Mark["tone"], grave: boolean): Mark[] {
  const n = s.counts.plain?.length ?? 0;
  const out: Mark[] = [];
  for (let i = 0; i < n; i++) {
    const all = severities.reduce((sum, k) => sum + (s.counts[k]?.[i] ?? 0), 0);
    if (all === 0) continue;
    const from = s.start + i * s.step;
    const critical = grave ? (s.counts.critical?.[i] ?? 0) : 0;
    out.push({ from, to: from + s.step, tone: critical > 0 ? "crit" : tone, words: `${time(from)} – ${time(from + s.step)}: ${counted(all, one)}${critical > 0 ? `, ${count(critical)} that nobody asked for` : ""}` });
  }
  return out;
}

function alarmMarks(a: Alarms, to: number): Mark[] {
  return a.spans.map((s) => ({ from: s.fired!, to: s.ended ?? to, tone: s.tone === "crit" ? "crit" : "warn", words: `${time(s.fired!)} – ${s.ended ? time(s.ended) : "now"}: ${show(s.text)}` }));
}

/** What happened over the range: four lanes with their counts. A drag opens that part on Events. */
export function Day({ data, shown }: { data: OverviewData; shown: Range }) {
  const lanes = data.lanes.value.value;
  const fired = data.fired.value.value;
  // Drawn as of when it was counted.
  const { from, to } = data.view(lanes?.to ?? nowMinute.value, lanes?.from);
  const at = (share: number) => from + share * (to - from);
  const { on, drag, at: pointed } = useStretch((a, b) => go(eventsHref({}, rangeOf({ live: false, from: Math.floor(at(a)), to: Math.ceil(Math.max(at(b), at(a) + second)) }))));
  const range = rangeOf(shown);
  const eventsOf = (...kinds: (keyof typeof laneFilters)[]) => {
    const params = new URLSearchParams(range);
    for (const t of new Set(kinds.flatMap((k) => laneFilters[k].types))) params.append("type", t);
    for (const a of kinds.flatMap((k) => laneFilters[k].actions)) params.append("action", a);
    return `/events?${params}`;
  };
  const since = lanes && Math.max(lanes.deaths.since ?? 0, lanes.changes.since ?? 0, lanes.gaps.since ?? 0);
  const rows = [
    { name: "Alarms", one: "alarm", marks: fired && alarmMarks(fired, to), n: fired && fired.spans.length, plus: fired?.more, off: data.fired.off.value, href: "/alarms" },
    { name: "Deaths", one: "death", marks: lanes && marksOf(lanes.deaths, "death", "", true), n: lanes?.deaths.total, off: data.lanes.off.value, href: eventsOf("deaths") },
    { name: "Changes", one: "change", marks: lanes && marksOf(lanes.changes, "change", "conf", false), n: lanes?.changes.total, off: data.lanes.off.value, href: eventsOf("changes") },
    { name: "Drops, gaps", one: "gap", marks: lanes && [...marksOf(lanes.gaps, "gap", "warn", false), ...marksOf(lanes.absences, "time without tallyman", "warn", false)], n: lanes && lanes.gaps.total + lanes.absences.total, off: data.lanes.off.value, href: eventsOf("gaps", "absences") },
  ];
  const left = (t: number) => Math.max(0, Math.min(1, (t - from) / (to - from)));
  const ready = from > 0;
  return (
    <section class="ocard oday" aria-labelledby="overview-day" aria-busy={!lanes || !fired}>
      <header>
        <h2 id="overview-day">{!shown.live ? rangeLabel(shown) : shown.span === all ? "All that is kept" : `Last ${rangeLabel(shown)}`}</h2>
        <span class="dim wide">{pointed.value !== undefined && ready && !drag.value ? stamp(at(pointed.value), clock.peek()) : "drag to open a part of it on Events"}</span>
      </header>
      <div class="olanes">
        <ul>
          {rows.map((r) => (
            <li key={r.name}>
              <span>{r.name}</span>
              {r.off ? (
                <span class="dim">off</span>
              ) : r.n === undefined ? (
                <span class="dim" aria-label={`${r.name} are not counted yet`}>…</span>
              ) : (
                <a href={r.href} class={r.n ? "" : "dim"} aria-label={`${counted(r.n, r.one)}: show them`} data-lane={r.name}>{count(r.n)}{r.plus && "+"}</a>
              )}
            </li>
          ))}
        </ul>
        <div class="ostrip" {...on}>
          {rows.map((r) => (
            <div key={r.name} class="oln">
              {ready && r.marks?.filter((m) => m.to > from && m.from < to).map((m) => (
                <i key={`${m.from} ${m.words}`} class={m.tone} title={m.words} style={{ left: `${Math.min(99.5, 100 * left(m.from)).toFixed(2)}%`, width: `${(100 * (left(m.to) - left(m.from))).toFixed(2)}%` }} />
              ))}
            </div>
          ))}
          <Selection drag={drag} />
        </div>
        <div class="oax" aria-hidden="true">
          {ready && timeTicks(from, to, narrow.value ? 3 : 6).filter((t) => left(t.t) > 0.03 && left(t.t) < 0.97).map((t) => <time key={t.t} dateTime={iso(t.t)} style={{ left: `${(100 * left(t.t)).toFixed(2)}%` }}>{t.label}</time>)}
        </div>
      </div>
      {since ? <p class="oless">Counted from {stamp(since, nowMinute.value)} on: there are too many before.</p> : null}
    </section>
  );
}
