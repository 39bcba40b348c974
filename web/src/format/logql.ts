// SPDX-License-Identifier: Apache-2.0

import { type Kind, kinds, levelsOf } from "./logline";
import { escape, quote, special } from "./selector";

/** Where lines come from: the output of containers, plain text files, units of the journal. */
export const sources = ["container", "file", "journal"] as const;
export type Source = (typeof sources)[number];

/** What the simple controls say. Every query that they can say is also read back from its text. */
export interface Controls {
  /** None is all of them. */
  sources: Source[];
  hosts: string[];
  workloads: string[];
  /** Those of a source: containers, files, units. They say nothing of lines that are of no container, file or unit. */
  names: string[];
  files: string[];
  units: string[];
  levels: Kind[];
  /** stdout, stderr; none or both is all. */
  streams: string[];
  text: string;
  /** Whether upper and lower case are told apart. */
  exact: boolean;
}

export const everything: Controls = { sources: [], hosts: [], workloads: [], names: [], files: [], units: [], levels: [], streams: [], text: "", exact: false };

/** The label that tells the lines of a source apart, and where the controls have it. */
export const places = {
  container: { label: "name", list: "names" },
  file: { label: "filename", list: "files" },
  journal: { label: "unit", list: "units" },
} as const;

/** The sources whose lines are wanted. */
export function among(c: Controls): readonly Source[] {
  return c.sources.length ? c.sources : sources;
}

// Of a source that is not wanted nothing is chosen; all of them are none.
function of(c: Controls, wanted: readonly Source[]): Controls {
  const out = { ...c, sources: wanted.length === sources.length ? [] : sources.filter((s) => wanted.includes(s)) };
  for (const s of sources) if (!among(out).includes(s)) out[places[s].list] = [];
  if (!among(out).includes("container")) out.streams = [];
  return out;
}

/** Turns a source on or off. */
export function withSource(c: Controls, s: Source): Controls {
  return of(c, toggled(c.sources, s));
}

/** Turns a container, a file or a unit on or off, and its source with it: what is chosen is seen, and nothing else. */
export function withPlace(c: Controls, s: Source, value: string): Controls {
  const { list } = places[s];
  const next = { ...c, [list]: toggled(c[list], value) };
  const placed = (k: Source) => c[places[k].list].length > 0;
  if (next[list].length === 0) {
    if (sources.some((k) => k !== s && placed(k))) return of(next, among(c).filter((k) => k !== s));
    return c.sources.length === 1 ? of(next, []) : next;
  }
  return of(next, c.sources.length === 0 && !sources.some(placed) ? [s] : [...new Set([...among(c), s])]);
}

/** Only one container, file or unit of all. */
export function onlyPlace(c: Controls, s: Source, value: string): Controls {
  return { ...of(c, [s]), [places[s].list]: [value] };
}

/** The literal texts that a regular expression of alternatives means; undefined when it means more. */
function literals(expression: string): string[] | undefined {
  const out = [""];
  for (let i = 0; i < expression.length; i++) {
    const c = expression[i]!;
    if (c === "|") out.push("");
    else if (c === "\\") {
      const next = expression[++i];
      if (next === undefined || next.replace(special, "") !== "") return undefined;
      out[out.length - 1] += next;
    } else if (c.replace(special, "") === "") return undefined;
    else out[out.length - 1] += c;
  }
  return out;
}

/** optional lets lines pass that do not have the label. */
function matcher(name: string, values: readonly string[], optional = false): string {
  if (values.length === 1 && !optional) return `${name}=${quote(values[0]!)}`;
  return `${name}=~${quote(values.map(escape).join("|") + (optional ? "|" : ""))}`;
}

/** What the controls say of streams but for the level and the output. */
function selected(c: Controls): string[] {
  const wanted = among(c);
  const parts = [matcher("source", wanted)];
  if (c.hosts.length) parts.push(matcher("host", c.hosts));
  if (c.workloads.length) parts.push(matcher("workload", c.workloads));
  for (const s of sources) {
    const { label, list } = places[s];
    if (c[list].length) parts.push(matcher(label, c[list], wanted.length > 1));
  }
  return parts;
}

/** The query that the controls mean. */
export function build(c: Controls): string {
  const parts = selected(c);
  if (c.streams.length === 1) parts.push(matcher("stream", c.streams));
  const levels = kinds.filter((k) => c.levels.includes(k)).flatMap(levelsOf);
  if (levels.length) parts.push(matcher("level", levels));
  // What is looked for is what is seen: colours between its letters do not hide it.
  const filter = c.text === "" ? "" : c.exact ? ` | decolorize |= ${quote(c.text)}` : ` | decolorize |~ ${quote("(?i)" + escape(c.text))}`;
  return `{${parts.join(", ")}}${filter}`;
}

/**
 * tallyman's notes that lines are missing, of what the controls select. They are
 * wanted whatever the levels, the output and the text; undefined when none of
 * these hides them. The text lets the store leave out all that has none.
 */
export function gapsOf(c: Controls): string | undefined {
  if (c.streams.length !== 1 && c.text === "" && (c.levels.length === 0 || c.levels.includes("warn"))) return undefined;
  const outputs = c.streams.length === 1 ? [matcher("stream", ["stdout", "stderr"])] : [];
  return `{${[...selected(c), ...outputs, matcher("level", ["warn"])].join(", ")}} |= "tallyman: " | tallyman_gap!=""`;
}

/** The query of all that was written where a line was, whatever its level. */
export function beside(labels: Record<string, string>): string {
  return `{${["host", "source", "name", "workload", "filename", "unit", "stream"].filter((l) => labels[l]).map((l) => matcher(l, [labels[l]!])).join(", ")}}`;
}

const text = '"(?:[^"\\\\]|\\\\.)*"';
const shape = new RegExp(`^\\s*\\{\\s*((?:\\w+\\s*=~?\\s*${text}\\s*(?:,\\s*)?)*)\\}\\s*(?:(?:\\|\\s*decolorize\\s*)?\\|([=~])\\s*(${text}))?\\s*$`);
const one = new RegExp(`(\\w+)\\s*(=~?)\\s*(${text})`, "g");

function unquote(literal: string): string | undefined {
  try {
    return JSON.parse(literal) as string;
  } catch {
    return undefined; // an escape that only LogQL knows
  }
}

/** What a query means in terms of the controls; undefined when it says more than they can. */
export function readControls(query: string): Controls | undefined {
  const m = shape.exec(query);
  if (!m) return undefined;
  const said = new Map<string, string[]>();
  for (const [, name, op, literal] of m[1]!.matchAll(one)) {
    const value = unquote(literal!);
    const values = value === undefined ? undefined : op === "=" ? [value] : literals(value);
    if (!values || said.has(name!)) return undefined;
    said.set(name!, values);
  }
  const take = (name: string) => {
    const values = said.get(name) ?? [];
    said.delete(name);
    return values;
  };
  const wanted = take("source");
  const out = of(everything, sources.filter((s) => wanted.includes(s)));
  if (wanted.length === 0 || among(out).length !== wanted.length) return undefined;
  for (const s of sources) {
    const { label, list } = places[s];
    const values = take(label);
    // Where lines without the label may be, they are let pass.
    if (values.length === 0) continue;
    if (!wanted.includes(s) || (wanted.length > 1 && values.pop() !== "")) return undefined;
    if (values.length === 0) return undefined;
    out[list] = values;
  }
  out.hosts = take("host");
  out.workloads = take("workload");
  out.streams = take("stream");
  if (out.streams.length > 1 || (out.streams.length > 0 && !wanted.includes("container"))) return undefined;
  const levels = take("level");
  out.levels = kinds.filter((k) => levelsOf(k).every((l) => levels.includes(l)));
  if (said.size > 0 || out.levels.flatMap(levelsOf).length !== levels.length) return undefined;
  if ([...out.hosts, ...out.workloads, ...out.names, ...out.files, ...out.units, ...out.streams].includes("")) return undefined;
  if (m[3] !== undefined) {
    const value = unquote(m[3]);
    if (value === undefined || value === "") return undefined;
    out.exact = m[2] === "=";
    if (out.exact) out.text = value;
    else {
      const [read, more] = value.startsWith("(?i)") ? (literals(value.slice(4)) ?? []) : [];
      if (read === undefined || read === "" || more !== undefined) return undefined;
      out.text = read;
    }
  }
  return out;
}

/** Turns a value of a list on or off. */
export function toggled<T>(list: readonly T[], value: T): T[] {
  return list.includes(value) ? list.filter((v) => v !== value) : [...list, value];
}

/** Narrows any log query to a label or a field of its lines, or away from it. */
export function narrow(query: string, name: string, value: string, is: boolean, parser: "" | "json" | "logfmt"): string {
  const has = new RegExp(`\\|\\s*${parser}\\b`).test(query);
  const parse = parser && !has ? ` | ${parser}` : "";
  return `${query.trimEnd()}${parse} | ${name}${is ? "=" : "!="}${quote(value)}`;
}

/** A log query with a text that its lines have to hold besides, in upper or lower case, whatever colours stand in it. */
export function finding(query: string, text: string): string {
  return `${query.trimEnd()} | decolorize |~ ${quote("(?i)" + escape(text))}`;
}

/** Whether LogQL takes a name as a label as it is. */
export function isLabel(name: string): boolean {
  return /^[A-Za-z_]\w*$/.test(name);
}

/** The query that counts the lines of another by level. Lines that a stage cannot parse count, too. */
export function counting(query: string, step: number): string {
  const staged = /\|\s*(?:json|logfmt|unpack|pattern|regexp|line_format|label_format|[A-Za-z_]\w*\s*[=!<>])/.test(query);
  return `sum by (level) (count_over_time(${query.trim()}${staged ? " | drop __error__, __error_details__" : ""} [${step}ms]))`;
}
