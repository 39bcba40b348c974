// SPDX-License-Identifier: Apache-2.0

import type { ProcessesAnswer } from "../../api/schema";

/** How many cores each process took between two looks; one that is new, or has the number of another that ended, is not known. */
export function used(before: ProcessesAnswer | undefined, now: ProcessesAnswer): Map<number, number> {
  const out = new Map<number, number>();
  const took = before ? (now.time - before.time) / 1000 : 0;
  if (took <= 0) return out;
  const old = new Map(before!.processes.map((p) => [p.pid, p]));
  for (const p of now.processes) {
    const o = old.get(p.pid);
    if (o && o.name === p.name && p.cpu >= o.cpu) out.set(p.pid, (p.cpu - o.cpu) / took);
  }
  return out;
}
