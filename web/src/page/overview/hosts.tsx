// SPDX-License-Identifier: Apache-2.0

import type { Container, Host } from "../../api/schema";
import { bytes, cores, diskRoom, percent, rate, strain } from "../../format/number";
import { localName, show } from "../../format/text";
import { containerHref, hostHref } from "../../part/place";
import { Spark } from "../../part/spark";
import { NotKnown, StateMark, Value } from "../../part/value";
import { containersOf } from "./attention";
import type { OverviewData } from "./data";
import { useHeld } from "./held";

/** The engines of a host as one row. */
function rowsOf(hosts: readonly Host[]): { host: string; engines: Host[]; figures: Host }[] {
  const by = new Map<string, Host[]>();
  for (const h of hosts) by.set(h.host, [...(by.get(h.host) ?? []), h]);
  return [...by].map(([host, engines]) => ({ host, engines, figures: engines.find((e) => e.cpu !== undefined) ?? engines[0]! }));
}

const notRead = "It was not measured yet, or the host's own counters are not read; Doctor tells which.";

/** One row for each host. */
export function Hosts({ data }: { data: OverviewData }) {
  const servers = data.servers.value.value;
  const usage = data.usage.value.value;
  const network = data.network.value.value;
  return (
    <section class="ocard ohosts" aria-labelledby="overview-hosts" aria-busy={!servers}>
      <header><h2 id="overview-hosts">Hosts</h2><span class="dim wide">now, and the last 15 min</span></header>
      {servers && (
        <table>
          <thead>
            <tr><th scope="col">Host</th><th scope="col">CPU</th><th scope="col">Memory</th><th scope="col" class="num">Disk</th><th scope="col" class="num">Network</th><th scope="col" class="num">Running</th></tr>
          </thead>
          <tbody>
            {rowsOf(servers.hosts).map(({ host, engines, figures: h }) => {
              const u = usage?.hosts.find((x) => x.host === host);
              const away = engines.filter((e) => !e.engine.up);
              const room = diskRoom(h);
              const flow = network?.get(host);
              const disk = h.diskUsed !== undefined && room ? h.diskUsed / room : undefined;
              const version = engines.map((e) => e.engine.version).filter(Boolean).join(", ");
              const running = containersOf(engines).filter((c) => c.state === "running").length;
              return (
                <tr key={host}>
                  <th scope="row">
                    <span class="row">
                      <StateMark of={away.length > 0 ? { mark: "crit", words: "Docker does not answer" } : { mark: "ok", words: "Docker answers" }} />
                      <a class="ell" href={hostHref(host)} title={show(host)}>{show(host)}</a>
                      <span class="dim wide ell">{version && `Docker ${show(version)}`}</span>
                    </span>
                  </th>
                  <Share name="CPU" points={u?.cpu?.points} top={h.cores} of={h.cpu !== undefined && h.cores ? h.cpu / h.cores : undefined} kind="cpu" />
                  <Share name="Memory" points={u?.memory?.points} top={h.memory} of={h.memoryUsed !== undefined && h.memory ? h.memoryUsed / h.memory : undefined} kind="memory" />
                  <td class="num" data-name="Disk">{disk === undefined ? <NotKnown why={notRead} /> : <span class={strain(disk, 1)} title={h.diskMount && show(h.diskMount)}>{percent(disk)}</span>}</td>
                  <td class="num" data-name="Network">{flow === undefined ? (data.network.value.value || data.network.off.value ? <NotKnown why={data.network.off.value ? "This tallyman keeps no samples." : notRead} /> : <span class="dim">…</span>) : <Value of={rate(flow)} />}</td>
                  <td class="num" data-name="Running">{away.length === engines.length ? <NotKnown why="Docker does not answer." /> : running}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      )}
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
