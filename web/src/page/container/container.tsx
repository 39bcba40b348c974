// SPDX-License-Identifier: Apache-2.0

import { computed, type ReadonlySignal, useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { inWords, why } from "../../api/client";
import type { Container, Event, Now, Why } from "../../api/schema";
import { useTimeActions, useTimeKeys } from "../../chart/actions";
import { pinnedOf } from "../../chart/marks";
import { chosenText } from "../../format/chosen";
import { only } from "../../format/filter";
import type { Range } from "../../format/range";
import { ofWorkload } from "../../format/selector";
import { bytes, cores, count, plain, rate, size } from "../../format/number";
import { assess, crashLoop, crashRate, exitWords, isUp } from "../../format/state";
import { localName, show } from "../../format/text";
import { iso, parseWhen, second, span, stamp } from "../../format/time";
import { Dock } from "../../log/dock";
import { compareHref } from "../../part/chosen";
import { clock, narrow, nowMinute } from "../../part/clock";
import { EventList } from "../../part/eventlist";
import { judge } from "../../part/firing";
import { Frame } from "../../part/frame";
import { Icon } from "../../part/icon";
import { later } from "../../part/later";
import { Meant } from "../../part/meant";
import { copy } from "../../part/notice";
import { configHref, containerHref, eventsHref, hostHref, linkTo, param, range, rangeParams, setParams, setRange } from "../../part/place";
import { RangeControl } from "../../part/rangecontrol";
import { useRetry } from "../../part/retry";
import { TimeCharts } from "../../part/timecharts";
import { firstTab, Flow, Kpi, Side } from "../../part/timepage";
import { Ago, NotKnown, reasonFor, StateMark } from "../../part/value";
import { ContainerData } from "./data";
import { deathOf, type MeantDeath } from "./death";
import { Facts } from "./facts";
import { sections } from "./tracks";
import "./container.css";

const pinText = param("at");
// Set where the range is wanted although the container lived for a moment of it only.
const whole = param("whole");

/** Why did it die? What is it doing? One container over its whole life and those before it. */
export function ContainerPage({ host, workload, id }: { host: string; workload: string; id: string | undefined }) {
  const pin = useMemo(() => computed(() => (pinText.value ? parseWhen(pinText.value, Date.now()) : undefined)), []);
  const data = useMemo(() => new ContainerData(host, workload, id, pin), []);
  const { model } = data;
  const filter = useRef<HTMLInputElement>(null);

  useEffect(() => {
    data.start();
    return () => data.stop();
  }, []);
  // Samples are asked for as soon as the width is known, since it says how many are worth having.
  const ready = useComputed(() => model.width.value > 0);
  useSignalEffect(() => {
    const r = range.value;
    const all = whole.value !== "";
    if (ready.value) data.show(r, all);
  });

  useRetry(() => data.problem.value, () => data.again());
  useRetry(() => data.historyProblem.value, () => void data.load());

  const d = data.detail.value;
  const gone = id !== undefined || d?.state === "gone";
  const life = data.life.value;
  const actions = useTimeActions(model, () => data.time(), !gone && !life);
  const choose = (r: Range) => {
    if (life) setParams({ whole: "1" });
    setRange(r);
  };
  const death = useDeath(data);
  useTimeKeys("Container", actions, [{ keys: ["/"], label: "Filter the events", run: () => focusEvents(filter) }]);

  const name = d ? localName(d.name, d.project) : workload.split("/").slice(1).join("-") || workload;
  const project = d?.project;
  const tracks = useMemo(() => sections((what, otherwise) => reasonFor(d?.absent, what, otherwise)), [d?.absent]);

  return (
    <Frame
      title={show(project ? `${project} / ${name}` : name)}
      mainClass="cpage"
      crumb={
        <>
          <a class="wide" href={hostHref(host, rangeParams())}>{show(host)}</a>
          <span class="wide">/</span>
          {project && (
            <>
              <a href={`/?q=${encodeURIComponent(`${only("host", host)} ${only("project", project)}`)}`}>{show(project)}</a>
              <span>/</span>
            </>
          )}
          <b>{show(name)}</b>
        </>
      }
      range={<RangeControl range={life ? { live: false, ...life } : range.value} freeze={actions.freeze} canLive={!gone} choose={choose} />}
    >
      {data.problem.value ? (
        <section class="empty">
          <h1>{show(name)} cannot be shown</h1>
          <p>{show(data.problem.value)}</p>
          <Meant name={workload} host={host} />
          <p class="row">
            <button type="button" class="btn" onClick={() => data.again()}>Try again</button>
            <a class="btn q" href="/servers">Open Servers</a>
          </p>
        </section>
      ) : (
        <>
          <Head data={data} d={d} name={name} id={id} death={death.value} />
          {narrow.value && <Died death={death.value} />}
          <TimeCharts data={data} problem={data.historyProblem.value} sections={tracks} actions={actions} of={{ host, workload }} />
          <Dock query={ofWorkload(host, workload)} label="Lines of this workload" model={model} range={range} pin={pin} gone={gone} absent={reasonFor(d?.absent, "log", "")} zoom={actions.zoomTo} unpin={() => setParams({ at: undefined })} />
          <Details data={data} d={d} death={narrow.value ? undefined : death.value} pin={pin} select={actions.select} filter={filter} />
        </>
      )}
    </Frame>
  );
}

function focusEvents(field: { current: HTMLInputElement | null }): void {
  firstTab();
  setTimeout(() => field.current?.focus());
}

function Head({ data, d, name, id, death }: { data: ContainerData; d: Container | undefined; name: string; id: string | undefined; death: Death | undefined }) {
  const now = clock.value;
  const died = d?.lastEvent && d.lastEvent.severity === "critical" ? d.lastEvent : undefined;
  const current = id !== undefined ? d?.instances?.find((i) => i.current && i.id !== d.id) : undefined;
  return (
    <section class="chead" aria-label="Summary">
      <div class="row l1">
        {d && <StateMark of={judge(d)} />}
        <h1 class="ell">{show(name)}</h1>
        {d?.project && <span class="chip wide"><span class="ell">{show(d.project)}</span></span>}
        {d && <span class="mid mono ell wide" title={show(d.image)}>{show(d.image)}</span>}
        {d?.state === "gone" && <span class="chip warn">gone{d.goneAt ? ` since ${stamp(d.goneAt, now)}` : ""}, history kept</span>}
        {d && crashLoop(d, nowMinute.value) && <span class="chip crit" title={iso(d.crashes!.last)}><span class="ell">{assess(d).words}</span></span>}
        {died && d && d.state !== "gone" && !crashLoop(d, nowMinute.value) && (
          <span class="chip crit" title={`${iso(died.time)}  ${show(died.text)}`}>
            <span class="ell">{show(died.text)}</span> · {stamp(died.time, now)}
          </span>
        )}
        {current && <a class="btn q" href={containerHref({ host: d!.host, workload: d!.workload, id: current.id })}>Open the one that runs</a>}
        <span class="grow" />
        <a class="btn" href={eventsHref({ host: data.host, workload: data.workload }, rangeParams())}>Events</a>
        <a class="btn wide" href={compareHref([chosenText(data)])}>Compare</a>
        <a class="btn" href={configHref({ host: data.host, workload: data.workload })}>Configuration</a>
        <button type="button" class="btn wide" title="Copy a link to this range" onClick={() => void copy(linkTo({ live: false, ...data.model.view.peek() }))}>
          <Icon name="link" />
          Share
        </button>
      </div>
      {death?.why && !narrow.value && <p class="verdict crit"><b>{show(death.why.guess)}</b> <span>{show(inShort(death.why))}</span></p>}
      <dl class="kpis">{d ? isUp(d) ? <Living data={data} d={d} /> : <Ended d={d} /> : <Kpi name="State">–</Kpi>}</dl>
    </section>
  );
}

const notYet = "tallyman has no sample of it yet.";

function Living({ data, d }: { data: ContainerData; d: Container }) {
  const now = data.now;
  const has = useComputed(() => (["cpu", "memory", "rx", "tx", "blkRead", "blkWrite", "pids"] as const).filter((k) => now.value?.[k] !== undefined).join(" "));
  const there = new Set(has.value.split(" "));
  const cpu = useComputed(() => cores(now.value?.cpu ?? 0));
  const memory = useComputed(() => bytes(now.value?.memory ?? 0).n);
  const memoryUnit = useComputed(() => {
    const { unit } = bytes(now.value?.memory ?? 0);
    if (!d.memoryLimit) return `${unit}, no limit`;
    const limit = size(d.memoryLimit);
    return limit.endsWith(" " + unit) ? `of ${limit}` : `${unit} of ${limit}`;
  });
  const pids = useComputed(() => count(now.value?.pids ?? 0));
  if (d.disabled) return <Kpi name="Measured">no <small>label tallyman.enable=false, or include and exclude</small></Kpi>;
  const not = (what: string) => <NotKnown why={reasonFor(d.absent, what, notYet)} />;
  return (
    <>
      <Kpi name="CPU">{there.has("cpu") ? <>{cpu} <small>{d.cpuLimit ? `of ${plain(d.cpuLimit)} cores` : "cores, no limit"}</small></> : not("cpu")}</Kpi>
      <Kpi name="Memory">{there.has("memory") ? <>{memory} <small>{memoryUnit}</small></> : not("memory")}</Kpi>
      <Kpi name="Network" two>
        {there.has("rx") || there.has("tx") ? <><OneWay now={now} of="tx" mark="up" word="sent" /> <OneWay now={now} of="rx" mark="dn" word="received" /></> : not("network")}
      </Kpi>
      <Kpi name="Block IO" two>
        {there.has("blkRead") || there.has("blkWrite") ? <><OneWay now={now} of="blkWrite" mark="up" word="written" /> <OneWay now={now} of="blkRead" mark="dn" word="read" /></> : not("block IO")}
      </Kpi>
      <Restarts d={d} />
      <Kpi name="Health">{d.health ? <span class={d.health === "unhealthy" ? "crit" : ""}>{d.health}</span> : <small>no check</small>}</Kpi>
      <Kpi name="Processes">{there.has("pids") ? pids : not("pids")}</Kpi>
      <Kpi name={d.state === "running" ? "Runs for" : "State"}>
        {d.state !== "running" ? d.state : d.started ? <span title={iso(d.started)}>{span(clock.value - d.started)} <small class="wide">since {stamp(d.started, clock.value)}</small></span> : "–"}
      </Kpi>
    </>
  );
}

/** One direction of a flow of the container's. */
function OneWay({ now, of, mark, word }: { now: ReadonlySignal<Now | undefined>; of: "tx" | "rx" | "blkRead" | "blkWrite"; mark: "up" | "dn"; word: string }) {
  const n = useComputed(() => rate(now.value?.[of] ?? 0).n);
  const unit = useComputed(() => rate(now.value?.[of] ?? 0).unit);
  return <Flow n={n} unit={unit} mark={mark} word={word} />;
}

function Restarts({ d }: { d: Container }) {
  const rate = crashRate(d, nowMinute.value);
  return <Kpi name="Restarts"><span class={d.restartCount ? "crit" : ""}>{d.restartCount ?? 0}</span>{rate && <small title="Deaths that nobody asked for"> died {rate}</small>}</Kpi>;
}

function Ended({ d }: { d: Container }) {
  return (
    <>
      <Kpi name="State"><span title={show(assess(d).words)}>{show(d.error ? assess(d).words : assess(d).words.split(",")[0]!)}</span></Kpi>
      {d.exitCode !== undefined && <Kpi name="Exit"><span class={assess(d).mark === "crit" ? "crit" : ""}>{d.exitCode}</span> <small>{exitWords(d.exitCode).replace(/^exit \d+ ?/, "")}{d.oomKilled && <span class="wide"> out of memory</span>}</small></Kpi>}
      {d.started !== undefined && <Kpi name="Started">{stamp(d.started, clock.value)}</Kpi>}
      {d.finished !== undefined && <Kpi name="Finished">{stamp(d.finished, clock.value)} <small class="wide"><Ago t={d.finished} /></small></Kpi>}
      {d.started !== undefined && d.finished !== undefined && d.finished > d.started && <Kpi name="Ran for">{span(d.finished - d.started)}</Kpi>}
      <Restarts d={d} />
      {d.state === "gone" && d.goneAt !== undefined && <Kpi name="Gone since">{stamp(d.goneAt, clock.value)}</Kpi>}
    </>
  );
}

/** What is known of a death, and why it cannot be told. */
interface Death {
  why?: Why;
  problem?: string;
}

const Processes = later(() => import("./processes").then((m) => m.Processes));

const WhyCard = later(() => import("../../part/whycard").then((m) => m.WhyCard));

const mostLooks = 5;
const fresh = 30 * second;

/** Asks why the container died, where that is what one comes for. */
function useDeath(data: ContainerData): ReadonlySignal<Death | undefined> {
  const found = useSignal<Death | undefined>(undefined);
  const asked = useComputed(() => JSON.stringify(deathOf(data.detail.value, pinnedOf(data.model.events.value, data.model.pin.value), nowMinute.value) ?? null));
  const ask = () => {
    const of = JSON.parse(asked.peek()) as MeantDeath | null;
    const stop = new AbortController();
    let again = 0;
    const look = ({ container, at, died }: MeantDeath, left: number) => {
      why(container, at, stop.signal).then(
        (a) => {
          // The stream may tell of a death before the store has it. An older one is not the one that is meant.
          const there = a.why !== undefined && a.why.at >= died;
          // Nor are its last samples stored at once.
          const more = !there || ((a.why!.notKnown?.length ?? 0) > 0 && Date.now() - a.why!.at < fresh);
          if (more && left > 0) again = window.setTimeout(() => look({ container, at, died }, left - 1), second);
          if (there || left === 0) found.value = there && !a.why!.exit.asked ? { why: a.why! } : undefined;
        },
        (err) => { if (!stop.signal.aborted) found.value = { problem: inWords(err) }; },
      );
    };
    // In a loop the death before stands until the new one is known; another's, or a later one, does not.
    const shown = found.peek()?.why;
    if (!of || (shown && (shown.container !== of.container || shown.at > of.at))) found.value = undefined;
    if (of) look(of, mostLooks);
    return () => {
      stop.abort();
      clearTimeout(again);
    };
  };
  useSignalEffect(() => {
    asked.value;
    return ask();
  });
  useRetry(() => found.value?.problem ?? "", ask);
  return found;
}

/** Why it died, with what that rests on. */
function Died({ death }: { death: Death | undefined }) {
  if (death?.problem) return <p class="banner warn" role="status"><span class="dot warn" /><span class="grow">Why it died cannot be told: {show(death.problem)}</span></p>;
  return death?.why ? <WhyCard y={death.why} title="Why did it die?" said={!narrow.value} /> : null;
}

/** What the exit code means, or else how it ended; and when. */
function inShort({ exit, at }: Why): string {
  return `${exit.meaning ? `Exit ${exit.code} means ${exit.meaning}` : exit.words} · ${stamp(at, clock.value)}`;
}

function Details({ data, d, death, pin, select, filter }: { data: ContainerData; d: Container | undefined; death: Death | undefined; pin: ReadonlySignal<number | undefined>; select(e: Event): void; filter: { current: HTMLInputElement | null } }) {
  return (
    <Side
      head={<Died death={death} />}
      tabs={[
        { id: "events", label: "Events", body: () => <EventList model={data.model} leftOut={data.leftOut.value} pin={pin.value} select={select} field={filter} /> },
        ...(d && isUp(d) ? [{ id: "processes", label: "Processes", body: () => <Processes id={d.id} host={d.host} /> }] : []),
        { id: "facts", label: "Facts", body: () => (d ? <Facts d={d} now={clock.value} /> : <p class="dim">Not known yet.</p>) },
      ]}
    />
  );
}
