// SPDX-License-Identifier: Apache-2.0

import type { Event } from "../../api/schema";

/** Whether an event of an engine or of tallyman stands on the page of a workload: what is told of a workload belongs to it alone. */
export function concerns(e: Pick<Event, "type" | "workload">, workload: string): boolean {
  return !e.workload || e.workload === workload;
}
