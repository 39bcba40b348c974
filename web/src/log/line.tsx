// SPDX-License-Identifier: Apache-2.0

import { Component } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import type { Entry } from "../api/loki";
import { glyph, tone } from "../chart/marks";
import { ansi } from "../format/ansi";
import { type Kind, parts } from "../format/logline";
import { fieldsOf, lastState, shapedOf } from "../format/shaped";
import { count, counted, size } from "../format/number";
import { originOf, wholeOrigin } from "../format/origin";
import { show } from "../format/text";
import { hms, iso, weekday } from "../format/time";
import { exactTime, gapText } from "./lines";
import { opened } from "./opening";
import type { LogRow } from "./rows";
import { ofTrace, type Traces } from "./trace";

/** What a list of lines is told about how to show them. */
export interface LineView {
  /** What is marked as found. */
  needle: string;
  exact: boolean;
  /** The colour of what a line is of, 1 to 8; none when there is only one. */
  colour(origin: string): number | undefined;
  /** The container, file or unit of a line as it is told from the others; "" leaves it out. */
  named(e: Entry): string;
  toggle(r: LogRow): void;
  /** Narrows the query, where that can be done. */
  narrow: ((e: Entry, name: string, value: string, is: boolean, parser: "" | "json" | "logfmt") => void) | undefined;
  /** The addresses of the lines around a moment, and of the container's page then. */
  aroundHref(e: Entry): string | undefined;
  containerHref(e: Entry): string | undefined;
  /** The traces of lines that a filter has torn out of them; undefined where nothing is filtered. */
  traces: Traces | undefined;
  /** The fields that have a column of their own, and makes one or takes it away; undefined where there are none. */
  columns?: readonly string[];
  column?: ((name: string) => void) | undefined;
  /** Loads the lines anew. */
  reload(): void;
  /** The lines of the group that a line heads. */
  group(r: LogRow): Entry[];
}

const words: Record<Kind, string> = { unknown: "no level", debug: "debug", info: "info", warn: "warning", error: "error" };
// Longer lines are cut in the list and whole when opened.
const cutAt = 2000;

interface RowProps {
  row: LogRow;
  view: LineView;
  open: boolean;
  current: boolean;
  near: boolean;
}

/** Whether two rows are drawn the same. */
function same(a: LogRow, b: LogRow): boolean {
  return a === b || (a.as === "events" && b.as === "events" && a.events.length === b.events.length) || (a.as === "line" && b.as === "line" && a.entry === b.entry && a.kind === b.kind && a.joins === b.joins && a.heads === b.heads);
}

/** One row of the list. Scrolling draws those that are new, not those that stay. */
export class Row extends Component<RowProps> {
  override shouldComponentUpdate(p: RowProps): boolean {
    const { row, view, open, current, near } = this.props;
    return !same(p.row, row) || p.view !== view || p.open !== open || p.current !== current || p.near !== near;
  }

  override render() {
    return <Drawn {...this.props} />;
  }
}

function Drawn({ row, view, open, current, near }: RowProps) {
  switch (row.as) {
    case "line":
      return <Line row={row} view={view} open={open} current={current} near={near} />;
    case "gap":
      return (
        <div class="lmark gap" title={`${iso(row.t)}: lines are missing here`}>
          <time>{hms(row.t)}</time>
          <span aria-hidden="true">▨</span>
          <span>
            <b>{show(wholeOrigin(row.entry.labels))}</b>: {show(gapText(row.entry))}
          </span>
        </div>
      );
    case "event":
      return (
        <div class={`lmark ${tone(row.event)}`} title={iso(row.t)}>
          <time>{hms(row.t)}</time>
          <span aria-hidden="true">{glyph(row.event)}</span>
          <span>
            {row.event.name && <b>{show(row.event.name)}</b>} {show(row.event.text)}
          </span>
        </div>
      );
    case "events":
      return (
        <>
          <div class="lmark">
            <time>{hms(row.t)}</time>
            <span aria-hidden="true">•</span>
            <button type="button" aria-expanded={open} onClick={() => view.toggle(row)}>{counted(row.events.length, "event")}</button>
          </div>
          {open && row.events.map((event) => <Drawn key={event.id} row={{ as: "event", key: event.id, t: event.time, event }} view={view} open={false} current={false} near={false} />)}
        </>
      );
    case "hole":
      return (
        <div class="lmark gap">
          <time>{hms(row.t)}</time>
          <span aria-hidden="true">▨</span>
          <span>{counted(row.n, "line")} came faster than they can be shown; they are stored. <button type="button" onClick={view.reload}>Load again</button></span>
        </div>
      );
    case "edge":
      return <p class="edge">The first line of this range.</p>;
    case "day":
      return <div class="lmark">{weekday(row.t)}</div>;
  }
}

const three = (t: number) => String(t % 1000).padStart(3, "0");

function Line({ row, view, open, current, near }: { row: LogRow & { as: "line" }; view: LineView; open: boolean; current: boolean; near: boolean }) {
  const { entry, kind, joins } = row;
  const origin = originOf(entry.labels);
  // A file inside of a container may be chosen without the container.
  const colour = view.colour(origin) ?? view.colour(entry.labels["filename"] ?? "");
  const short = origin && view.named(entry);
  // An entry of several lines that was stored as one.
  const several = useMemo(() => entry.line.split("\n").length, [entry]);
  const click = (e: MouseEvent) => {
    if ((e.target as Element).closest("button, a") || getSelection()?.toString()) return;
    view.toggle(row);
  };
  const cut = Number(entry.meta["tallyman_cut_bytes"] ?? 0);
  return (
    <>
      <div class={`ll ${kind}${short ? "" : " one"}${joins ? " joins" : ""}${near ? " near" : ""}`} data-open={open || undefined} onClick={click}>
        <span class="lv" />
        <button type="button" class="lt" data-key={row.key} tabIndex={current ? 0 : -1} aria-expanded={open} title={`${exactTime(entry.ns)}, ${words[kind]}`} onClick={() => view.toggle(row)}>
          {hms(entry.t)}
          <span class="ms">.{three(entry.t)}</span>
          <span class="sr"> {words[kind]}</span>
        </button>
        {short !== "" && (
          <span class="src ell" title={show(wholeOrigin(entry.labels))}>
            {colour !== undefined && <i class={`c${colour}`} />}
            {show(short)}
          </span>
        )}
        <span class="msg">
          {view.columns && view.columns.length > 0 && <Columns entry={entry} names={view.columns} />}
          {several > 1 && <em class="torn">{count(several)} lines</em>}
          {view.traces && !joins && several === 1 && (open || ofTrace(entry)) && <Torn entry={entry} traces={view.traces} />}
          <Message line={several > 1 ? entry.line.slice(0, entry.line.indexOf("\n")) : entry.line} view={view} cut={cut} />
        </span>
      </div>
      {open && opened.value && <opened.value row={row} view={view} />}
    </>
  );
}

/** How many lines the trace of a line has. */
function Torn({ entry, traces }: { entry: Entry; traces: Traces }) {
  useEffect(() => traces.want(entry), [entry, traces]);
  const n = traces.of(entry).value.length;
  return n > 0 ? <em class="torn">{n} lines</em> : null;
}

/** The value of a field of a line: of its labels, of what is known beside it, or in it. */
export function valueIn(entry: Entry, fields: readonly [string, string][] | undefined, name: string): string {
  return entry.labels[name] ?? entry.meta[name] ?? fields?.find(([k]) => k === name)?.[1] ?? "";
}

function Columns({ entry, names }: { entry: Entry; names: readonly string[] }) {
  const fields = useMemo(() => fieldsOf(entry.line), [entry]);
  return (
    <>
      {names.map((n) => {
        const v = show(valueIn(entry, fields, n).slice(0, cutAt));
        return <span key={n} class="cv" title={`${show(n)}: ${v || "none"}`}>{v || "–"}</span>;
      })}
    </>
  );
}

/** A line as it is read: of progress its last state, of JSON and logfmt the message first, unless what was searched for stands elsewhere in it. */
function read(line: string, needle: string, exact: boolean): { text: string; fields: [string, string][] } {
  const state = lastState(line);
  const has = (s: string) => needle === "" || (exact ? s.includes(needle) : s.toLowerCase().includes(needle.toLowerCase()));
  const whole = has(state) ? state : line;
  const shaped = shapedOf(whole);
  return shaped && has(`${shaped.message} ${shaped.fields.map(([k, v]) => `${k}=${v}`).join(" ")}`) ? { text: shaped.message, fields: shaped.fields } : { text: whole, fields: [] };
}

const fieldsMost = 40;

function Message({ line, view, cut }: { line: string; view: LineView; cut: number }) {
  const shown = useMemo(() => {
    const { text, fields } = read(line, view.needle, view.exact);
    const long = text.length > cutAt;
    return {
      long,
      fields: fields.slice(0, fieldsMost).map(([k, v]) => parts(show(` ${k}=${v.slice(0, cutAt)}`), view.needle, view.exact)),
      pieces: ansi(long ? text.slice(0, cutAt) : text).map((p) => ({ style: p.style, parts: parts(p.text, view.needle, view.exact) })),
    };
  }, [line, view.needle, view.exact]);
  return (
    <>
      {shown.pieces.map((p, i) => {
        const inner = p.parts.map((x, j) => (x.as === "hit" ? <mark key={j}>{x.text}</mark> : x.as === "key" && p.style === "" ? <span key={j} class="k">{x.text}</span> : x.text));
        return p.style === "" ? inner : <span key={i} class={p.style}>{inner}</span>;
      })}
      {shown.fields.map((f, i) => <span key={`f${i}`} class="k">{f.map((x, j) => (x.as === "hit" ? <mark key={j}>{x.text}</mark> : x.text))}</span>)}
      {shown.long && <em> … {count(line.length - cutAt)} more characters</em>}
      {cut > 0 && <em> ▨ {size(cut)} cut off</em>}
    </>
  );
}
