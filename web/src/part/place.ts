// SPDX-License-Identifier: Apache-2.0

import { computed, signal } from "@preact/signals";
import { type Range, readRange, writeRange } from "../format/range";
import { ofWorkload } from "../format/selector";
import { iso, minute, second } from "../format/time";

/** Where the page is. All state that matters is here, so that a copied link shows the same. */
export interface Place {
  path: string;
  params: URLSearchParams;
  /** How many ranges of this page the way back holds. */
  ranges: number;
}

function read(): Place {
  const kept = (history.state as { ranges?: number } | null)?.ranges ?? 0;
  return { path: location.pathname, params: new URLSearchParams(location.search), ranges: kept };
}

export const place = signal<Place>(read());

/** One parameter of the address as a signal of its own: it changes only when its text does. */
export function param(name: string) {
  return computed(() => place.value.params.get(name) ?? "");
}

const rangeText = computed(() => ["range", "from", "to"].map((k) => place.value.params.get(k) ?? "").join(" "));

/** The range of the page. Words such as "-2h" in a link are resolved once. */
export const range = computed<Range>(() => {
  rangeText.value;
  return readRange(place.peek().params, Date.now());
});

type Mode = "push" | "replace";

function write(path: string, params: URLSearchParams, ranges: number, mode: Mode): void {
  const text = params.toString();
  const url = path + (text && "?" + text);
  if (mode === "push") history.pushState({ ranges }, "", url);
  else history.replaceState({ ranges }, "", url);
  place.value = { path, params, ranges };
}

const axis = ["range", "from", "to"];

/** An address with the present range and the pinned moment, unless it has a range of its own: they belong to the person, not to the page. */
export function kept(href: string): URL {
  const url = new URL(href, location.href);
  const { params } = place.value;
  if (axis.some((k) => url.searchParams.has(k))) return url;
  for (const k of [...axis, "at"]) {
    const now = params.get(k);
    if (now && !url.searchParams.has(k)) url.searchParams.set(k, now);
  }
  return url;
}

/** Goes to an address of the page itself. */
export function go(href: string): void {
  const url = kept(href);
  write(url.pathname, url.searchParams, 0, "push");
}

/** Gives what is shown another path, in place of the present one. */
export function become(path: string): void {
  const { params, ranges } = place.peek();
  write(path, params, ranges, "replace");
}

/** Whether the address says a range, or the usual one is meant. */
export const ranged = computed(() => axis.some((k) => place.value.params.has(k)));

/** Sets parameters of the present address; undefined and "" remove one, a list is repeated. */
export function setParams(changes: Record<string, string | readonly string[] | undefined>, mode: Mode = "replace"): void {
  const { path, params, ranges } = place.peek();
  const next = new URLSearchParams(params);
  for (const [key, value] of Object.entries(changes)) {
    next.delete(key);
    for (const one of typeof value === "string" ? [value] : (value ?? [])) if (one) next.append(key, one);
  }
  if (next.toString() !== params.toString()) write(path, next, ranges, mode);
}

/** Shows another range, one entry in the history unless a gesture goes on. */
export function setRange(r: Range, mode: Mode = "push"): void {
  const { path, params, ranges } = place.peek();
  const next = new URLSearchParams(params);
  writeRange(next, r);
  if (next.toString() !== params.toString()) write(path, next, mode === "push" ? ranges + 1 : ranges, mode);
}

/** Shows a part of the range, at least a second of it and whole seconds; no moment is pinned then. */
export function zoomTo(from: number, to: number): void {
  const start = Math.floor(from / second) * second;
  setParams({ at: undefined });
  setRange({ live: false, from: start, to: Math.ceil((from + Math.max(second, to - from)) / second) * second });
}

/** Shows the range before or after one, by a part of its length, not beyond now. */
export function moveRange({ from, to }: { from: number; to: number }, part: number): void {
  const by = Math.min((to - from) * part, Date.now() - to);
  if (Math.abs(by) >= second) setRange({ live: false, from: from + by, to: to + by });
}

/** Back to the last range, if there is one. */
export function lastRange(): void {
  if (place.peek().ranges > 0) history.back();
}

/** The address of the present page with another range, to copy. */
export function linkTo(r: Range): string {
  const params = new URLSearchParams(place.peek().params);
  writeRange(params, r);
  return `${location.origin}${place.peek().path}?${params}`;
}

/** The address of a container's page. Only a gone one needs its id; more are parameters of the range. */
export function containerHref(c: { host: string; workload: string; id: string; state?: string }, more: Record<string, string | undefined> = {}): string {
  return hrefOf("/container", { host: c.host, workload: c.workload, id: c.state === "gone" ? c.id : undefined, ...more });
}

/** What happened from then until then, with what was before and came after it, as parameters for another page; its beginning is pinned. */
export function rangeAround(since: number, until: number): { from: string; to: string; at: string } {
  return { from: iso(since - 10 * minute), to: iso(until + 5 * minute), at: iso(since) };
}

/** The address of a host's page; more are parameters of the range. */
export function hostHref(host: string, more: Record<string, string | undefined> = {}): string {
  return hrefOf("/host", { host, ...more });
}

/** The address of the logs of a query; more are parameters of the range. */
export function logsHref(q: string, more: Record<string, string | undefined> = {}): string {
  return hrefOf("/logs", { q, ...more });
}

/** The address of a workload's logs with those of its files. */
export function workloadLogsHref(c: { host: string; workload: string }): string {
  return logsHref(ofWorkload(c.host, c.workload));
}

/** The range of the present address, as parameters for another page; who renders them renders again when it changes. */
export function rangeParams(): Record<string, string> {
  return rangeOf(range.value);
}

/** A range as parameters for a page. */
export function rangeOf(r: Range): Record<string, string> {
  const params = new URLSearchParams();
  writeRange(params, r);
  return Object.fromEntries(params);
}

/** The address of the present page ten minutes long around a time, which is pinned. */
export function hrefAround(t: number): string {
  const params = new URLSearchParams(place.value.params);
  writeRange(params, { live: false, from: t - 5 * minute, to: t + 5 * minute });
  params.set("at", iso(t));
  return `${place.value.path}?${params}`;
}

function hrefOf(path: string, params: Record<string, string | undefined>): string {
  const out = new URLSearchParams();
  for (const [k, v] of Object.entries(params)) if (v) out.set(k, v);
  const text = out.toString();
  return path + (text && "?" + text);
}

/** The address of events; more are parameters of the range. */
export function eventsHref(of: { host?: string; workload?: string }, more: Record<string, string | undefined> = {}): string {
  return hrefOf("/events", { host: of.host, workload: of.workload, ...more }); // of it no more: it may be anything that has the two
}

/** The address of what changed in a range: of a workload, of a host or of all; more are parameters of the range. */
export function changesHref(of: { host?: string | undefined; workload?: string | undefined }, more: Record<string, string | undefined> = {}): string {
  return hrefOf("/changes", { host: of.host, workload: of.workload, ...more });
}

/** The address of a workload's configurations; two of them, named by their hashes, are compared. */
export function configHref(of: { host: string; workload: string }, pair: { a?: string; b?: string } = {}): string {
  return hrefOf("/configuration", { host: of.host, workload: of.workload, ...pair });
}

/** Follows the browser's buttons and takes over links within the page. */
export function follow(): void {
  addEventListener("popstate", () => {
    place.value = read();
  });
  document.addEventListener("click", (e) => {
    if (e.defaultPrevented || e.button !== 0 || e.ctrlKey || e.metaKey || e.shiftKey || e.altKey) return;
    const link = (e.target as Element).closest?.("a[href]") as HTMLAnchorElement | null;
    if (!link || link.origin !== location.origin || link.target || link.hasAttribute("download")) return;
    e.preventDefault();
    go(link.href);
  });
}
