// SPDX-License-Identifier: Apache-2.0

import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { servers } from "../../api/client";
import { anything, type EventFilter, eventPage, severities, type Severity } from "../../api/kept";
import { Live } from "../../api/live";
import type { Event } from "../../api/schema";
import { totals } from "../../format/logline";
import { toggled } from "../../format/logql";
import { count, counted } from "../../format/number";
import { shortNames } from "../../format/origin";
import { all, rangeLabel } from "../../format/range";
import { show } from "../../format/text";
import { ago, hour, parseWhen, second, stamp } from "../../format/time";
import { clock, narrow } from "../../part/clock";
import { Choice, Group, withChosen } from "../../part/facets";
import { FindField } from "../../part/findfield";
import { Frame } from "../../part/frame";
import { Histogram } from "../../part/histogram";
import { Icon } from "../../part/icon";
import { useKeys } from "../../part/keys";
import { copy } from "../../part/notice";
import { hrefAround, linkTo, param, place, range, setParams, setRange, zoomTo } from "../../part/place";
import { RangeControl } from "../../part/rangecontrol";
import { rangeKeys } from "../../part/rangekeys";
import { useRetry } from "../../part/retry";
import { EventData } from "./data";
import { chosen, execActions } from "../../part/eventrows";
import { EventTable } from "./table";
import "./events.css";

const atText = param("at");
const foldText = param("fold");
const text = param("q");
const counted1 = { one: "event", error: "critical", warn: "warning" };

// The parts of the address that are the filter, as one text: it changes only when one of them does.
const lists = { severities: "severity", types: "type", actions: "action", without: "without", hosts: "host", workloads: "workload" } as const;
const words: Record<Severity, string> = { critical: "critical", warning: "warning", info: "info", good: "good", plain: "plain" };
// The shape of what is bad, else the colour of the columns over time.
const marks: Record<Severity, ComponentChildren> = { critical: <span class="dot crit" />, warning: <span class="dot warn" />, info: <i class="info" />, good: <i class="debug" />, plain: <i class="debug" /> };

function readFilter(): EventFilter {
  const { params } = place.value;
  const f: Record<keyof typeof lists, string[]> & { text: string } = { ...anything, text: text.value };
  for (const [key, name] of Object.entries(lists) as [keyof typeof lists, string][]) f[key] = params.getAll(name);
  return f as EventFilter; // what is no severity the server refuses, in words
}

/** What happened? The events of all hosts. */
export function EventsPage() {
  const width = useSignal(900);
  const unfolded = useSignal(false);
  const again = useSignal(0);
  const search = useRef<HTMLInputElement>(null);
  const data = useMemo(() => new EventData(() => (width.peek() < 500 ? 60 : 120)), []);
  const filterText = useComputed(() => JSON.stringify(readFilter()));
  const filter = useComputed(() => JSON.parse(filterText.value) as EventFilter);
  const live = useComputed(() => range.value.live);

  const load = () => {
    const r = range.peek();
    void data.show({ filter: filter.peek(), from: r.live ? (r.span === all ? 0 : Date.now() - r.span) : r.from, to: r.live ? undefined : r.to });
  };
  useSignalEffect(() => {
    again.value;
    filter.value;
    range.value;
    load();
  });
  useEffect(() => {
    let first = true;
    const stream = new Live<{ time: number }>(
      { view: "events" },
      {
        // After a silence some may have been missed.
        snapshot: () => {
          if (!first && live.peek()) load();
          first = false;
        },
        tick: () => undefined,
        event: (e) => data.happened(e),
      },
    );
    stream.start();
    return () => {
      stream.stop();
      data.stop();
    };
  }, []);

  const view = useComputed(() => {
    const r = range.value;
    if (!r.live) return { from: r.from, to: r.to };
    const now = clock.value;
    return { from: r.span === all ? (data.summary.value?.start ?? now - hour) : now - r.span, to: now };
  });

  const f = filter.value;
  const change = (next: Partial<EventFilter>) => {
    const params: Record<string, string | string[] | undefined> = {};
    for (const [key, name] of Object.entries(lists) as [keyof typeof lists, string][]) if (next[key]) params[name] = next[key];
    if (next.text !== undefined) params["q"] = next.text;
    setParams(params, "push");
  };
  const clear = () => change({ ...anything });
  const find = (q: string) => q !== text.peek() && setParams({ q });
  const pinned = atText.value ? parseWhen(atText.value, Date.now()) : undefined;
  useKeys("Events", [
    { keys: ["/"], label: "Find text", run: () => search.current?.focus() },
    ...rangeKeys(() => view.peek(), pinned),
  ]);

  useRetry(() => data.problem.value || data.countProblem.value, load);

  const summary = data.summary.value;
  const volume = data.volume.value;
  const sum = volume ? totals(volume, view.value.from, view.value.to + second) : undefined;
  const short = useComputed(() => shortNames((data.summary.value?.workloads ?? []).map((w) => ({ name: w.name, workload: w.workload }))));
  const hosts = summary ? Object.keys(summary.hosts).length : 0;
  const execs = execActions.reduce((n, a) => n + (summary?.actions[a] ?? 0), 0);
  // Who looks for something wants just that.
  const mayFold = f.text === "" && f.types.length === 0 && f.actions.length === 0;
  const folded = mayFold && foldText.value !== "off";
  const noExecs = execActions.every((a) => f.without.includes(a));
  const empty = data.loaded.value && data.events.value.length === 0 && !data.more.value && !data.problem.value;
  return (
    <Frame title="Events" mainClass="lpage" crumb={<b>Events</b>} range={<RangeControl range={range.value} freeze={() => setRange({ live: false, ...view.peek() })} canLive />}>
      <h1 class="sr">Events</h1>
      <section class="query" aria-label="Query">
        <div class="row l1">
          <FindField label="Find text in the events" placeholder="Find text: a name, a command, an image, a setting" text={f.text} input={search} find={find} />
          {narrow.value && (
            <button type="button" class="btn" aria-expanded={unfolded.value} onClick={() => { unfolded.value = !unfolded.value; }}>
              <Icon name="filter" />
              <span class="sr">Filters</span>
              {chosen(f) || ""}
            </button>
          )}
          <button type="button" class="btn wide" title="Copy a link to this range" onClick={() => void copy(linkTo({ live: false, ...view.peek() }))}>
            <Icon name="link" />
            Share
          </button>
        </div>
      </section>
      <Histogram volume={volume} problem={data.countProblem.value} view={view.value} events={[]} at={pinned} zoom={zoomTo} width={width} axis of={counted1} />
      <aside class={unfolded.value ? "fac unfolded" : "fac"} aria-label="Filters">
        <Group name="Severity" clear={f.severities.length > 0 && (() => change({ severities: [] }))}>
          {severities.map((s) => (
            <Choice key={s} on={f.severities.includes(s)} toggle={() => change({ severities: toggled(f.severities, s) })} mark={marks[s]} label={words[s]} note={number(summary?.severities[s])} />
          ))}
        </Group>
        <Facet
          name="Container"
          counts={summary && byWorkload(summary.workloads)}
          least={1}
          on={f.workloads}
          label={(w) => {
            const of = summary?.workloads.find((x) => x.workload === w);
            return of ? (short.value.get(of.name) ?? of.name) : w;
          }}
          change={(workloads) => change({ workloads })}
        />
        <Facet name="Host" counts={summary?.hosts} least={2} on={f.hosts} change={(hosts) => change({ hosts })} />
        <Facet name="Type" counts={summary?.types} least={1} on={f.types} change={(types) => change({ types })} />
        <Facet name="Action" counts={summary?.actions} least={1} on={f.actions} change={(actions) => change({ actions })} />
        {narrow.value && (
          <p class="row wrap">
            <button type="button" class="btn" onClick={() => void copy(linkTo({ live: false, ...view.peek() }))}>Share</button>
            <button type="button" class="btn p" onClick={() => { unfolded.value = false; }}>Done</button>
          </p>
        )}
      </aside>
      <section class="res" aria-label="Events" aria-busy={!data.loaded.value}>
        <header class="row rh">
          <span class="ell" role="status">
            {sum && <><b>{count(sum.all)}</b> <span class="mid">{sum.all === 1 ? "event" : "events"} {range.value.live ? `in ${rangeLabel(range.value)}` : "in this range"}</span></>}
          </span>
          {sum && sum.error > 0 && <span class="crit nw">{count(sum.error)} critical</span>}
          {sum && sum.warn > 0 && <span class="warn nw">{counted(sum.warn, "warning")}</span>}
          {summary?.since && <span class="warn ell wide">counted from {stamp(summary.since, clock.value)} on: there are too many before</span>}
          <span class="grow" />
          {(execs > 0 || noExecs) && (
            <button
              type="button"
              class="btn"
              aria-pressed={noExecs}
              title="Commands that were run in containers, their health checks too"
              onClick={() => change({ without: noExecs ? f.without.filter((a) => !execActions.includes(a)) : [...f.without, ...execActions.filter((a) => !f.without.includes(a))] })}
            >
              {noExecs ? `Execs left out${execs ? ` (${count(execs)})` : ""}` : narrow.value ? "Without execs" : `Leave out ${counted(execs, "exec event")}`}
            </button>
          )}
          {mayFold && (
            <button type="button" class="btn" aria-pressed={folded} title="A restart is one row, and so are the deaths of a loop and what happens to networks and volumes by the way" onClick={() => setParams({ fold: folded ? "off" : undefined })}>
              {folded ? "Folded" : "Fold"}
            </button>
          )}
          {chosen(f) > 0 && <button type="button" class="btn wide" onClick={clear}>Clear filters</button>}
        </header>
        {data.problem.value && (
          <section class="empty">
            <h2>The events cannot be read</h2>
            <p role="alert">{show(data.problem.value)}</p>
            <p class="row">
              <button type="button" class="btn" onClick={() => { again.value++; }}>Try again</button>
              <a class="btn q" href="/doctor">Open Doctor</a>
            </p>
          </section>
        )}
        {empty && <Empty filter={f} from={view.peek().from} live={live.value} clear={clear} />}
        <EventTable data={data} named={(e) => (e.name ? (short.value.get(e.name) ?? e.name) : "")} hosts={hosts > 1} folded={folded} at={pinned} only={(e) => change({ workloads: [e.workload!], hosts: e.host ? [e.host] : [] })} />
      </section>
    </Frame>
  );
}

function number(n: number | undefined): string {
  return n ? count(n) : "";
}

function byWorkload(all: readonly { workload: string; count: number }[]): Record<string, number> {
  const out: Record<string, number> = Object.create(null) as Record<string, number>;
  for (const w of all) out[w.workload] = (out[w.workload] ?? 0) + w.count;
  return out;
}

// So many are shown at first; where there are more there is a field to find one.
const findFrom = 8;

/** What there is of one kind, to choose from. */
function Facet({ name, counts, least, on, label, change }: { name: string; counts: Record<string, number> | undefined; least: number; on: string[]; label?: (v: string) => string; change(on: string[]): void }) {
  const find = useSignal("");
  const whole = useSignal(false);
  const list = withChosen(new Map(Object.entries(counts ?? {})), on);
  if (list.length < least && on.length === 0) return null;
  const wanted = find.value.toLowerCase();
  const found = list.filter(([v]) => on.includes(v) || `${v} ${label?.(v) ?? ""}`.toLowerCase().includes(wanted));
  const shown = whole.value ? found : found.slice(0, wanted ? 60 : Math.max(findFrom, on.length));
  return (
    <Group name={name} clear={on.length > 0 && (() => change([]))}>
      {list.length > findFrom && (
        <label class="field">
          <input type="search" value={find.value} placeholder={`Find one of ${list.length}`} aria-label={`Find: ${name.toLowerCase()}`} spellcheck={false} autocomplete="off" onInput={(e) => { find.value = e.currentTarget.value; }} />
        </label>
      )}
      {shown.map(([v, n]) => <Choice key={v} on={on.includes(v)} toggle={() => change(toggled(on, v))} label={label?.(v) ?? v} title={v} note={number(n)} />)}
      {found.length > shown.length && <button type="button" class="btn q" onClick={() => { whole.value = true; }}>{count(found.length - shown.length)} more</button>}
    </Group>
  );
}

interface Nothing {
  /** The newest event of the filter before the range. */
  last?: Event;
  /** Whether there is any event at all. */
  any: boolean;
  /** Engines that do not answer: nothing is heard of them. */
  away: { host: string; error: string; since?: number }[];
}

async function whyNothing(f: EventFilter, from: number): Promise<Nothing> {
  const [before, stored, known] = await Promise.all([
    eventPage(f, { end: Math.floor(from), limit: 1 }).catch(() => undefined),
    eventPage(anything, { limit: 1 }).catch(() => undefined),
    servers().catch(() => undefined),
  ]);
  const away = (known?.hosts ?? []).filter((h) => !h.engine.up).map((h) => ({ host: h.host, error: h.engine.error ?? "", since: h.engine.lastGood }));
  return { last: before?.events[0], any: stored === undefined || stored.events.length > 0, away };
}

function Empty({ filter, from, live, clear }: { filter: EventFilter; from: number; live: boolean; clear(): void }) {
  const n = useSignal<Nothing | undefined>(undefined);
  useEffect(() => {
    let gone = false;
    n.value = undefined;
    void whyNothing(filter, from).then((found) => {
      if (!gone) n.value = found;
    });
    return () => {
      gone = true;
    };
  }, [filter]);
  const narrowed = chosen(filter) > 0 || filter.text !== "";
  const found = n.value;
  if (!found) return null;
  return (
    <section class="empty">
      {found.any ? (
        <>
          <h2>{narrowed ? "No event matches in this range" : "Nothing happened in this range"}</h2>
          {found.last ? (
            <p>
              The newest one before it is {ago(found.last.time, clock.value)}: {show(found.last.name ?? "")} {show(found.last.text)}. <a class="link" href={hrefAround(found.last.time)}>Show it</a>
            </p>
          ) : (
            <p>{narrowed ? "Nothing before it does, either." : "Nothing before it is kept, either."}</p>
          )}
          {narrowed && <p><button type="button" class="btn" onClick={clear}>Show all events</button></p>}
        </>
      ) : (
        <>
          <h2>No events yet</h2>
          <p>Whatever happens to a container, an image, a network or a volume from now on shows up here{live ? " by itself" : ""}.</p>
        </>
      )}
      {found.away.map((a) => (
        <p key={a.host} class="warn">
          {show(a.host)} does not answer{a.since ? ` since ${stamp(a.since, clock.value)}` : ""}{a.error ? `: ${show(a.error)}` : ""}. What happens there now is found out when it is back, as far as it can be.
        </p>
      ))}
    </section>
  );
}
