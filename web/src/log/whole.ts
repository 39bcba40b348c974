// SPDX-License-Identifier: Apache-2.0

import { type Entry, lines, nanos } from "../api/loki";
import { wholeOrigin } from "../format/origin";
import { before, exactTime, moved, type Wanted } from "./lines";

/** Lines as text for a file: time, container, file or unit, of a container its stream, line. */
export function asText(all: readonly Entry[]): string {
  return all.map(({ ns, labels, line }) => [exactTime(ns), wholeOrigin(labels), labels["stream"], line].filter((s) => s !== undefined).join(" ") + "\n").join("");
}

/** All lines of what is shown, page by page, at most so many; more says whether there are others. */
export async function readAll(w: Wanted, most: number, signal: AbortSignal): Promise<{ all: Entry[]; more: boolean }> {
  const size = 2000;
  let all: Entry[] = [];
  let end = nanos(w.to ?? Date.now() + 3_600_000);
  for (;;) {
    const found = await lines({ query: w.query, start: nanos(w.from), end, limit: size }, signal);
    const n = all.length;
    all = before(all, found);
    if (found.length < size || all.length === n) return { all, more: false };
    if (all.length >= most) return { all: all.slice(-most), more: true };
    end = moved(all[0]!.ns, 1n);
  }
}
