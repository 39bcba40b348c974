// SPDX-License-Identifier: Apache-2.0

import { ApiError, get } from "../api/client";
import type { Alarm } from "../api/schema";
import { toneOf } from "../part/firing";
import type { Span } from "./model";

/** The alarms of a workload, or those of a host itself and of none of its workloads, from a time on; "off" when alarms are switched off, undefined when they are not known. */
export async function alarmSpans(of: { host: string; workload?: string }, from: number, stop: AbortSignal): Promise<Span[] | "off" | undefined> {
  try {
    const [active, ended] = await Promise.all([get<"alarms">("alarms", of, stop), get<"alarms/history">("alarms/history", { ...of, start: Math.floor(from) }, stop)]);
    const mine = (list: readonly Alarm[]) => list.filter((a) => of.workload !== undefined || !a.workload);
    return spans(mine(active.alarms), mine(ended.alarms));
  } catch (err) {
    return err instanceof ApiError && err.status === 404 ? "off" : undefined;
  }
}

/** Alarms as spans, the gravest last, which is on top. */
export function spans(active: readonly Alarm[], history: readonly Alarm[]): Span[] {
  const present = new Set(active.map((a) => a.id));
  const ended = history.filter((a) => a.state === "cleared" && !present.has(a.id));
  const rank = { info: 0, warn: 1, crit: 2 };
  return [...active, ...ended]
    .map((a): Span => ({ id: a.id, since: a.since, fired: a.fired || undefined, ended: a.cleared || undefined, tone: toneOf(a.severity), name: a.rule, text: a.summary }))
    .sort((a, b) => rank[a.tone] - rank[b.tone] || a.since - b.since);
}
