// SPDX-License-Identifier: Apache-2.0

import type { ComponentChild } from "preact";
import { useMemo } from "preact/hooks";
import { bare, visibleLines } from "../format/ansi";
import { Exact, json, logfmt } from "../format/logline";
import { idsOf } from "../format/ids";
import { isLabel } from "../format/logql";
import { count, size } from "../format/number";
import { show } from "../format/text";
import { Everywhere, sameHref } from "../part/everywhere";
import { Icon } from "../part/icon";
import { copy } from "../part/notice";
import type { LineView } from "./line";
import { exactTime } from "./lines";
import { markOf } from "./meant";
import type { LogRow } from "./rows";

const openMost = 65_536;

/** What is known of a line, under it. */
export function Opened({ row, view }: { row: LogRow & { as: "line" }; view: LineView }) {
  const { entry } = row;
  const value = useMemo(() => (entry.line.length <= openMost ? json(entry.line) : undefined), [entry]);
  const fields = useMemo(() => (value || entry.line.includes("\n") ? undefined : logfmt(entry.line)), [entry]);
  const trace = view.traces?.of(entry).value ?? [];
  const group = trace.length ? trace : row.heads > 1 ? view.group(row) : [];
  const around = view.aroundHref(entry);
  const container = view.containerHref(entry);
  const name = entry.labels["name"] ?? "";
  const ids = useMemo(() => idsOf(bare(entry.line.slice(0, openMost))), [entry]);
  const labels = Object.entries(entry.labels);
  const meta = Object.entries(entry.meta);
  const asColumn = (name: string) =>
    view.column && name.length < 100 ? (
      <button type="button" class="only" aria-pressed={view.columns?.includes(name) ?? false} aria-label={`as column: ${show(name)}`} onClick={() => view.column!(name)}>as column</button>
    ) : null;
  const only = (name: string, text: string, parser: "" | "json" | "logfmt") =>
    view.narrow && isLabel(name) && text.length < 500 ? (
      <>
        {asColumn(name)}
        <button type="button" class="only" aria-label={`Only ${show(name)} ${show(text)}`} onClick={() => view.narrow!(entry, name, text, true, parser)}>only</button>
        <button type="button" class="only" aria-label={`Not ${show(name)} ${show(text)}`} onClick={() => view.narrow!(entry, name, text, false, parser)}>not</button>
      </>
    ) : asColumn(name);
  return (
    <div class="exp" role="group" aria-label="This line">
      <header>
        {around && <a class="btn q" href={around}>Lines around it</a>}
        {container && <a class="btn q" href={container} title={show(name)}><span class="ell">Open {show(name) || "the container"} at this time</span></a>}
        <Everywhere t={entry.t} at={markOf(entry)} />
        <button type="button" class="btn q" onClick={() => void copy(entry.line, "Line copied", "select the text instead")}>
          <Icon name="copy" />
          Copy
        </button>
        {group.length > 1 && (
          <button type="button" class="btn q" onClick={() => void copy(group.map((e) => e.line).join("\n"), `${group.length} lines copied`, "select the text instead")}>
            Copy all {group.length} lines
          </button>
        )}
        {ids.map((id) => (
          <a key={id} class="btn q" href={sameHref(id, entry.t, markOf(entry))} title={`Lines of everything with ${show(id)}, within 5 min`}><span class="ell">{show(id.length > 16 ? `${id.slice(0, 12)}…` : id)} everywhere</span></a>
        ))}
        <span class="grow" />
        <span class="dim">{value ? "JSON, " : fields ? "logfmt, " : ""}{size(entry.line.length)}</span>
      </header>
      {value ? (
        <div class="tree">
          <Tree value={value} depth={0} only={(name, text) => only(name, text, "json")} />
        </div>
      ) : fields ? (
        <dl>
          {fields.map(([k, v], i) => (
            <div key={i}>
              <dt>{show(k)}</dt>
              <dd>
                <span>{show(v)}</span> {only(k, v, "logfmt")}
              </dd>
            </div>
          ))}
        </dl>
      ) : trace.length ? null : (
        <pre tabIndex={0}>{visibleLines(entry.line.slice(0, openMost))}{entry.line.length > openMost && `\n… ${count(entry.line.length - openMost)} more characters; Copy has them`}</pre>
      )}
      {trace.length > 0 && <pre tabIndex={0}>{visibleLines(trace.map((e) => e.line).join("\n").slice(0, openMost))}</pre>}
      <dl class="of">
        <div>
          <dt>time</dt>
          <dd><span>{exactTime(entry.ns)}</span></dd>
        </div>
        {[...labels, ...meta].map(([k, v]) => (
          <div key={k}>
            <dt>{show(k)}</dt>
            <dd>
              <span>{show(v)}</span> {only(k, v, "")}
            </dd>
          </div>
        ))}
      </dl>
    </div>
  );
}

const childrenMost = 200;
const depthMost = 30;

function Tree({ value, depth, only }: { value: object; depth: number; only(name: string, text: string): ComponentChild }) {
  const all = Object.entries(value);
  const shown = all.slice(0, childrenMost);
  return (
    <dl>
      {shown.map(([k, v]) => (
        <div key={k}>
          <dt>{show(k)}</dt>
          <dd>
            {typeof v === "object" && v !== null && !(v instanceof Exact) ? (
              depth >= depthMost ? (
                <span class="dim">deeper than {depthMost} levels; Copy has it</span>
              ) : (
                <details open={depth < 1}>
                  <summary class="dim">{Array.isArray(v) ? `[ ${v.length} ]` : `{ ${Object.keys(v).length} }`}</summary>
                  <Tree value={v as object} depth={depth + 1} only={() => null} />
                </details>
              )
            ) : (
              <>
                <Scalar value={v} /> {depth === 0 && v !== null && only(k, typeof v === "string" ? bare(v) : v instanceof Exact ? v.text : String(v))}
              </>
            )}
          </dd>
        </div>
      ))}
      {all.length > childrenMost && (
        <div>
          <dt />
          <dd class="dim">{count(all.length - childrenMost)} more; Copy has them</dd>
        </div>
      )}
    </dl>
  );
}

function Scalar({ value }: { value: unknown }) {
  if (value instanceof Exact) return <span class="n">{value.text}</span>;
  if (typeof value === "string") return <span class="s">{`"${show(value)}"`}</span>;
  return <span class={typeof value === "number" ? "n" : "dim"}>{String(value)}</span>;
}
