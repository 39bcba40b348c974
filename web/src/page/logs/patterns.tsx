// SPDX-License-Identifier: Apache-2.0

import { signal, useSignal, useSignalEffect } from "@preact/signals";
import { useMemo, useRef } from "preact/hooks";
import { get, inWords } from "../../api/client";
import type { PatternsAnswer } from "../../api/schema";
import { levelKind } from "../../format/logline";
import { count, counted, percent } from "../../format/number";
import { all, type Range } from "../../format/range";
import { show } from "../../format/text";
import { hms, hour, iso } from "../../format/time";
import { logsHref, range as rangeOfPage } from "../../part/place";
import { useRetry } from "../../part/retry";
import { Spark } from "../../part/spark";
import { Template } from "../../part/template";
import "./patterns.css";

type Found = PatternsAnswer["patterns"][number];

/** The kinds of lines of a query, the most frequent first; a click shows the lines of one. */
export function Patterns({ query, range }: { query: string; range: Range }) {
  const answer = useSignal<PatternsAnswer | undefined>(undefined);
  const problem = useSignal("");
  const asking = useRef<AbortController | undefined>(undefined);
  const asked = useSignal({ query, range });
  if (asked.peek().query !== query || asked.peek().range !== range) asked.value = { query, range };
  const load = () => {
    asking.current?.abort();
    const stop = (asking.current = new AbortController());
    const { query, range: r } = asked.peek();
    const now = Date.now();
    answer.value = undefined;
    problem.value = "";
    get<"patterns">("patterns", { query, start: Math.floor(r.live ? now - (r.span === all ? 24 * hour : r.span) : r.from), end: Math.ceil(r.live ? now : Math.min(r.to, now)) }, stop.signal).then(
      (a) => { answer.value = a; },
      (err) => { if (!stop.signal.aborted) problem.value = inWords(err); },
    );
  };
  useSignalEffect(() => {
    asked.value;
    load();
    return () => asking.current?.abort();
  });
  useRetry(() => problem.value, load);
  const a = answer.value;
  return (
    <div class="patterns" aria-busy={!a}>
      {problem.value && (
        <p class="banner warn" role="alert">
          <span class="dot warn" />
          <span class="grow">{show(problem.value)}</span>
          <button type="button" class="btn q" onClick={load}>Try again</button>
        </p>
      )}
      {!a && !problem.value && <p class="dim said">Grouping the lines …</p>}
      {a && (
        <p class="mid said" role="status">
          {a.lines === 0 ? "No line in this range." : counted(a.patterns.length + a.left, "pattern")}
          {a.lines > 0 && <span class="dim"> of {counted(a.lines, "line")}{a.covered < 1 ? `, sampled: all that were written in ${percent(a.covered)} of the time` : ""}{range.live && `, until ${hms(a.end)}`}. </span>}
          {a.apart > 0 && <span class="dim">{counted(a.apart, "line")} {a.apart === 1 ? "is" : "are"} of kinds too many to tell apart. </span>}
          {a.left > 0 && <span class="dim">The {a.patterns.length} most frequent are shown. </span>}
          {range.live && <button type="button" class="btn q" onClick={load}>Ask again</button>}
        </p>
      )}
      {a && a.patterns.length > 0 && (
        <ol>
          {a.patterns.map((p) => <Row key={`${p.level} ${p.pattern}`} p={p} of={a} query={query} />)}
        </ol>
      )}
    </div>
  );
}

function Row({ p, of, query }: { p: Found; of: PatternsAnswer; query: string }) {
  const curve = useMemo(() => signal(p.points), [p]);
  const r = rangeOfPage.value;
  // A range that goes on stays so; the lines of the pattern are shown to their end.
  const href = p.stage ? logsHref(`${query.trimEnd()} | decolorize ${p.stage}`, r.live ? {} : { from: iso(r.from), to: iso(r.to) }) : undefined;
  const inner = (
    <>
      <span class="lv" />
      <b class="n">{count(p.lines)}</b>
      <span class="dim share">{percent(p.lines / of.lines)}</span>
      <Spark values={curve} top={undefined} kind="cpu" />
      <code><Template of={p.pattern} /></code>
      {p.level && <span class="sr">{show(p.level)}</span>}
    </>
  );
  return (
    <li class={levelKind(p.level)}>
      {href ? <a href={href} title={`For example: ${show(p.example)}`}>{inner}</a> : <span title={`Nothing in it can be searched for. For example: ${show(p.example)}`}>{inner}</span>}
    </li>
  );
}
