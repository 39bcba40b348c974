// SPDX-License-Identifier: Apache-2.0

import type { Controls } from "../../format/logql";

/** How many things are chosen in the controls. */
export function chosen(c: Controls): number {
  return [c.sources, c.hosts, c.workloads, c.names, c.files, c.units, c.levels, c.streams].reduce((n, list) => n + list.length, 0);
}
