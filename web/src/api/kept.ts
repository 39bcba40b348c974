// SPDX-License-Identifier: Apache-2.0

import { get } from "./client";
import type { Events, State } from "./types";

// What the API says of events and configurations that are kept.

export const severities = ["critical", "warning", "info", "good", "plain"] as const;

/** "plain" is an event without a severity. */
export type Severity = (typeof severities)[number];

/** What of the events is wanted; an empty list is all. */
export interface EventFilter {
  text: string;
  severities: string[];
  types: string[];
  actions: string[];
  /** Actions that are left out. */
  without: string[];
  hosts: string[];
  workloads: string[];
}

/** The filter that takes every event. */
export const anything: EventFilter = { text: "", severities: [], types: [], actions: [], without: [], hosts: [], workloads: [] };

export interface EventPage extends Events {
  /** What before takes to go on. */
  next?: string;
}

export interface EventSummary {
  start: number;
  step: number;
  counts: Record<Severity, number[]>;
  total: number;
  /** What there is in the range, whatever the filter says. */
  severities: Record<string, number>;
  types: Record<string, number>;
  actions: Record<string, number>;
  hosts: Record<string, number>;
  workloads: { host: string; workload: string; name: string; count: number }[];
  /** From when on events are counted, where there are too many. */
  since?: number;
}

function filterQuery(f: EventFilter) {
  return { q: f.text || undefined, severity: f.severities, type: f.types, action: f.actions, without: f.without, host: f.hosts, workload: f.workloads };
}

interface Stretch {
  start?: number;
  end?: number;
}

export const eventPage = (f: EventFilter, s: Stretch & { before?: string; limit: number }, signal?: AbortSignal) => get<EventPage>("events", { ...filterQuery(f), ...s }, signal);

export const eventSummary = (f: EventFilter, s: Stretch & { points: number }, signal?: AbortSignal) => get<EventSummary>("events/summary", { ...filterQuery(f), ...s }, signal);

/** A workload with kept configurations. */
export interface Configuration {
  host: string;
  workload: string;
  project?: string;
  service?: string;
  id: string;
  name?: string;
  image?: string;
  state: State;
  kept: number;
  first: number;
  newest: number;
  changed?: number;
  changes?: { path: string; text: string }[];
  changeCount?: number;
}

/** One kept configuration. */
export interface Snapshot {
  hash: string;
  time: number;
  kind: "container" | "image";
  host: string;
  id: string;
  name?: string;
  workload?: string;
  image?: string;
  configHash?: string;
  previous?: string;
  changes?: string[];
  config?: Json;
}

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A setting that differs; a side is absent where it is not set. */
export interface Change {
  path: string;
  old?: Json;
  new?: Json;
}

export interface Siblings {
  members: Snapshot[];
  differences: { path: string; values: (Json | null)[] }[];
  more?: number;
}

export const configurations = (signal?: AbortSignal) => get<{ workloads: Configuration[] }>("configurations", {}, signal);

export const snapshots = (of: { host: string; workload: string } | { host: string; image: string }, limit: number, signal?: AbortSignal) => get<{ snapshots: Snapshot[]; more: boolean }>("snapshots", { ...of, limit }, signal);

export const snapshot = (hash: string, signal?: AbortSignal) => get<Snapshot>("snapshots/" + encodeURIComponent(hash), {}, signal);

export const diff = (a: string, b: string, signal?: AbortSignal) => get<{ changes: Change[] }>("diff", { a, b }, signal);

export const siblings = (host: string, workload: string, signal?: AbortSignal) => get<Siblings>("siblings", { host, workload }, signal);
