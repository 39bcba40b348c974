// SPDX-License-Identifier: Apache-2.0

import { computed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { all, type Range } from "../../format/range";
import { counted } from "../../format/number";
import { show } from "../../format/text";
import { day, hour } from "../../format/time";
import { nowMinute } from "../../part/clock";
import { Frame } from "../../part/frame";
import { Icon } from "../../part/icon";
import { useKeys } from "../../part/keys";
import { become, place, range, ranged, setParams, setRange } from "../../part/place";
import { RangeControl } from "../../part/rangecontrol";
import { rangeKeys } from "../../part/rangekeys";
import { useRetry } from "../../part/retry";
import { Ago } from "../../part/value";
import { attention, type Calm, calmOf, type Item, type Known, opensFirst } from "./attention";
import { OverviewData } from "./data";
import { useHeld } from "./held";
import { Hosts, Most } from "./hosts";
import { Day } from "./lanes";
import { Events, Itself, Starts } from "./side";
import "./overview.css";

// The range of the page where the address says none.
const shown = computed<Range>(() => (ranged.value ? range.value : { live: true, span: day }));

function choose(r: Range): void {
  // The usual range of the other pages leaves nothing in the address, and here that means a day.
  if (r.live && r.span === hour) setParams({ from: undefined, to: undefined, range: "1h" }, "push");
  else setRange(r);
}

// What the root of the site became; it is decided once.
let root = "";
const decideWithin = 3000;

/** Is anything wrong? All hosts at a glance. At the root of the site it decides whether it is what opens. */
export function OverviewPage() {
  const data = useMemo(() => new OverviewData(shown.peek()), []);
  const deciding = place.value.path === "/";
  data.brief = deciding;

  useSignalEffect(() => data.show(shown.value));
  useEffect(() => {
    data.start();
    return () => data.stop();
  }, []);

  const settle = (path: string) => {
    root = path;
    if (place.peek().path !== "/") return;
    become(path);
    data.brief = false;
    if (path === "/overview") data.poll.again();
  };
  useSignalEffect(() => {
    if (place.value.path !== "/") return;
    if (root) return settle(root);
    const { servers, alarms, services } = data;
    if (servers.problem.value) return settle("/servers"); // it says what it cannot say, and has the names of before
    if (!servers.known || !alarms.known || !services.known) return;
    settle(opensFirst(servers.value.value!, alarms.value.value, services.value.value, Date.now()) ? "/overview" : "/servers");
  });
  useEffect(() => {
    if (!deciding) return;
    const timer = setTimeout(() => settle("/servers"), decideWithin);
    return () => clearTimeout(timer);
  }, []);

  useRetry(() => data.failed[0]?.problem ?? "", () => data.poll.again());
  const view = () => data.view(Date.now(), data.lanes.value.peek()?.from);
  useKeys("Overview", rangeKeys(view, undefined, () => shown.peek(), choose));

  if (deciding) return <Frame title="Start" crumb={null} range={null} mainClass="pad">{null}</Frame>;
  const r = shown.value;
  const freeze = () => {
    const { from, to } = view();
    if (from > 0 || !r.live || r.span !== all) setRange({ live: false, from, to });
  };
  return (
    <Frame title="Overview" crumb={<><b>Overview</b><span class="wide sub">all hosts</span></>} range={<RangeControl range={r} freeze={freeze} canLive choose={choose} />} mainClass="opage">
      <h1 class="sr">Overview</h1>
      <div class="ogrid">
        <Attention data={data} />
        <Day data={data} shown={r} />
        <Hosts data={data} />
        <Most data={data} what="cpu" />
        <Most data={data} what="memory" />
        <div class="oside">
          <Events data={data} />
          <Starts data={data} range={r} />
          <Itself data={data} />
        </div>
      </div>
    </Frame>
  );
}

const itemsMost = 12;

/** What needs attention, and in true numbers what does not. */
function Attention({ data }: { data: OverviewData }) {
  const whole = useSignal(false);
  const { servers, alarms, services, siblings } = data;
  const now = Math.max(nowMinute.value, servers.value.value?.time ?? 0);
  const known: Known | undefined = servers.value.value && { hosts: servers.value.value.hosts, alarms: alarms.value.value, services: services.value.value, siblings: siblings.value.value?.found };
  const items = known ? attention(known, now) : [];
  const held = useHeld(items, (i) => i.key);
  const list = useRef<HTMLUListElement>(null);
  const calm = known && calmOf(known, items, now);
  const sure = data.rests.every((a) => a.known);
  const cut = whole.value ? held.rows : held.rows.slice(0, itemsMost);
  const quiet = items.length === 0 && sure && calm !== undefined && calm.containers.calm === calm.containers.all && !calm.services?.pending && calm.hosts > 0;
  return (
    <section class="ocard oatt" aria-labelledby="overview-attention" aria-busy={!sure}>
      {quiet ? (
        <div class="ook">
          <Icon name="doctor" />
          <h2 id="overview-attention">All is calm</h2>
          <p>{calmParts(calm)} on {counted(calm.hosts, "host")}.{!data.alarms.off.value && " No alarm fires."}{data.siblings.value.value?.left === 0 && " No sibling differs."} {looked(calm, data)}</p>
        </div>
      ) : (
        <>
          <header>
            <h2 id="overview-attention">Needs attention</h2>
            <span class="dim">{items.length > 1 ? "worst first" : ""}</span>
          </header>
          <ul ref={list} {...held.on}>{cut.map((i) => <Row key={i.key} i={i} />)}</ul>
          {held.rows.length > cut.length && (
            <p class="omore"><button type="button" class="btn q" onClick={() => { whole.value = true; list.current?.querySelector<HTMLElement>("a")?.focus(); }}>{counted(held.rows.length - cut.length, "more thing")} to look at</button></p>
          )}
          <Rest data={data} calm={calm} some={items.length > 0} sure={sure} />
        </>
      )}
      <Failed data={data} />
    </section>
  );
}

const gradeWords = { crit: "critical", warn: "warning", conf: "differs" };

function Row({ i }: { i: Item }) {
  const where = show([i.project, i.host].filter(Boolean).join(", "));
  return (
    <li data-grade={i.grade}>
      <span class={i.grade === "conf" ? "oring" : `dot ${i.grade}`} role="img" aria-label={gradeWords[i.grade]} title={gradeWords[i.grade]} />
      <p class="otext" title={show([i.text, ...i.more].join("; "))}>
        <b>{show(i.text)}</b>
        {i.more.length > 0 && <span class="mid"> {show(i.more[0]!)}{i.more.length > 1 && `, ${i.more.length - 1} more`}</span>}
      </p>
      <span class="owhere ell" title={where}>{where}</span>
      <span class="osince">{i.since > 0 && <Ago t={i.since} />}</span>
      <a class="btn" href={i.href} aria-label={`${i.action}: ${show(i.text)}`}>{i.action}</a>
    </li>
  );
}

/** What is calm in numbers, as far as tallyman has them. */
function calmParts({ containers: n, services: s }: Calm): string {
  const containers = n.calm === n.all ? counted(n.all, "container") : `${n.calm} of ${counted(n.all, "container")}`;
  const up = !s || s.all === 0 ? "" : s.up === s.all ? `, ${counted(s.all, "service")}` : `, ${s.up} of ${counted(s.all, "service")}`;
  return containers + up;
}

/** What else was looked at, and what was not. */
function looked(c: Calm, data: OverviewData): string {
  const left = data.siblings.value.value?.left ?? 0;
  const dropped = data.dropped ?? 0;
  return [
    c.services?.pending ? `${counted(c.services.pending, "service")} ${c.services.pending === 1 ? "was" : "were"} not asked yet.` : "",
    data.alarms.off.value ? "Alarms are switched off." : "",
    left > 0 ? `Siblings of ${counted(left, "service")} were not compared.` : "",
    dropped === 0 ? "Nothing was dropped." : `${counted(dropped, "record or sample", "records and samples")} dropped since tallyman started.`,
  ].filter(Boolean).join(" ");
}

function Rest({ data, calm, some, sure }: { data: OverviewData; calm: Calm | undefined; some: boolean; sure: boolean }) {
  const waiting = data.rests.filter((a) => !a.known && !a.problem.value).map((a) => a.name);
  const failing = data.rests.some((a) => a.problem.value);
  if (!sure || !calm) {
    return <p class="orest dim" role="status">{waiting.length > 0 && !failing ? `What is calm is not known yet: ${waiting.join(", ")} ${waiting.length > 1 || waiting[0]!.endsWith("s") ? "are" : "is"} being asked.` : failing ? "What is calm is not known now." : ""}</p>;
  }
  if (calm.hosts === 0) return <p class="orest">No engine is configured. <a class="link" href="/doctor">Doctor</a> tells what to do.</p>;
  return (
    <p class="orest">
      <span class={calm.containers.calm > 0 ? "dot" : "dot off"} aria-hidden="true" />
      <span>{calm.containers.calm === 0 ? "Calm" : some ? "The rest is calm" : "Nothing needs attention. Calm"}: {calmParts(calm)}. {looked(calm, data)}</span>
    </p>
  );
}

/** What did not load, in the words of the server. */
function Failed({ data }: { data: OverviewData }) {
  const failed = data.failed;
  if (failed.length === 0) return null;
  const by = new Map<string, string[]>();
  for (const f of failed) by.set(f.problem, [...(by.get(f.problem) ?? []), f.name]);
  return (
    <div class="ofail" role="alert">
      {[...by].map(([problem, names]) => <p key={problem}><span class="dot warn" aria-hidden="true" /> <span>Not loaded: {names.join(", ")}. {show(problem)}</span></p>)}
      <button type="button" class="btn" onClick={() => data.poll.again()}>Try again</button>
    </div>
  );
}
