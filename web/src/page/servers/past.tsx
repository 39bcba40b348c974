// SPDX-License-Identifier: Apache-2.0

import { batch, signal, useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { get, inWords } from "../../api/client";
import type { ContainerUsage, HostUsage, Measure, UsageAnswer } from "../../api/schema";
import { parseFilter } from "../../format/filter";
import type { Range } from "../../format/range";
import { bytes, cores, counted, type Quantity, rate, size } from "../../format/number";
import { localName, shortImage, show } from "../../format/text";
import { iso, moment, second, span, stamp } from "../../format/time";
import { clock, narrow } from "../../part/clock";
import { Frame } from "../../part/frame";
import { changesHref, containerHref, go, hostHref, param, range, rangeParams, setParams, setRange } from "../../part/place";
import { rangeKeys } from "../../part/rangekeys";
import { useRetry } from "../../part/retry";
import { Spark } from "../../part/spark";
import { Selection, useStretch } from "../../part/stretch";
import { NotKnown, Value } from "../../part/value";
import { clickSort, type Grouping, readSort, type Sort, writeSort } from "./arrange";
import { Choose } from "./choose";
import { Cut, groupName, groupNote } from "./host";
import { grouping, query, ServersRange, Tools, useRows } from "./tools";
import { areas, arrangePast, fullName, type Part, type PastColumn, partsOf } from "./usage";
import "./past.css";

const sortText = param("sort");
const points = 80;

/** Which container ate the CPU in a range? All hosts with what ran there. */
export function Past() {
  const found = useSignal<{ u: UsageAnswer; of: Range } | undefined>(undefined);
  const problem = useSignal("");
  const root = useRef<HTMLDivElement>(null);
  const filter = useRef<HTMLInputElement>(null);
  const asking = useRef<AbortController | undefined>(undefined);

  const load = () => {
    asking.current?.abort();
    const stop = (asking.current = new AbortController());
    const r = range.peek();
    if (r.live) return;
    get<"usage">("usage", { start: Math.floor(r.from), end: Math.ceil(Math.min(r.to, Date.now())), points }, stop.signal).then(
      (u) => batch(() => {
        found.value = { u, of: r };
        problem.value = "";
      }),
      (err) => {
        if (!stop.signal.aborted) problem.value = inWords(err);
      },
    );
  };
  useSignalEffect(() => {
    range.value;
    load();
  });
  useEffect(() => () => asking.current?.abort(), []);
  useRetry(() => problem.value, load);

  const r = range.value;
  const view = r.live ? { from: 0, to: 1 } : r;
  useRows(root, filter, rangeKeys(() => view, undefined));
  const terms = useMemo(() => parseFilter(query.value), [query.value]);
  const sort = useMemo(() => readSort(sortText.value), [sortText.value]);
  const by = grouping();
  // What is there is of the range before, until the answer for this one has come.
  const u = found.value?.u;
  const late = found.value?.of !== r;
  const matching = u ? arrangePast(u.containers, terms, sort, "none").reduce((n, g) => n + g.rows.length, 0) : 0;
  const rows = (host: string | undefined) => arrangePast(u!.containers.filter((c) => host === undefined || c.host === host), terms, sort, by);
  const several = (u?.hosts.length ?? 0) > 1;

  return (
    <Frame
      title="Servers"
      mainClass="spage"
      crumb={
        <>
          <b>Servers</b>
          <span class="wide sub">{u && !late ? `${counted(u.containers.length, "container")} ran` : ""}</span>
        </>
      }
      range={<ServersRange range={r} />}
    >
      <h1 class="sr">Servers, {stamp(view.from, clock.value)} to {stamp(view.to, clock.value)}</h1>
      <Tools filter={filter}>
        <span class="grow" />
        <a class="btn" href={changesHref({}, rangeParams())}>What changed here?</a>
      </Tools>
      {problem.value && (
        <p class="banner warn" role="alert">
          <span class="dot warn" />
          <span class="grow">What was used cannot be read: {show(problem.value)}</span>
          <button type="button" class="btn q" onClick={load}>Try again</button>
        </p>
      )}
      {u && (
        <div ref={root} class={late ? "past late" : "past"} aria-busy={late}>
          {u.hosts.map((h) => {
            const mine = u.containers.filter((c) => c.host === h.host);
            return (
              <section key={h.host} class="host" aria-label={show(h.host)}>
                <header class="hh">
                  <div>
                    <h2><a href={hostHref(h.host, rangeParams())}>{show(h.host)}</a></h2>
                    <p class="sub">{[h.cores && `${h.cores} cores`, h.memoryTotal && size(h.memoryTotal), `mean of ${span(u.end - u.start)}`].filter(Boolean).join(", ")}</p>
                    <Watched h={h} u={u} />
                  </div>
                  <Eaten h={h} parts={partsOf(h, mine, "cpu")} what="cpu" />
                  <Eaten h={h} parts={partsOf(h, mine, "memory")} what="memory" />
                </header>
                <HostChart h={h} u={u} parts={partsOf(h, mine, "cpu")} />
                {by !== "none" && mine.length > 0 && <Table groups={rows(h.host)} label={`Containers of ${show(h.host)}`} by={by} sort={sort} />}
              </section>
            );
          })}
          {by === "none" && u.containers.length > 0 && <section class="host" aria-label="All containers"><Table groups={rows(undefined)} label="Containers of all hosts" by={by} sort={sort} several={several} /></section>}
          {!late && u.containers.length === 0 && <section class="empty"><h2>Nothing is known of this range</h2><p>There are no samples of any container in it: tallyman did not watch, or no longer keeps them.</p></section>}
          {u.containers.length > 0 && matching === 0 && <section class="empty"><h2>0 of {u.containers.length} match</h2><p><button type="button" class="btn" onClick={() => setParams({ q: undefined })}>Clear</button></p></section>}
        </div>
      )}
      {!u && !problem.value && <p class="sr" role="status">Waiting for the answer.</p>}
    </Frame>
  );
}

/** How much of the range was watched, where that is not all. */
function Watched({ h, u }: { h: HostUsage; u: UsageAnswer }) {
  const of = (u.end - u.start) / second;
  if (h.watched > of * 0.97 - 2 * (u.step / second)) return null;
  return <p class="sub warn" title="Means are over the time with samples">watched {span(h.watched * second)} of it</p>;
}

/** The CPU or the memory of the host, cut by container. */
function Eaten({ h, parts, what }: { h: HostUsage; parts: Part[]; what: "cpu" | "memory" }) {
  const cut = parts.map((p) => ({ key: p.key, label: p.label, color: p.color, value: p.mean, ...(p.of && { short: show(localName(p.of.name, p.of.project)), href: containerHref(p.of, rangeParams()) }) }));
  return (
    <div class="eat">
      <Cut title={what === "cpu" ? "CPU, mean" : "Memory, mean"} what={what} parts={cut} used={h[what]?.mean} total={what === "cpu" ? h.cores : h.memoryTotal} unknown={<NotKnown why="The host's own counters were not read in this range." />} />
    </div>
  );
}

/** The CPU of a host over the range, by container. Dragging over it shows that part. */
function HostChart({ h, u, parts }: { h: HostUsage; u: UsageAnswer; parts: Part[] }) {
  const time = (s: number) => u.start + s * (u.end - u.start);
  const { on, drag, at } = useStretch((a, b) => setRange({ live: false, from: time(a), to: Math.max(time(b), time(a) + second) }));
  const n = Math.max(2, ...parts.map((p) => p.points.length));
  const totals = useMemo(() => Array.from({ length: n }, (_, i) => (parts.some((p) => p.points[i] != null) ? parts.reduce((sum, p) => sum + (p.points[i] ?? 0), 0) : null)), [parts]);
  const top = Math.max(0.01, ...totals.map((v) => v ?? 0)) * 1.05;
  const paths = useMemo(() => areas(parts, n, top), [parts]);
  const most = Math.max(...totals.map((v) => v ?? 0));
  const said = useComputed(() => {
    const d = drag.value;
    if (d) return `${moment(time(Math.min(d.a, d.b)), clock.peek())} – ${moment(time(Math.max(d.a, d.b)), clock.peek())}`;
    const s = at.value;
    if (s === undefined) return "";
    const v = totals[Math.min(n - 1, Math.floor(s * n))];
    return `${moment(time(s), clock.peek())} · ${v == null ? "no sample" : `${cores(v)} cores`}`;
  });
  if (totals.every((v) => v === null)) return null;
  return (
    <figure class="hchart">
      <div class="harea" title="Drag to rank by a part of it" {...on}>
        <svg viewBox={`0 0 ${n - 1} 60`} preserveAspectRatio="none" role="img" aria-label={`CPU of ${show(h.host)}: at most ${cores(most)} cores; ${parts.map((p) => `${p.label} ${cores(p.mean)} on average`).join(", ")}`}>
          {paths.map((d, i) => <path key={parts[i]!.key} class={parts[i]!.color} d={d}><title>{parts[i]!.label}</title></path>)}
        </svg>
        <Selection drag={drag} />
      </div>
      <figcaption>
        <time dateTime={iso(u.start)}>{moment(u.start, clock.value)}</time>
        <span>{said}</span>
        <span class="dim">at most {cores(most)} cores</span>
        <time dateTime={iso(u.end)}>{moment(u.end, clock.value)}</time>
      </figcaption>
    </figure>
  );
}

const heads: { by: PastColumn; label: string }[] = [
  { by: "name", label: "Container" },
  { by: "cpu", label: "CPU, mean cores" },
  { by: "memory", label: "Memory, mean" },
  { by: "network", label: "Network, mean" },
];

function Table({ groups, label, by, sort, several }: { groups: ReturnType<typeof arrangePast>; label: string; by: Grouping; sort: Sort; several?: boolean }) {
  const columns = narrow.value ? heads.slice(0, 3) : heads;
  const on = (c: PastColumn) => sort.by === c || (c === "cpu" && !heads.some((h) => h.by === (sort.by as string)));
  const headed = by === "project" || by === "image";
  const total = (rows: readonly ContainerUsage[], of: (c: ContainerUsage) => Measure | undefined) => {
    const known = rows.map(of).filter((m) => m !== undefined);
    return known.length > 0 ? known.reduce((n, m) => n + m.mean, 0) : undefined;
  };
  return (
    <table aria-label={label}>
      <thead>
        <tr>
          {columns.map((h) => (
            <th key={h.by} scope="col" aria-sort={on(h.by) ? (sort.down ? "descending" : "ascending") : undefined}>
              <button type="button" onClick={() => setParams({ sort: writeSort(clickSort(sort, h.by as Sort["by"])) })}>
                {h.label}
                {on(h.by) && <span aria-hidden="true">{sort.down ? " ↓" : " ↑"}</span>}
              </button>
            </th>
          ))}
          {!narrow.value && <th scope="col" class="num">Ran for</th>}
        </tr>
      </thead>
      {groups.map((g) => {
        const cpu = total(g.rows, (c) => c.cpu);
        const memory = total(g.rows, (c) => c.memory);
        return (
          <tbody key={g.key ?? ""}>
            {headed && (
              <tr class="g">
                <th scope="rowgroup"><b>{groupName(g)}</b> <span class="dim">{groupNote(g)}</span></th>
                <td class="gsum"><b>{cpu === undefined ? "" : cores(cpu)}</b></td>
                <td class="gsum"><b>{memory !== undefined && <Value of={bytes(memory)} />}</b></td>
                {!narrow.value && <><td /><td /></>}
              </tr>
            )}
            {g.rows.map((c) => <Row key={c.id} c={c} several={several === true} />)}
          </tbody>
        );
      })}
    </table>
  );
}

function Row({ c, several }: { c: ContainerUsage; several: boolean }) {
  const href = containerHref(c, rangeParams());
  return (
    <tr class="c" onClick={(e) => { if (!(e.target as Element).closest("a, button, input") && !getSelection()?.toString()) go(href); }}>
      <td>
        <div class="nm">
          <a data-row href={href} title={show(c.name)}>{show(localName(c.name, c.project))}</a>
          <span class="im ell wide" title={show(c.image)}>{several && `${show(c.host)} · `}{show(shortImage(c.image))}{c.state === "gone" && ", gone now"}</span>
          <Choose c={c} />
        </div>
      </td>
      <Figure m={c.cpu} kind="cpu" say={(v) => ({ n: cores(v), unit: "" })} name={fullName(c)} />
      <Figure m={c.memory} kind="memory" say={bytes} name={fullName(c)} />
      {!narrow.value && (
        <>
          <td class="two">
            {c.tx || c.rx ? (
              <>
                {c.tx && <div><span class="up" title="sent" /><span><span class="sr">sent </span><Value of={rate(c.tx.mean)} /></span></div>}
                {c.rx && <div><span class="dn" title="received" /><span><span class="sr">received </span><Value of={rate(c.rx.mean)} /></span></div>}
              </>
            ) : (
              <NotKnown why="There are no samples of its network in this range." />
            )}
          </td>
          <td class="num" title="How long there are samples of it">{span(c.ran * second)}</td>
        </>
      )}
    </tr>
  );
}

function Figure({ m, kind, say, name }: { m: Measure | undefined; kind: "cpu" | "memory"; say(v: number): Quantity; name: string }) {
  const curve = useMemo(() => signal(m?.points ?? []), [m]);
  if (!m) return <td><NotKnown why={`There are no samples of ${kind === "cpu" ? "the CPU" : "the memory"} of ${name} in this range.`} /></td>;
  return (
    <td>
      <div class="cell">
        <Spark values={curve} top={undefined} kind={kind} />
        <div class="pv">
          <b><Value of={say(m.mean)} /></b>
          <span class="dim">max <Value of={say(m.max)} /></span>
        </div>
      </div>
    </td>
  );
}
