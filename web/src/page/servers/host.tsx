// SPDX-License-Identifier: Apache-2.0

import { computed, type ReadonlySignal, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { Engine } from "../../api/schema";
import { matches, type Term } from "../../format/filter";
import { placesOf } from "../../format/colour";
import { bytes, bytesLike, cores, digits, percent, plain, size, strain } from "../../format/number";
import { engineWords } from "../../format/state";
import { localName, show } from "../../format/text";
import { iso, stamp } from "../../format/time";
import { clock, narrow, roomy } from "../../part/clock";
import { Icon } from "../../part/icon";
import { containerHref, hostHref, param, setParams } from "../../part/place";
import { NotKnown, Value } from "../../part/value";
import { lacks } from "./absences";
import { arrange, clickSort, type Column, type Group, type Grouping, inSegment, keepOrder, type Segment, type Sort, writeSort } from "./arrange";
import type { HostBlock, Row } from "./inventory";
import { ContainerCard, ContainerRow } from "./row";
import { useWindow } from "./window";

const folded = param("fold");

interface Props extends ListProps {
  block: HostBlock;
  /** Whether its containers stand below it; else all of all hosts stand together. */
  list: boolean;
}

interface ListProps {
  segment: Segment;
  terms: readonly Term[];
  sort: Sort;
  by: Grouping;
  resort: ReadonlySignal<number>;
  /** Rises with every tick. */
  beat: ReadonlySignal<number>;
  frozen: ReadonlySignal<boolean>;
  loading: boolean;
  /** Whether all rows are drawn, also those far from the screen. */
  whole: boolean;
}

const rowHeight = 35;
const cardHeight = 57;
const groupHeight = 30;
const cardGroupHeight = 36;

type Item = { group: Group<Row>; row?: undefined } | { group: Group<Row>; row: Row };

/** One host: what eats it, then its containers. */
export function HostSection(props: Props) {
  const { block, list, segment, terms, resort, beat, loading } = props;
  const host = block.data.value;
  const engine = block.engine.value;
  const rows = block.rows.value;
  for (const r of rows) r.data.value;
  if (list && (terms.length > 0 || segment !== "all") && !rows.some((r) => inSegment(r.info, segment) && matches(r.info, terms))) return null;
  // The host's name need not be said twice.
  const where = show([engine.name !== host.host && engine.name !== `${host.host}/local` && `engine ${engine.name}`, engine.remote && engine.address].filter(Boolean).join(", "));
  return (
    <section class={engine.up ? "host" : "host away"} aria-label={show(host.host)}>
      <header class="hh">
        <div>
          <h2>
            <span class={engine.up ? "dot ok" : "dot crit"} role="img" aria-label={engineWords(engine)} />
            <a href={hostHref(host.host)}>{show(host.host)}</a>
          </h2>
          <p class="sub" title={engineNote(engine)}>
            {[engine.version && `Docker ${show(engine.version)}`, host.cores && `${host.cores} cores`, host.memory && size(host.memory)].filter(Boolean).join(", ")}
          </p>
          {where && <p class="sub ell" title={`engine ${show(engine.name)}, ${show(engine.address)}`}>{where}</p>}
        </div>
        <Eaten block={block} what="cpu" resort={resort} beat={beat} loading={loading} />
        <Eaten block={block} what="memory" resort={resort} beat={beat} loading={loading} />
        <Figures block={block} />
      </header>
      {!engine.up && <Away host={host.host} engine={engine} />}
      {engine.up && engine.collect === "api" && <ByApi rows={rows} />}
      {list && <List {...props} name={show(host.host)} fold={host.host} rows={rows} />}
    </section>
  );
}

/** Containers in their groups, as a table or as cards; those of several hosts say where they run. */
export function List({ name, fold, rows, several, segment, terms, sort, by, resort, beat, frozen, loading, whole }: ListProps & { name: string; fold: string; rows: readonly Row[]; several?: boolean }) {
  const before = useRef<{ groups: Group<Row>[]; asked: string }>({ groups: [], asked: "" });

  // Asking for another order or selection moves rows at once; time alone does not while the order is frozen.
  const asked = JSON.stringify([segment, terms, sort, by]);
  resort.value;
  for (const r of rows) r.data.value;
  let groups = arrange(rows, segment, terms, sort, by);
  if (frozen.peek() && before.current.asked === asked) groups = keepOrder(groups, before.current.groups);
  before.current = { groups, asked };

  const headed = by === "project" || by === "image";
  const closed = new Set(folded.value.split(","));
  const foldKey = (g: Group<Row>) => encodeURIComponent(`${fold}/${g.key ?? ""}`);
  const items: Item[] = groups.flatMap((group) => [...(headed ? [{ group }] : []), ...(headed && closed.has(foldKey(group)) ? [] : group.rows.map((row) => ({ group, row })))]);
  const toggle = (g: Group<Row>) => {
    const next = new Set(closed);
    next.delete("");
    if (!next.delete(foldKey(g))) next.add(foldKey(g));
    setParams({ fold: [...next].join(",") });
  };

  const cards = narrow.value;
  const body = useRef<HTMLDivElement>(null);
  const view = useWindow(body, items.map((i) => (i.row ? (cards ? cardHeight : rowHeight) : cards ? cardGroupHeight : groupHeight)), whole);
  const visible = items.slice(view.start, view.end);
  const rowIndex = (i: number) => view.start + i + 2;

  return (
    <div ref={body}>
      {cards ? (
        <div class="cards">
          {view.before > 0 && <Spacer height={view.before} />}
          {visible.map((i) =>
            i.row ? (
              <ContainerCard key={i.row.info.id} row={i.row} loading={loading} />
            ) : (
              <CardGroup key={`g ${i.group.key}`} group={i.group} beat={beat} open={!closed.has(foldKey(i.group))} toggle={() => toggle(i.group)} />
            ),
          )}
          {view.after > 0 && <Spacer height={view.after} />}
        </div>
      ) : items.length === 0 ? null : (
        <table aria-label={`Containers of ${name}`} aria-rowcount={items.length + 1}>
          <colgroup>
            <col class="w-name" />
            <col class="w-cpu" />
            <col class="w-memory" />
            <col class="w-net col-net" />
            {roomy.value && <col class="w-net" />}
            <col class="w-restarts" />
            <col />
          </colgroup>
          <thead>
            <tr aria-rowindex={1}>
              <Head sort={sort} by="name">Container</Head>
              <Head sort={sort} by="cpu">CPU, cores</Head>
              <Head sort={sort} by="memory">Memory</Head>
              <Head sort={sort} by="network" class="col-net">Network</Head>
              {roomy.value && <Head sort={sort} by="disk">Disk</Head>}
              <Head sort={sort} by="restarts" class="num">Restarts</Head>
              <Head sort={sort} by="event">Last event</Head>
            </tr>
          </thead>
          <tbody>
            {view.before > 0 && <tr aria-hidden="true"><td class="spacer" colSpan={roomy.value ? 7 : 6}><Spacer height={view.before} /></td></tr>}
            {visible.map((i, n) =>
              i.row ? (
                <ContainerRow key={i.row.info.id} row={i.row} index={rowIndex(n)} loading={loading} several={several} />
              ) : (
                <GroupRow key={`g ${i.group.key}`} group={i.group} beat={beat} index={rowIndex(n)} open={!closed.has(foldKey(i.group))} toggle={() => toggle(i.group)} />
              ),
            )}
            {view.after > 0 && <tr aria-hidden="true"><td class="spacer" colSpan={roomy.value ? 7 : 6}><Spacer height={view.after} /></td></tr>}
          </tbody>
        </table>
      )}
    </div>
  );
}

function Spacer({ height }: { height: number }) {
  return <div style={{ height: `${height}px` }} />;
}

function Head({ sort, by, class: cls, children }: { sort: Sort; by: Column; class?: string; children: string }) {
  const on = sort.by === by;
  return (
    <th scope="col" class={cls} aria-sort={on ? (sort.down ? "descending" : "ascending") : undefined}>
      <button type="button" onClick={() => setParams({ sort: writeSort(clickSort(sort, by)) })}>
        {children}
        {on && <span aria-hidden="true">{sort.down ? " ↓" : " ↑"}</span>}
      </button>
    </th>
  );
}

export const groupName = (g: Group<unknown>) => (g.key === undefined ? "no project" : show(g.key));

export function groupNote(g: Group<unknown>): string {
  const origin = g.key === undefined ? "" : g.origin === "swarm" ? "stack, " : g.origin === "compose" ? "compose, " : "";
  return origin + g.rows.length;
}

function useSums(group: Group<Row>, beat: ReadonlySignal<number>) {
  return useMemo(() => {
    const sum = (read: (r: Row) => number | undefined) =>
      computed(() => {
        beat.value;
        const known = group.rows.map(read).filter((v) => v !== undefined);
        return known.length ? known.reduce((a, b) => a + b, 0) : undefined;
      });
    const cpu = sum((r) => r.now?.cpu);
    const memory = sum((r) => r.now?.memory);
    return {
      cpuWord: computed(() => (cpu.value === undefined ? "" : "CPU ")),
      cpu: computed(() => (cpu.value === undefined ? "" : cores(cpu.value))),
      memory: computed(() => (memory.value === undefined ? "" : bytes(memory.value).n)),
      unit: computed(() => (memory.value === undefined ? "" : bytes(memory.value).unit)),
    };
  }, [group]);
}

function GroupRow({ group, beat, index, open, toggle }: { group: Group<Row>; beat: ReadonlySignal<number>; index: number; open: boolean; toggle(): void }) {
  const sums = useSums(group, beat);
  return (
    <tr class="g" aria-rowindex={index}>
      <th scope="rowgroup">
        <button type="button" aria-expanded={open} onClick={toggle}>
          <Icon name={open ? "down" : "right"} small />
          <b class="ell" title={groupName(group)}>{groupName(group)}</b> <span class="dim">{groupNote(group)}</span>
        </button>
      </th>
      <td class="sum"><b>{sums.cpu}</b></td>
      <td class="sum"><b>{sums.memory}</b><span class="u">{sums.unit}</span></td>
      <td class="col-net" />
      {roomy.value && <td />}
      <td />
      <td />
    </tr>
  );
}

function CardGroup({ group, beat, open, toggle }: { group: Group<Row>; beat: ReadonlySignal<number>; open: boolean; toggle(): void }) {
  const sums = useSums(group, beat);
  return (
    <h3 class="gh">
      <button type="button" aria-expanded={open} onClick={toggle}>
        <span class="nm"><b class="ell">{groupName(group)}</b> {group.rows.length}</span>
        <span class="nw">{sums.cpuWord}<b>{sums.cpu}</b></span>
      </button>
    </h3>
  );
}

/** What the engine's failure is called. */
function failure(e: Engine): string {
  if (e.failure === "refused") return "connection refused";
  if (e.failure === "slow") return "no answer in time";
  return e.error ? show(e.error) : "the answer was an error";
}

function Away({ host, engine }: { host: string; engine: Engine }) {
  const since = engine.lastGood ?? engine.since;
  return (
    <p class="banner warn" role="status" title={engine.error ? show(engine.error) : undefined}>
      <span class="dot warn" />
      <span>
        {engine.failure === "silent" ? (
          <><b>{show(host)} is silent{since ? ` since ${stamp(since, clock.peek())}` : ""}: nothing comes from its tallyman.</b> What runs there is not known. History stays readable.</>
        ) : (
          <><b>{show(host)} has not answered{since ? ` since ${stamp(since, clock.peek())}` : ""}: {failure(engine)}.</b> History stays readable. tallyman keeps trying.</>
        )}
      </span>
    </p>
  );
}

function ByApi({ rows }: { rows: readonly Row[] }) {
  const missing = lacks(rows.map((r) => r.data.value));
  const [first] = missing;
  return (
    <p class="byapi" title={missing.map((a) => `${show(a.what)}: ${show(a.reason)}`).join("\n")}>
      Numbers come from the engine's API{first && <>: no {missing.map((a) => show(a.what)).join(", ")}</>}. <a class="link" href="/doctor">Doctor</a> says why, and what would help.
    </p>
  );
}

/** What is known of the engine beside its version. */
function engineNote(e: Engine): string {
  return [
    e.apiVersion && `API ${show(e.apiVersion)}`,
    e.cgroupVersion && `control groups v${show(e.cgroupVersion)}${e.cgroupDriver ? `, ${show(e.cgroupDriver)}` : ""}`,
    e.os && show(e.os),
    e.kernel && `kernel ${show(e.kernel)}`,
    e.up && e.since ? `answers since ${iso(e.since)}` : "",
  ].filter(Boolean).join("\n");
}

/** The machine in figures, and what tallyman takes of it. Another machine's are not known, so they are not named. */
function Figures({ block }: { block: HostBlock }) {
  const self = block.self.value;
  const engine = block.engine.value;
  const disk = block.disk.value;
  const load = block.load.value;
  const cost = [self?.cpu !== undefined && `${percent(self.cpu)} CPU`, self?.memory !== undefined && bytesText(self.memory)].filter(Boolean).join(", ");
  return (
    <dl class={engine.remote && !disk && load === undefined ? "hn since" : "hn"}>
      {disk && (
        <div>
          <dt class="ell" title={show(disk.mount)}>Disk {show(disk.mount)}</dt>
          <dd class={strain(disk.used, disk.size)} title={`${bytesText(disk.used)} of ${size(disk.size)}, the fullest file system`}>{percent(disk.used / disk.size)}</dd>
        </div>
      )}
      {load !== undefined && (
        <div>
          <dt>Load, 1 min</dt>
          <dd title="Processes that run or wait, on the average of a minute">{digits(load)}</dd>
        </div>
      )}
      {!engine.remote && (
        <div>
          <dt>tallyman costs</dt>
          <dd title="Share of one core, resident memory">{cost || <NotKnown why="tallyman has not measured itself yet." />}</dd>
        </div>
      )}
      {engine.up && engine.since !== undefined && (
        <div class="since">
          <dt>Docker answers since</dt>
          <dd title={iso(engine.since)}>{stamp(engine.since, clock.peek())}</dd>
        </div>
      )}
    </dl>
  );
}

function bytesText(v: number): string {
  const q = bytes(v);
  return `${q.n} ${q.unit}`;
}

interface Part {
  key: string;
  label: string;
  /** The name without its project, for the key. */
  short?: string;
  href?: string;
  value: number;
  color: string;
}

const colors = ["c1", "c2", "c3", "c4", "c5"];
const topMost = colors.length;

/** The CPU or the memory of the host, cut by container. */
function Eaten({ block, what, resort, beat, loading }: { block: HostBlock; what: "cpu" | "memory"; resort: ReadonlySignal<number>; beat: ReadonlySignal<number>; loading: boolean }) {
  const host = block.data.value;
  const rows = block.rows.value;
  const total = what === "cpu" ? host.cores : host.memory;
  const used = what === "cpu" ? block.cpu.value : block.memoryUsed.value;

  // What nobody sees is not drawn each second.
  const root = useRef<HTMLDivElement>(null);
  const near = useSignal(true);
  useEffect(() => {
    const watch = new IntersectionObserver((seen) => {
      near.value = seen.at(-1)!.isIntersecting;
    });
    watch.observe(root.current!);
    return () => watch.disconnect();
  }, []);

  // Who is in the bar is decided as often as rows are sorted; how wide the parts are follows each tick.
  const chosen = useMemo(() => {
    const top = (by: "cpu" | "memory") => [...rows].filter((r) => (r.now?.[by] ?? 0) > 0).sort((a, b) => (b.now?.[by] ?? 0) - (a.now?.[by] ?? 0)).slice(0, topMost);
    const byCpu = top("cpu");
    const placed = placesOf(byCpu.map((r) => r.info.name).sort(), topMost);
    const color = new Map(byCpu.map((r) => [r, colors[placed.get(r.info.name)!]!]));
    if (what === "cpu") return byCpu.map((row) => ({ row, color: color.get(row)! }));
    // A container has the same colour in both bars.
    const byMemory = top("memory");
    const taken = new Set(byMemory.map((r) => color.get(r)));
    const free = colors.filter((c) => !taken.has(c));
    return byMemory.map((row) => ({ row, color: color.get(row) ?? free.shift()! }));
  }, [rows, resort.value, what, loading]);

  if (near.value) beat.value;
  let sum = 0;
  for (const r of rows) sum += r.now?.[what] ?? 0;
  const parts: Part[] = chosen.map(({ row, color }) => ({ key: row.info.id, label: fullName(row), short: show(localName(row.info.name, row.info.project)), href: containerHref(row.info), value: row.now?.[what] ?? 0, color }));
  // Of a host of which nothing is known nothing is free, either.
  const dark = !block.engine.value.up && used === undefined && !rows.some((r) => r.now?.[what] !== undefined);
  const others = sum - parts.reduce((a, p) => a + p.value, 0);
  const othersCount = rows.filter((r) => r.now?.[what] !== undefined).length - parts.length;
  if (othersCount > 0) parts.push({ key: "others", label: `${othersCount} ${othersCount === 1 ? "other" : "others"}`, value: Math.max(0, others), color: "c6" });
  if (used !== undefined) parts.push({ key: "rest", label: "not in containers", value: Math.max(0, used - sum), color: "c8" });

  return (
    <div ref={root} class="eat">
      <Cut title={what === "cpu" ? "CPU" : "Memory"} what={what} parts={parts} used={used} total={total} unknown={loading ? null : used === undefined && <NotKnown why={dark ? "Nothing comes from this host." : "The host's own counters cannot be read from here."} />} sum={loading || dark ? undefined : sum} />
    </div>
  );
}

/** What a host took of something, cut into parts that all have their names, with what is free. Sum stands in place of what the host used where that is not known. */
export function Cut({ title, what, parts, used, sum, total, unknown }: { title: string; what: "cpu" | "memory"; parts: readonly Part[]; used: number | undefined; sum?: number | undefined; total: number | undefined; unknown: ComponentChildren }) {
  const text = (v: number) => (what === "cpu" ? cores(v) : total ? bytesLike(v, total) : bytesText(v));
  const alone = (v: number) => (what === "cpu" ? cores(v) : <Value of={bytes(v)} />);
  const unit = what === "cpu" ? "cores" : total ? size(total).split(" ")[1]! : "";
  const all = parts.reduce((n, p) => n + p.value, 0);
  const whole = Math.max(total ?? 0, used ?? all, all);
  const known = used ?? sum;
  const free = total && known !== undefined ? Math.max(0, total - known) : undefined;
  return (
    <>
      <div class="top">
        <span class="mid">{title}</span>
        {known !== undefined ? (
          <span>
            <b>{text(known)}</b> <span class="dim">{total ? `of ${what === "cpu" ? plain(total) : size(total).split(" ")[0]} ${unit}` : unit}</span>
          </span>
        ) : (
          unknown
        )}
      </div>
      <div class="bar2" role="img" aria-label={`${title}: ${[...parts.map((p) => `${p.label} ${text(p.value)}`), free === undefined ? "" : `free ${text(free)}`].filter(Boolean).join(", ")} ${unit}`}>
        {whole > 0 && parts.map((p) => <i key={p.key} class={p.color} title={`${p.label} ${text(p.value)} ${unit}`} style={{ width: `${((p.value / whole) * 100).toFixed(2)}%` }} />)}
      </div>
      <div class="key">
        {parts.map((p) => (
          <span key={p.key}>
            <i class={p.color} />
            {p.href ? <a class="ell" href={p.href} title={p.label}>{p.short}</a> : p.label} <b>{alone(p.value)}</b>
          </span>
        ))}
        {free !== undefined && <span>free <b>{alone(free)}</b></span>}
      </div>
    </>
  );
}

function fullName(row: Row): string {
  const { name, project } = row.info;
  return show(project ? `${project} / ${localName(name, project)}` : name);
}
