// SPDX-License-Identifier: Apache-2.0

import { signal, useSignal } from "@preact/signals";
import { type ComponentChildren, Fragment } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { inWords } from "../../api/client";
import { fetchPart } from "../../api/reach";
import type { CheckAnswer, Service, ServiceKey, ServiceType } from "../../api/schema";
import { counted } from "../../format/number";
import { serviceState } from "../../format/service";
import { show } from "../../format/text";
import { NoAnswer, Old, usePoll } from "../../part/answered";
import { FindField } from "../../part/findfield";
import { Frame } from "../../part/frame";
import { say } from "../../part/notice";
import { containerHref, param, range, setParams } from "../../part/place";
import { RangeControl } from "../../part/rangecontrol";
import { Ago } from "../../part/value";
import type { Charts } from "./charts";
import { check, fits, forms, services, type Services, startedBy, verdict, type Wanted } from "./data";
import "./services.css";

type Freeze = { current: () => void };

const opened = param("service");

// The charts come when the first service is opened: the list does without them.
const part = signal<{ Charts?: typeof Charts; missing?: boolean }>({});
function load() {
  part.value = {};
  fetchPart(() => import("./charts")).then((m) => { part.value = { Charts: m.Charts }; }, () => { part.value = { missing: true }; });
}

/** Which service does not answer, and how is it mended? */
export function ServicesPage() {
  const freeze: Freeze = useRef(() => undefined);
  const { poll, off } = usePoll(services);
  const s = poll.value.value;
  return (
    <Frame title="Services" crumb={<b>Services</b>} range={opened.value ? <RangeControl range={range.value} freeze={() => freeze.current()} canLive /> : null} mainClass="vpage">
      {s ? (
        <>
          <List s={s} old={<Old poll={poll} />} freeze={freeze} />
          <Maker s={s} />
        </>
      ) : (
        <NoAnswer
          poll={poll}
          title="There is no answer about services"
          off={off.value && (
            <>
              <h1>Services are not asked</h1>
              <p>The setting <code>plugins.enabled</code> is false.</p>
            </>
          )}
          waiting={<h1 class="sr">Services</h1>}
        />
      )}
    </Frame>
  );
}

function List({ s, old, freeze }: { s: Services; old: ComponentChildren; freeze: Freeze }) {
  const input = useRef<HTMLInputElement>(null);
  const filter = param("filter").value ?? "";
  const list = s.services.filter((x) => fits(x, filter));
  const { mark, text } = verdict(s);
  const open = opened.value;
  return (
    <section class="vlist" aria-label="Services">
      {old}
      <header class="row vhead">
        <FindField label="Filter services" placeholder="Filter: plugin, container, state:down" text={filter} input={input} find={(t) => setParams({ filter: t || undefined })} />
        <h1><span class={`dot ${mark === "ok" ? "" : mark}`} />{text}</h1>
      </header>
      {s.services.length === 0 ? (
        <div class="empty">
          <p>Nothing that runs here is known to a plugin, and no label names one. Make a label for a container, or see which services are found by themselves in the documents of the plugins.</p>
        </div>
      ) : list.length === 0 ? (
        <div class="empty">
          <p>No service fits the filter. <button type="button" class="link asbtn" onClick={() => setParams({ filter: undefined })}>Show all {s.services.length}</button></p>
        </div>
      ) : (
        <table class="vtab">
          <thead>
            <tr><th>Service</th><th class="mid2">Container</th><th>State</th><th class="wide">Started by</th><th class="wide">What it gives</th></tr>
          </thead>
          <tbody>
            {list.map((x) => <Row key={`${x.container} ${x.type} ${x.where}`} x={x} type={s.types.find((t) => t.type === x.type)} open={open === idOf(x)} freeze={freeze} />)}
          </tbody>
        </table>
      )}
      {s.mistakes.length > 0 && (
        <section class="mistakes" aria-labelledby="label-mistakes">
          <h2 id="label-mistakes">Labels that cannot be followed <span class="dim">{s.mistakes.length}</span></h2>
          <ul>
            {s.mistakes.map((m, i) => (
              <li key={i}>
                <span class={`dot ${m.warning ? "off" : "warn"}`} role="img" aria-label={m.warning ? "warning" : "mistake"} />
                <div>
                  <p><a class="link" href={containerHref({ host: m.host ?? "", workload: m.workload ?? "", id: m.container ?? "" })}>{show(m.name ?? "")}</a> <span class="dim">{show(m.source)}{m.entry ? `, entry ${m.entry}` : ""}{m.offset >= 0 ? `, byte ${m.offset}` : ""}</span></p>
                  <p>{show(m.text)}</p>
                </div>
              </li>
            ))}
          </ul>
        </section>
      )}
    </section>
  );
}

const idOf = (x: Service) => `${x.type} ${x.instance}`;

function Row({ x, type, open, freeze }: { x: Service; type: ServiceType | undefined; open: boolean; freeze: Freeze }) {
  const { mark, word } = serviceState(x.state);
  const bad = x.state === "down" || x.state === "auth";
  const toggle = () => setParams({ service: open ? undefined : idOf(x) });
  return (
    <Fragment>
      <tr class={open ? "on" : ""} data-state={x.state} data-type={x.type}>
        <td>
          <button type="button" class="vname" aria-expanded={open} onClick={toggle}>
            <b>{x.type}</b>
            <span class="dim ell">{show(x.instance)}</span>
          </button>
        </td>
        <td class="mid2 ell"><a class="link q" href={containerHref({ host: x.host, workload: x.workload, id: x.container })}>{show(x.workload)}</a></td>
        <td><span class={bad ? "vstate warn b" : "vstate"}><span class={`dot ${mark}`} />{word}</span></td>
        <td class="wide mid ell">{show(startedBy(x))}</td>
        <td class="wide mid ell">
          {x.state === "up" ? <>{counted(x.series, "value")}{x.dropped ? `, ${x.dropped} over the limit` : ""}</> : x.state === "pending" ? "asked 5 s after the container's start" : x.state === "paused" ? "the container is paused" : x.scraped ? <>answered <Ago t={x.scraped} /></> : "never answered"}
        </td>
      </tr>
      {bad && (
        <tr class="vhelp">
          <td colSpan={5}>
            <b class="warn">{show(x.reason ?? "It does not answer.")}</b>{" "}
            <span class="mid">
              {show(x.fix ?? "")} {x.state === "auth" && "tallyman tries three times an hour, so that no account is locked. "}
              <button type="button" class="link asbtn" onClick={() => setParams({ make: x.type })}>Make a label for it</button>.
            </span>
          </td>
        </tr>
      )}
      {x.note && x.state === "up" && <tr class="vhelp plain"><td colSpan={5}>{show(x.note)}</td></tr>}
      {open && (
        <tr class="vopen">
          <td colSpan={5}>{x.state === "up" || x.scraped ? <Later s={x} type={type} freeze={freeze} /> : <p class="mid">It has given nothing yet.</p>}</td>
        </tr>
      )}
    </Fragment>
  );
}

function Later({ s, type, freeze }: { s: Service; type: ServiceType | undefined; freeze: Freeze }) {
  useEffect(() => {
    if (!part.peek().Charts) load();
  }, []);
  const { Charts, missing } = part.value;
  if (Charts) return <Charts key={s.container} s={s} charts={type?.charts ?? noCharts} every={s.every} freeze={freeze} />;
  return missing ? <p class="mid">The charts could not be loaded. <button type="button" class="link asbtn" onClick={load}>Try again</button></p> : null;
}

const noCharts: ServiceType["charts"] = [];

/** Makes a label from a form. */
function Maker({ s }: { s: Services }) {
  const name = param("make").value || s.services.find((x) => x.state === "auth" || x.state === "down")?.type || "REDIS";
  const type = s.types.find((t) => t.type === name) ?? s.types[0];
  const values = useSignal<Record<string, string>>({});
  const form = useSignal(0);
  const answer = useSignal<CheckAnswer | string | undefined>(undefined);
  const keys = type?.keys.filter((k) => !k.common && !(k.rule && form.value !== 3) && !(k.write && form.value === 2)) ?? [];
  const running = s.services.filter((x) => x.type === type?.type);
  const wanted: Wanted = {
    type: type?.type ?? "",
    image: imageOf(type),
    values: Object.fromEntries(keys.map((k) => [k.name, values.value[`${type?.type} ${k.name}`] ?? given(k)])),
  };
  const text = forms[form.value]!.text(wanted);
  const asked = JSON.stringify(wanted);
  useEffect(() => {
    let late = false;
    const timer = setTimeout(() => {
      check(wanted).then((a) => !late && (answer.value = a), (err) => !late && (answer.value = inWords(err)));
    }, 300);
    return () => {
      late = true;
      clearTimeout(timer);
    };
  }, [asked]);
  if (!type) return null;
  const copy = () => navigator.clipboard.writeText(text).then(() => say("Copied."), () => say("The browser does not let the page copy; select the text."));
  const a = answer.value;
  const wrong = typeof a === "object" ? a.mistakes.filter((m) => !m.warning) : [];
  return (
    <aside class="vmake" aria-labelledby="make">
      <h2 id="make">Make a label</h2>
      <p class="mid">It tells tallyman what runs in the container. No port has to be published.</p>
      <form autocomplete="off" onSubmit={(e) => e.preventDefault()}>
        <label for="mt">Service</label>
        <select id="mt" class="btn" value={type.type} onChange={(e) => setParams({ make: e.currentTarget.value })}>
          {s.types.map((t) => <option key={t.type} value={t.type}>{t.type}</option>)}
        </select>
        {keys.map((k) => (
          <Fragment key={k.name}>
            <label for={`k-${k.name}`}>{k.name}</label>
            <div>
              <span class="field"><input id={`k-${k.name}`} class="mono" spellcheck={false} value={wanted.values[k.name]} placeholder={k.example} onInput={(e) => (values.value = { ...values.value, [`${type.type} ${k.name}`]: e.currentTarget.value })} /></span>
              <p class="dim">{show(k.help)}.{k.type === "secret" && " $NAME is read from the container's environment; then the label holds no secret."}</p>
            </div>
          </Fragment>
        ))}
      </form>
      <div class="row vout">
        <div class="seg" role="group" aria-label="Form">
          {forms.map((f, i) => <button key={f.name} type="button" aria-pressed={i === form.value} onClick={() => (form.value = i)}>{f.name}</button>)}
        </div>
        <span class="grow" />
        <button type="button" class="btn" onClick={copy}>Copy</button>
      </div>
      <pre class="vcode" tabIndex={0}>{text}</pre>
      <div class="vcheck" role="status">
        {typeof a === "string" ? (
          <p>{show(a)}</p>
        ) : a && wrong.length > 0 ? (
          wrong.map((m) => <p key={m.text} class="warn b"><span class="dot warn" /> {show(m.text)}</p>)
        ) : a ? (
          <p><span class="dot" /> Valid, {counted(a.wishes.length, "instance")}: {a.wishes.map((w) => show(w.where)).join(", ")}</p>
        ) : null}
        {typeof a === "object" && a.mistakes.filter((m) => m.warning).map((m) => <p key={m.text}>{show(m.text)}</p>)}
        <p class="dim">{forms[form.value]!.note}</p>
      </div>
      {running.length > 0 && (
        <section>
          <h3>Runs now</h3>
          <ul class="vnow">
            {running.map((x) => <li key={x.container + x.where}><span class={`dot ${serviceState(x.state).mark}`} /><b class="ell">{show(x.workload)}</b><span class="dim">{startedBy(x).split(" ")[0] === "detected" ? "found by itself" : show(startedBy(x))}</span></li>)}
          </ul>
        </section>
      )}
    </aside>
  );
}

/** What stands in a field at first: the default, or what the plugin cannot do without. */
const given = (k: ServiceKey) => k.default || (k.type === "url" || (k.type === "command" && !k.write) ? (k.example ?? "") : "");

/** An image to write into an example. */
function imageOf(type: ServiceType | undefined): string {
  const named: Record<string, string> = { POSTGRESQL: "postgres:17", MYSQL: "mysql:8.4", REDIS: "redis:7", NGINX: "nginx:1.27", MEMCACHED: "memcached:1.6", RABBITMQ: "rabbitmq:4", HAPROXY: "haproxy:3.0", APACHE: "httpd:2.4" };
  return named[type?.type ?? ""] ?? "your/image:1";
}
