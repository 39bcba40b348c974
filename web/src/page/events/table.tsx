// SPDX-License-Identifier: Apache-2.0

import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import type { Event } from "../../api/schema";
import { tone } from "../../chart/marks";
import { ofWorkload } from "../../format/selector";
import { counted } from "../../format/number";
import { offsets, rowAt } from "../../format/offset";
import { shortId, show } from "../../format/text";
import { hms, iso, minute, weekday } from "../../format/time";
import { clock, narrow } from "../../part/clock";
import { Everywhere } from "../../part/everywhere";
import { useKeys } from "../../part/keys";
import { EventMark } from "../../part/mark";
import { copy } from "../../part/notice";
import { configHref, containerHref, logsHref } from "../../part/place";
import type { EventData } from "./data";
import { calm, distance } from "../../part/calm";
import { driftPair, type EventRow, type FoldRow, ranFor, rowsOf, runLength, severityWord, type SingleRow } from "../../part/eventrows";

// Rows that are drawn beyond the edges, in pixels.
const spare = 300;
// Older events are asked for when the end is so near.
const near = 800;
// New events wait while the pointer was used over the list a moment ago.
const restless = 4000;

interface Props {
  data: EventData;
  /** A container's name as it is told from the others. */
  named(e: Event): string;
  hosts: boolean;
  /** Whether what belongs together is one row. */
  folded: boolean;
  /** The moment that is marked. */
  at: number | undefined;
  only(e: Event): void;
}

/** The events, the newest on top; only those near the screen are drawn. */
export function EventTable({ data, named, hosts, folded, at, only }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const body = useRef<HTMLDivElement>(null);
  const view = useSignal({ top: 0, height: 600 });
  const open = useSignal<ReadonlySet<string>>(new Set());
  const current = useSignal("");
  const measured = useSignal(0);
  const heights = useMemo(() => new Map<string, number>(), []);
  // The row that stays where it is while rows above it change.
  const anchor = useRef<{ key: string; delta: number } | undefined>(undefined);
  const used = useRef(0);
  // The row that was opened just now: what opens below the screen is scrolled in.
  const reveal = useRef("");
  // New events wait while somebody reads: what is under the pointer or the focus stays where it is.
  const taken = useSignal<Event[]>([]);

  const usual = (r: EventRow) => (r.as === "day" ? 27 : narrow.peek() ? 54 : 31);
  const folds = useSignal(folded);
  useEffect(() => { folds.value = folded; }, [folded]);
  const rows = useComputed(() => rowsOf(taken.value, folds.value ? (rows) => calm(rows, open.value, at) : undefined));
  const layout = useComputed(() => {
    measured.value;
    narrow.value;
    return { rows: rows.value, tops: offsets(rows.value, (r) => heights.get(r.key) ?? usual(r)) };
  });
  const { rows: all, tops } = layout.value;
  const first = all.length ? rowAt(tops, view.value.top - spare) : 0;
  const last = all.length ? rowAt(tops, view.value.top + view.value.height + spare) + 1 : 0;
  const shown = all.slice(first, last);
  const marked = at === undefined ? undefined : nearest(all, at);

  const remember = () => {
    const el = box.current!;
    const { rows, tops } = layout.peek();
    if (rows.length === 0) return;
    // Not a day: new events come in below it.
    let i = rowAt(tops, el.scrollTop);
    if (rows[i]!.as === "day" && rows[i + 1]) i++;
    anchor.current = { key: rows[i]!.key, delta: tops[i]! - el.scrollTop };
  };
  const atRest = () => {
    const el = box.current!;
    return el.scrollTop < 4 && open.peek().size === 0 && Date.now() - used.current > restless && !body.current!.contains(document.activeElement);
  };
  const place = (top: number) => {
    const el = box.current!;
    el.scrollTop = top;
    if (Math.abs(view.peek().top - el.scrollTop) > 1) view.value = { top: el.scrollTop, height: el.clientHeight };
  };

  const take = () => {
    taken.value = data.events.peek();
  };
  useSignalEffect(() => {
    const all = data.events.value;
    clock.value;
    const newest = taken.peek()[0];
    if (!newest || all.length === 0 || atRest()) taken.value = all;
    else if (all.length !== taken.peek().length) taken.value = all.filter((e) => e.time <= newest.time);
  });
  // Other events: from the newest on, or around the moment that was asked for.
  useSignalEffect(() => {
    data.turn.value;
    heights.clear();
    open.value = new Set();
    anchor.current = undefined;
    take();
    const { rows, tops } = layout.peek();
    const i = at === undefined ? -1 : rows.indexOf(nearest(rows, at)!);
    if (box.current) place(i < 0 ? 0 : Math.max(0, tops[i]! - box.current.clientHeight / 3));
    measured.value = measured.peek() + 1;
  });
  useLayoutEffect(() => {
    const el = box.current!;
    let width = el.clientWidth;
    const watch = new ResizeObserver(() => {
      if (el.clientWidth !== width) {
        width = el.clientWidth;
        heights.clear();
        measured.value = measured.peek() + 1;
      }
      view.value = { top: el.scrollTop, height: el.clientHeight };
    });
    watch.observe(el);
    return () => watch.disconnect();
  }, []);
  useLayoutEffect(() => {
    const el = box.current!;
    let changed = false;
    const drawn = body.current!.children;
    for (let i = 0; i < shown.length; i++) {
      const r = shown[i]!;
      const height = (drawn[i] as HTMLElement | undefined)?.offsetHeight;
      if (height !== undefined && height !== (heights.get(r.key) ?? usual(r))) {
        heights.set(r.key, height);
        changed = true;
      }
    }
    if (changed) measured.value = measured.peek() + 1;
    const { rows, tops } = layout.peek();
    if (atRest()) anchor.current = undefined;
    if (anchor.current) {
      const i = rows.findIndex((r) => r.key === anchor.current!.key);
      if (i >= 0) {
        const want = tops[i]! - anchor.current.delta;
        if (Math.abs(want - el.scrollTop) > 1) place(want);
      }
    }
    const i = reveal.current && !changed ? rows.findIndex((r) => r.key === reveal.current) : -1;
    if (i < 0) return;
    reveal.current = "";
    if (tops[i + 1]! > el.scrollTop + el.clientHeight) {
      place(Math.min(tops[i]!, tops[i + 1]! - el.clientHeight));
      remember();
    }
  });

  const scrolled = () => {
    const el = box.current!;
    view.value = { top: el.scrollTop, height: el.clientHeight };
    remember();
    more();
  };
  const more = () => {
    const el = box.current;
    if (el && el.scrollHeight - el.clientHeight - el.scrollTop < near) void data.older();
  };
  useEffect(more, [all.length]);

  const toggle = (r: EventRow) => {
    const next = new Set(open.peek());
    if (!next.delete(r.key)) next.add(r.key);
    remember();
    heights.delete(r.key);
    reveal.current = next.has(r.key) ? r.key : "";
    current.value = r.key;
    open.value = next;
  };
  const step = (by: number) => {
    const list = rows.peek();
    let i = list.findIndex((r) => r.key === current.peek());
    if (i < 0) i = rowAt(layout.peek().tops, box.current!.scrollTop) - (by > 0 ? 1 : 0);
    do i += by;
    while (list[i]?.as === "day");
    const row = list[i];
    if (!row) return;
    current.value = row.key;
    const { tops } = layout.peek();
    const el = box.current!;
    if (tops[i]! < el.scrollTop) place(tops[i]!);
    else if (tops[i + 1]! > el.scrollTop + el.clientHeight) place(tops[i + 1]! - el.clientHeight);
    remember();
    requestAnimationFrame(() => box.current?.querySelector<HTMLElement>(`button[data-key="${CSS.escape(row.key)}"]`)?.focus({ preventScroll: true }));
  };
  const toNewest = () => {
    anchor.current = undefined;
    take();
    requestAnimationFrame(() => place(0));
  };
  useKeys("Events", [
    { keys: ["j", "k"], label: "Next, previous event", run: (e) => step(e.key === "j" ? 1 : -1) },
    { keys: ["Escape"], label: "Close the events that are open", run: () => { remember(); open.value = new Set(); } },
    { keys: ["e"], label: "To the newest event", run: toNewest },
  ]);

  const waiting = data.events.value.length - taken.value.length;
  const target = current.value && all.some((r) => r.key === current.value) ? current.value : shown.find((r) => r.as !== "day")?.key;
  return (
    <div class="ebox">
      <div ref={box} class="elist" tabIndex={0} role="region" aria-label="List of events" onScroll={scrolled} onPointerMove={() => { used.current = Date.now(); }} onPointerDown={() => { used.current = Date.now(); }}>
        <div style={{ height: `${tops[first] ?? 0}px` }} />
        <div ref={body}>
          {shown.map((r) => (
            <div key={r.key}>
              {r.as === "day" ? <h2 class="eday">{weekday(r.t)}</h2> : <Line r={r} name={named(r.event)} host={hosts} open={r.as === "fold" ? r.open : open.value.has(r.key)} current={r.key === target} near={r === marked} toggle={() => toggle(r)} only={only} />}
            </div>
          ))}
        </div>
        <div style={{ height: `${Math.max(0, tops.at(-1)! - (tops[last] ?? tops.at(-1)!))}px` }} />
        {data.loaded.value && all.length > 0 && <p class="eend">{data.more.value ? "Older events are being read…" : "The first event of this range."}</p>}
      </div>
      {waiting > 0 && (
        <button type="button" class="btn p newe" onClick={toNewest}>
          {counted(waiting, "new event")}, show
        </button>
      )}
    </div>
  );
}

function Line({ r, name, host, open, current, near, toggle, only }: { r: SingleRow | FoldRow; name: string; host: boolean; open: boolean; current: boolean; near: boolean; toggle(): void; only(e: Event): void }) {
  const e = r.event;
  const word = severityWord(e);
  const ran = r.as === "event" ? ranFor(r) : undefined;
  const click = (ev: MouseEvent) => {
    if ((ev.target as Element).closest("button, a") || getSelection()?.toString()) return;
    toggle();
  };
  return (
    <>
      <div class={`el ${tone(e)}${near ? " near" : ""}`} data-open={open || undefined} onClick={click}>
        <button type="button" class="et" data-key={r.key} tabIndex={current ? 0 : -1} aria-expanded={open} title={iso(e.time)} onClick={toggle}>
          {hms(e.time)}
        </button>
        <EventMark of={e} />
        <span class={`ew ${word === "critical" ? "crit" : "warn"}`}>
          {word && <span class={`dot ${word === "critical" ? "crit" : "warn"}`} aria-hidden="true" />}
          {word}
        </span>
        {host && <span class="eh ell" title={show(e.host ?? "")}>{show(e.host ?? "")}</span>}
        <span class="en ell" title={show(e.name ?? "")}>{show(name)}</span>
        <span class="ex ell">
          {show(r.said ?? e.text)}
          {ran !== undefined && <span class="dim"> in {runLength(ran)}</span>}
        </span>
        <span class="ea ell mono" title={show(`${e.type} ${e.action}`)}>{show(e.type === "container" ? e.action : `${e.type} ${e.action}`)}</span>
      </div>
      {open && r.as === "event" && <Opened r={r} only={only} />}
    </>
  );
}

function Opened({ r, only }: { r: SingleRow; only(e: Event): void }) {
  const e = r.event;
  const { host, workload } = e;
  const around = { from: iso(e.time - 5 * minute), to: iso(e.time + 5 * minute), at: iso(e.time) };
  const pair = driftPair(e);
  const attributes = Object.entries(e.attributes ?? {}).sort(([a], [b]) => a.localeCompare(b));
  return (
    <section class="eo" aria-label="Details">
      <header class="row wrap">
        {host && workload && <a class="btn" href={`${containerHref({ host, workload, id: "" })}&${new URLSearchParams(around)}`}>Container at this time</a>}
        {host && workload && <a class="btn" href={logsHref(ofWorkload(host, workload), around)}>Logs around it</a>}
        <Everywhere t={e.time} at={iso(e.time)} />
        {host && workload && pair && <a class="btn" href={configHref({ host, workload }, pair)}>What changed</a>}
        {workload && <button type="button" class="btn" onClick={() => only(e)}>Only this container</button>}
        <button type="button" class="btn q" onClick={() => void copy(JSON.stringify([e, ...r.parts], undefined, 2), "Event copied", "select the text instead")}>Copy as JSON</button>
      </header>
      <p class="et2">{show(e.text)}</p>
      <dl>
        <Field name="Time">{iso(e.time)}</Field>
        <Field name="Event"><span class="mono">{show(`${e.type} ${e.action}`)}</span></Field>
        {host && <Field name="Host">{show(host)}</Field>}
        {e.name && <Field name="Name">{show(e.name)}</Field>}
        {workload && workload !== e.name && <Field name="Workload">{show(workload.split("/").join(" / "))}</Field>}
        {e.image && <Field name="Image"><span class="mono">{show(e.image)}</span></Field>}
        {e.actor && <Field name="Id"><span class="mono" title={show(e.actor)}>{show(/^[0-9a-f]{64}$/.test(e.actor) ? shortId(e.actor) : e.actor)}</span></Field>}
        {attributes.filter(([k]) => !(pair && (k === "container" || k === "from" || k === "to"))).map(([k, v]) => (
          <Field key={k} name={show(k)}><span class="mono">{show(v)}</span></Field>
        ))}
        {r.parts.map((p) => (
          <Field key={p.id} name={p.action === "exec_start" ? "Started" : p.action === "exec_create" ? "Made" : show(p.action)}>{iso(p.time)}</Field>
        ))}
        {e.inferred && <Field name="Not seen">tallyman did not see it: it follows from two inventories, and the time is when it was noticed.</Field>}
      </dl>
    </section>
  );
}

function Field({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** The row of the event whose time is nearest to a moment. */
function nearest(rows: readonly EventRow[], t: number): EventRow | undefined {
  let best: EventRow | undefined;
  let least = Infinity;
  for (const r of rows) {
    const d = distance(r, t);
    if (d < least) [best, least] = [r, d];
  }
  return best;
}
