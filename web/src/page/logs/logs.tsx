// SPDX-License-Identifier: Apache-2.0

import { batch, computed, useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { ApiError, inWords } from "../../api/client";
import { fetchPart } from "../../api/reach";
import { countedBy, type Entry, volumes } from "../../api/loki";
import type { Event } from "../../api/schema";
import { placesOf } from "../../format/colour";
import { totals } from "../../format/logline";
import { among, beside, build, type Controls, everything, gapsOf, narrow, onlyPlace, finding, readControls, type Source } from "../../format/logql";
import { ofWorkload } from "../../format/selector";
import { count, counted } from "../../format/number";
import { originOf, outputName, unitName } from "../../format/origin";
import { all, rangeLabel } from "../../format/range";
import { show } from "../../format/text";
import { day, hour, iso, minute, parseWhen, second } from "../../format/time";
import { LogData } from "../../log/data";
import { LogList } from "../../log/list";
import { markOf } from "../../log/meant";
import { Traces } from "../../log/trace";
import { clock, narrow as narrowWindow } from "../../part/clock";
import { FindField } from "../../part/findfield";
import { Frame } from "../../part/frame";
import { Histogram } from "../../part/histogram";
import { Icon } from "../../part/icon";
import { useKeys } from "../../part/keys";
import { later } from "../../part/later";
import { copy, notice } from "../../part/notice";
import { containerHref, linkTo, logsHref, param, place, range, setParams, setRange, zoomTo } from "../../part/place";
import { RangeControl } from "../../part/rangecontrol";
import { rangeKeys } from "../../part/rangekeys";
import { useRetry } from "../../part/retry";
import { chosen } from "./chosen";
import { type Facets, facetLabels, FacetList, facetsOf } from "./facets";
import type { Empty, Nothing } from "./nothing";

const queryText = param("q");
const atText = param("at");
const wrapText = param("wrap");
const findText = param("find");
const viewText = param("view");
const columnText = computed(() => place.value.params.getAll("columns").join("\n"));
const everyLine = build(everything);
/** The query as it is written, and with the text that is looked for beside one that the controls cannot say. */
const written = () => queryText.value || everyLine;
const query = () => (findText.value && !readControls(written()) ? finding(written(), findText.value) : written());
const columnsMost = 8;

/** Where is that line? The logs of all containers, files and units. */
export function LogsPage() {
  const width = useSignal(900);
  const controls = useComputed(() => readControls(written()));
  const data = useMemo(() => new LogData(() => (width.peek() < 500 ? 60 : 120), (e) => selected(controls.peek(), e)), []);
  const foundOf = useSignal<"lines" | "bytes">("bytes");
  const found = useSignal<Parameters<typeof facetsOf>[0] | undefined>(undefined);
  const facets = useComputed<Facets>(() => ({ ...facetsOf(found.value, controls.value), of: foundOf.value }));
  // The text of the controls alone: their other choices must not hide the rest.
  const sought = useComputed(() => (controls.value?.text ? build({ ...everything, text: controls.value.text, exact: controls.value.exact }) : ""));
  const draft = useSignal<string | undefined>(undefined);
  const writing = useSignal(false);
  const unfolded = useSignal(false);
  const nothing = useSignal<{ n: Nothing; Empty: typeof Empty } | undefined>(undefined);
  const again = useSignal(0);
  const search = useRef<HTMLInputElement>(null);
  const logql = useRef<HTMLInputElement>(null);

  useSignalEffect(() => {
    again.value;
    const q = query();
    const r = range.value;
    const now = Date.now();
    const at = atText.value ? parseWhen(atText.value, now) : undefined;
    draft.value = undefined;
    nothing.value = undefined;
    const said = controls.peek();
    void data.show({ query: q, gaps: said && gapsOf(said), from: r.live ? (r.span === all ? 0 : now - r.span) : r.from, to: r.live ? undefined : r.to, at });
  });
  useEffect(() => () => data.stop(), []);

  const view = useComputed(() => {
    const r = range.value;
    if (!r.live) return { from: r.from, to: r.to };
    const now = clock.value;
    return { from: r.span === all ? (data.first.value ?? now - hour) : now - r.span, to: now };
  });

  // What there is to choose from, of all lines of the range; the controls' own choice must not hide the rest.
  useSignalEffect(() => {
    const r = range.value;
    const text = sought.value;
    const stop = new AbortController();
    let known = false;
    const load = () => {
      if (known && !r.live) return;
      const now = Date.now();
      const [from, to] = [r.live ? (r.span === all ? now - 7 * day : now - r.span) : r.from, r.live ? now : r.to];
      const asked = text ? countedBy(text, facetLabels, from, to, stop.signal) : volumes(everyLine, facetLabels, r.live && r.span === all ? 0 : from, r.live ? now + hour : to, stop.signal);
      asked.then((all) => batch(() => {
        known = true;
        found.value = all;
        foundOf.value = text ? "lines" : "bytes";
      }), () => undefined);
    };
    // What was counted without the text, or with another, is not said of this one.
    if (text || foundOf.peek() === "lines") found.value = undefined;
    load();
    const timer = setInterval(() => document.hidden || load(), text ? 60_000 : 15_000);
    return () => {
      clearInterval(timer);
      stop.abort();
    };
  });

  // Why there is nothing, once it is known that there is.
  useSignalEffect(() => {
    if (!data.lines.loaded.value || data.lines.entries.value.length > 0 || data.lines.problem.value) {
      nothing.value = undefined;
      return;
    }
    data.lines.turn.value;
    let gone = false;
    fetchPart(() => import("./nothing")).then(async ({ whyNothing, Empty }) => {
      const n = await whyNothing(query(), controls.peek(), data.lines.wanted.from);
      if (!gone) nothing.value = { n, Empty };
    }, () => undefined);
    return () => {
      gone = true;
    };
  });

  // A query by hand may be about any containers: those whose lines are here.
  const happened = useComputed(() => {
    if (controls.value) return data.events.value;
    const names = new Set(data.lines.entries.value.map((e) => e.labels["name"]));
    return data.events.value.filter((e) => names.has(e.name));
  });
  // Those that are chosen are told apart before all others.
  const colours = useComputed(() => {
    const c = controls.value;
    const f = facets.value;
    const chosen = c ? [...c.names, ...c.files, ...c.units] : [];
    return new Map([...placesOf((chosen.length > 1 ? chosen : [...f.names.keys(), ...[...f.files.keys()].filter((p) => f.owners.get(p)!.has("")), ...f.units.keys()]).sort(), 7)].map(([name, place]) => [name, place + 1]));
  });
  const colour = (origin: string) => (colours.value.size > 1 ? colours.value.get(origin) : undefined);
  const mixed = useComputed(() => data.lines.entries.value.some((e) => e.labels["filename"]));
  const c = controls.value;
  const change = (next: Controls) => setParams({ q: asParam(build(next)) }, "push");
  const apply = (q: string) => {
    draft.value = undefined;
    setParams({ q: asParam(q.trim()), find: readControls(q.trim() || everyLine) ? undefined : findText.peek() }, "push");
    again.value++;
  };
  const find = (text: string) => {
    const now = controls.peek();
    if (!now) setParams({ find: text });
    else if (text !== now.text) setParams({ q: asParam(build({ ...now, text })) });
  };
  const freeze = () => setRange({ live: false, ...view.peek() });
  const toNow = () => {
    setParams({ at: undefined });
    again.value++;
  };
  const wrap = wrapText.value === "1";
  const toggleWrap = () => setParams({ wrap: wrap ? undefined : "1" });

  const patterns = viewText.value === "patterns";
  const onlyErrors = c?.levels.length === 1 && c.levels[0] === "error";
  const pinned = atText.value ? parseWhen(atText.value, Date.now()) : undefined;
  useKeys("Logs", [
    { keys: ["/"], label: "Find text", run: () => search.current?.focus() },
    { keys: ["w"], label: "Wrap long lines", run: toggleWrap },
    ...rangeKeys(() => view.peek(), pinned),
  ]);

  useRetry(() => (data.lines.problem.value ? inWords(data.lines.problem.value) : data.volumeProblem.value), () => { again.value++; });
  const problem = data.lines.problem.value;
  const wrong = problem instanceof ApiError && problem.code === "logs" && problem.status === 400;
  const part = useSignal<typeof import("../../part/wrong") | undefined>(undefined);
  useEffect(() => {
    if (wrong && !part.peek()) fetchPart(() => import("../../part/wrong")).then((m) => { part.value = m; }, () => undefined);
  });
  const { volume } = data;
  const sum = volume.value ? totals(volume.value, view.value.from, view.value.to + second) : undefined;
  const empty = data.lines.loaded.value && data.lines.entries.value.length === 0;
  const filtered = c ? c.text !== "" || c.levels.length > 0 : /\|[=~>]|level/.test(query());
  const searched = c ? filtered : /\}\s*[|!]/.test(query());
  const traces = useMemo(() => (filtered ? new Traces() : undefined), [filtered, queryText.value]);
  const columns = columnsOf();
  // One object as long as it says the same: lines that stay are not drawn anew. Its functions read signals.
  const lineView = useMemo(() => ({
    needle: c ? c.text : findText.value,
    exact: c?.exact ?? false,
    colour,
    named: (e: Entry) => {
      const now = controls.value;
      const places = now ? [...now.names, ...now.files, ...now.units] : [];
      // Of one container, file or unit alone it need not be said.
      if (places.length === 1 && now!.sources.length === 1) return "";
      if (now?.workloads.length === 1 && places.length === 0) return mixed.value ? outputName(e.labels) : "";
      const { name, filename, unit } = e.labels;
      const { short } = facets.value;
      const of = name && (short.get(name) ?? name);
      if (filename) return `${of ? `${of}: ` : ""}${short.get(filename) ?? filename}`;
      return of ?? (unit ? unitName(unit) : originOf(e.labels));
    },
    traces,
    narrow: (e: Entry, name: string, value: string, is: boolean, parser: "" | "json" | "logfmt") => {
      const now = controls.peek();
      const place = ({ name: "container", filename: "file", unit: "journal" } as Record<string, Source>)[name];
      // A label that the controls have is chosen there.
      if (is && now && place && e.labels["source"] === place) change(onlyPlace(now, place, value));
      else if (is && now && name === "host") change({ ...now, hosts: [value] });
      else if (is && now && name === "workload") change({ ...now, workloads: [value] });
      else if (is && now && name === "stream") change({ ...now, streams: [value] });
      else apply(narrow(written(), name, value, is, parser));
    },
    aroundHref: (e: Entry) => {
      const { host, workload } = e.labels;
      const near = { from: iso(e.t - 2 * minute), to: iso(e.t + 2 * minute), at: markOf(e) };
      return logsHref(host && workload ? ofWorkload(host, workload) : beside({ ...e.labels, stream: "" }), near);
    },
    containerHref: (e: Entry) => {
      const { host, workload } = e.labels;
      return host && workload ? `${containerHref({ host, workload, id: "" })}&${new URLSearchParams({ from: iso(e.t - 5 * minute), to: iso(e.t + 5 * minute), at: markOf(e) })}` : undefined;
    },
    columns,
    column: (name: string) => {
      const now = columnsOf();
      setParams({ columns: now.includes(name) ? now.filter((n) => n !== name) : [...now, name].slice(-columnsMost) });
    },
  }), [c?.text, c?.exact, traces, columnText.value, findText.value]);

  return (
    <Frame title="Logs" mainClass="lpage" crumb={<b>Logs</b>} range={<RangeControl range={range.value} freeze={freeze} canLive />}>
      <h1 class="sr">Logs</h1>
      <section class="query" aria-label="Query">
        <div class="row l1">
          <FindField label="Find text in the lines" placeholder={c ? "Find text in the lines" : "Find text in the lines of the query below"} text={c ? c.text : findText.value} input={search} find={find}>
            {c?.hosts.length === 1 && facets.value.hosts.size < 2 && <Token of={`host ${c.hosts[0]}`} drop={() => change({ ...c, hosts: [] })} />}
            {c?.workloads.map((w) => <Token key={w} of={w.split("/").join(" / ")} drop={() => change({ ...c, workloads: c.workloads.filter((x) => x !== w) })} />)}
          </FindField>
          <button type="button" class="btn" aria-pressed={c?.exact ?? false} disabled={!c} title="Tell upper and lower case apart" aria-label="Tell upper and lower case apart" onClick={() => c && change({ ...c, exact: !c.exact })}>
            Aa
          </button>
          {narrowWindow.value && (
            <button type="button" class="btn" aria-expanded={unfolded.value} onClick={() => { unfolded.value = !unfolded.value; }}>
              <Icon name="filter" />
              <span class="sr">Filters</span>
              {c ? chosen(c) || "" : ""}
            </button>
          )}
          <button type="button" class="btn wide" onClick={() => void download(data)}>
            <Icon name="download" />
            Download
          </button>
          <button type="button" class="btn wide" title="Copy a link to this range" onClick={() => void copy(linkTo({ live: false, ...view.peek() }))}>
            <Icon name="link" />
            Share
          </button>
        </div>
        <form class="row ql" onSubmit={(e) => { e.preventDefault(); apply(draft.peek() ?? written()); }}>
          <label class="dim" for="logql">LogQL</label>
          <input
            id="logql"
            aria-label="LogQL"
            ref={logql}
            class="mono"
            onFocus={() => { writing.value = true; }}
            value={draft.value ?? written()}
            spellcheck={false}
            autocomplete="off"
            autocapitalize="off"
            aria-invalid={wrong}
            aria-describedby={wrong ? "logql-problem" : undefined}
            onInput={(e) => { draft.value = e.currentTarget.value; }}
            onKeyDown={(e) => {
              if (e.key !== "Escape") return;
              draft.value = undefined;
              e.currentTarget.blur();
            }}
          />
          {writing.value && <Complete field={logql} language="logql" put={(t) => { draft.value = t; }} />}
          {draft.value !== undefined && draft.value !== written() && <button type="submit" class="btn p">Run</button>}
        </form>
        {wrong && part.value && <part.value.Wrong text={problem.message} query={query()} reset={() => apply(everyLine)} />}
      </section>
      <Histogram volume={volume.value} problem={wrong ? "" : data.volumeProblem.value} view={view.value} events={happened.value} at={pinned} zoom={zoomTo} width={width} axis />
      <aside class={unfolded.value ? "fac unfolded" : "fac"} aria-label="Filters">
        <FacetList controls={c} facets={facets.value} byLevel={sum ?? {}} colour={colour} change={change} reset={() => apply(everyLine)} />
        {narrowWindow.value && (
          <p class="row wrap">
            <button type="button" class="btn" onClick={() => void download(data)}>Download</button>
            <button type="button" class="btn" onClick={() => void copy(linkTo({ live: false, ...view.peek() }))}>Share</button>
            <button type="button" class="btn p" onClick={() => { unfolded.value = false; }}>Done</button>
          </p>
        )}
      </aside>
      <section class={data.lines.late.value ? "res asking" : "res"} aria-label="Lines" aria-busy={!data.lines.loaded.value || data.lines.late.value}>
        <header class={narrowWindow.value ? "row rh wrap" : "row rh"}>
          <span class="ell" role="status">
            {sum ? <><b>{count(sum.all)}</b> <span class="mid">{sum.all === 1 ? "line" : "lines"} {range.value.live ? `in ${rangeLabel(range.value)}` : "in this range"}</span></> : <span class="mid">{data.lines.loaded.value && !problem ? counted(data.lines.entries.value.length, "line") : ""}</span>}
          </span>
          {sum && sum.error > 0 && <span class="crit nw">{counted(sum.error, "error")}</span>}
          <span class="grow" />
          {c && <button type="button" class="btn" aria-pressed={onlyErrors} title="Only lines with the level error" onClick={() => change({ ...c, levels: onlyErrors ? [] : ["error"] })}>Errors only</button>}
          <span class="seg" role="group" aria-label="Show">
            <button type="button" aria-pressed={!patterns} onClick={() => setParams({ view: undefined })}>Lines</button>
            <button type="button" aria-pressed={patterns} onClick={() => setParams({ view: "patterns" })}>Patterns</button>
          </span>
          {!narrowWindow.value && <button type="button" class="btn" aria-pressed={wrap} title="Wrap long lines (w)" onClick={toggleWrap}>Wrap</button>}
        </header>
        {problem && !wrong && (
          <section class="empty">
            <h2>{problem instanceof ApiError && problem.code === "nologs" ? "No logs are kept here" : "The logs cannot be read"}</h2>
            <p>{show(inWords(problem))}</p>
            <p class="row">
              <button type="button" class="btn" onClick={() => { again.value++; }}>Try again</button>
              <a class="btn q" href="/doctor">Open Doctor</a>
            </p>
          </section>
        )}
        {empty && !problem && nothing.value && <nothing.value.Empty n={nothing.value.n} c={c} gaps={data.gaps.value} clear={() => apply(everyLine)} />}
        {patterns && !problem && <Patterns query={query()} range={range.value} />}
        {!patterns && columns.length > 0 && !empty && <ColumnHead names={columns} drop={lineView.column} named={data.lines.entries.value.some((e) => lineView.named(e) !== "")} />}
        {!patterns && <LogList lines={data.lines} events={happened} gaps={data.gaps} hits={searched} wrap={wrap} label="Lines" view={lineView} live={range.value.live} at={pinned} toNow={toNow} />}
      </section>
    </Frame>
  );
}

const Complete = later(() => import("../../part/completion").then((m) => m.Completion));

const Patterns = later(() => import("./patterns").then((m) => m.Patterns));

const columnsOf = () => columnText.value.split("\n").filter(Boolean);

/** The names of the fields that have a column, each with the way to take it away. */
function ColumnHead({ names, drop, named }: { names: readonly string[]; drop(name: string): void; named: boolean }) {
  return (
    <div class={named ? "ll chd" : "ll one chd"} role="group" aria-label="Columns">
      <span />
      <span class="lt" aria-hidden="true">00:00:00<span class="ms">.000</span></span>
      {named && <span class="src" />}
      <span class="msg">
        {names.map((n) => (
          <span key={n} class="cv" title={show(n)}>{show(n)}<button type="button" aria-label={`Without the column ${show(n)}`} onClick={() => drop(n)}>×</button></span>
        ))}
      </span>
    </div>
  );
}

function asParam(q: string): string | undefined {
  return q === everyLine || q === "" ? undefined : q;
}

/** Whether an event is of a container that the controls select; a query by hand may be about any. */
function selected(c: Controls | undefined, e: Event): boolean {
  const of = (list: readonly string[], v: string | undefined) => list.length === 0 || (v !== undefined && list.includes(v));
  return !c || ((among(c).includes("container") || c.workloads.length > 0) && of(c.hosts, e.host) && of(c.names, e.name) && of(c.workloads, e.workload));
}

function Token({ of, drop }: { of: string; drop(): void }) {
  return (
    <span class="tok">
      {show(of)}
      <button type="button" aria-label={`Without ${show(of)}`} onClick={(e) => { e.preventDefault(); drop(); }}>×</button>
    </span>
  );
}

async function download(data: LogData): Promise<void> {
  notice.value = "Reading the lines of this range…";
  notice.value = await fetchPart(() => import("./download")).then((m) => m.download(data), (err) => `The lines cannot be read: ${inWords(err)}`);
  setTimeout(() => {
    notice.value = "";
  }, 5000);
}
