// SPDX-License-Identifier: Apache-2.0

import { date, dated, day, hm, hms, hour, iso, midnight, minute, parseWhen, second } from "./time";

/** A live range ends now and moves; a fixed one stays. */
export type Range = { live: true; span: number } | { live: false; from: number; to: number };

/** The span of "all": from the first sample on. */
export const all = Number.POSITIVE_INFINITY;

/** The ranges on offer, as they stand in the URL and on the page. */
export const spans: readonly { key: string; label: string; span: number }[] = [
  { key: "5m", label: "5 min", span: 5 * minute },
  { key: "15m", label: "15 min", span: 15 * minute },
  { key: "1h", label: "1 h", span: hour },
  { key: "6h", label: "6 h", span: 6 * hour },
  { key: "24h", label: "24 h", span: day },
  { key: "7d", label: "7 d", span: 7 * day },
  { key: "30d", label: "30 d", span: 30 * day },
  { key: "all", label: "all", span: all },
];

const usual = hour;

/** The range that the parameters of a URL mean. */
export function readRange(params: URLSearchParams, now: number): Range {
  const from = parseWhen(params.get("from") ?? "", now);
  const to = parseWhen(params.get("to") ?? "", now);
  if (from !== undefined && to !== undefined && to > from) return { live: false, from, to };
  const named = spans.find((s) => s.key === params.get("range"));
  return { live: true, span: named ? named.span : usual };
}

/** Writes r into the parameters of a URL; the usual range leaves nothing. */
export function writeRange(params: URLSearchParams, r: Range): void {
  params.delete("from");
  params.delete("to");
  params.delete("range");
  if (!r.live) {
    params.set("from", iso(r.from));
    params.set("to", iso(r.to));
    return;
  }
  const key = spans.find((s) => s.span === r.span)?.key;
  if (key !== undefined && r.span !== usual) params.set("range", key);
}

/** The words on the range control: with seconds where it is short, with the day where that is not today's. */
export function rangeLabel(r: Range, now = Date.now()): string {
  if (r.live) return spans.find((s) => s.span === r.span)?.label ?? "";
  const time = r.to - r.from < 10 * minute ? hms : hm;
  if (midnight(r.from) === midnight(r.to)) return `${dated(r.from, now)}${time(r.from)} – ${time(r.to)}`;
  return `${date(r.from)} ${time(r.from)} – ${date(r.to)} ${time(r.to)}`;
}

/** The next shorter (by -1) or longer (by 1) span on offer; "all" is the longest. */
export function nextSpan(span: number, by: -1 | 1): number {
  const at = spans.findIndex((s) => s.span === span);
  return spans[Math.max(0, Math.min(spans.length - 1, at + by))]!.span;
}

/** Zooms a fixed stretch around one of its times; factor < 1 shows less. Never under a second. */
export function zoom(from: number, to: number, around: number, factor: number, now: number): { from: number; to: number } {
  const shortest = second;
  const length = Math.max(shortest, (to - from) * factor);
  const share = (around - from) / (to - from);
  const start = Math.round(around - share * length);
  const end = Math.min(now, start + Math.round(length));
  return { from: Math.min(start, end - shortest), to: end };
}

/** What the keys + and - make of a range: a live one steps through the spans on offer, and is shown in part where there is no shorter one. */
export function zoomed(r: Range, view: { from: number; to: number }, by: -1 | 1, around: number | undefined, now: number): Range {
  if (r.live) {
    const next = nextSpan(r.span, by);
    if (next !== r.span || by > 0) return { live: true, span: next };
    return { live: false, ...zoom(view.from, view.to, around ?? view.to, 0.5, now) };
  }
  return { live: false, ...zoom(view.from, view.to, around ?? (view.from + view.to) / 2, by < 0 ? 0.5 : 2, now) };
}
