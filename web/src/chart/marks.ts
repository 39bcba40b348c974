// SPDX-License-Identifier: Apache-2.0

import type { Event } from "../api/schema";

// The variation selector keeps a glyph from becoming a coloured picture.
const glyphs: Record<Event["kind"], string> = {
  death: "✕", oom: "✕", kill: "✕", start: "▲", stop: "■", pause: "‖", unpause: "▷", health: "♥\ufe0e",
  exec: "❯", rename: "◆", create: "◆", destroy: "◇", engine: "●", gap: "▨", drift: "◆", other: "•",
};

export function glyph(e: Event): string {
  return glyphs[e.kind] ?? "•";
}

/** How an event is drawn: deaths in red, changes in violet, the rest as it is. */
export type Tone = "crit" | "conf" | "warn" | "";

export function tone(e: Event): Tone {
  if (e.kind === "death" || e.kind === "oom") return e.severity === "critical" || e.kind === "oom" ? "crit" : "";
  if (e.kind === "create" || e.kind === "rename" || e.kind === "drift") return "conf";
  if (e.severity === "critical") return "crit";
  return e.severity === "warning" ? "warn" : "";
}

const gravity: Record<Tone, number> = { crit: 3, warn: 2, conf: 1, "": 0 };

/** The event that a pinned moment means: that of its very time, else, of a moment without milliseconds, one of its second. */
export function pinnedOf<E extends { time: number }>(events: readonly E[], pin: number | undefined): E | undefined {
  if (pin === undefined) return undefined;
  return events.find((e) => e.time === pin) ?? (pin % 1000 === 0 ? events.find((e) => Math.floor(e.time / 1000) * 1000 === pin) : undefined);
}

/** Events that stand too near to be told apart share a mark, which is drawn as the gravest. */
export interface EventMark {
  lead: Event;
  events: Event[];
}

/** Merges events nearer than apart milliseconds; events are sorted oldest first. */
export function merge(events: readonly Event[], apart: number): EventMark[] {
  const out: EventMark[] = [];
  for (const e of events) {
    const last = out.at(-1);
    if (!last || e.time - last.lead.time >= apart) {
      out.push({ lead: e, events: [e] });
      continue;
    }
    last.events.push(e);
    if (gravity[tone(e)] > gravity[tone(last.lead)]) last.lead = e;
  }
  return out;
}

/** The gravest of some events, at most so many, in the order of time. */
export function gravest(events: readonly Event[], most: number): Event[] {
  if (events.length <= most) return [...events];
  const kept = new Set([...events].sort((a, b) => gravity[tone(b)] - gravity[tone(a)]).slice(0, most));
  return events.filter((e) => kept.has(e));
}

/** The line an event draws through all charts. */
export function lineClass(e: Event): "crit" | "conf" | "plain" {
  const t = tone(e);
  if ((e.kind === "death" || e.kind === "oom") && t === "crit") return "crit";
  return t === "conf" ? "conf" : "plain";
}
