// SPDX-License-Identifier: Apache-2.0

// All times are milliseconds since the epoch and are written in the reader's zone, in 24 hours.

export const second = 1000;
export const minute = 60 * second;
export const hour = 60 * minute;
export const day = 24 * hour;

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

const two = (n: number) => String(n).padStart(2, "0");

/** 14:02 */
export function hm(t: number): string {
  const d = new Date(t);
  return `${two(d.getHours())}:${two(d.getMinutes())}`;
}

/** 14:02:11 */
export function hms(t: number): string {
  return `${hm(t)}:${two(new Date(t).getSeconds())}`;
}

/** 20 Nov */
export function date(t: number): string {
  const d = new Date(t);
  return `${d.getDate()} ${months[d.getMonth()]}`;
}

/** Fri 20 Nov */
export function weekday(t: number): string {
  return `${weekdays[new Date(t).getDay()]} ${date(t)}`;
}

/** The start of t's day. */
export function midnight(t: number): number {
  const d = new Date(t);
  return new Date(d.getFullYear(), d.getMonth(), d.getDate()).getTime();
}

/** The day before t's, at its start; days with a change of clock are not 24 h. */
export function dayBefore(t: number): number {
  const d = new Date(t);
  return new Date(d.getFullYear(), d.getMonth(), d.getDate() - 1).getTime();
}

/** Short for reading beside other text: 14:02, yesterday 14:02, 11 Nov 14:02, 2025-11-11 14:02. */
export function stamp(t: number, now: number): string {
  const start = midnight(now);
  if (t >= start && t < start + day) return hm(t);
  if (t >= dayBefore(now) && t < start) return `yesterday ${hm(t)}`;
  if (new Date(t).getFullYear() === new Date(now).getFullYear()) return `${date(t)} ${hm(t)}`;
  return `${isoDay(t)} ${hm(t)}`;
}

function isoDay(t: number): string {
  const d = new Date(t);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
}

function offset(t: number): [sign: string, hours: number, minutes: number] {
  const east = -new Date(t).getTimezoneOffset();
  return [east < 0 ? "-" : "+", Math.floor(Math.abs(east) / 60), Math.abs(east) % 60];
}

/** ISO 8601 with the zone, for tooltips, copies and the URL, with milliseconds where there are some: 2026-11-20T14:02:11+01:00. */
export function iso(t: number): string {
  return isoWith(t, t % second ? String(Math.floor(t) % second).padStart(3, "0") : "");
}

function isoWith(t: number, fraction: string): string {
  const [sign, h, m] = offset(t);
  return `${isoDay(t)}T${hms(t)}${fraction && "." + fraction}${sign}${two(h)}:${two(m)}`;
}

/** The same of nanoseconds. */
export function isoNanos(ns: string): string {
  return isoWith(Number(BigInt(ns) / 1_000_000n), ns.slice(-9));
}

/** The time to the second, with the day where that is not today's: 14:02:11, 20 Nov 14:02:11. */
export function moment(t: number, now: number): string {
  return dated(t, now) + hms(t);
}

/** The day of a time with a space behind it, "" today. */
export function dated(t: number, now: number): string {
  if (midnight(t) === midnight(now)) return "";
  return `${new Date(t).getFullYear() === new Date(now).getFullYear() ? date(t) : isoDay(t)} `;
}

/** UTC+1, UTC-3:30, UTC */
export function zone(t: number): string {
  const [sign, h, m] = offset(t);
  if (h === 0 && m === 0) return "UTC";
  return `UTC${sign}${h}${m ? ":" + two(m) : ""}`;
}

/** A length of time in its greatest unit: 8 s, 4 min, 2 h, 3 d. */
export function span(ms: number): string {
  if (ms < minute) return `${Math.max(0, Math.floor(ms / second))} s`;
  if (ms < hour) return `${Math.floor(ms / minute)} min`;
  if (ms < day) return `${Math.floor(ms / hour)} h`;
  return `${Math.floor(ms / day)} d`;
}

/** 8 min ago */
export function ago(t: number, now: number): string {
  return now - t < 2 * second ? "just now" : `${span(now - t)} ago`;
}

/** How long nothing came, rounded: "12 s"; "" when nothing ever came. */
export function staleFor(last: number, now: number): string {
  return last ? span(Math.round((now - last) / second) * second) : "";
}

const units: Record<string, number> = { s: second, m: minute, min: minute, h: hour, d: day, w: 7 * day };

/**
 * What a person types for a time: "now", "-2h", "14:02", "14:02:11", "today",
 * "yesterday", "yesterday 14:02", "2026-11-20", "2026-11-20 14:02" or ISO with
 * a zone. What stands behind a ~ tells apart what has the same time. undefined when it is none of these.
 */
export function parseWhen(text: string, now: number): number | undefined {
  const said = text.trim().toLowerCase().replace(/~.*$/, "").replace(/(\.\d{3})\d+/, "$1");
  if (said === "now") return now;

  const back = /^[-−]\s*(\d+(?:\.\d+)?)\s*(s|min|m|h|d|w)$/.exec(said);
  if (back) return now - Number(back[1]) * units[back[2]!]!;

  const named = /^(?:(today|yesterday)\s*)?(?:(\d{1,2}):(\d{2})(?::(\d{2}))?)?$/.exec(said);
  if (named && said !== "") {
    const base = named[1] === "yesterday" ? dayBefore(now) : midnight(now);
    return at(base, named[2], named[3], named[4]);
  }

  const written = /^(\d{4})-(\d{2})-(\d{2})(?:[t ](\d{2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?(z|[+-]\d{2}:?\d{2})?)?$/.exec(said);
  if (!written) return undefined;
  const [, y, mo, d, h, mi, s, tz] = written;
  const start = new Date(Number(y), Number(mo) - 1, Number(d));
  if (start.getMonth() !== Number(mo) - 1 || start.getDate() !== Number(d)) return undefined;
  if (tz === undefined) return at(start.getTime(), h, mi, s);
  const exact = Date.parse(said.toUpperCase().replace(" ", "T"));
  return Number.isNaN(exact) ? undefined : exact;
}

function at(base: number, h = "0", m = "0", s = "0"): number | undefined {
  if (Number(h) > 23 || Number(m) > 59 || Number(s) > 59) return undefined;
  const d = new Date(base);
  return new Date(d.getFullYear(), d.getMonth(), d.getDate(), Number(h), Number(m), Number(s)).getTime();
}
