// SPDX-License-Identifier: Apache-2.0

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { inWords } from "../../api/client";
import type { Alarm, Rule, Trial } from "../../api/schema";
import { show } from "../../format/text";
import { ago, hms, hour, iso, moment, second, span, stamp } from "../../format/time";
import { NoAnswer, Old, usePoll } from "../../part/answered";
import { clock } from "../../part/clock";
import { toneOf } from "../../part/firing";
import { Frame } from "../../part/frame";
import { later } from "../../part/later";
import { say } from "../../part/notice";
import { containerHref, param, rangeAround } from "../../part/place";
import { Ago } from "../../part/value";
import { acknowledge, alarms, type Alarms, endSilence, lasted, ordered, silence, testReceiver, trialOf, trialWords, verdict, waits } from "./data";
import { Looked } from "./detail";
import "./alarms.css";

/** What fires, what did, and which rules watch? */
export function AlarmsPage() {
  const { poll, off } = usePoll(alarms);
  const a = poll.value.value;
  return (
    <Frame title="Alarms" crumb={<b>Alarms</b>} range={null} mainClass="pad apage">
      {a ? (
        <>
          <Old poll={poll} />
          <All a={a} again={() => poll.again()} />
        </>
      ) : (
        <NoAnswer
          poll={poll}
          title="There is no answer about alarms"
          off={off.value && (
            <>
              <h1>Alarms are switched off</h1>
              <p>The setting <code>alarms.enabled</code> is false, or this agent keeps nothing and has nobody to tell (<code>alarms.notify</code>).</p>
            </>
          )}
          waiting={<h1 class="sr">Alarms</h1>}
        />
      )}
    </Frame>
  );
}

function All({ a, again }: { a: Alarms; again(): void }) {
  const { mark, text } = verdict(a);
  const firing = a.active.filter((x) => x.state === "firing");
  const pending = a.active.filter((x) => x.state !== "firing");
  return (
    <>
      <header class="ahead">
        <h1><span class={`dot ${mark}`} />{text}</h1>
        <p class="sub">An alarm is the result of a rule. What somebody has asked for, a stop or a restart, raises none.</p>
      </header>
      <div class="alist">
        {firing.length > 0 && <Card id="firing" title="Firing" note={firing.length}><ul>{firing.map((x) => <Row key={x.id} x={x} again={again} />)}</ul></Card>}
        {pending.length > 0 && (
          <Card id="pending" title="Pending" note={pending.length}>
            <p class="hint">The condition holds, but not yet for as long as the rule asks.</p>
            <ul>{pending.map((x) => <Row key={x.id} x={x} />)}</ul>
          </Card>
        )}
        <Card id="history" title="Before" note={a.history.length > 0 ? (a.more ? `the newest ${a.history.length}` : a.history.length) : ""}>
          {a.history.length === 0 ? <p class="hint">Nothing has cleared that is still kept.</p> : <ul>{a.history.map((x) => <Row key={x.id} x={x} />)}</ul>}
        </Card>
        <Told a={a} again={again} />
        <Rules rules={a.rules} />
      </div>
    </>
  );
}

function Card({ id, title, note, children }: { id: string; title: string; note?: ComponentChildren; children: ComponentChildren }) {
  return (
    <section class="acard" aria-labelledby={`alarms-${id}`}>
      <h2 id={`alarms-${id}`}>{title} <span class="dim">{note}</span></h2>
      {children}
    </section>
  );
}

/** Does something for a person, and says so when it fails. */
async function act(what: () => Promise<unknown>, done: string, again?: () => void): Promise<void> {
  try {
    await what();
    say(done);
  } catch (err) {
    say(inWords(err));
  }
  again?.();
}

const WhyCard = later(() => import("../../part/whycard").then((m) => m.WhyCard));

function Row({ x, again }: { x: Alarm; again?: () => void }) {
  const marked = param("id").value === x.id;
  const since = x.fired ?? x.since;
  const over = x.state === "cleared";
  const at = x.cleared ?? since;
  return (
    <li class={marked ? "alarm near" : "alarm"} data-state={x.state} data-rule={x.rule}>
      <span class={`dot ${over ? "off" : toneOf(x.severity)}`} role="img" aria-label={over ? "cleared" : x.severity} />
      <div class="what">
        <p class="sum">{show(x.summary || x.rule)}</p>
        <p class="sub">
          {show(x.rule)} · {x.severity}
          {x.host && <> · {show(x.host)}</>}
          {x.image && <> · {show(x.image)}</>}
          {x.acknowledged && <b> · acknowledged</b>}
          {x.silenced && <b> · silenced</b>}
        </p>
        {!over && x.advice && <p class="sub">{show(x.advice)}</p>}
        {x.why && (
          <details>
            <summary>{show(x.why.guess)}</summary>
            <WhyCard y={x.why} />
          </details>
        )}
        {!x.labels["kind"] && <Looked x={x} />}
        {over && x.reason && <p class="sub">Cleared: {show(x.reason)}.</p>}
      </div>
      <p class="when">
        <time dateTime={iso(at)} title={iso(at)}>{over ? stamp(at, clock.value) : ago(since, clock.value)}</time>
        <span class="dim">{over ? `after ${lasted(x)}` : x.state === "firing" ? "firing" : "pending"}</span>
      </p>
      <p class="acts">
        {again && <button type="button" class="btn q" title={x.acknowledged ? "Repeat it again" : "I know: it is not repeated until it clears"} onClick={() => void act(() => acknowledge(x, !x.acknowledged), x.acknowledged ? "It is repeated again" : "Acknowledged", again)}>{x.acknowledged ? "Take back" : "Acknowledge"}</button>}
        {again && !x.silenced && <button type="button" class="btn q" title="Nobody is told of it for an hour" onClick={() => void act(() => silence(x, Date.now() + hour), "Silenced for an hour", again)}>Silence 1 h</button>}
        {x.host && x.workload && <a class="btn" href={containerHref({ host: x.host, workload: x.workload, id: "" }, rangeAround(since, x.cleared ?? Date.now()))}>Open</a>}
      </p>
    </li>
  );
}

function Told({ a, again }: { a: Alarms; again(): void }) {
  return (
    <Card id="told" title="Who is told" note={a.receivers.length || ""}>
      {a.receivers.length === 0 && <p class="hint">Nobody: the setting <code>alarms.notify</code> has no line. One is enough, for example <code>https://ntfy.example/alarms</code> or <code>smtp://…</code></p>}
      <ul>
        {a.receivers.map((r) => (
          <li key={r.number} class="alarm">
            <span class={`dot ${r.failingSince ? "crit" : r.lastSuccess ? "ok" : "unknown"}`} role="img" aria-label={r.failingSince ? "fails" : r.lastSuccess ? "works" : "was not used yet"} />
            <div class="what">
              <p class="sum">{show(r.kind)}{r.host && ` to ${show(r.host)}`}</p>
              <p class="sub">{r.sent} sent, {r.failed} failed{r.waiting > 0 && `, ${r.waiting} wait`}{r.lastSuccess ? <>, the last <Ago t={r.lastSuccess} /></> : ""}</p>
              {r.failingSince && <p class="crit">Fails since {moment(r.failingSince, Date.now())}: {show(r.lastError ?? "")}</p>}
            </div>
            <span />
            <p class="acts"><button type="button" class="btn" onClick={() => void act(() => testReceiver(r), "The test message was taken", again)}>Test</button></p>
          </li>
        ))}
        {a.silences.map((s) => (
          <li key={s.id} class="alarm">
            <span class="dot pause" role="img" aria-label="silence" />
            <div class="what">
              <p class="sum">Silence: {show(s.matchers.join(", "))}</p>
              <p class="sub">until <time dateTime={iso(s.ends)} title={iso(s.ends)}>{stamp(s.ends, clock.value)}</time>{s.comment && `, ${show(s.comment)}`}</p>
            </div>
            <span />
            <p class="acts"><button type="button" class="btn q" onClick={() => void act(() => endSilence(s), "The silence has ended", again)}>End</button></p>
          </li>
        ))}
      </ul>
    </Card>
  );
}

const episodesMost = 8;

/** How often a rule would have fired, once somebody asks. */
function Tried({ r }: { r: Rule }) {
  const state = useSignal<{ asked?: boolean; of?: Trial; problem?: string }>({});
  const { asked, of, problem } = state.value;
  const ask = async () => {
    state.value = { asked: true };
    try {
      state.value = { of: await trialOf(r) };
    } catch (err) {
      state.value = { problem: inWords(err) };
    }
  };
  return (
    <div class="tried">
      <button type="button" class="btn" disabled={asked === true} onClick={() => void ask()}>How often would it have fired?</button>
      <div role="status">
        {asked && <p class="sub">The last seven days are looked at.</p>}
        {problem && <p class="warn">{show(problem)}</p>}
        {of && <p>{trialWords(of)}</p>}
        {of && (
          <ul>
            {of.episodes.slice(-episodesMost).reverse().map((e) => {
              const what = Object.entries(e.labels).filter(([name]) => !["alertname", "severity"].includes(name)).map(([name, value]) => `${name} ${value}`).join(", ");
              return <li key={`${e.fired} ${what}`} class="sub"><time dateTime={iso(e.fired)} title={iso(e.fired)}>{stamp(e.fired, clock.value)}</time> {e.cleared ? `for ${span(Math.max(second, e.cleared - e.fired))}` : "until now"}: {show(what)}</li>;
            })}
          </ul>
        )}
      </div>
    </div>
  );
}

function Rules({ rules }: { rules: readonly Rule[] }) {
  return (
    <Card id="rules" title="Rules" note={rules.length}>
      <ul>
        {ordered(rules).map((r) => (
          <li key={`${r.group} ${r.name} ${r.expr}`} class="rule" data-rule={r.name} data-state={r.state}>
            <span class={`dot ${r.error ? "warn" : r.state === "firing" ? toneOf(r.severity) : r.state === "pending" ? "info" : r.evaluated ? "ok" : "unknown"}`} role="img" aria-label={r.error ? "cannot be evaluated" : r.state} />
            <details>
              <summary>
                <b>{show(r.name)}</b>
                <span class="sub">{r.severity || "no severity"} · {waits(r.for)}{r.active > 0 && ` · ${r.active} active`}{!r.builtin && ` · ${show(r.group)}`}</span>
              </summary>
              <pre><code>{show(r.expr)}</code></pre>
              <p class="sub">
                {r.language === "logql" ? "LogQL" : "PromQL"}, group {show(r.group)}.{" "}
                {r.evaluated ? <>Evaluated at <time dateTime={iso(r.evaluated)}>{hms(r.evaluated)}</time> in {(r.took * 1000).toFixed(1)} ms.</> : "Not evaluated yet."}
              </p>
              <Tried r={r} />
            </details>
            {r.error && <p class="warn">{show(r.error)}</p>}
          </li>
        ))}
      </ul>
    </Card>
  );
}
