// SPDX-License-Identifier: Apache-2.0

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { doctor } from "../../api/client";
import type { Costs, Feature, Report, Store } from "../../api/schema";
import { strain } from "../../format/number";
import { show } from "../../format/text";
import { ago, hms, iso } from "../../format/time";
import { NoAnswer, Old, usePoll } from "../../part/answered";
import { clock } from "../../part/clock";
import { Frame } from "../../part/frame";
import { Icon } from "../../part/icon";
import { useKeys } from "../../part/keys";
import { copy } from "../../part/notice";
import { NotKnown } from "../../part/value";
import { adviceOf, callLines, costLines, daemonLines, diskLine, dropWords, grouped, kept, lacking, type Line, says, stateOf, states, storeSize, verdict } from "./findings";
import { report } from "./report";
import "./doctor.css";

/** What works here, what does not, which flag helps? */
export function DoctorPage() {
  const { poll } = usePoll<Report>(doctor);
  const waited = useSignal(false);

  useEffect(() => {
    const timer = setTimeout(() => {
      waited.value = true;
    }, 200);
    return () => clearTimeout(timer);
  }, []);

  const d = poll.value.value;
  const copyReport = () => {
    if (d) void copy(report(d), "Report copied", "select the page instead");
  };
  useKeys("Doctor", [{ keys: ["c"], label: "Copy as report", run: copyReport }]);

  return (
    <Frame title="Doctor" crumb={<><b>Doctor</b>{d && <span class="wide sub">{show(d.host)}</span>}</>} range={null} mainClass="pad dpage">
      {d ? (
        <>
          <Old poll={poll} shows={`The page shows ${hms(d.time)}.`} />
          <Head d={d} copyReport={copyReport} />
          <Findings d={d} />
        </>
      ) : (
        <NoAnswer
          poll={poll}
          title="Doctor has no answer"
          waiting={
            <>
              <h1 class="sr">Doctor</h1>
              {waited.value && (
                <section class="dcard skeleton" aria-label="Loading" aria-busy="true">
                  <p class="sr">Waiting for the first answer.</p>
                  {Array.from({ length: 10 }, (_, i) => <div key={i} />)}
                </section>
              )}
            </>
          }
        />
      )}
    </Frame>
  );
}

function Head({ d, copyReport }: { d: Report; copyReport(): void }) {
  const { mark, text } = verdict(d.features);
  return (
    <header class="dhead">
      <div class="grow">
        <h1><span class={`dot ${mark}`} />{text}</h1>
        <p class="sub">
          tallyman {show(d.version)} on {show(d.host)}, {d.where === "container" ? "in a container" : "not in a container"}. Read at <time dateTime={iso(d.time)} title={iso(d.time)}>{hms(d.time)}</time>, again every 5 s.
        </p>
      </div>
      <button type="button" class="btn" title="Copy all of this as Markdown (c)" onClick={copyReport}>
        <Icon name="copy" />
        Copy as report
      </button>
    </header>
  );
}

function Findings({ d }: { d: Report }) {
  const lack = d.features.filter(lacking);
  const work = d.features.filter((f) => !lacking(f));
  const lost = d.dropped.length > 0;
  return (
    <div class="dgrid">
      <div class="dmain">
        {lack.length > 0 && <Features id="lack" title={lack.every((f) => stateOf(f.state) === "off") ? "Does not work" : "Does not work, or not fully"} features={lack} />}
        {lost && <DroppedCard d={d} />}
        {work.length > 0 && <Features id="work" title="Works" features={work} />}
      </div>
      <div class="dside">
        <CostCard cost={d.cost} />
        <Stores d={d} />
        {!lost && <DroppedCard d={d} />}
      </div>
    </div>
  );
}

function Card({ id, title, note, children }: { id: string; title: string; note?: ComponentChildren; children: ComponentChildren }) {
  return (
    <section class="dcard" aria-labelledby={`doctor-${id}`}>
      <h2 id={`doctor-${id}`}>{title} <span class="dim">{note}</span></h2>
      {children}
    </section>
  );
}

function Features({ id, title, features }: { id: string; title: string; features: Feature[] }) {
  return (
    <Card id={id} title={title} note={features.length}>
      {grouped(features).map((g) => (
        <section key={g.name} class="group" aria-label={`${show(g.name)}: ${title.toLowerCase()}`}>
          <h3>{g.name === "Host" ? <a class="link" href="/host">{show(g.name)}</a> : show(g.name)}</h3>
          <ul>
            {g.features.map((f) => <Row key={f.id} f={f} />)}
          </ul>
        </section>
      ))}
    </Card>
  );
}

function Row({ f }: { f: Feature }) {
  const { mark, word } = states[stateOf(f.state)];
  const said = says(f);
  return (
    <li class="finding" data-feature={f.id} data-state={stateOf(f.state)}>
      <b>{show(f.name)}</b>
      <span class="state"><span class={`dot ${mark}`} />{word}</span>
      {(said || f.unlock) && (
        <div class="why">
          {said && <p>{show(said)}</p>}
          {f.unlock && <Unlock text={f.unlock} of={f.name} />}
        </div>
      )}
    </li>
  );
}

function Unlock({ text, of }: { text: string; of: string }) {
  return (
    <>
      {adviceOf(text).map((a, i) => a.code ? (
        <div key={i} class="unlock">
          <code>{show(a.text)}</code>
          <button type="button" class="btn" aria-label={`Copy what unlocks ${show(of)}`} onClick={() => void copy(a.text, "Copied", "select the text instead")}>
            <Icon name="copy" />
            Copy
          </button>
        </div>
      ) : (
        <p key={i} class="advice"><Icon name="right" small />{show(a.text.replace(/^, */, ""))}</p>
      ))}
    </>
  );
}

/** A name and its value, with a bar where there is a limit. */
function Figure({ line, kind, why }: { line: Line; kind: string; why: string }) {
  return (
    <div title={line.title}>
      <dt>{show(line.name)}</dt>
      <dd>{line.value === undefined ? <NotKnown why={why} /> : show(line.value)}</dd>
      {line.share !== undefined && <dd class="share"><Meter share={line.share} kind={kind} /></dd>}
    </div>
  );
}

function Meter({ share, kind }: { share: number; kind: string }) {
  return (
    <span class="barc">
      <i class={kind} style={{ backgroundSize: `${(Math.max(0, Math.min(1, share)) * 100).toFixed(1)}% 100%` }} />
    </span>
  );
}

const notYet = "tallyman has not measured it yet.";
const unseen = "The processes of the engine cannot be seen from here.";

function CostCard({ cost }: { cost: Costs }) {
  const daemons = daemonLines(cost);
  const calls = callLines(cost);
  return (
    <Card id="cost" title="tallyman costs">
      <dl class="figures">
        {costLines(cost).map((l) => <Figure key={l.name} line={l} kind={strain(l.share ?? 0, 1)} why={notYet} />)}
      </dl>
      <h3>and causes in the engine</h3>
      <dl class="figures">
        {daemons.length > 0 ? daemons.map((l) => <Figure key={l.name} line={l} kind="" why={unseen} />) : <Figure line={{ name: "dockerd, containerd", value: undefined }} kind="" why={unseen} />}
      </dl>
      {calls.length > 0 && (
        <>
          <h3>by calls since its start</h3>
          <dl class="figures calls">
            {calls.map((l) => <Figure key={l.name} line={l} kind="" why={notYet} />)}
          </dl>
        </>
      )}
    </Card>
  );
}

function Stores({ d }: { d: Report }) {
  const disk = d.disk && diskLine(d.disk);
  if (d.stores.length === 0 && !disk) return null;
  return (
    <Card id="stores" title="Stores">
      {d.stores.map((s) => <StoreBlock key={s.name} s={s} />)}
      {disk && (
        <div class="store">
          <p class="top">
            <b><span class={`dot ${disk.mark}`} role="img" aria-label={disk.mark === "ok" ? "enough room" : "little room"} />Disk</b>
            <span>{disk.value}</span>
          </p>
          {disk.share !== undefined && <Meter share={disk.share} kind={disk.mark === "ok" ? "m" : disk.mark} />}
          <p class="dim"><span class="mono">{show(disk.name)}</span></p>
          {disk.reserve && <p class={disk.mark === "crit" || disk.mark === "warn" ? disk.mark : "dim"}>{disk.reserve}</p>}
        </div>
      )}
    </Card>
  );
}

function StoreBlock({ s }: { s: Store }) {
  const { mark, word } = states[stateOf(s.state)];
  const l = storeSize(s);
  // A full store is no trouble: the oldest goes first.
  return (
    <div class="store">
      <p class="top">
        <b><span class={`dot ${mark}`} role="img" aria-label={word} title={word} />{show(s.name)}</b>
        <span>{l.value}</span>
      </p>
      {l.share !== undefined && <Meter share={l.share} kind="" />}
      <p class="dim" title={s.oldest === undefined ? undefined : `oldest ${iso(s.oldest)}`}>{kept(s, (t) => ago(t, clock.peek()))}</p>
      {s.reason && <p class={mark}>{show(s.reason)}</p>}
    </div>
  );
}

function DroppedCard({ d }: { d: Report }) {
  return (
    <Card id="dropped" title="Dropped">
      {d.dropped.length === 0 ? (
        <p class="calm"><span class="dot ok" />Nothing was dropped.</p>
      ) : (
        <ul>
          {d.dropped.map((x) => (
            <li key={`${x.what} ${x.reason}`} class="drop">
              <span class="dot warn" />
              <div>
                <p>{show(dropWords(x))}</p>
                {x.next && <p class="mid">{show(x.next)}</p>}
              </div>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}
