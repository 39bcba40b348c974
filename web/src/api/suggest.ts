// SPDX-License-Identifier: Apache-2.0

import { ApiError, toLogin } from "./client";
import { reach } from "./reach";

// What there is to write into a query: names of metrics, labels, values, fields of lines.

const kept = new Map<string, { at: number; list: Promise<string[]> }>();
const keptFor = 60_000;
const keptMost = 100;

/** A list of names, at most a minute old. */
function names(path: string, params: Record<string, string>, of: (said: unknown) => string[]): Promise<string[]> {
  const url = `${path}?${new URLSearchParams(params)}`;
  const had = kept.get(url);
  if (had && Date.now() - had.at < keptFor) return had.list;
  const list = reach(async () => {
    const answer = await fetch(url, { headers: { Accept: "application/json" } });
    if (answer.status === 401) toLogin();
    if (!answer.ok) throw new ApiError(answer.status, "suggest", `tallyman answered ${answer.status}.`, "");
    return of(await answer.json());
  });
  if (kept.size >= keptMost) kept.clear();
  kept.set(url, { at: Date.now(), list });
  list.catch(() => kept.delete(url));
  return list;
}

const data = (said: unknown) => (said as { data: string[] | null }).data ?? [];
const recent = (unit: number) => String(Math.floor(Date.now() / 60_000 - 24 * 60) * 60 * unit);

/** What to choose from in PromQL, of the last day; of is a selector that narrows it. */
export const promNames = () => names("/api/v1/label/__name__/values", { start: recent(1) }, data);
export const promLabels = (of: string) => names("/api/v1/labels", { start: recent(1), ...(of && { "match[]": of }) }, data);
export const promValues = (label: string, of: string) => names(`/api/v1/label/${encodeURIComponent(label)}/values`, { start: recent(1), ...(of && { "match[]": of }) }, data);

/** What to choose from in LogQL, of the last day. */
export const lokiLabels = () => names("/loki/api/v1/labels", { start: recent(1e9) }, data);
export const lokiValues = (label: string) => names(`/loki/api/v1/label/${encodeURIComponent(label)}/values`, { start: recent(1e9) }, data);

/** The fields of the lines that a query selects, of the last hour. */
export const lokiFields = (query: string) => names("/loki/api/v1/detected_fields", { query, limit: "200" }, (said) => ((said as { fields: { label: string }[] | null }).fields ?? []).map((f) => f.label));
