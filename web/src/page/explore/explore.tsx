// SPDX-License-Identifier: Apache-2.0

import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { promNames } from "../../api/suggest";
import type { Section } from "../../chart/stack";
import { visible } from "../../format/ansi";
import type { Language } from "../../format/completing";
import { levelKind } from "../../format/logline";
import { counted, digits, type Quantity, bytes, size } from "../../format/number";
import { wholeOrigin } from "../../format/origin";
import { show } from "../../format/text";
import { iso, moment } from "../../format/time";
import { clock } from "../../part/clock";
import { Completion } from "../../part/completion";
import { Frame } from "../../part/frame";
import { Icon } from "../../part/icon";
import { useKeys } from "../../part/keys";
import { copy } from "../../part/notice";
import { containerHref, linkTo, logsHref, param, range, rangeParams, setParams } from "../../part/place";
import { RangeControl } from "../../part/rangecontrol";
import { TimeCharts } from "../../part/timecharts";
import { useTimeline } from "../../part/timeline";
import { Value } from "../../part/value";
import { Wrong } from "../../part/wrong";
import { columnOf, examples, Explored, givesLines, linesMost, most, namesOf, type Series } from "./data";
import "./explore.css";

const langText = param("lang");
const queryText = param("q");
const rowsMost = 200;

/** Let me ask freely: PromQL and LogQL, as a chart and a table. */
export function ExplorePage() {
  const language: Language = langText.value === "logql" ? "logql" : "promql";
  const query = queryText.value;
  const draft = useSignal<string | undefined>(undefined);
  const turn = useSignal(0);
  const field = useRef<HTMLTextAreaElement>(null);
  const freeze = useRef<() => void>(() => undefined);
  useSignalEffect(() => {
    queryText.value;
    langText.value;
    draft.value = undefined;
  });
  const text = draft.value ?? query;
  const run = (q: string) => {
    if (q.trim() === query) turn.value++;
    else setParams({ q: q.trim() }, "push");
    draft.value = undefined;
  };
  useKeys("Explore", [{ keys: ["/"], label: "Write the query", run: () => field.current?.focus() }]);
  return (
    <Frame title="Explore" mainClass="xpl" crumb={<b>Explore</b>} range={<RangeControl range={range.value} freeze={() => freeze.current()} canLive />}>
      <h1 class="sr">Explore</h1>
      <form class="ask" aria-label="Query" onSubmit={(e) => { e.preventDefault(); run(text); }}>
        <span class="seg" role="group" aria-label="Language">
          <button type="button" aria-pressed={language === "promql"} onClick={() => setParams({ lang: undefined, q: undefined }, "push")}>PromQL</button>
          <button type="button" aria-pressed={language === "logql"} onClick={() => setParams({ lang: "logql", q: undefined }, "push")}>LogQL</button>
        </span>
        <div class="write">
          <textarea
            ref={field}
            class="mono"
            rows={Math.min(8, text.split("\n").length)}
            value={text}
            aria-label={language === "promql" ? "PromQL" : "LogQL"}
            placeholder={language === "promql" ? "A metric, or any PromQL" : '{source="container"} |= "text", or any LogQL'}
            spellcheck={false}
            autocomplete="off"
            autocapitalize="off"
            onInput={(e) => { draft.value = e.currentTarget.value; }}
            onKeyDown={(e) => {
              if (e.key === "Enter" && !e.shiftKey) {
                e.preventDefault();
                run(e.currentTarget.value);
              } else if (e.key === "Escape") e.currentTarget.blur();
            }}
          />
          <Completion key={language} field={field} language={language} put={(t) => { draft.value = t; }} />
        </div>
        <button type="submit" class="btn p">Run</button>
        <button type="button" class="btn wide" title="Copy a link to this query and range" onClick={() => void copy(linkTo(range.peek()))}>
          <Icon name="link" />
          Share
        </button>
      </form>
      {query ? <Answer key={`${language} ${turn.value} ${query}`} language={language} query={query} freeze={freeze} /> : <Examples language={language} run={run} />}
    </Frame>
  );
}

/** What to begin with. */
function Examples({ language, run }: { language: Language; run(q: string): void }) {
  const names = useSignal<readonly string[] | undefined>(undefined);
  const problem = useSignal(false);
  useEffect(() => { promNames().then((n) => { names.value = n; }, () => { problem.value = true; }); }, []);
  const list = language === "logql" ? examples(language, []) : names.value && examples(language, names.value);
  return (
    <section class="begin" aria-label="Examples">
      <p class="mid">{language === "promql" ? "Every sample that tallyman keeps, in PromQL." : "Every line, event and configuration that tallyman keeps, in LogQL."} Enter runs the query, Shift and Enter begin a line; the arrow keys choose what is offered. The range is that of the page.</p>
      {list && list.length > 0 && (
        <ul>
          {list.map((e) => (
            <li key={e.query}>
              <button type="button" onClick={() => run(e.query)}><span>{show(e.say)}</span><code>{show(e.query)}</code></button>
            </li>
          ))}
        </ul>
      )}
      {language === "promql" && list?.length === 0 && <p class="mid">There are no samples yet.</p>}
      {language === "promql" && problem.value && <p class="mid">What there is to ask for could not be read.</p>}
    </section>
  );
}

function Answer({ language, query, freeze }: { language: Language; query: string; freeze: { current: () => void } }) {
  const { data, actions } = useTimeline("Explore", (pin) => new Explored(language, query, pin), []);
  freeze.current = actions.freeze;
  const asLines = givesLines(language, query);
  const series = data.series.value;
  const names = useMemo(() => namesOf(series.map((s) => s.labels)), [series]);
  const sections = useMemo(() => [sectionOf(query, names, series.length)], [names]);
  const problem = data.problem.value;
  // A log query needs no width of a chart to be asked.
  useEffect(() => { if (asLines) data.model.width.value ||= 800; }, []);
  return (
    <div class="answer" aria-busy={!data.loaded.value && !problem}>
      {problem && <Wrong text={problem} query={query} />}
      {!asLines && !(problem && series.length === 0) && <TimeCharts data={data} problem="" sections={sections} actions={actions} instances={false} within={{ class: "xcharts", label: "Chart" }} />}
      {data.loaded.value && !problem && (asLines ? <Lines list={data.lines.value} query={query} /> : <Table all={series} names={names} bytesOf={isBytes(query)} />)}
      {!data.loaded.value && !problem && <p class="dim said">Asking …</p>}
    </div>
  );
}

const isBytes = (query: string) => /_bytes|bytes_(?:over_time|rate)/.test(query) && !/[/]/.test(query.replace(/"[^"]*"/g, ""));
const say = (inBytes: boolean, v: number): Quantity => (inBytes ? bytes(v) : { n: Math.abs(v) > 0 && Math.abs(v) < 0.01 ? v.toPrecision(3) : Math.abs(v) >= 1e6 ? v.toLocaleString("en", { maximumSignificantDigits: 6 }) : digits(v), unit: "" });

function sectionOf(query: string, names: readonly string[], n: number): Section {
  const inBytes = isBytes(query);
  return {
    spec: {
      id: "answer",
      title: "Answer",
      note: n > most ? `${most} of ${n}` : "",
      height: 260,
      base: inBytes ? "binary" : "decimal",
      least: inBytes ? 1024 : 0.001,
      tick: (v) => (inBytes ? size(v) : say(false, v).n),
      value: (v) => say(inBytes, v),
      lines: Array.from({ length: most }, (_, k) => ({ series: columnOf(k), name: show(names[k] ?? ""), color: `c${k + 1}`, kind: "line" as const })),
    },
    missing: "The query gives nothing in this range.",
  };
}

/** The series with their labels, that with the greatest mean first. */
function Table({ all, names, bytesOf }: { all: readonly Series[]; names: readonly string[]; bytesOf: boolean }) {
  if (all.length === 0) return <p class="mid said" role="status">The query gives nothing in this range.</p>;
  return (
    <>
      <p class="mid said" role="status">{counted(all.length, "series", "series")}{all.length > rowsMost && `, the ${rowsMost} with the greatest mean`}</p>
      <table aria-label="Series">
        <thead><tr><th scope="col">Series</th><th scope="col" class="num">last</th><th scope="col" class="num">mean</th><th scope="col" class="num">max</th></tr></thead>
        <tbody>
          {all.slice(0, rowsMost).map((s, i) => {
            const { host, workload } = s.labels;
            const name = show(names[i]!);
            return (
              <tr key={JSON.stringify(s.labels)}>
                <th scope="row">
                  {host && workload ? <a class="link" href={containerHref({ host, workload, id: "" }, rangeParams())}>{name}</a> : <b>{name}</b>}
                  <code class="dim">{Object.entries(s.labels).map(([k, v]) => show(`${k}=${JSON.stringify(v)}`)).join(", ")}</code>
                </th>
                <td class="num"><Value of={say(bytesOf, s.last!)} /></td>
                <td class="num"><Value of={say(bytesOf, s.mean)} /></td>
                <td class="num"><Value of={say(bytesOf, s.max)} /></td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </>
  );
}

/** The newest lines, and the way to all of them. */
function Lines({ list, query }: { list: Explored["lines"]["value"]; query: string }) {
  return (
    <>
      <p class="mid said" role="status">
        {list.length === 0 ? "No line in this range." : list.length === linesMost ? `The newest ${linesMost} lines` : counted(list.length, "line")}{" "}
        <a class="link" href={logsHref(query, rangeParams())}>Open in Logs</a>
      </p>
      {list.length > 0 && (
        <ol class="xlines">
          {list.map((e) => (
            <li key={e.id} class={levelKind(e.labels["level"])}>
              <time dateTime={iso(e.t)} title={iso(e.t)}>{moment(e.t, clock.value)}</time>
              <span class="mid ell" title={show(wholeOrigin(e.labels))}>{show(wholeOrigin(e.labels))}</span>
              <code>{visible(e.line.slice(0, 2000))}</code>
            </li>
          ))}
        </ol>
      )}
    </>
  );
}
