// SPDX-License-Identifier: Apache-2.0

import { computed, signal } from "@preact/signals";
import { ApiError, get } from "../api/client";
import type { Alarm, Container } from "../api/schema";
import { assess, type Assessment } from "../format/state";
import { nowMinute } from "./now";

const every = 10_000;

/** The alarms that fire, the gravest first; undefined while that is not known, and where there are none at all. */
export const firing = signal<readonly Alarm[] | undefined>(undefined);

/** Whether it is known what fires, or that nothing can. */
const known = signal(false);

/** Those of which somebody is told: not mere information, and not silenced. */
export const told = computed(() => firing.value?.filter((a) => a.severity !== "info" && !a.silenced) ?? []);

/** The colour of a severity; without a known one it is a warning. */
export function toneOf(severity: string): "crit" | "warn" | "info" {
  return severity === "critical" ? "crit" : severity === "info" ? "info" : "warn";
}

const key = (host: string | undefined, workload: string | undefined) => `${host}\n${workload}`;

// The gravest of each workload.
const worst = computed(() => {
  const by = new Map<string, Alarm>();
  for (const a of firing.value ?? []) {
    const k = key(a.host, a.workload);
    if (a.workload && a.severity !== "info" && !by.has(k)) by.set(k, a);
  }
  return by;
});

/** The gravest alarm that fires for what a container belongs to. */
export function alarmOn(c: Pick<Container, "host" | "workload" | "state">): Alarm | undefined {
  return c.state === "gone" ? undefined : worst.value.get(key(c.host, c.workload));
}

/** The worst of a container's state, its health and its alarms, and the words for it. */
export function judge(c: Container): Assessment {
  const state = assess(c, nowMinute.value);
  const alarm = alarmOn(c);
  // Well is said of what is known to be well.
  if (!known.value && firing.value === undefined && state.mark === "ok") return { mark: "unknown", words: `${state.words}; whether an alarm fires is not known yet` };
  if (!alarm || state.mark === "crit") return state;
  const mark = toneOf(alarm.severity) === "crit" ? "crit" : "warn";
  return mark === state.mark ? state : { mark, words: `${state.words}; alarm ${alarm.rule}: ${alarm.summary}` };
}

/** Reports whether somebody should look at it. */
export function needsAttention(c: Container): boolean {
  const { mark } = judge(c);
  return mark === "warn" || mark === "crit";
}

const same = (alarms: readonly Alarm[]) => JSON.stringify(alarms.map((a) => [a.id, a.severity, a.silenced]));

/** Asks for what fires for as long as the page is there and somebody sees it. */
export function watchFiring(): void {
  let timer = 0;
  const ask = async () => {
    clearTimeout(timer);
    if (document.visibilityState === "hidden") return;
    try {
      const { alarms } = await get<"alarms">("alarms", { state: "firing" });
      // Values change all the time; what is drawn changes when alarms do.
      if (!firing.value || same(alarms) !== same(firing.value)) firing.value = alarms;
      known.value = true;
    } catch (err) {
      firing.value = undefined; // what was true is not said of now
      known.value = err instanceof ApiError && err.status === 404; // alarms are switched off
      if (known.value) return;
    }
    timer = window.setTimeout(ask, every);
  };
  document.addEventListener("visibilitychange", () => void ask());
  void ask();
}
