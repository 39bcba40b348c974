// SPDX-License-Identifier: Apache-2.0

import { computed, signal, useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { Live } from "../../api/live";
import type { Servers } from "../../api/schema";
import { matches, parseFilter } from "../../format/filter";
import { counted } from "../../format/number";
import { show } from "../../format/text";
import { narrow } from "../../part/clock";
import { needsAttention } from "../../part/firing";
import { Frame } from "../../part/frame";
import { later } from "../../part/later";
import { auth } from "../../part/pages";
import { param, range, setParams } from "../../part/place";
import { columns, inSegment, readSort, type Segment, writeSort } from "./arrange";
import { HostSection, List } from "./host";
import { Inventory, type Row } from "./inventory";
import { grouping, query, ServersRange, Tools, useRows } from "./tools";
import { wholeUpTo } from "./window";
import "./servers.css";

// Rows change places at most this often, and never under pointer or focus.
const resortEvery = 5000;

const sortText = param("sort");
const shown = param("show");

/** Which container eats the CPU, now or in the range? All hosts with their containers. */
export function ServersPage() {
  return range.value.live ? <Now /> : <Past />;
}

const Past = later(
  () => import("./past").then((m) => m.Past),
  () => <Frame title="Servers" mainClass="spage" crumb={<b>Servers</b>} range={<ServersRange range={range.value} />}>{null}</Frame>,
);

function Now() {
  const inventory = useMemo(() => new Inventory(), []);
  const waited = useSignal(false);
  const over = useSignal(false);
  const focused = useSignal(false);
  const resort = useMemo(() => signal(0), []);
  const filter = useRef<HTMLInputElement>(null);
  const hosts = useRef<HTMLDivElement>(null);
  const frozen = useMemo(() => computed(() => over.value || focused.value), []);

  useEffect(() => {
    const timer = setTimeout(() => {
      waited.value = true;
      if (!inventory.fresh.peek()) inventory.remembered();
    }, 200);
    return () => clearTimeout(timer);
  }, []);

  useEffect(() => {
    let sorted = 0;
    const stream = new Live<Servers>(
      { view: "servers" },
      {
        snapshot: (s) => {
          auth.value = s.auth;
          inventory.snapshot(s);
        },
        tick: (t) => {
          inventory.tick(t);
          if (frozen.peek() || t.time - sorted < resortEvery) return;
          sorted = t.time;
          resort.value++;
        },
        container: (c) => inventory.container(c),
        event: (e) => inventory.event(e),
        engine: (e) => inventory.engine(e),
      },
    );
    stream.start();
    return () => stream.stop();
  }, []);

  useRows(hosts, filter, []);

  inventory.changed.value;
  const blocks = inventory.hosts.value;
  const rows = blocks.flatMap((b) => b.rows.value);
  const segment: Segment = shown.value === "attention" || shown.value === "gone" ? shown.value : "all";
  const terms = useMemo(() => parseFilter(query.value), [query.value]);
  const sort = useMemo(() => readSort(sortText.value), [sortText.value]);
  const total = count(rows, segment);
  const loading = !inventory.fresh.value;
  const by = grouping();
  const asked = { segment, terms, sort, by, resort, beat: inventory.beat, frozen, loading, whole: total <= wholeUpTo };

  return (
    <Frame
      title="Servers"
      mainClass="spage"
      crumb={
        <>
          <b>Servers</b>
          <span class="wide sub">{loading ? "" : summary(blocks.length, rows)}</span>
        </>
      }
      range={<ServersRange range={range.value} />}
    >
      <h1 class="sr">Servers</h1>
      {!loading && rows.length === 0 ? (
        <Empty blocks={blocks.map((b) => ({ host: b.data.value.host, up: b.engine.value.up, version: b.engine.value.version, address: b.engine.value.address }))} />
      ) : (
        <>
          <Tools filter={filter}>
            <div class="seg" role="group" aria-label="Which containers">
              {(["all", "attention", "gone"] as const).map((s) => (
                <button key={s} type="button" aria-pressed={segment === s} onClick={() => setParams({ show: s === "all" ? undefined : s })}>
                  {s === "attention" && <span class={count(rows, s) ? "dot crit" : "dot off"} />}
                  {{ all: "All", attention: narrow.value ? "" : "Attention", gone: "Gone" }[s]}
                  {s === "attention" && narrow.value && <span class="sr">Attention</span>}
                  <span class="dim">{loading ? "" : count(rows, s)}</span>
                </button>
              ))}
            </div>
            <span class="grow" />
            {frozen.value && <span class="chip wide" title="Rows stay in place while the pointer or the focus is on them; values still change.">order frozen</span>}
            {narrow.value && (
              <select class="btn" aria-label="Sort by" value={writeSort(sort) || "-cpu"} onChange={(e) => setParams({ sort: writeSort(readSort(e.currentTarget.value)) })}>
                {columns.map((c) => {
                  const value = c === "name" ? c : "-" + c;
                  return <option key={c} value={value}>{{ name: "Name", cpu: "CPU ↓", memory: "Mem ↓", network: "Net ↓", disk: "Disk ↓", restarts: "Restarts ↓", event: "Event ↓" }[c]}</option>;
                })}
              </select>
            )}
          </Tools>
          <div
            ref={hosts}
            onPointerEnter={(e) => { over.value = e.pointerType === "mouse"; }}
            onPointerLeave={() => { over.value = false; }}
            onFocusIn={() => { focused.value = true; }}
            onFocusOut={() => { focused.value = false; }}
          >
            {loading && blocks.length === 0 && waited.value && <Skeleton />}
            {blocks.map((b) => <HostSection key={b.key} block={b} list={by !== "none"} {...asked} />)}
            {by === "none" && <section class="host" aria-label="All containers"><List name="all hosts" fold="" rows={rows} several={blocks.length > 1} {...asked} /></section>}
          </div>
          {!loading && <NoMatch words={terms.map((t) => t.text)} segment={segment} matching={matching(rows, segment, terms)} total={total} />}
        </>
      )}
    </Frame>
  );
}

function count(rows: readonly Row[], segment: Segment): number {
  return rows.filter((r) => inSegment(r.info, segment)).length;
}

function matching(rows: readonly Row[], segment: Segment, terms: ReturnType<typeof parseFilter>): number {
  return rows.filter((r) => inSegment(r.info, segment) && matches(r.info, terms)).length;
}

function summary(hosts: number, rows: readonly Row[]): string {
  const of = (...states: string[]) => rows.filter((r) => states.includes(r.info.state)).length;
  const parts = [counted(hosts, "host")];
  const running = of("running");
  const stopped = of("exited", "dead", "created");
  const paused = of("paused");
  const restarting = of("restarting");
  const failing = rows.filter((r) => needsAttention(r.info)).length;
  parts.push(rows.some((r) => r.info.state !== "gone") ? `${running} running` : "no containers");
  if (stopped) parts.push(`${stopped} stopped`);
  if (paused) parts.push(`${paused} paused`);
  if (restarting) parts.push(`${restarting} restarting`);
  if (failing) parts.push(`${failing} to look at`);
  return parts.join(", ");
}

function NoMatch({ words, segment, matching, total }: { words: string[]; segment: Segment; matching: number; total: number }) {
  if (matching > 0) return null;
  if (words.length === 0) {
    return (
      <section class="empty">
        <h2>{segment === "gone" ? "Nothing is gone" : segment === "attention" ? "All is calm" : "Nothing runs"}</h2>
        <p>{segment === "gone" ? "Containers that are removed stay here with their history." : segment === "attention" ? "State, exit code, health and alarms of every container were checked." : "Every container that tallyman knew is gone; see Gone."}</p>
      </section>
    );
  }
  return (
    <section class="empty">
      <h2>0 of {total} match</h2>
      <p class="row wrap">
        {words.map((w) => <span key={w} class="tok">{show(w)}</span>)}
        <button type="button" class="btn" onClick={() => setParams({ q: undefined })}>Clear</button>
      </p>
    </section>
  );
}

function Empty({ blocks }: { blocks: { host: string; up: boolean; version?: string; address: string }[] }) {
  const down = blocks.filter((b) => !b.up);
  const [first] = down;
  const up = blocks.filter((b) => b.up);
  const answers = (b: (typeof blocks)[number]) => `${show(b.host)} answers${b.version ? ` (Docker ${show(b.version)})` : ""}`;
  return (
    <section class="empty">
      {blocks.length === 0 ? (
        <>
          <h2>No engine is configured</h2>
          <p>tallyman answers, but it was not told of any Docker engine. Give it the engine's socket and start it again.</p>
          <pre class="mono" tabIndex={0}>docker run -v /var/run/docker.sock:/var/run/docker.sock:ro …</pre>
        </>
      ) : first ? (
        <>
          <h2>{down.length === 1 ? "Docker does not answer" : `${down.length} engines do not answer`}</h2>
          <p>
            {show(first.host)} has no answer from {show(first.address)}{down.length > 1 && `, and ${counted(down.length - 1, "other")} neither`}. tallyman keeps trying; containers show up as soon as it answers.
            {up.length > 0 && ` ${up.length === 1 ? answers(up[0]!) : `${up.length} others answer`}, without any container.`}
          </p>
          <pre class="mono" tabIndex={0}>docker info</pre>
        </>
      ) : (
        <>
          <h2>No container runs here yet</h2>
          <p>{up.length <= 3 ? up.map(answers).join(", ") : `${up.length} hosts answer`}. A container shows up on this page within a second of its start.</p>
          <pre class="mono" tabIndex={0}>docker run -d --name hello nginx</pre>
        </>
      )}
      <p>Not what you expected? <a class="link" href="/doctor">Doctor</a> tells which engines tallyman can see.</p>
    </section>
  );
}

function Skeleton() {
  return (
    <section class="host skeleton" aria-label="Loading" aria-busy="true">
      <p class="sr">Waiting for the first answer.</p>
      {Array.from({ length: 8 }, (_, i) => <div key={i} />)}
    </section>
  );
}
