// SPDX-License-Identifier: Apache-2.0

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { get, servers } from "../../api/client";
import type { Container, Engine, Service } from "../../api/schema";
import { plain, size } from "../../format/number";
import { serviceHref, serviceState } from "../../format/service";
import { assess, exitWords } from "../../format/state";
import { shortId, show } from "../../format/text";
import { iso, stamp } from "../../format/time";
import { hostHref, rangeParams } from "../../part/place";
import { Ago } from "../../part/value";

/** Everything that is known of a container, and what cannot be known. */
export function Facts({ d, now }: { d: Container; now: number }) {
  const labels = Object.entries(d.labels ?? {}).sort(([a], [b]) => a.localeCompare(b));
  const mono = (text: string) => <span class="mono">{show(text)}</span>;
  const list = (items: ComponentChildren[]) => (items.length ? <ul>{items.map((x, i) => <li key={i}>{x}</li>)}</ul> : <span class="dim">none</span>);
  // An empty list is left out of the answer; of a gone container nothing more can be found out.
  const exists = d.state !== "gone";
  const instance = d.instances?.findIndex((i) => i.id === d.id) ?? -1;
  return (
    <>
      <dl class="facts">
        <Fact name="State">{show(assess(d).words)}</Fact>
        <Fact name="Workload">
          {show(d.workload.split("/").join(" / "))}
          {instance > 0 && `, instance ${instance + 1}`}
        </Fact>
        <Fact name="Host"><a class="link" href={hostHref(d.host, rangeParams())}>{show(d.host)}</a></Fact>
        {d.engine && <EngineFacts d={d} />}
        <Fact name="Name">{mono(d.name)}</Fact>
        <Fact name="Container"><span class="mono" title={d.id}>{shortId(d.id)}</span></Fact>
        <Fact name="Image">{mono(d.image)}</Fact>
        {d.imageId && <Fact name="Image id"><span class="mono" title={show(d.imageId)}>{show(shortId(d.imageId))}</span></Fact>}
        {d.created !== undefined && <Fact name="Created"><Time t={d.created} now={now} /></Fact>}
        {d.started !== undefined && <Fact name="Started"><Time t={d.started} now={now} /></Fact>}
        {d.finished !== undefined && <Fact name="Finished"><Time t={d.finished} now={now} /></Fact>}
        {d.goneAt !== undefined && <Fact name="Gone since"><Time t={d.goneAt} now={now} /></Fact>}
        {d.exitCode !== undefined && (
          <Fact name="Exit">
            {exitWords(d.exitCode)}
            {d.oomKilled && <span class="crit">, out of memory</span>}
          </Fact>
        )}
        {d.error && <Fact name="Error"><span class="crit">{show(d.error)}</span></Fact>}
        <Fact name="Restarts">
          {d.restartCount ?? 0} (policy: {show(d.restartPolicy || "no")})
        </Fact>
        <Fact name="CPU limit">{d.cpuLimit ? `${plain(d.cpuLimit)} cores` : "no limit"}</Fact>
        <Fact name="Memory limit">{d.memoryLimit ? size(d.memoryLimit) : "no limit"}</Fact>
        {d.command && <Fact name="Command">{d.command.length ? mono(d.command.map(quote).join(" ")) : <span class="dim">none</span>}</Fact>}
        {d.user !== undefined && <Fact name="User">{d.user === "" ? "root (not set)" : mono(d.user)}</Fact>}
        {(d.networks || exists) && (
          <Fact name="Networks">
            {list((d.networks ?? []).map((n) => show([n.name, n.ip, n.ipv6].filter(Boolean).join(", "))))}
          </Fact>
        )}
        {d.networkMode && <Fact name="Network mode">{show(d.networkMode)}</Fact>}
        {d.state !== "gone" && <ServiceFacts d={d} />}
        {(d.ports || exists) && (
          <Fact name="Ports">
            {list((d.ports ?? []).map((p) => `${p.port}/${show(p.protocol)}, ${p.hostPort ? `published as ${show(p.hostIp ?? "")}${p.hostIp ? ":" : ""}${p.hostPort}` : "not published"}`))}
          </Fact>
        )}
        {(d.mounts || exists) && (
          <Fact name="Mounts">
            {list((d.mounts ?? []).map((m) => <>{mono(m.destination)} <span class="dim">{show(m.type)}{m.source ? ` ${show(m.source)}` : ""}{m.readOnly ? ", read-only" : ""}</span></>))}
          </Fact>
        )}
        {d.logDriver && <Fact name="Log driver">{show(d.logDriver)}</Fact>}
        {d.tty !== undefined && <Fact name="Terminal">{d.tty ? "yes" : "no"}</Fact>}
      </dl>
      <section>
        <h3>Labels <span class="dim">{labels.length}</span></h3>
        {labels.length === 0 ? (
          <p class="dim">none</p>
        ) : (
          <dl class="labels mono">
            {labels.map(([key, value]) => (
              <div key={key}>
                <dt>{show(key)}</dt>
                <dd>{show(value)}</dd>
              </div>
            ))}
          </dl>
        )}
      </section>
      {d.absent && d.absent.length > 0 && (
        <section>
          <h3>Cannot be known here</h3>
          <dl class="facts">
            {d.absent.map((a) => (
              <Fact key={a.what} name={show(a.what)}>
                {show(a.reason)} {a.unlock && <span class="mid">{show(a.unlock)}</span>}
              </Fact>
            ))}
          </dl>
        </section>
      )}
    </>
  );
}

const ways: Record<string, string> = { cgroup: "from files of its control group", api: "from the engine's API" };

/** The engine and how numbers come from it; a container says only its name. */
function EngineFacts({ d }: { d: Container }) {
  const engine = useSignal<Engine | undefined>(undefined);
  useEffect(() => {
    const stop = new AbortController();
    servers(stop.signal).then(
      (s) => {
        engine.value = s.hosts?.find((h) => h.host === d.host && h.engine.name === d.engine)?.engine;
      },
      // The name is known without an answer; the rest stays away.
      () => undefined,
    );
    return () => stop.abort();
  }, [d.host, d.engine]);
  const e = engine.value;
  return (
    <>
      <Fact name="Engine">
        {show(d.engine!)}
        {e && <span class="dim">{e.version && ` Docker ${show(e.version)}`}{e.address && ` at ${show(e.address)}`}</span>}
      </Fact>
      {e?.collect && d.state !== "gone" && <Fact name="Numbers come">{ways[e.collect] ?? show(e.collect)}</Fact>}
    </>
  );
}

/** Which services in it are asked, and how they are. */
function ServiceFacts({ d }: { d: Container }) {
  const all = useSignal<Service[]>([]);
  useEffect(() => {
    const stop = new AbortController();
    const ask = () => get<"services">("services", { host: d.host, workload: d.workload }, stop.signal).then((a) => (all.value = a.services), () => undefined);
    void ask();
    const timer = setInterval(() => !document.hidden && void ask(), 10_000);
    return () => {
      stop.abort();
      clearInterval(timer);
    };
  }, [d.host, d.workload]);
  if (all.value.length === 0) return null;
  return (
    <Fact name="Services">
      <ul>
        {all.value.map((x) => {
          const { mark, word } = serviceState(x.state);
          return (
            <li key={`${x.type} ${x.where}`}>
              <span class={`dot ${mark}`} /> <a class="link" href={serviceHref(x)}>{x.type}</a> {word}
              {x.reason && <span class="dim"> {show(x.reason)} {show(x.fix ?? "")}</span>}
            </li>
          );
        })}
      </ul>
    </Fact>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Time({ t, now }: { t: number; now: number }) {
  return (
    <>
      <span title={iso(t)}>{stamp(t, now)}</span>, <Ago t={t} />
    </>
  );
}

/** A word of a command as a shell would need it. */
function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
