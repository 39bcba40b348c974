// SPDX-License-Identifier: Apache-2.0

import { computed, type ReadonlySignal, useComputed, useSignal, useSignalEffect } from "@preact/signals";
import type { ComponentChildren, ComponentProps, ComponentType, TargetedKeyboardEvent } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { why } from "../../api/client";
import { fetchPart } from "../../api/reach";
import type { Container, Event, Now, Why } from "../../api/schema";
import { Stack } from "../../chart/stack";
import { only } from "../../format/filter";
import { bytes, cores, count, plain, rate, size } from "../../format/number";
import { nextSpan, type Range, zoom } from "../../format/range";
import { assess, exitWords, isUp } from "../../format/state";
import { localName, show } from "../../format/text";
import { iso, parseWhen, span, stamp } from "../../format/time";
import { clock } from "../../part/clock";
import { judge } from "../../part/firing";
import { Frame } from "../../part/frame";
import { Icon } from "../../part/icon";
import { useKeys } from "../../part/keys";
import { copy } from "../../part/notice";
import { configHref, containerHref, eventsHref, lastRange, linkTo, param, range, rangeParams, setParams, setRange } from "../../part/place";
import { RangeControl } from "../../part/rangecontrol";
import { Ago, NotKnown, reasonFor, StateMark } from "../../part/value";
import { WhyCard } from "../../part/whycard";
import { ContainerData } from "./data";
import { EventList } from "./eventlist";
import { Facts } from "./facts";
import { sections } from "./tracks";
import "./container.css";

const pinText = param("at");
const tab = param("tab");
const logs = param("logs");
const stacked = matchMedia("(max-width: 1100px)");

/** Why did it die? What is it doing? One container over its whole life and those before it. */
export function ContainerPage({ host, workload, id }: { host: string; workload: string; id: string | undefined }) {
  const pin = useMemo(() => computed(() => (pinText.value ? parseWhen(pinText.value, Date.now()) : undefined)), []);
  const data = useMemo(() => new ContainerData(host, workload, id, pin), []);
  const { model } = data;
  const charts = useRef<HTMLElement>(null);
  const filter = useRef<HTMLInputElement>(null);
  const room = useSignal(0);

  useEffect(() => {
    data.start();
    return () => data.stop();
  }, []);
  useLayoutEffect(() => {
    const el = charts.current;
    if (!el) return;
    const measure = () => {
      room.value = stacked.matches ? 0 : el.clientHeight;
    };
    const watch = new ResizeObserver(measure);
    watch.observe(el);
    measure();
    return () => watch.disconnect();
  }, [data.problem.value === ""]);
  // Samples are asked for as soon as the width is known, since it says how many are worth having.
  const ready = useComputed(() => model.width.value > 0);
  useSignalEffect(() => {
    const r = range.value;
    if (ready.value) data.show(r);
  });

  const d = data.detail.value;
  const gone = id !== undefined || d?.state === "gone";
  const actions = useActions(data, gone);
  useKeys("Container", [
    { keys: ["ArrowLeft", "ArrowRight"], label: "Cursor by one sample, with Shift by ten", run: (e) => actions.step((e.key === "ArrowLeft" ? -1 : 1) * (e.shiftKey ? 10 : 1)) },
    { keys: ["n", "p"], label: "Next, previous event", run: (e) => actions.jump(e.key === "n" ? 1 : -1) },
    { keys: ["[", "]"], label: "Earlier, later", run: (e) => actions.move(e.key === "[" ? -0.5 : 0.5) },
    { keys: ["+", "-"], label: "Zoom in, out", run: (e) => actions.zoomKey(e.key === "+" ? -1 : 1) },
    { keys: ["/"], label: "Filter the events", run: () => actions.filterEvents(filter) },
    { keys: ["Escape"], label: "Let go of the selection, then of the cursor", run: actions.escape },
  ]);

  const name = d ? localName(d.name, d.project) : workload.split("/").slice(1).join("-") || workload;
  const project = d?.project;
  const tracks = useMemo(() => sections((what, otherwise) => reasonFor(d?.absent, what, otherwise)), [d?.absent]);

  return (
    <Frame
      title={show(project ? `${project} / ${name}` : name)}
      mainClass="cpage"
      crumb={
        <>
          <a class="wide" href={`/?q=${encodeURIComponent(only("host", host))}`}>{show(host)}</a>
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
      range={<RangeControl range={range.value} freeze={actions.freeze} canLive={!gone} />}
    >
      {data.problem.value ? (
        <section class="empty">
          <h1>{show(name)} cannot be shown</h1>
          <p>{show(data.problem.value)}</p>
          <p class="row">
            <button type="button" class="btn" onClick={() => data.again()}>Try again</button>
            <a class="btn q" href="/">Open Servers</a>
          </p>
        </section>
      ) : (
        <>
          <Head data={data} d={d} name={name} id={id} />
          <section ref={charts} class="charts" aria-label="Charts" aria-busy={!data.loaded.value}>
            {data.historyProblem.value && (
              <p class="banner warn" role="alert">
                <span class="dot warn" />
                <span class="grow">History cannot be read: {show(data.historyProblem.value)}</span>
                <button type="button" class="btn q" onClick={() => void data.load()}>Try again</button>
              </p>
            )}
            <Stack
              model={model}
              sections={tracks}
              moreEvents={data.moreEvents.value}
              room={room}
              select={(m) => actions.select(m.lead)}
              pin={actions.pin}
              zoom={actions.zoomTo}
              zoomAround={actions.zoomAround}
              back={lastRange}
              copyLink={(from, to) => void copy(linkTo({ live: false, from, to }))}
            />
          </section>
          <Dock data={data} host={host} workload={workload} pin={pin} gone={gone} zoom={actions.zoomTo} />
          <Side data={data} d={d} pin={pin} select={actions.select} filter={filter} />
        </>
      )}
    </Frame>
  );
}

function useActions(data: ContainerData, gone: boolean) {
  const { model } = data;
  const wheel = useRef(0);
  const fixed = (from: number, to: number, mode: "push" | "replace" = "push") => setRange({ live: false, from, to }, mode);
  const pin = (t: number) => setParams({ at: iso(t) });
  const center = () => {
    const { from, to } = model.view.peek();
    return (from + to) / 2;
  };
  return {
    pin,
    select: (e: Event) => pin(e.time),
    freeze: () => fixed(model.view.peek().from, model.view.peek().to),
    zoomTo: (from: number, to: number) => {
      const middle = (from + to) / 2;
      const z = zoom(from, to, middle, 1, data.time());
      fixed(z.from, z.to);
    },
    // A turn of the wheel is many steps but one entry in the history.
    zoomAround: (t: number, factor: number) => {
      const { from, to } = model.view.peek();
      const z = zoom(from, to, t, factor, data.time());
      const now = Date.now();
      fixed(z.from, z.to, now - wheel.current < 1000 ? "replace" : "push");
      wheel.current = now;
    },
    zoomKey: (by: -1 | 1) => {
      const r: Range = range.peek();
      if (r.live && !gone) {
        setRange({ live: true, span: nextSpan(r.span, by) });
        return;
      }
      const { from, to } = model.view.peek();
      const z = zoom(from, to, model.cursor.peek() ?? center(), by < 0 ? 0.5 : 2, data.time());
      fixed(z.from, z.to);
    },
    move: (share: number) => {
      const { from, to } = model.view.peek();
      const by = Math.min((to - from) * share, data.time() - to);
      if (by !== 0) fixed(from + by, to + by);
    },
    step: (by: number) => {
      const at = model.step(model.pin.peek() ?? model.view.peek().to, by);
      if (at !== undefined) pin(at);
    },
    jump: (by: -1 | 1) => {
      const marks = model.marks.peek();
      const at = model.pin.peek();
      const { from, to } = model.view.peek();
      const inside = marks.filter((m) => m.lead.time >= from && m.lead.time <= to);
      const next = by > 0 ? inside.find((m) => at === undefined || m.lead.time > at + 999) : inside.findLast((m) => at === undefined || m.lead.time < at);
      if (next) pin(next.lead.time);
    },
    filterEvents: (field: { current: HTMLInputElement | null }) => {
      setParams({ tab: undefined });
      setTimeout(() => field.current?.focus());
    },
    escape: () => {
      if (model.selection.peek()) model.selection.value = undefined;
      else setParams({ at: undefined });
    },
  };
}


function Head({ data, d, name, id }: { data: ContainerData; d: Container | undefined; name: string; id: string | undefined }) {
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
        {died && d?.state !== "gone" && (
          <span class="chip crit" title={`${iso(died.time)}  ${show(died.text)}`}>
            <span class="ell">{show(died.text)}</span> · {stamp(died.time, now)}
          </span>
        )}
        {current && <a class="btn q" href={containerHref({ host: d!.host, workload: d!.workload, id: current.id })}>Open the one that runs</a>}
        <span class="grow" />
        <a class="btn" href={eventsHref({ host: data.host, workload: data.workload }, rangeParams())}>Events</a>
        <a class="btn" href={configHref({ host: data.host, workload: data.workload })}>Configuration</a>
        <button type="button" class="btn wide" title="Copy a link to this range" onClick={() => void copy(linkTo({ live: false, ...data.model.view.peek() }))}>
          <Icon name="link" />
          Share
        </button>
      </div>
      <dl class="kpis">{d ? isUp(d) ? <Living data={data} d={d} /> : <Ended d={d} /> : <Kpi name="State">–</Kpi>}</dl>
    </section>
  );
}

type DockPart = ComponentType<ComponentProps<(typeof import("./logdock"))["LogDock"]>>;

/** The logs under the charts; their code comes when they are first shown. */
function Dock({ data, host, workload, pin, gone, zoom }: { data: ContainerData; host: string; workload: string; pin: ReadonlySignal<number | undefined>; gone: boolean; zoom(from: number, to: number): void }) {
  const part = useSignal<{ Part?: DockPart; missing?: boolean }>({});
  const open = logs.value !== "off";
  useEffect(() => {
    if (!open || part.peek().Part) return;
    fetchPart(() => import("./logdock")).then(
      (m) => {
        part.value = { Part: m.LogDock };
      },
      () => {
        part.value = { missing: true };
      },
    );
  }, [open]);
  const { Part, missing } = part.value;
  return (
    <section class={open ? "dock" : "dock shut"} aria-label="Logs">
      <button type="button" class="btn q dfold" aria-expanded={open} aria-label={open ? "Fold the logs" : "Show the logs"} title={open ? "Fold the logs" : "Show the logs"} onClick={() => setParams({ logs: open ? "off" : undefined })}>
        <Icon name={open ? "down" : "right"} small />
        {!open && "Logs"}
      </button>
      {open && Part && <Part host={host} workload={workload} model={data.model} range={range} pin={pin} gone={gone} absent={reasonFor(data.detail.value?.absent, "log", "")} zoom={zoom} unpin={() => setParams({ at: undefined })} />}
      {open && missing && <p class="none">The logs could not be loaded: tallyman does not answer.</p>}
    </section>
  );
}

function Kpi({ name, two, children }: { name: string; two?: boolean; children: ComponentChildren }) {
  return (
    <div class={two ? "two" : undefined}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
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
        {there.has("rx") || there.has("tx") ? <><Flow now={now} of="tx" mark="up" word="sent" /> <Flow now={now} of="rx" mark="dn" word="received" /></> : not("network")}
      </Kpi>
      <Kpi name="Block IO" two>
        {there.has("blkRead") || there.has("blkWrite") ? <><Flow now={now} of="blkWrite" mark="up" word="written" /> <Flow now={now} of="blkRead" mark="dn" word="read" /></> : not("block IO")}
      </Kpi>
      <Kpi name="Restarts"><span class={d.restartCount ? "crit" : ""}>{d.restartCount ?? 0}</span></Kpi>
      <Kpi name="Health">{d.health ? <span class={d.health === "unhealthy" ? "crit" : ""}>{d.health}</span> : <small>no check</small>}</Kpi>
      <Kpi name="Processes">{there.has("pids") ? pids : not("pids")}</Kpi>
      <Kpi name={d.state === "running" ? "Runs for" : "State"}>
        {d.state !== "running" ? d.state : d.started ? <span title={iso(d.started)}>{span(clock.value - d.started)} <small class="wide">since {stamp(d.started, clock.value)}</small></span> : "–"}
      </Kpi>
    </>
  );
}

/** One direction of a flow, with an arrow for its word. */
function Flow({ now, of, mark, word }: { now: ReadonlySignal<Now | undefined>; of: "tx" | "rx" | "blkRead" | "blkWrite"; mark: "up" | "dn"; word: string }) {
  const n = useComputed(() => rate(now.value?.[of] ?? 0).n);
  const unit = useComputed(() => rate(now.value?.[of] ?? 0).unit);
  return (
    <>
      <span class={mark} title={word}><span class="sr">{word}</span></span> {n} <small>{unit}</small>
    </>
  );
}

function Ended({ d }: { d: Container }) {
  return (
    <>
      <Kpi name="State">{show(assess(d).words.split(",")[0]!)}</Kpi>
      {d.exitCode !== undefined && <Kpi name="Exit"><span class={assess(d).mark === "crit" ? "crit" : ""}>{d.exitCode}</span> <small>{exitWords(d.exitCode).replace(/^exit \d+ ?/, "")}{d.oomKilled && <span class="wide"> out of memory</span>}</small></Kpi>}
      {d.started !== undefined && <Kpi name="Started">{stamp(d.started, clock.value)}</Kpi>}
      {d.finished !== undefined && <Kpi name="Finished">{stamp(d.finished, clock.value)} <small class="wide"><Ago t={d.finished} /></small></Kpi>}
      {d.started !== undefined && d.finished !== undefined && d.finished > d.started && <Kpi name="Ran for">{span(d.finished - d.started)}</Kpi>}
      <Kpi name="Restarts"><span class={d.restartCount ? "crit" : ""}>{d.restartCount ?? 0}</span></Kpi>
      {d.state === "gone" && d.goneAt !== undefined && <Kpi name="Gone since">{stamp(d.goneAt, clock.value)}</Kpi>}
    </>
  );
}

const tabs = [
  { key: "", id: "events", label: "Events" },
  { key: "facts", id: "facts", label: "Facts" },
] as const;

/** Why the container died last, while that is what one comes for: it does not run, or has not for long. */
function WhyDied({ d }: { d: Container }) {
  const found = useSignal<Why | undefined>(undefined);
  const died = d.finished ?? 0;
  const wanted = died > 0 && (!isUp(d) || Date.now() - (d.started ?? 0) < recently) && (d.exitCode !== 0 || !!d.oomKilled);
  useEffect(() => {
    found.value = undefined;
    if (!wanted) return;
    const asking = new AbortController();
    // The end is told by the engine a little before its event is.
    why(d.id, died + 5000, asking.signal).then((a) => { found.value = a.why; }, () => undefined);
    return () => asking.abort();
  }, [d.id, died, wanted]);
  const y = found.value;
  return y && !y.exit.asked ? <WhyCard y={y} title="Why did it die?" /> : null;
}

const recently = 15 * 60_000;

function Side({ data, d, pin, select, filter }: { data: ContainerData; d: Container | undefined; pin: ReadonlySignal<number | undefined>; select(e: Event): void; filter: { current: HTMLInputElement | null } }) {
  const on = tabs.find((t) => t.key === tab.value) ?? tabs[0];
  const arrows = (e: TargetedKeyboardEvent<HTMLElement>) => {
    if (e.key !== "ArrowLeft" && e.key !== "ArrowRight") return;
    e.preventDefault();
    const other = tabs[(tabs.indexOf(on) + 1) % tabs.length]!;
    setParams({ tab: other.key });
    (e.currentTarget.querySelector(`#tab-${other.id}`) as HTMLElement | null)?.focus();
  };
  return (
    <aside class="side" aria-label="Details">
      {d && <WhyDied d={d} />}
      <div class="tabs" role="tablist" aria-label="Details" onKeyDown={arrows}>
        {tabs.map((t) => (
          <button key={t.id} id={`tab-${t.id}`} type="button" role="tab" aria-selected={t === on} aria-controls={`panel-${t.id}`} tabIndex={t === on ? 0 : -1} onClick={() => setParams({ tab: t.key })}>
            {t.label}
          </button>
        ))}
      </div>
      <div class="sbody" id={`panel-${on.id}`} role="tabpanel" aria-labelledby={`tab-${on.id}`} tabIndex={-1}>
        {on.id === "events" ? (
          <EventList events={data.model.events} more={data.moreEvents.value} pin={pin.value} select={select} field={filter} />
        ) : d ? (
          <Facts d={d} now={clock.value} />
        ) : (
          <p class="dim">Not known yet.</p>
        )}
      </div>
    </aside>
  );
}
