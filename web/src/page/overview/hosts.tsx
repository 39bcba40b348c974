// SPDX-License-Identifier: Apache-2.0

import { useSignal } from "@preact/signals";
import type { Container } from "../../api/schema";
import { bytes, cores, diskRoom, percent, rate, strain } from "../../format/number";
import { localName, show } from "../../format/text";
import { containerHref, hostHref } from "../../part/place";
import { Spark } from "../../part/spark";
import { Ago, NotKnown, StateMark, Value } from "../../part/value";
import { containersOf } from "./attention";
import type { OverviewData } from "./data";
import { useHeld } from "./held";
import { hostRows, named } from "./rank";

const notRead = "It was not measured yet, or the host's own counters are not read; Doctor tells which.";

/** How many hosts are shown before one asks for all, and from how many on they can be searched. */
const hostsMost = 12;

/** One row for each host, the worst first. */
export function Hosts({ data }: { data: OverviewData }) {
  const servers = data.servers.value.value;
  const usage = data.usage.value.value;
  const network = data.network.value.value;
  const words = useSignal("");
  const all = useSignal(false);
  const rows = hostRows(servers?.hosts ?? [], Date.now());
  const found = named(rows, words.value);
  const shown = all.value || words.value ? found : found.slice(0, hostsMost);
  return (
    <section class="ocard ohosts" aria-labelledby="overview-hosts" aria-busy={!servers}>
      <header>
        <h2 id="overview-hosts">Hosts</h2>
        <span class="dim wide">now, and the last 15 min{rows.length > 1 && ", the worst first"}</span>
        {rows.length > hostsMost && (
          <>
            <span class="grow" />
            <label class="field"><input type="search" value={words.value} placeholder={`Find one of ${rows.length}`} aria-label="Find hosts by name" spellcheck={false} autocomplete="off" onInput={(e) => (words.value = e.currentTarget.value)} /></label>
          </>
        )}
      </header>
      {servers && (
        <table>
          <thead>
            <tr><th scope="col">Host</th><th scope="col">CPU</th><th scope="col">Memory</th><th scope="col" class="num">Disk</th><th scope="col" class="num">Network</th><th scope="col" class="num">Running</th></tr>
          </thead>
          <tbody>
            {shown.map(({ host, engines, figures: h, state, failed }) => {
              const u = usage?.hosts.find((x) => x.host === host);
              const away = engines.filter((e) => !e.engine.up);
              const silent = away.find((e) => e.engine.failure === "silent");
              const room = diskRoom(h);
              const flow = network?.get(host);
              const disk = h.diskUsed !== undefined && room ? h.diskUsed / room : undefined;
              const version = engines.map((e) => e.engine.version).filter(Boolean).join(", ");
              const running = containersOf(engines).filter((c) => c.state === "running").length;
              return (
                <tr key={host}>
                  <th scope="row">
                    <span class="row">
                      <StateMark of={state} />
                      <a class="ell" href={hostHref(host)} title={show(host)}>{show(host)}</a>
                      {failed > 0 && <span class="chip crit nw">{failed} failed</span>}
                      <span class="dim wide ell">{silent ? <>silent{silent.engine.since && <> since <Ago t={silent.engine.since} /></>}</> : version && `Docker ${show(version)}`}</span>
                    </span>
                  </th>
                  <Share name="CPU" points={u?.cpu?.points} top={h.cores} of={h.cpu !== undefined && h.cores ? h.cpu / h.cores : undefined} kind="cpu" />
                  <Share name="Memory" points={u?.memory?.points} top={h.memory} of={h.memoryUsed !== undefined && h.memory ? h.memoryUsed / h.memory : undefined} kind="memory" />
                  <td class="num" data-name="Disk">{disk === undefined ? <NotKnown why={notRead} /> : <span class={strain(disk, 1)} title={h.diskMount && show(h.diskMount)}>{percent(disk)}</span>}</td>
                  <td class="num" data-name="Network">{flow === undefined ? (data.network.value.value || data.network.off.value ? <NotKnown why={data.network.off.value ? "This tallyman keeps no samples." : notRead} /> : <span class="dim">…</span>) : <Value of={rate(flow)} />}</td>
                  <td class="num" data-name="Running">{away.length === engines.length ? <NotKnown why={`${state.words}.`} /> : running}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      )}
      {servers && shown.length < found.length && <p class="oless"><button type="button" class="btn" onClick={() => (all.value = true)}>Show all {found.length} hosts</button></p>}
      {words.value && found.length === 0 && <p class="oless">No host is called so.</p>}
    </section>
  );
}

function Share({ name, points, top, of, kind }: { name: string; points: (number | null)[] | undefined; top: number | undefined; of: number | undefined; kind: "cpu" | "memory" }) {
  return (
    <td data-name={name}>
      <span class="row oshare">
        <span class="wide ospark">{points && <Spark values={{ value: points }} top={top} kind={kind} />}</span>
        {of === undefined ? <NotKnown why={notRead} /> : <b class={kind === "memory" ? strain(of, 1) : ""}>{percent(of)}</b>}
      </span>
    </td>
  );
}

const rowsMost = 5;

/** The containers that take most now. */
export function Most({ data, what }: { data: OverviewData; what: "cpu" | "memory" }) {
  const servers = data.servers.value.value;
  const value = (c: Container) => c.now?.[what] ?? -1;
  const top = containersOf(servers?.hosts ?? []).filter((c) => c.now?.[what] !== undefined).sort((a, b) => value(b) - value(a)).slice(0, rowsMost);
  const held = useHeld(top, (c) => `${c.host} ${c.id}`);
  const most = Math.max(...top.map(value), 0);
  const title = what === "cpu" ? "Most CPU" : "Most memory";
  return (
    <section class="ocard omost" aria-labelledby={`overview-${what}`} aria-busy={!servers}>
      <header><h2 id={`overview-${what}`}>{title}</h2><span class="dim">{what === "cpu" ? "cores, now" : "working set, now"}</span></header>
      {servers && top.length === 0 && <p class="oless">No container has a value now.</p>}
      <ul {...held.on}>
        {held.rows.map((c) => (
          <li key={`${c.host} ${c.id}`}>
            <a class="ell" href={containerHref(c)} title={show(c.name)}>{c.project && <span class="dim">{show(c.project)} / </span>}{show(localName(c.name, c.project))}</a>
            <span class="wide">{c.spark && <Spark values={{ value: c.spark[what] }} top={undefined} kind={what} />}</span>
            <span class="barc" aria-hidden="true"><i class={what === "memory" ? "m" : ""} style={{ backgroundSize: `${most > 0 ? ((100 * value(c)) / most).toFixed(1) : 0}% 100%` }} /></span>
            <b class="num nw">{what === "cpu" ? cores(value(c)) : <Value of={bytes(value(c))} />}</b>
          </li>
        ))}
      </ul>
    </section>
  );
}
