// SPDX-License-Identifier: Apache-2.0

import type { Absence, Container } from "../../api/schema";
import { isUp } from "../../format/state";

/** What cannot be known of most of the containers that are measured. */
export function lacks(containers: readonly Container[]): Absence[] {
  const by = new Map<string, { absence: Absence; n: number }>();
  let measured = 0;
  for (const c of containers) {
    if (!isUp(c) || c.disabled) continue;
    measured++;
    for (const a of c.absent ?? []) {
      const known = by.get(a.what);
      if (known) known.n++;
      else by.set(a.what, { absence: a, n: 1 });
    }
  }
  return [...by.values()].filter((x) => 2 * x.n >= measured).map((x) => x.absence);
}
