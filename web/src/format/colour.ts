// SPDX-License-Identifier: Apache-2.0

import { hash } from "./hash";

/** A place of 0 to n - 1 for each name, by its hash: it stays when others come and go. While there are enough no two share one, and neighbours never do. */
export function placesOf(names: readonly string[], n: number, taken: readonly number[] = []): Map<string, number> {
  const out = new Map<string, number>();
  const used = new Set(taken);
  let before = -1;
  for (const name of names) {
    let place = hash(name) % n;
    for (let tries = 0; tries < n && (used.size < n ? used.has(place) : place === before); tries++) place = (place + 1) % n;
    used.add(place);
    out.set(name, place);
    before = place;
  }
  return out;
}
