// SPDX-License-Identifier: Apache-2.0

import { computed, type ReadonlySignal, signal, useComputed, useSignalEffect } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { Entry } from "../../api/loki";
import type { Kill } from "../../api/schema";
import { useTimeActions, useTimeKeys } from "../../chart/actions";
import { tone } from "../../chart/marks";
import { only } from "../../format/filter";
import { bytes, cores, digits, diskRoom, percent, plain, size, strain } from "../../format/number";
import { originOf } from "../../format/origin";
import { ofHost } from "../../format/selector";
import { engineWords, isUp } from "../../format/state";
import { localName, show } from "../../format/text";
import { parseWhen, second, stamp } from "../../format/time";
import { Dock } from "../../log/dock";
import { markOf } from "../../log/meant";
import { clock } from "../../part/clock";
import { EventList } from "../../part/eventlist";
import { Frame } from "../../part/frame";
import { Icon } from "../../part/icon";
import { copy } from "../../part/notice";
import { containerHref, eventsHref, hostHref, linkTo, param, range, rangeParams, setParams } from "../../part/place";
import { RangeControl } from "../../part/rangecontrol";
import { useRetry } from "../../part/retry";
import { TimeCharts } from "../../part/timecharts";
import { firstTab, Kpi, Side } from "../../part/timepage";
import { NotKnown } from "../../part/value";
import { HostData } from "./data";
import { DiskPanel } from "./disk";
import { EnginePanel } from "./engine";
import { Kills } from "./kills";
import type { Piece } from "./neighbour";
import { resources, type Resource } from "./shares";
import { sections } from "./tracks";
import "./host.css";

const pinText = param("at");

/** Is it the machine? One host: who takes what of it, its engine, its disks. */
export function HostPage({ host }: { host: string }) {
  const pin = useMemo(() => computed(() => (pinText.value ? parseWhen(pinText.value, Date.now()) : undefined)), []);
  const data = useMemo(() => new HostData(host, signal(host), pin), []);
  const { model } = data;
  const filter = useRef<HTMLInputElement>(null);
  const missing = data.hosts.value !== undefined && data.engines.value.length === 0;

  useEffect(() => {
    data.start();
    return () => data.stop();
  }, []);
  // Samples are asked for as soon as the width is known, since it says how many are worth having.
  const ready = useComputed(() => model.width.value > 0 && data.hosts.value !== undefined);
  useSignalEffect(() => {
    const r = range.value;
    if (ready.value) data.show(r);
  });

  const actions = useTimeActions(model, () => data.time(), true);
  const filterEvents = () => {
    firstTab();
    setTimeout(() => filter.current?.focus());
  };
  useTimeKeys("Host", actions, [{ keys: ["/"], label: "Filter the events", run: filterEvents }]);

  useRetry(() => data.problem.value, () => void data.load());
  useRetry(() => data.figuresProblem.value, () => void data.load());

  const name = data.host.value;
  const containers = data.containers.value;
  const nameOf = (workload: string) => {
    const c = containers.get(workload);
    return show(c ? (c.project ? `${c.project} / ${localName(c.name, c.project)}` : c.name) : workload.split("/").join(" / "));
  };
  const hrefOf = (workload: string) => {
    const c = containers.get(workload);
    return c && containerHref(c, rangeParams());
  };
  const features = data.features.value;
  const why = (id: string, otherwise: string) => {
    const f = features.find((x) => x.id === id);
    return f?.reason ? show(f.unlock ? `${f.reason} ${f.unlock}` : f.reason) : otherwise;
  };
  const has = useComputed(() => ["goroutines", "cpuUsed", ...resources.map((r) => `${r}Others`)].map((c) => (model.columns.value.series[c] ? "1" : "0")).join("")).value;
  const names = [...Object.values(data.seats.value)].flat().map((w) => w && `${nameOf(w)} ${hrefOf(w)}`).join("\n");
  const tracks = useMemo(() => {
    const [measured, counters, ...shared] = [...has].map((c) => c === "1") as [boolean, boolean, ...boolean[]];
    return sections({ seats: data.seats.value, counts: data.counts.value, nameOf, hrefOf, why, measured, counters, shared: Object.fromEntries(resources.map((r, i) => [r, shared[i]!])) as Record<Resource, boolean> });
  }, [names, data.counts.value, features, has, range.value]);

  // A line of the kernel's that tells of a kill has the name of the container beside it.
  const kills = data.kills.value;
  const origin = useMemo(() => {
    const of = (e: Entry) => kills?.find((k) => Math.abs(k.time - e.t) < 30 * second && k.lines.includes(e.line));
    const known = (k: Kill | undefined) => (k?.workload ? containers.get(k.workload) : undefined);
    return {
      named: (e: Entry) => {
        const k = of(e);
        return k?.name ?? (k?.container ? k.container.slice(0, 12) : originOf(e.labels));
      },
      href: (e: Entry) => {
        const c = known(of(e));
        return c && containerHref(c, { ...rangeParams(), at: markOf(e) });
      },
    };
  }, [kills]);

  return (
    <Frame
      title={name ? show(name) : "Host"}
      mainClass="cpage hostp"
      crumb={
        <>
          <a class="wide" href="/servers">Servers</a>
          <span class="wide">/</span>
          <b>{name ? show(name) : "Host"}</b>
        </>
      }
      range={<RangeControl range={range.value} freeze={actions.freeze} canLive />}
    >
      {missing ? (
        <section class="empty">
          <h1>{name ? `${show(name)} is not known` : "No host is known yet"}</h1>
          <p>{name ? "No engine of a host with this name is configured." : "tallyman has found no engine."} <a class="link" href="/doctor">Doctor</a> tells which engines tallyman can see.</p>
          <p class="row">
            {data.hosts.value!.map((h) => <a key={h.host} class="btn" href={hostHref(h.host)}>{show(h.host)}</a>)}
            <a class="btn q" href="/servers">Open Servers</a>
          </p>
        </section>
      ) : (
        <>
          <Head data={data} name={name} />
          <TimeCharts data={data} problem={data.problem.value} sections={tracks} actions={actions} of={{ host: name }} instances={false} />
          {name && (
            <Dock
              key={name}
              query={ofHost(name)}
              label="Lines of the kernel and the engine"
              telling={(e) => e.type === "engine" || tone(e) === "crit"}
              origin={origin}
              model={model}
              range={range}
              pin={pin}
              gone={false}
              absent="No line of the engine, containerd or the kernel in this range. Where neither the journal nor /dev/kmsg can be read there are none at all."
              zoom={actions.zoomTo}
              unpin={() => setParams({ at: undefined })}
            />
          )}
          <Side
            head={<Neighbour pieces={data.neighbour.value} nameOf={nameOf} hrefOf={hrefOf} />}
            tabs={[
              { id: "events", label: "Events", body: () => <Happened data={data} pin={pin} select={actions.select} filter={filter} kills={<Kills kills={kills} nameOf={nameOf} hrefOf={hrefOf} pin={actions.pin} />} /> },
              { id: "engine", label: "Engine", body: () => <EnginePanel data={data} why={why} /> },
              { id: "disks", label: "Disks", body: () => <DiskPanel data={data} nameOf={nameOf} hrefOf={hrefOf} why={why} /> },
            ]}
          />
        </>
      )}
    </Frame>
  );
}

function Happened({ data, pin, select, filter, kills }: { data: HostData; pin: ReadonlySignal<number | undefined>; select: Parameters<typeof EventList>[0]["select"]; filter: { current: HTMLInputElement | null }; kills: ComponentChildren }) {
  return (
    <>
      {kills}
      <EventList model={data.model} leftOut={data.leftOut.value} pin={pin.value} select={select} field={filter} />
    </>
  );
}

/** Whether a container took from the others. */
function Neighbour({ pieces, nameOf, hrefOf }: { pieces: Piece[] | undefined; nameOf(w: string): string; hrefOf(w: string): string | undefined }) {
  const found = pieces?.some((p) => typeof p !== "string");
  return (
    <section class="neighbour" aria-label="Neighbours">
      <h2>Does one take from the others?</h2>
      <p class={found ? "" : "mid"}>
        {pieces ? pieces.map((p, i) => (typeof p === "string" ? p : hrefOf(p.workload) ? <a key={i} class="link" href={hrefOf(p.workload)}>{nameOf(p.workload)}</a> : <b key={i}>{nameOf(p.workload)}</b>)) : "–"}
      </p>
    </section>
  );
}

function Head({ data, name }: { data: HostData; name: string }) {
  const hosts = data.hosts.value ?? [];
  const engines = data.engines.value;
  const up = engines.every((e) => e.up);
  const info = data.info.value;
  const note = [info?.cores && `${info.cores} cores`, info?.memory && size(info.memory), engines[0]?.os, engines[0]?.kernel && `kernel ${engines[0].kernel}`].filter(Boolean).join(", ");
  return (
    <section class="chead" aria-label="Summary">
      <div class="row l1">
        {engines.length > 0 && <span class={up ? "dot ok" : "dot crit"} role="img" aria-label={engineWords(engines.find((e) => !e.up) ?? engines[0]!)} />}
        <h1 class="ell">{name ? show(name) : "Host"}</h1>
        <span class="mid ell wide hnote" title={show(note)}>{show(note)}</span>
        {engines.filter((e) => !e.up).map((e) => (
          <span key={e.name} class="chip crit" title={show(e.error ?? "")}>
            <span class="ell">{e.failure === "silent" ? "silent" : e.failure === "slow" ? "engine stalled" : "engine away"}{engines.length > 1 ? `: ${show(e.name)}` : ""}</span>
            {e.lastGood && <> · since {stamp(e.lastGood, clock.value)}</>}
          </span>
        ))}
        <span class="grow" />
        {hosts.length > 1 && (
          <label class="hpick">
            <span class="sr">Host</span>
            <select value={name} onChange={(e) => setParams({ host: e.currentTarget.value }, "push")}>
              {hosts.map((h) => <option key={h.host} value={h.host}>{show(h.host)}</option>)}
            </select>
          </label>
        )}
        <a class="btn" href={`/?q=${encodeURIComponent(only("host", name))}`}>Containers</a>
        <a class="btn" href={eventsHref({ host: name }, rangeParams())}>Events</a>
        <button type="button" class="btn wide" title="Copy a link to this range" onClick={() => void copy(linkTo({ live: false, ...data.model.view.peek() }))}>
          <Icon name="link" />
          Share
        </button>
      </div>
      <dl class="kpis">
        <Figures data={data} />
      </dl>
    </section>
  );
}

const unread = "The host's own counters cannot be read from here.";

function Figures({ data }: { data: HostData }) {
  const { now } = data;
  const info = data.info.value;
  const has = useComputed(() => (["cpu", "memoryUsed", "load1", "diskUsed"] as const).filter((k) => now.value?.[k] !== undefined).join(" "));
  const there = new Set(has.value.split(" "));
  const cpu = useComputed(() => cores(now.value?.cpu ?? 0));
  const memory = useComputed(() => bytes(now.value?.memoryUsed ?? 0).n);
  const memoryUnit = useComputed(() => {
    const { unit } = bytes(now.value?.memoryUsed ?? 0);
    return info?.memory ? `${unit} of ${size(info.memory)}` : unit;
  });
  const load = useComputed(() => digits(now.value?.load1 ?? 0));
  const disk = useComputed(() => percent((now.value?.diskUsed ?? 0) / (diskRoom(now.value ?? {}) || 1)));
  const mount = useComputed(() => now.value?.diskMount ?? "").value;
  const worn = useComputed(() => strain(now.value?.diskUsed ?? 0, diskRoom(now.value ?? {}))).value;
  const containers = [...data.containers.value.values()];
  const running = containers.filter(isUp).length;
  // Before the first answer it is not known that it cannot be known.
  const not = data.hosts.value ? <NotKnown why={unread} /> : <>–</>;
  return (
    <>
      <Kpi name="CPU">{there.has("cpu") ? <>{cpu} <small>{info?.cores ? `of ${plain(info.cores)} cores` : "cores"}</small></> : not}</Kpi>
      <Kpi name="Memory">{there.has("memoryUsed") ? <>{memory} <small>{memoryUnit}</small></> : not}</Kpi>
      <Kpi name="Load, 1 min">{there.has("load1") ? load : not}</Kpi>
      <Kpi name="Fullest disk">{there.has("diskUsed") ? <><span class={worn}>{disk}</span> <small class="ell" title={show(mount)}>{show(mount)}</small></> : not}</Kpi>
      <Kpi name="Containers">{!data.hosts.value ? "–" : data.engines.value[0]?.failure === "silent" ? <NotKnown why="Nothing comes from the tallyman of this host." /> : <>{running} <small>running</small></>}</Kpi>
      {data.engines.value.map((e) => (
        <Kpi key={e.name} name={data.engines.value.length > 1 ? `Engine ${show(e.name)}` : "Engine"}>
          {e.version ? show(e.version) : "–"} <small>{e.up ? (e.since ? `answers since ${stamp(e.since, clock.value)}` : "answers") : e.failure === "silent" ? "not known" : e.failure === "slow" ? "stalled" : "away"}</small>
        </Kpi>
      ))}
    </>
  );
}
