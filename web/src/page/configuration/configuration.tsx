// SPDX-License-Identifier: Apache-2.0

import { batch, useComputed, useSignal, useSignalEffect } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { Configuration, Json, SiblingsAnswer, Snapshot } from "../../api/schema";
import { Live } from "../../api/live";
import { counted } from "../../format/number";
import { compared, flat, grouped, inShort, odd, type Piece, rowOf, said, settingOf, type SettingRow, strangers, union } from "../../format/setting";
import { localName, shortId, shortImage, show, showLines } from "../../format/text";
import { iso, minute, span, stamp } from "../../format/time";
import { clock, narrow, wide } from "../../part/clock";
import { Frame } from "../../part/frame";
import { Icon } from "../../part/icon";
import { useKeys } from "../../part/keys";
import { copy } from "../../part/notice";
import { configHref, containerHref, eventsHref, param, setParams } from "../../part/place";
import { useRetry } from "../../part/retry";
import { Board } from "./board";
import { byChange, byProject, ConfigData, found, pick, refOf, type Version } from "./data";
import { type SetFilter, understand } from "./rights";
import "./configuration.css";

const hostText = param("host");
const workloadText = param("workload");
const aText = param("a");
const bText = param("b");
const viewText = param("view");
const order = param("order");
const text = param("q");

// So long after news the page asks again, since a re-creation is many events, and so often at most.
const settle = 1500;
const apart = 4000;
const typingPause = 350;
const newsActions = new Set(["drift", "create", "destroy", "start", "update", "rename", "die"]);

/** A workload as people call it: shop / api / 1. */
const spoken = (workload: string) => show(workload.split("/").join(" / "));

/** What changed, and who differs? */
export function ConfigurationPage() {
  const data = useMemo(() => new ConfigData(), []);
  const filter = useRef<HTMLInputElement>(null);
  const shown = useComputed(() => {
    if (hostText.value && workloadText.value) return { host: hostText.value, workload: workloadText.value };
    const first = narrow.value ? undefined : data.list.value?.[0];
    return first && { host: first.host, workload: first.workload };
  });
  const key = useComputed(() => JSON.stringify(shown.value ?? null));
  const settings = useComputed(() => JSON.stringify(understand(text.value).settings));
  useEffect(() => {
    void data.loadList();
    let timer = 0;
    let asked = 0;
    const refresh = () => {
      asked = Date.now();
      const of = shown.peek();
      void data.loadList();
      if (of) void data.loadWorkload(of.host, of.workload, true);
    };
    let first = true;
    const stream = new Live<{ time: number }>(
      { view: "events" },
      {
        snapshot: () => {
          if (!first) refresh();
          first = false;
        },
        tick: () => undefined,
        event: (e) => {
          if (!newsActions.has(e.action) || (e.type !== "container" && e.type !== "tallyman")) return;
          timer ||= window.setTimeout(() => {
            timer = 0;
            refresh();
          }, Math.max(settle, asked + apart - Date.now()));
        },
      },
    );
    stream.start();
    return () => {
      clearTimeout(timer);
      stream.stop();
      data.stop();
    };
  }, []);
  useSignalEffect(() => {
    const of = JSON.parse(key.value) as { host: string; workload: string } | null;
    if (of) void data.loadWorkload(of.host, of.workload, false);
  });
  useKeys("Configuration", [{ keys: ["/"], label: "Filter the workloads", run: () => filter.current?.focus() }]);

  // Asked again with each list: a container that was made anew may have other settings.
  useSignalEffect(() => {
    const wanted = JSON.parse(settings.value) as SetFilter[];
    data.list.value;
    if (wanted.length === 0) return;
    const asking = new AbortController();
    const timer = setTimeout(() => void data.loadHaving(wanted, asking.signal), typingPause);
    return () => {
      clearTimeout(timer);
      asking.abort();
    };
  });
  useSignalEffect(() => {
    settings.value;
    batch(() => {
      data.having.value = undefined;
      data.havingProblem.value = "";
    });
  });

  useRetry(() => data.listProblem.value, () => void data.loadList());
  useRetry(() => data.problem.value, () => {
    const of = shown.peek();
    if (of) void data.loadWorkload(of.host, of.workload, true);
  });

  const list = data.list.value;
  const of = shown.value;
  const one = of && list?.find((c) => c.host === of.host && c.workload === of.workload);
  const onlyList = narrow.value && !of;
  return (
    <Frame
      title={of ? `Configuration of ${show(of.workload)}` : "Configuration"}
      mainClass={of ? "gpage one" : "gpage"}
      crumb={narrow.value && of ? <><a href="/configuration">Configuration</a><span>/</span><b>{spoken(of.workload)}</b></> : <b>Configuration</b>}
      range={null}
    >
      <aside class="wl" aria-label="Workloads">
        <Workloads data={data} again={() => void data.loadList()} at={of} field={filter} />
      </aside>
      {!onlyList && (
        <section class="gmid" aria-label="Configuration" aria-busy={of !== undefined && data.versions.value === undefined && !data.problem.value}>
          {of ? <Workload key={key.value} data={data} of={of} one={one} several={several(list)} /> : list && list.length === 0 ? <NoneYet /> : null}
        </section>
      )}
      {wide.value && list && list.length > 0 && <aside class="third" aria-label="Rights"><Board list={list} text={text.value} find={find} /></aside>}
      {onlyList && list?.length === 0 && <NoneYet />}
    </Frame>
  );
}

function several(list: readonly Configuration[] | undefined): boolean {
  return new Set((list ?? []).map((c) => c.host)).size > 1;
}

function NoneYet() {
  return (
    <section class="empty">
      <h1>No configuration is kept yet</h1>
      <p>One of each container is kept at first sight and at each change, without secrets. With no container, or while the engine does not answer, there is none.</p>
      <p><a class="link" href="/doctor">Doctor</a> tells what works here.</p>
    </section>
  );
}

const find = (q: string) => setParams({ q });

function Workloads({ data, again, at, field }: { data: ConfigData; again(): void; at: { host: string; workload: string } | undefined; field: { current: HTMLInputElement | null } }) {
  const list = data.list.value;
  const said = understand(text.value);
  const shown = found(list ?? [], said, data.having.value);
  const grouping = !shown ? [] : order.value === "project" ? byProject(shown) : byChange(shown, clock.value);
  const hosts = several(list);
  const problem = data.listProblem.value || data.havingProblem.value;
  return (
    <>
      <label class="field">
        <Icon name="filter" />
        <input ref={field} type="search" value={text.value} placeholder="Words, or set:privileged=yes" aria-label="Filter workloads" spellcheck={false} autocomplete="off" onInput={(e) => find(e.currentTarget.value)} />
      </label>
      <div class="seg" role="group" aria-label="Order">
        <button type="button" aria-pressed={order.value !== "project"} onClick={() => setParams({ order: undefined })}>By change</button>
        <button type="button" aria-pressed={order.value === "project"} onClick={() => setParams({ order: "project" })}>By project</button>
      </div>
      {problem && (
        <p class="crit" role="alert">
          {show(problem)} <button type="button" class="btn" onClick={again}>Try again</button>
        </p>
      )}
      {said.wrong.length > 0 && <p class="mid">A setting is asked for as set:NAME=VALUE: set:privileged=yes, set:networkmode=host, set:cmd="a b".</p>}
      {list && !shown && !problem && <p class="mid">Looking…</p>}
      {list && list.length > 0 && shown?.length === 0 && <p class="mid">0 of {list.length} match.</p>}
      {list && list.length > 0 && !wide.value && (
        <details class="rkfold">
          <summary>Rights at a glance</summary>
          <Board list={list} text={text.value} find={find} />
        </details>
      )}
      {grouping.map((g) => (
        <section key={g.name}>
          <h2>{show(g.name)}</h2>
          <ul>
            {g.items.map((c) => {
              const here = at?.host === c.host && at.workload === c.workload;
              return (
                <li key={`${c.host} ${c.workload}`}>
                  <a href={listHref(c)} aria-current={here ? "true" : undefined}>
                    <b class="ell" title={show(c.name ?? c.workload)}>{order.value === "project" ? show(withoutProject(c)) : spoken(c.workload)}</b>
                    <time dateTime={iso(c.changed ?? c.first)} title={iso(c.changed ?? c.first)}>{c.changed ? stamp(c.changed, clock.value) : span(clock.value - c.first)}</time>
                    <span class="ell">
                      {c.state === "gone" && <span class="gone">gone · </span>}
                      {hosts && `${show(c.host)} · `}
                      {c.changes ? show(inShort(c.changes.map((x) => x.path), c.changeCount)) : show(shortImage(c.image ?? ""))}
                    </span>
                  </a>
                </li>
              );
            })}
          </ul>
        </section>
      ))}
    </>
  );
}

function listHref(c: Configuration): string {
  return configHref(c) + (order.value ? `&order=${order.value}` : "") + (text.value ? `&q=${encodeURIComponent(text.value)}` : "");
}

function withoutProject(c: Configuration): string {
  return c.project && c.workload.startsWith(c.project + "/") ? c.workload.slice(c.project.length + 1).split("/").join(" / ") : c.workload;
}

function Workload({ data, of, one, several }: { data: ConfigData; of: { host: string; workload: string }; one: Configuration | undefined; several: boolean }) {
  const versions = data.versions.value;
  const pair = useComputed(() => pick(data.versions.value ?? [], aText.value, bText.value));
  const view = viewText.value === "all" || viewText.value === "image" ? viewText.value : "changed";
  const { a, b } = pair.value;
  const refs = `${a ? refOf(a) : ""} ${b ? refOf(b) : ""} ${view}`;
  useEffect(() => {
    if (b) void data.compare(a, b, view);
  }, [refs, data.turn.value]);
  const now = clock.value;

  if (data.problem.value) {
    return (
      <section class="empty">
        <h1>{spoken(of.workload)} cannot be shown</h1>
        <p role="alert">{show(data.problem.value)}</p>
        <p><button type="button" class="btn" onClick={() => void data.loadWorkload(of.host, of.workload, false)}>Try again</button></p>
      </section>
    );
  }
  if (!versions) return <h1 class="sr">{spoken(of.workload)}</h1>;
  if (!b) {
    return (
      <section class="empty">
        <h1>No configuration of {spoken(of.workload)} is kept</h1>
        <p>It is too new, measured and asked about are switched off for it (label tallyman.enable=false, or include and exclude), or its time is over (retention.events).</p>
        <p class="row"><a class="btn" href={containerHref({ ...of, id: "" })}>Open the container</a><a class="btn q" href="/configuration">All workloads</a></p>
      </section>
    );
  }
  const sib = data.siblings.value;
  const off = sib ? strangers(sib.differences).size : 0;
  const changes = data.changes.value;
  return (
    <>
      <header class="gh">
        <div class="row wrap">
          <h1>{spoken(of.workload)}</h1>
          {several && <span class="chip"><span class="ell">{show(of.host)}</span></span>}
          {one?.state === "gone" && <span class="chip warn">gone, history kept</span>}
          {one?.changed && <span class="chip conf" title={iso(one.changed)}>◆ {counted(one.changeCount ?? 0, "setting")} changed {stamp(one.changed, now)}</span>}
          {sib && sib.differences.length > 0 && <span class="chip warn"><span class="dot warn" /> {off ? `drift in ${off} of ${sib.members.length}` : "siblings differ"}</span>}
          <span class="grow" />
          <a class="btn" href={`${containerHref({ ...of, id: one?.id ?? "", state: one?.state })}`}>Container</a>
          <a class="btn" href={eventsHref(of, { range: "7d" })}>Events</a>
        </div>
        {versions.length > 1 && <Line versions={versions} a={a} b={b} />}
        <Compare versions={versions} a={a} b={b} view={view} n={changes?.length} />
      </header>
      {data.changesProblem.value && (
        <p class="banner warn" role="alert">
          <span class="dot warn" />
          <span class="grow">{show(data.changesProblem.value)}</span>
          <button type="button" class="btn q" onClick={() => void data.compare(a, b, view)}>Try again</button>
        </p>
      )}
      {view === "image" ? (
        <ImageOf data={data} b={b} />
      ) : view === "all" || !a ? (
        <Everything data={data} a={a} b={b} />
      ) : (
        <>
          <Aftermath data={data} of={of} b={b} />
          <Changed changes={changes} a={a} b={b} />
        </>
      )}
      {sib && sib.members.length > 1 && <Drift sib={sib} of={of} />}
      {data.more.value && <p class="dim">Only the newest {versions.length} versions are here.</p>}
    </>
  );
}

const lineMost = 6;

/** The versions on a line; a click compares one with that before it. */
function Line({ versions, a, b }: { versions: readonly Version[]; a: Version | undefined; b: Version }) {
  const at = versions.indexOf(b);
  const newest = Math.max(0, Math.min(at - 1, versions.length - lineMost));
  const shown = versions.slice(newest, newest + lineMost).reverse();
  return (
    <ol class="vers" aria-label="Versions">
      {shown.map((v) => (
        <li key={refOf(v)} class={v === b ? "on" : v === a ? "from" : a && v.n > a.n && v.n < b.n ? "in" : ""}>
          <button type="button" aria-current={v === b ? "true" : undefined} title={iso(v.time)} onClick={() => setParams({ a: undefined, b: refOf(v) }, "push")}>
            <b>{v.n}</b> <time dateTime={iso(v.time)}>{stamp(v.time, clock.value)}</time>
            <span class="ell">{v.changes?.length ? show(inShort(v.changes)) : v.previous ? "made anew, nothing changed" : "first seen"}</span>
          </button>
        </li>
      ))}
    </ol>
  );
}

function Compare({ versions, a, b, view, n }: { versions: readonly Version[]; a: Version | undefined; b: Version; view: string; n: number | undefined }) {
  const name = (v: Version) => `Version ${v.n}, ${stamp(v.time, clock.peek())}`;
  const choose = (which: "a" | "b", ref: string) => setParams({ a: a && refOf(a), b: refOf(b), [which]: ref }, "push");
  const pick = (label: string, which: "a" | "b", value: Version | undefined, options: readonly Version[]) => (
    <select class="btn" aria-label={label} value={value ? refOf(value) : ""} onChange={(e) => choose(which, e.currentTarget.value)}>
      {options.map((v) => <option key={refOf(v)} value={refOf(v)}>{name(v)}</option>)}
    </select>
  );
  const tab = (to: string | undefined, label: ComponentChildren) => (
    <button type="button" aria-pressed={view === (to ?? "changed")} onClick={() => setParams({ view: to })}>{label}</button>
  );
  return (
    <div class="row wrap cmp">
      {a ? (
        <>
          <span class="dim">Compare</span>
          {pick("Earlier version", "a", a, versions.filter((v) => v !== b))}
          <span class="dim">with</span>
          {pick("Later version", "b", b, versions.filter((v) => v !== a))}
        </>
      ) : (
        <>
          <span class="mid">{versions.length > 1 ? `Version ${b.n}, the first that is kept, ${stamp(b.time, clock.value)}` : `The only version, since ${stamp(b.time, clock.value)}`}</span>
          {versions.length > 1 && (
            <select class="btn" aria-label="Compare it with" value="" onChange={(e) => setParams({ a: refOf(b), b: e.currentTarget.value }, "push")}>
              <option value="" disabled>Compare it with…</option>
              {versions.filter((v) => v !== b).map((v) => <option key={refOf(v)} value={refOf(v)}>{name(v)}</option>)}
            </select>
          )}
        </>
      )}
      <span class="grow" />
      <div class="seg" role="group" aria-label="What is shown">
        {a && tab(undefined, n === undefined ? "Changed" : `Changed ${n}`)}
        {a ? tab("all", "All") : <button type="button" aria-pressed={view !== "image"} onClick={() => setParams({ view: undefined })}>All</button>}
        {tab("image", "Image")}
      </div>
    </div>
  );
}

/** What went wrong soon after a change. It may be a coincidence, and is not called a cause. */
function Aftermath({ data, of, b }: { data: ConfigData; of: { host: string; workload: string }; b: Version }) {
  const [first, ...others] = data.after.value;
  if (!first) return null;
  const around = new URLSearchParams({ from: iso(b.time - 5 * minute), to: iso(first.time + 5 * minute), at: iso(first.time) });
  return (
    <div class="after">
      <span class="dot crit" />
      <span>
        <b>{span(first.time - b.time)} after this change: {show(first.text)}.</b> {others.length > 0 && <span class="mid">{counted(others.length, "more critical event")} within the hour.</span>}
      </span>
      <a class="btn" href={`${containerHref({ ...of, id: "" })}&${around}`}>Open this moment</a>
    </div>
  );
}

function Changed({ changes, a, b }: { changes: readonly { path: string; old?: Json; new?: Json }[] | undefined; a: Version; b: Version }) {
  const rows = useMemo(() => (changes ?? []).map((c) => rowOf(c.path, c.old, c.new)), [changes]);
  if (!changes) return null;
  const remade = a.id !== b.id;
  const facts = (
    <dl class="facts2">
      <div><dt>Seen</dt><dd>{iso(b.time)}</dd></div>
      <div><dt>Container</dt><dd>{remade ? <>made anew: <span class="mono">{shortId(a.id)}</span> → <span class="mono">{shortId(b.id)}</span></> : <>the same one, <span class="mono">{shortId(b.id)}</span></>}</dd></div>
      {a.configHash && b.configHash && (
        <div>
          <dt>Compose</dt>
          <dd>
            {a.configHash === b.configHash
              ? rows.length > 0
                ? "The Compose file asks for the same as before (same config hash): this came another way, such as docker update or a newer image under the same tag."
                : "The same config hash."
              : <>The Compose file asked for it: config hash <span class="mono">{show(a.configHash.slice(0, 8))}</span> → <span class="mono">{show(b.configHash.slice(0, 8))}</span></>}
          </dd>
        </div>
      )}
    </dl>
  );
  if (rows.length === 0) {
    return (
      <section class="card dt none">
        <p><span class="dot" /> <b>Nothing that anybody chose is different.</b> <span class="mid">Id, name and time of creation, which every new container has anew, do not count.</span></p>
        {facts}
      </section>
    );
  }
  return (
    <section class="card dt" aria-label="What changed">
      <Table rows={rows} two />
      {facts}
    </section>
  );
}

const allMost = 400;

/** Every setting of a version, beside the other one where there are two. */
function Everything({ data, a, b }: { data: ConfigData; a: Version | undefined; b: Version }) {
  const both = data.both.value;
  const fit = both && both.b.hash === b.hash && both.a?.hash === a?.hash;
  const rows = useMemo(() => (fit ? (a ? union(flat(both.a?.config), flat(both.b.config)) : [...flat(both.b.config)].map(([p, v]) => rowOf(p, v, v))) : []), [both, fit]);
  if (!fit) return null;
  return <Whole rows={rows} two={a !== undefined} config={both.b.config} what="setting" />;
}

/** All settings of a document, with a field to find some and the document itself to copy. */
function Whole({ rows, two, config, what }: { rows: SettingRow[]; two: boolean; config: Json | undefined; what: string }) {
  const words = useSignal("");
  const wanted = words.value.toLowerCase().split(/\s+/);
  const hits = rows.filter((r) => {
    const text = `${r.group} ${r.label} ${r.path} ${JSON.stringify(r.a ?? "")} ${JSON.stringify(r.b ?? "")}`.toLowerCase();
    return wanted.every((w) => text.includes(w));
  });
  return (
    <section class="card dt" aria-label={`All ${what}s`}>
      <header class="row wrap">
        <label class="field">
          <Icon name="search" />
          <input type="search" value={words.value} placeholder={`Find a ${what}`} aria-label={`Find a ${what}`} spellcheck={false} autocomplete="off" onInput={(e) => { words.value = e.currentTarget.value; }} />
        </label>
        <span class="mid" role="status">{hits.length === rows.length ? counted(rows.length, what) : `${hits.length} of ${rows.length} match`}</span>
        <span class="grow" />
        <button type="button" class="btn" onClick={() => void copy(JSON.stringify(config, undefined, 2), "Configuration copied", "the REST interface has it, too")}>
          <Icon name="copy" />
          Copy as JSON
        </button>
      </header>
      {hits.length > 0 ? <Table rows={hits.slice(0, allMost)} two={two} /> : <p class="dim pad">No {what} is called that.</p>}
      {hits.length > allMost && <p class="mid pad">{counted(hits.length - allMost, `more ${what}`)}; a word above narrows them.</p>}
    </section>
  );
}

function ImageOf({ data, b }: { data: ConfigData; b: Version }) {
  const image = data.image.value;
  if (image === undefined) return null;
  if (image === "none") {
    return (
      <section class="card dt none">
        <p>The configuration of the image <span class="mono">{show(b.image ?? "")}</span> is not kept: it was removed before it could be asked for, or its time is over.</p>
      </section>
    );
  }
  return (
    <>
      <p class="mid">
        The image that this container was made of: <span class="mono">{show(b.image ?? "")}</span> <span class="mono dim" title={show(image.id)}>{show(shortId(image.id))}</span>
      </p>
      <Whole rows={[...flat(image.config)].map(([p, v]) => rowOf(p, v, v))} two={false} config={image.config} what="setting" />
    </>
  );
}

const signs = { added: "+", removed: "−", changed: "~", same: "" } as const;

function Table({ rows, two }: { rows: readonly SettingRow[]; two: boolean }) {
  return (
    <table class={two ? "" : "single"}>
      <thead>
        <tr>
          <th scope="col">Setting</th>
          {two ? <><th scope="col">Before</th><th scope="col">After</th></> : <th scope="col">Value</th>}
        </tr>
      </thead>
      {grouped(rows).map((g) => (
        <tbody key={g.group}>
          <tr class="sec">
            <th scope="rowgroup" colSpan={two ? 3 : 2}>{g.group}</th>
          </tr>
          {g.rows.map((r) => <Row key={r.path} r={r} two={two} />)}
        </tbody>
      ))}
    </table>
  );
}

function Row({ r, two }: { r: SettingRow; two: boolean }) {
  const a = said(r.path, r.a);
  const b = said(r.path, r.b);
  const [x, y] = two && r.how !== "same" ? compared(a, b) : [lines(a), lines(b)];
  const exact = (v: typeof a) => show(v.exact ? `${r.path}: ${v.exact}` : r.path);
  return (
    <tr data-path={r.path} data-how={r.how}>
      <th scope="row" title={show(r.path)}>
        {two && r.how !== "same" && <span class={`sign ${r.how}`} title={r.how}><span aria-hidden="true">{signs[r.how]}</span><span class="sr">{r.how}: </span></span>}
        {show(r.label)}
      </th>
      {two && <Cell v={a} pieces={x} class={r.how === "same" || a.kind === "none" ? "" : "x"} word="before" title={exact(a)} />}
      <Cell v={b} pieces={y} class={!two || r.how === "same" || b.kind === "none" ? "" : "a"} word={two ? "after" : ""} title={exact(b)} />
    </tr>
  );
}

function lines(v: { text: string; list?: string[] }): Piece[][] {
  return (v.list ?? [v.text]).map((text) => [{ text, hit: false }]);
}

function Cell({ v, pieces, class: cls, word, title }: { v: { kind: string }; pieces: Piece[][]; class: string; word: string; title: string }) {
  return (
    <td class={`mono ${cls}${v.kind === "none" ? " dim" : ""}`} data-word={word} title={title}>
      {pieces.map((line, i) => (
        <div key={i}>{line.map((p, j) => (p.hit ? <u key={j}>{showLines(p.text)}</u> : <span key={j}>{showLines(p.text)}</span>))}</div>
      ))}
    </td>
  );
}

/** Where the containers of one service are not alike. */
function Drift({ sib, of }: { sib: SiblingsAnswer; of: { host: string; workload: string } }) {
  const names = sib.members.map((m) => shortMember(m, of.workload));
  const hashes = sib.members.map((m) => m.configHash ?? null);
  const unlike = new Set(hashes).size > 1;
  const rows = sib.differences.map((d) => ({ ...settingOf(d.path), path: d.path, values: d.values, odd: odd(d.values) }));
  if (rows.length === 0 && !unlike) {
    return (
      <section class="card dr">
        <p class="calm"><span class="dot" /> {sib.members.length === 2 ? "Both" : `All ${sib.members.length}`} containers of this service are configured alike.{sib.more ? ` ${counted(sib.more, "other")} were not compared.` : ""}</p>
      </section>
    );
  }
  const hashOdd = odd(hashes);
  return (
    <section class="card dr" aria-labelledby="drift-title">
      <header>
        <h2 id="drift-title">Drift between siblings</h2>
        <span class="dim">{unlike ? "They were made of different versions of the Compose file." : hashes[0] ? "The Compose file asks for the same for all of them." : "The containers of one service should be equal."}</span>
      </header>
      <div class="scroll" tabIndex={0} role="group" aria-label="Settings that differ">
        <table style={{ minWidth: `${(sib.members.length + 1) * 130}px` }}>
          <thead>
            <tr>
              <th scope="col">Setting</th>
              {sib.members.map((m, i) => (
                <th key={`${m.host} ${m.workload}`} scope="col">
                  <a class="link" href={configHref({ host: m.host, workload: m.workload ?? "" })} title={show(m.name ?? "")}>{show(names[i]!)}</a>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {unlike && (
              <tr>
                <th scope="row">Compose config hash</th>
                {hashes.map((h, i) => <td key={i} class={hashOdd[i] ? "mono off" : "mono"}>{hashOdd[i] && <Odd />}{h ? show(h.slice(0, 12)) : "none"}</td>)}
              </tr>
            )}
            {rows.map((r) => (
              <tr key={r.path} data-path={r.path}>
                <th scope="row" title={show(r.path)}>{show(r.label)}</th>
                {r.values.map((v, i) => (
                  <td key={i} class={`mono${r.odd[i] ? " off" : ""}${v === null ? " dim" : ""}`}>
                    {r.odd[i] && <Odd />}
                    {showLines(said(r.path, v).text)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {sib.more ? <p class="mid pad">{counted(sib.more, "other container")} of this service were not compared.</p> : null}
    </section>
  );
}

function Odd() {
  return (
    <>
      <span class="dot warn" aria-hidden="true" />
      <span class="sr">differs: </span>
    </>
  );
}

function shortMember(m: Snapshot, like: string): string {
  const project = like.split("/").length > 1 ? like.split("/")[0] : undefined;
  return localName(m.name ?? m.workload ?? "", project);
}
