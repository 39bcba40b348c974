// SPDX-License-Identifier: Apache-2.0

import type { Entry } from "../api/loki";
import { hash } from "../format/hash";
import { isoNanos } from "../format/time";

/** A line in an address: its time to the nanosecond, and what tells it from others of that time. */
export function markOf(e: Pick<Entry, "ns" | "line" | "source">): string {
  return `${isoNanos(e.ns)}~${hash(`${e.source} ${e.line}`).toString(36)}`;
}
