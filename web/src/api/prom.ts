// SPDX-License-Identifier: Apache-2.0

import { ApiError, toLogin } from "./client";
import { reach } from "./reach";

// Prometheus' HTTP API over the samples that are kept.

/** A series over time: a value for each step, null where there is none. */
export interface Curve {
  labels: Record<string, string>;
  points: (number | null)[];
}

/** A value of a moment. */
export interface Point {
  labels: Record<string, string>;
  value: number;
}

interface Matrix {
  metric: Record<string, string>;
  values: [seconds: number, value: string][];
}

interface Vector {
  metric: Record<string, string>;
  value: [seconds: number, value: string];
}

async function ask<T>(path: string, query: Record<string, string>, signal?: AbortSignal): Promise<T> {
  return reach(async () => {
    // A question may be longer than an address.
    const answer = await fetch(`/api/v1/${path}`, { method: "POST", body: new URLSearchParams(query), headers: { Accept: "application/json" }, signal });
    if (answer.status === 401) toLogin();
    if (answer.status === 404) throw new ApiError(404, "nosamples", "This tallyman keeps no samples.", "The setting keep.metrics is off.");
    const said = (await answer.json().catch(() => undefined)) as { data?: { result: T }; error?: string } | undefined;
    if (!answer.ok || !said?.data) throw new ApiError(answer.status, "samples", said?.error ?? `tallyman answered ${answer.status}.`, "");
    return said.data.result;
  });
}

/** A query at each step between two times in milliseconds; the first point is at start, the last at or before end. */
export async function curves(query: string, start: number, end: number, step: number, signal?: AbortSignal): Promise<Curve[]> {
  const found = await ask<Matrix[]>("query_range", { query, start: String(start / 1000), end: String(end / 1000), step: String(step / 1000) }, signal);
  const n = Math.floor((end - start) / step + 1e-6) + 1;
  return found.map((m) => {
    const points = new Array<number | null>(n).fill(null);
    for (const [t, v] of m.values) {
      const i = Math.round((t * 1000 - start) / step);
      if (i >= 0 && i < n && Number.isFinite(Number(v))) points[i] = Number(v);
    }
    return { labels: m.metric, points };
  });
}

/** The values of a query at a time in milliseconds; what is no number is left out. */
export async function valuesAt(query: string, at: number, signal?: AbortSignal): Promise<Point[]> {
  const found = await ask<Vector[]>("query", { query, time: String(at / 1000) }, signal);
  return found.map((v) => ({ labels: v.metric, value: Number(v.value[1]) })).filter((p) => Number.isFinite(p.value));
}
