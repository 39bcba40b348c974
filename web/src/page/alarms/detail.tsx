// SPDX-License-Identifier: Apache-2.0

import { useSignal } from "@preact/signals";
import { inWords } from "../../api/client";
import type { Alarm, Chart, DetailAnswer } from "../../api/schema";
import { plain } from "../../format/number";
import { show } from "../../format/text";
import { iso, moment, stamp } from "../../format/time";
import { clock } from "../../part/clock";
import { toneOf } from "../../part/firing";
import { detailOf, drawn, place } from "./data";

/** What the rule of an alarm looked at, once somebody opens it. */
export function Looked({ x }: { x: Alarm }) {
  const state = useSignal<{ of?: DetailAnswer; problem?: string } | undefined>(undefined);
  const open = async (e: Event) => {
    if (!(e.currentTarget as HTMLDetailsElement).open || state.value) return;
    state.value = {};
    try {
      state.value = { of: await detailOf(x) };
    } catch (err) {
      state.value = { problem: inWords(err) };
    }
  };
  const { of, problem = of?.problem } = state.value ?? {};
  return (
    <details class="looked" onToggle={(e) => void open(e)}>
      <summary>What the rule looked at</summary>
      {!of && !problem && <p class="sub" role="status">It is asked for.</p>}
      {problem && <p class="warn">{show(problem)}</p>}
      {of?.chart && <Drawn c={of.chart} x={x} />}
      {of && of.lines.length > 0 && (
        <ol class="lines" tabIndex={0} aria-label="Lines that it counted">
          {of.lines.map((l, i) => <li key={i}><time dateTime={iso(l.time)}>{moment(l.time, Date.now())}</time> {show(l.text)}</li>)}
        </ol>
      )}
      {of && !of.chart && !problem && <p class="sub">Nothing that can be drawn.</p>}
    </details>
  );
}

function Drawn({ c, x }: { c: Chart; x: Alarm }) {
  const { line, most, level } = drawn(c);
  const from = place(c, x.fired ?? x.since);
  const words = c.values.length === 0 ? "There are no values any more." : `At most ${plain(most)}, last ${plain(c.values.at(-1) ?? 0)}${c.op ? `; it fires at ${c.op} ${plain(c.threshold)}` : ""}`;
  const moment = (t: number) => <time dateTime={iso(t)}>{stamp(t, clock.value)}</time>;
  return (
    <figure>
      {c.values.length > 0 && (
        <svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label={words}>
          {x.fired && <rect class={toneOf(x.severity)} x={from} y="0" width={place(c, x.cleared ?? c.end) - from} height="100" />}
          {c.op && <path class="level" d={`M0 ${level}H100`} />}
          <path d={line} />
        </svg>
      )}
      <figcaption>
        {moment(c.start)}
        <span>{words}</span>
        {moment(c.end)}
      </figcaption>
      <pre><code>{show(c.expr)}</code></pre>
    </figure>
  );
}
