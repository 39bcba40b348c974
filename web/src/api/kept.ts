// SPDX-License-Identifier: Apache-2.0

import { get } from "./client";
import type { QueryOf } from "./route";
import type { EventsSummary } from "./schema";

// What the API says of events and configurations that are kept.

/** "plain" is an event without a severity. */
export type Severity = keyof EventsSummary["counts"];

export const severities = ["critical", "warning", "info", "good", "plain"] as const satisfies readonly Severity[];

/** What of the events is wanted; an empty list is all. */
export interface EventFilter {
  text: string;
  severities: Severity[];
  types: string[];
  actions: string[];
  /** Actions that are left out. */
  without: string[];
  hosts: string[];
  workloads: string[];
}

/** The filter that takes every event. */
export const anything: EventFilter = { text: "", severities: [], types: [], actions: [], without: [], hosts: [], workloads: [] };

function filterQuery(f: EventFilter) {
  return { q: f.text || undefined, severity: f.severities, type: f.types, action: f.actions, without: f.without, host: f.hosts, workload: f.workloads };
}

export const eventPage = (f: EventFilter, more: Pick<QueryOf<"events">, "start" | "end" | "before" | "limit">, signal?: AbortSignal) => get<"events">("events", { ...filterQuery(f), ...more }, signal);

export const eventSummary = (f: EventFilter, more: Pick<QueryOf<"events/summary">, "start" | "end" | "points">, signal?: AbortSignal) => get<"events/summary">("events/summary", { ...filterQuery(f), ...more }, signal);

/** All, or those whose present container has the settings, each NAME=VALUE. */
export const configurations = (set: readonly string[], signal?: AbortSignal) => get<"configurations">("configurations", { set: [...set] }, signal);

export const snapshots = (of: { host: string; workload: string } | { host: string; image: string }, limit: number, signal?: AbortSignal) => get<"snapshots">("snapshots", { ...of, limit }, signal);

export const snapshot = (hash: string, signal?: AbortSignal) => get<"snapshots/{hash}">(`snapshots/${encodeURIComponent(hash)}`, {}, signal);

export const diff = (a: string, b: string, signal?: AbortSignal) => get<"diff">("diff", { a, b }, signal);

export const siblings = (host: string, workload: string, signal?: AbortSignal) => get<"siblings">("siblings", { host, workload }, signal);
