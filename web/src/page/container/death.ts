// SPDX-License-Identifier: Apache-2.0

import type { Container, Event } from "../../api/schema";
import { crashLoop, isUp } from "../../format/state";
import { minute, second } from "../../format/time";

const recently = 15 * minute;
// The end is told by the engine a little before its event is.
const late = 5 * second;

/** A death to be asked about: the last one at or before at, which is not older than died. */
export interface MeantDeath {
  container: string;
  at: number;
  died: number;
}

/** The death that one comes for: the pinned one, else the last of a container that does not run, or has not for long, or dies again and again. */
export function deathOf(d: Container | undefined, pinned: Event | undefined, now: number): MeantDeath | undefined {
  if (pinned?.kind === "death" && pinned.severity === "critical" && pinned.actor) return { container: pinned.actor, at: pinned.time + 1, died: pinned.time };
  if (!d) return undefined;
  if (crashLoop(d, now)) {
    // Where each turn of the loop is a container of its own, the present one has not died yet.
    const last = d.finished ? d.id : d.instances?.findLast((i) => i.ended !== undefined)?.id;
    return { container: last ?? d.id, at: d.crashes!.last + late, died: d.crashes!.last };
  }
  if (isUp(d) && now - (d.started ?? 0) >= recently) return undefined;
  if (d.finished) return d.exitCode !== 0 || d.oomKilled ? { container: d.id, at: d.finished + late, died: d.finished - second } : undefined;
  // It never started, and the engine said why.
  return d.error ? { container: d.id, at: now, died: 0 } : undefined;
}

const little = 1 / 20;
const beside = 1 / 5;

/** The life of a container that is over, and a fifth of it on either side, where that is less than a twentieth of a range. */
export function lifeWithin(c: Pick<Container, "state" | "created" | "started" | "finished" | "goneAt">, span: number): { from: number; to: number } | undefined {
  const begin = c.created ?? c.started;
  const end = c.finished ?? c.goneAt;
  if (isUp(c) || !begin || !end || end <= begin || !Number.isFinite(span) || end - begin >= span * little) return undefined;
  const margin = Math.max(second / 2, (end - begin) * beside);
  return { from: begin - margin, to: end + margin };
}
