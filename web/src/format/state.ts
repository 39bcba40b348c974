// SPDX-License-Identifier: Apache-2.0

import type { Container, Engine, Event } from "../api/schema";
import { minute, span } from "./time";

/** The shapes of a state mark, worst last. */
export type Mark = "ok" | "unknown" | "off" | "pause" | "warn" | "crit";

export interface Assessment {
  mark: Mark;
  words: string;
}

// Signals that people and orchestrators stop containers with: INT, KILL, TERM.
const stopped = new Set([130, 137, 143]);

// A container that was asked to stop has not failed, whatever code it chose. The
// engine tells the death first and then that it has stopped.
function asked(e: Event | undefined): boolean {
  return e !== undefined && (e.kind === "stop" || (e.kind === "death" && /^(Ended|Killed) as asked/.test(e.text)));
}

// A death that was seen and nobody asked for is a failure, also by a signal that others stop
// with: the kernel's kill for want of memory, which the engine did not notice, is a KILL too.
function unasked(e: Event | undefined): boolean {
  return e !== undefined && e.kind === "death" && e.severity === "critical" && !e.inferred;
}

const loopDeaths = 3;
const loopWindow = 10 * minute;

type Crashing = Pick<Container, "state" | "crashes">;

/** Reports whether it dies again and again, whatever it does at the moment. */
export function crashLoop(c: Crashing, now: number): boolean {
  return c.state !== "gone" && c.crashes !== undefined && c.crashes.count >= loopDeaths && now - c.crashes.last < loopWindow;
}

/** "6 in 1 min": how often it died of late; "" when it did not. */
export function crashRate(c: Crashing, now: number): string {
  const x = c.crashes;
  if (!x || now - x.last >= loopWindow) return "";
  return `${x.count} in ${x.count < loopDeaths ? span(loopWindow) : took(x)}`;
}

const took = (x: NonNullable<Container["crashes"]>) => span(Math.max(1000, x.last - x.first));

/** The worst of a container's state and health, and the words for it. */
export function assess(c: Parameters<typeof alone>[0] & Crashing, now = Date.now()): Assessment {
  if (!crashLoop(c, now)) return alone(c);
  const x = c.crashes!;
  return { mark: "crit", words: `crashes: ${x.count} times in ${took(x)}${exit(x.exitCode === undefined ? undefined : Number(x.exitCode))}; now ${c.state === "exited" ? "stopped" : c.state}` };
}

function alone(c: Pick<Container, "state" | "health" | "exitCode" | "oomKilled" | "error" | "lastEvent">): Assessment {
  switch (c.state) {
    case "running":
      if (c.health === "unhealthy") return { mark: "crit", words: "running, unhealthy" };
      if (c.health === "starting") return { mark: "unknown", words: "running, health not known yet" };
      return { mark: "ok", words: c.health === "healthy" ? "running, healthy" : "running" };
    case "paused":
      return { mark: "pause", words: "paused" };
    case "restarting":
      return { mark: "warn", words: "restarting" + exit(c.exitCode) };
    case "created":
      return c.error ? { mark: "crit", words: "not started: " + c.error } : { mark: "off", words: "created, not started" };
    case "exited":
      if (c.oomKilled) return { mark: "crit", words: "out of memory" + exit(c.exitCode) };
      if (c.error) return { mark: "crit", words: c.error };
      if (c.exitCode !== undefined && c.exitCode !== 0 && (!stopped.has(c.exitCode) || unasked(c.lastEvent)) && !asked(c.lastEvent)) return { mark: "crit", words: "failed" + exit(c.exitCode) };
      return { mark: "off", words: "stopped" + exit(c.exitCode) };
    case "dead":
      return { mark: "crit", words: "dead: the engine could not remove it" };
    case "removing":
      return { mark: "off", words: "being removed" };
    case "gone":
      return { mark: "off", words: "gone" };
    case "unknown":
      return { mark: "unknown", words: "not known: its host is silent" };
    default:
      return { mark: "unknown", words: String(c.state) };
  }
}

function exit(code: number | undefined): string {
  if (code === undefined) return "";
  const name = { 130: " (SIGINT)", 137: " (SIGKILL)", 139: " (SIGSEGV)", 143: " (SIGTERM)" }[code] ?? "";
  return `, exit ${code}${name}`;
}

/** "exit 137 (SIGKILL)" */
export function exitWords(code: number): string {
  return exit(code).slice(2);
}

/** Reports whether it has values now; a stopped one has history only. */
export function isUp(c: Pick<Container, "state">): boolean {
  return c.state === "running" || c.state === "paused" || c.state === "restarting";
}

/** Whether an engine answers, in words. */
export function engineWords(e: Pick<Engine, "up" | "failure">): string {
  if (e.up) return "Docker answers";
  if (!e.failure) return "Not known yet";
  return e.failure === "silent" ? "Silent: nothing comes from its tallyman" : "Docker does not answer";
}
