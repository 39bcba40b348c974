// SPDX-License-Identifier: Apache-2.0

import type { Entry } from "../api/loki";
import { isoNanos } from "../format/time";

/** A line in an address: its time to the nanosecond, and what tells it from others of that time. */
export function markOf(e: Pick<Entry, "ns" | "line" | "source">): string {
  let hash = 0x811c9dc5;
  for (const c of e.source + e.line) hash = Math.imul(hash ^ c.codePointAt(0)!, 0x01000193);
  return `${isoNanos(e.ns)}~${(hash >>> 0).toString(36)}`;
}
