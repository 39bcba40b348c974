// SPDX-License-Identifier: Apache-2.0

export type Language = "promql" | "logql";

/** What may stand at a place of a query. */
export interface Place {
  kind: "name" | "label" | "value" | "stage" | "duration" | "none";
  /** Where what is being written begins, and what it is so far. */
  from: number;
  typed: string;
  /** The metric or the selector that labels are of, as far as it is written. */
  of: string;
  /** The label whose value is being written; whether its quote stands there already. */
  label?: string;
  quoted?: boolean;
}

const word = /[A-Za-z_:][\w:.]*$/;

/** What may be written at the caret. Only what stands before it is looked at, and a query that is wrong before it is none the worse for it. */
export function placeAt(query: string, caret: number, language: Language): Place {
  const text = query.slice(0, caret);
  let quote = "";
  let from = 0;
  let brace = -1;
  let bracket = -1;
  let paren = -1;
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (quote) {
      if (c === "\\" && quote !== "`") i++;
      else if (c === quote) quote = "";
    } else if (c === '"' || c === "'" || c === "`") {
      quote = c;
      from = i + 1;
    } else if (c === "{") brace = i;
    else if (c === "}") brace = -1;
    else if (c === "[") bracket = i;
    else if (c === "]") bracket = -1;
    else if (c === "(") paren = i;
    else if (c === ")") paren = -1;
  }
  const typed = word.exec(text)?.[0] ?? "";
  const none: Place = { kind: "none", from: caret, typed: "", of: "" };
  const at = (kind: Place["kind"], of = ""): Place => ({ kind, from: caret - typed.length, typed, of });
  if (brace >= 0) {
    const of = word.exec(text.slice(0, brace).trimEnd())?.[0] ?? "";
    const before = quote ? text.slice(0, from - 1) : text;
    const label = /([A-Za-z_]\w*)\s*(?:=~|!~|!=|=)\s*$/.exec(before);
    if (label && label.index > brace) return quote ? { kind: "value", from, typed: text.slice(from), of, label: label[1]!, quoted: true } : { kind: "value", from: caret, typed: "", of, label: label[1]!, quoted: false };
    return quote ? none : at("label", of);
  }
  if (quote) return none;
  if (bracket >= 0) {
    const typed = text.slice(bracket + 1);
    return { kind: "duration", from: bracket + 1, typed, of: "" };
  }
  if (paren >= 0 && /(?:by|without|on|ignoring|group_left|group_right)\s*$/.test(text.slice(0, paren))) return at("label");
  if (language === "logql") {
    const pipe = text.lastIndexOf("|");
    const selector = /\{[^{}]*\}/.exec(text)?.[0] ?? "";
    if (pipe >= 0 && /^\|\s*[\w.]*$/.test(text.slice(pipe))) return at("stage", selector);
    if (pipe >= 0 && selector) return typed && /(?:\bor|\band|,|\b(?:json|logfmt|keep|drop|unwrap|label_format))\s+[\w.]*$/.test(text.slice(pipe)) ? at("stage", selector) : none;
  }
  return at("name");
}

/** Something to choose, and what choosing it writes. */
export interface Suggestion {
  text: string;
  insert: string;
  /** What it is, where that is not plain. */
  note?: string;
}

const most = 50;

/** Of all that may stand there what fits what is written, that which begins so first. */
export function fitting(all: readonly Suggestion[], typed: string): Suggestion[] {
  const low = typed.toLowerCase();
  const rank = (s: Suggestion) => (s.text.toLowerCase().startsWith(low) ? 0 : s.text.toLowerCase().includes(low) ? 1 : 2);
  const out = all.map((s) => ({ s, r: rank(s) })).filter((x) => x.r < 2);
  // What is written whole already need not be offered.
  if (out.length === 1 && out[0]!.s.text === typed) return [];
  return out.sort((a, b) => a.r - b.r).slice(0, most).map((x) => x.s);
}

/** The query with a choice written at its place, and where the caret is then. */
export function written(query: string, caret: number, p: Place, s: Suggestion): { text: string; caret: number } {
  // What is left of the word behind the caret goes, too.
  const rest = p.kind === "value" ? query.slice(caret).replace(/^[^"'`{},|]*/, "") : query.slice(caret).replace(/^[\w:.]*/, "");
  const insert = p.kind === "value" && p.quoted ? s.insert.slice(1, -1) : s.insert;
  return { text: query.slice(0, p.from) + insert + rest, caret: p.from + insert.length };
}

const called = (names: string, note: string): Suggestion[] => names.split(" ").map((n) => ({ text: n, insert: `${n}(`, note }));

/** The functions of PromQL. */
export const promFunctions: readonly Suggestion[] = [
  ...called("sum avg min max count topk bottomk quantile stddev group count_values", "over series"),
  ...called("rate increase irate delta deriv avg_over_time min_over_time max_over_time sum_over_time count_over_time last_over_time quantile_over_time stddev_over_time changes resets predict_linear", "over time"),
  ...called("histogram_quantile abs ceil floor round clamp clamp_min clamp_max sort sort_desc time timestamp vector scalar absent absent_over_time label_replace label_join ln log2 log10 exp sqrt sgn", "function"),
  ...["by", "without", "on", "ignoring"].map((n) => ({ text: n, insert: `${n} (`, note: "labels" })),
];

/** Those of LogQL, and how its queries begin. */
export const logFunctions: readonly Suggestion[] = [
  { text: "{", insert: "{", note: "lines of streams" },
  ...called("count_over_time rate bytes_over_time bytes_rate sum_over_time avg_over_time min_over_time max_over_time quantile_over_time first_over_time last_over_time absent_over_time", "over time"),
  ...called("sum avg min max count topk bottomk stddev sort sort_desc", "over series"),
  ...["by", "without"].map((n) => ({ text: n, insert: `${n} (`, note: "labels" })),
];

/** The stages of a pipeline. */
export const stages: readonly Suggestion[] = [
  ["json", "json", "fields of JSON"], ["logfmt", "logfmt", "fields of key=value"], ["pattern", 'pattern "', "fields by their place"], ["regexp", 'regexp "', "fields by an expression"],
  ["line_format", 'line_format "{{.', "another line"], ["label_format", "label_format ", "other labels"], ["unwrap", "unwrap ", "a field as the number"], ["decolorize", "decolorize", "without colours"],
  ["keep", "keep ", "only these labels"], ["drop", "drop ", "without these labels"], ["unpack", "unpack", "what promtail packed"],
].map(([text, insert, note]) => ({ text: text!, insert: insert!, note: note! }));

/** Stretches of time. */
export const durations: readonly Suggestion[] = ["30s", "1m", "5m", "15m", "1h", "6h", "1d"].map((d) => ({ text: d, insert: `${d}]` }));
