// SPDX-License-Identifier: Apache-2.0

import { batch, signal, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { get, inWords, servers } from "../../api/client";
import type { ChangedLines, ChangesAnswer, Container } from "../../api/schema";
import { tone } from "../../chart/marks";
import { levelKind } from "../../format/logline";
import { count, counted, percent } from "../../format/number";
import { all } from "../../format/range";
import { localName, show } from "../../format/text";
import { hour, iso, moment, minute, second, span, stamp } from "../../format/time";
import { clock } from "../../part/clock";
import { Frame } from "../../part/frame";
import { Icon } from "../../part/icon";
import { EventMark } from "../../part/mark";
import { copy } from "../../part/notice";
import { changesHref, configHref, containerHref, eventsHref, hostHref, linkTo, logsHref, param, range, rangeOf, rangeParams, setRange } from "../../part/place";
import { RangeControl } from "../../part/rangecontrol";
import { rangeKeys } from "../../part/rangekeys";
import { useKeys } from "../../part/keys";
import { useRetry } from "../../part/retry";
import { Spark } from "../../part/spark";
import { Template } from "../../part/template";
import { Value } from "../../part/value";
import { changeLines } from "../../part/why";
import { labelOf, type Moved, moveWords, unwatched, valueOf } from "./data";
import "./changes.css";

type Happening = ChangesAnswer["happened"][number];
type Found = ChangedLines["new"][number];

const hostText = param("host");
const workloadText = param("workload");

// So many of what happened stand there at once: what moved is to be seen without scrolling.
const firstMost = 6;

/** What changed here? A range against the one before it: what happened, what moved most, which lines are new. */
export function ChangesPage() {
  const host = hostText.value;
  const workload = workloadText.value;
  const answer = useSignal<ChangesAnswer | undefined>(undefined);
  const lines = useSignal<ChangedLines | undefined>(undefined);
  const problem = useSignal("");
  const linesProblem = useSignal("");
  const known = useSignal<Container[]>([]);
  const asking = useRef<AbortController | undefined>(undefined);
  const whole = useSignal(false);
  // A range that ends now is that of the moment when it was asked for.
  const shown = useSignal({ from: 0, to: 0 });

  const load = () => {
    asking.current?.abort();
    const stop = (asking.current = new AbortController());
    const r = range.peek();
    const now = Date.now();
    const view = r.live ? { from: now - (r.span === all ? hour : r.span), to: now } : { from: r.from, to: Math.min(r.to, now) };
    batch(() => {
      shown.value = view;
      answer.value = lines.value = undefined;
      problem.value = linesProblem.value = "";
    });
    const of = { start: Math.floor(view.from), end: Math.ceil(view.to), host: hostText.peek() || undefined, workload: workloadText.peek() || undefined };
    const failed = (into: { value: string }) => (err: unknown) => {
      if (!stop.signal.aborted) into.value = inWords(err);
    };
    get<"changes">("changes", of, stop.signal).then((a) => { answer.value = a; }, failed(problem));
    get<"changes/lines">("changes/lines", of, stop.signal).then((a) => { lines.value = a; }, failed(linesProblem));
  };
  useSignalEffect(() => {
    range.value;
    hostText.value;
    workloadText.value;
    load();
  });
  useEffect(() => {
    // Without the names there are those of the workloads.
    servers().then((s) => { known.value = s.hosts.flatMap((h) => h.containers); }, () => undefined);
    return () => asking.current?.abort();
  }, []);
  useRetry(() => problem.value || linesProblem.value, load);
  const view = shown.value;
  useKeys("What changed", rangeKeys(() => shown.peek(), undefined));

  const nameOf = (h: string, w: string, name?: string) => {
    const c = known.value.find((x) => x.host === h && x.workload === w && x.state !== "gone") ?? known.value.find((x) => x.host === h && x.workload === w);
    return show(c ? (c.project ? `${c.project} / ${localName(c.name, c.project)}` : c.name) : name || w);
  };
  const several = new Set(answer.value?.watched.map((w) => w.host)).size > 1;
  const where = (x: { host: string; workload?: string | undefined; name?: string | undefined }) => (x.workload ? nameOf(x.host, x.workload, x.name) + (several && !host ? ` on ${show(x.host)}` : "") : show(x.host));
  const length = view.to - view.from;
  const a = answer.value;
  const l = lines.value;
  // The charts of both ranges, with where one ends marked.
  const both = (at: number) => ({ from: iso(view.from - length), to: iso(view.to), at: iso(at) });
  const hrefOf = (x: { host: string; workload?: string | undefined }, at: number) => (x.workload ? containerHref({ host: x.host, workload: x.workload, id: "" }, both(at)) : hostHref(x.host, both(at)));

  return (
    <Frame
      title="What changed"
      mainClass="chg"
      crumb={
        <>
          {host && <a class="wide" href={hostHref(host, rangeParams())}>{show(host)}</a>}
          {host && <span class="wide">/</span>}
          {workload && <a href={containerHref({ host, workload, id: "" }, rangeParams())}><span class="ell">{nameOf(host, workload)}</span></a>}
          {workload && <span>/</span>}
          <b>What changed</b>
        </>
      }
      range={<RangeControl range={range.value} freeze={() => setRange({ live: false, ...shown.peek() })} canLive />}
    >
      <header class="row wrap">
        <h1>{moment(view.from, clock.value)} – {moment(view.to, clock.value)} <span class="mid">against the {length < 2 * minute ? counted(Math.round(length / second), "second") : span(length)} before</span></h1>
        <span class="grow" />
        <nav class="seg" aria-label="Of what">
          {workload && <a href={changesHref({ host, workload }, rangeParams())} aria-current="true">{nameOf(host, workload)}</a>}
          {host && <a href={changesHref({ host }, rangeParams())} aria-current={!workload || undefined}>{show(host)}</a>}
          <a href={changesHref({}, rangeParams())} aria-current={!host || undefined}>everything</a>
        </nav>
        <button type="button" class="btn wide" title="Copy a link to this range" onClick={() => void copy(linkTo({ live: false, ...shown.peek() }))}>
          <Icon name="link" />
          Share
        </button>
      </header>
      {a && unwatched(a.watched, length).map((text) => <p key={text} class="banner warn" role="status"><span class="dot warn" />{show(text)}</p>)}
      <div class="chgcols">
        <div>
          <section aria-label="Happened" aria-busy={!a}>
            <h2>Happened</h2>
            {problem.value && <Failed text={problem.value} again={load} />}
            {!a && !problem.value && <p class="dim">Reading what happened …</p>}
            {a && a.happened.length === 0 && <p class="mid">{a.watched.some((w) => w.after > 0) ? "Nothing happened: no start, no death, no change of a configuration." : "No event is kept of this range, and no host was watched in it: what happened is not known."}</p>}
            {a && a.happened.length > 0 && <ol class="hap">{(whole.value ? a.happened : a.happened.slice(0, firstMost)).map((h) => <Event key={`${h.host} ${h.workload} ${h.kind} ${h.text}`} h={h} where={where(h)} href={hrefOf(h, h.time)} />)}</ol>}
            {a && a.happened.length > firstMost && (
              <p><button type="button" class="btn" aria-expanded={whole.value} onClick={() => { whole.value = !whole.value; }}>{whole.value ? "Fewer" : `${count(a.happened.length - firstMost)} more`}</button></p>
            )}
            {a && a.happenedLeft > 0 && (whole.value || a.happened.length <= firstMost) && <p class="mid">And {counted(a.happenedLeft, "more", "more")}. <a class="link" href={eventsHref({ host, workload }, rangeOf({ live: false, ...view }))}>All events</a></p>}
            {a?.since && <p class="mid">There are too many events to look at all: these are from {stamp(a.since, clock.value)} on.</p>}
          </section>
          <section aria-label="Moved most" aria-busy={!a}>
            <h2>Moved most</h2>
            {!a && !problem.value && <p class="dim">Comparing the samples …</p>}
            {a && a.moved.length > 0 && (
              <ol class="moved">
                {a.moved.map((m) => <Row key={`${m.host} ${m.workload} ${m.measure} ${m.part}`} m={m} where={workload ? "" : where(m)} href={hrefOf(m, view.from)} />)}
              </ol>
            )}
            {a && a.moved.length === 0 && <p class="mid">{a.compared === 0 ? "There are no samples of these times." : `None of ${counted(a.compared, "number")} moved further than it did before.`}</p>}
            {a && a.compared > 0 && (
              <p class="dim">
                {a.moved.length > 0 && <>{a.moved.length + a.movedLeft} of {counted(a.compared, "number")} moved{a.movedLeft > 0 && `, ${a.movedLeft} less than these`}. </>}
                {a.sample < a.step && <>Of each {span(a.step)} the first {span(a.sample)} were read. </>}
                {a.comparedLeft ? `${count(a.comparedLeft)} more are too many to be compared.` : ""}
              </p>
            )}
          </section>
        </div>
        <section aria-label="Lines" aria-busy={!l}>
          <h2>New lines</h2>
          {linesProblem.value && <Failed text={linesProblem.value} again={load} />}
          {!l && !linesProblem.value && <p class="dim">Reading the lines of both times …</p>}
          {l && <Kinds list={l.new} left={l.newLeft} none={l.lines === 0 ? "No lines are kept of this range." : "No kind of line is new."} where={workload ? () => "" : where} view={view} />}
          {l && <h2>No longer there</h2>}
          {l && <Kinds list={l.gone} left={l.goneLeft} none={l.linesBefore === 0 ? "No lines are kept of the time before." : "No kind of line has gone."} where={workload ? () => "" : where} view={{ from: view.from - length, to: view.from }} past />}
          {l && (
            <p class="dim">
              {l.covered < 1 || l.coveredBefore < 1 ? <>Sampled: {counted(l.lines, "line")} in {percent(l.covered)} of the time, and {count(l.linesBefore)} in {percent(l.coveredBefore)} of the time before. What is rare may be missed. </> : <>All lines were read: {count(l.lines)}, and {count(l.linesBefore)} before. </>}
              {l.apart > 0 && `${count(l.apart)} of them are of kinds that are too many to tell apart. `}
              {l.unwatched?.length ? `${l.unwatched.map(show).join(", ")} was not watched before: of it nothing is called new.` : ""}
            </p>
          )}
        </section>
      </div>
    </Frame>
  );
}

function Failed({ text, again }: { text: string; again(): void }) {
  return (
    <p class="banner warn" role="alert">
      <span class="dot warn" />
      <span class="grow">{show(text)}</span>
      <button type="button" class="btn q" onClick={again}>Try again</button>
    </p>
  );
}

/** What happened to one workload, with the settings that were changed. */
function Event({ h, where, href }: { h: Happening; where: string; href: string }) {
  const of = { id: "", type: "", action: "", ...h };
  const changes = changeLines(h);
  const often = [h.times > 1 && `${count(h.times)} times`, h.before > 0 && `${count(h.before)} in the time before`].filter(Boolean).join(", ");
  return (
    <li class={tone(of)}>
      <a href={href}>
        <EventMark of={of} />
        <span><b>{show(h.text)}</b> <span class="mid">{often && `${often} · `}{where}</span></span>
        <time dateTime={iso(h.time)} title={iso(h.time)}>{moment(h.time, clock.value)}{h.times > 1 && ` – ${moment(h.last, clock.value)}`}</time>
      </a>
      {changes.length > 0 && <ul>{changes.map((c) => <li key={c}>{show(c)}</li>)}</ul>}
      {h.kind === "drift" && h.workload && <a class="link" href={configHref({ host: h.host, workload: h.workload })}>Configuration</a>}
    </li>
  );
}

/** How one number moved: the curve of both times, what was usual before and after, and by how much. */
function Row({ m, where, href }: { m: Moved; where: string; href: string }) {
  const curve = useMemo(() => signal(m.points), [m]);
  const say = (v: number | null) => (v === null ? "–" : <Value of={valueOf(m, v)} />);
  return (
    <li>
      <a href={href} title={m.peak ? "The usual value moved less than the high ones: a tenth of the time is above these" : "The usual values, before and in this range"}>
        <span class="what"><b class="ell">{show(labelOf(m))}</b>{where && <span class="mid ell">{where}</span>}</span>
        <span class="curve"><Spark values={curve} top={undefined} kind={m.measure.toLowerCase().includes("memory") || m.measure === "cache" || m.measure === "swap" ? "memory" : "cpu"} /></span>
        <span class="vals">{say(m.before)} <span class="dim" aria-hidden="true">→</span><span class="sr"> to </span> {say(m.after)}{m.peak && <span class="dim"> at its height</span>}</span>
        <b class="by">{moveWords(m.before, m.after)}</b>
      </a>
    </li>
  );
}

/** Kinds of lines; a click leads to them. */
function Kinds({ list, left, none, where, view, past }: { list: readonly Found[]; left: number; none: string; where(x: Found): string; view: { from: number; to: number }; past?: boolean }) {
  if (list.length === 0) return <p class="mid">{none}</p>;
  // Of what has gone the last line matters.
  const at = (p: Found) => (past ? p.last : p.first);
  return (
    <>
      <ol class="kinds">
        {list.map((p) => (
          <li key={`${p.host} ${p.workload} ${p.filename} ${p.unit} ${p.level} ${p.pattern}`} class={levelKind(p.level)}>
            <a href={logsHref(p.query, { from: iso(view.from), to: iso(view.to + second), at: iso(at(p)) })} title={show(p.example)}>
              <b class="n">{count(p.lines)}</b>
              <code><Template of={p.pattern} /></code>
              <span class="mid ell">{p.level && <span class="sr">{show(p.level)} </span>}{[p.filename || p.unit, where(p)].filter(Boolean).map((x) => show(x!)).join(" · ")}</span>
              <time dateTime={iso(at(p))}>{moment(at(p), clock.value)}</time>
            </a>
          </li>
        ))}
      </ol>
      {left > 0 && <p class="mid">And {counted(left, "more", "more")}.</p>}
    </>
  );
}
