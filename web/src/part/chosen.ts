// SPDX-License-Identifier: Apache-2.0

import { computed } from "@preact/signals";
import { type Chosen, chosenText, readChosen } from "../format/chosen";
import { place, rangeParams, setParams } from "./place";

// What is chosen to be compared stands in the address, so that a copied link compares the same.
const key = "c";

/** As many lines are told apart. */
export const chosenMost = 8;

export const chosenTexts = computed(() => place.value.params.getAll(key).filter((t, i, all) => readChosen(t) && all.indexOf(t) === i).slice(0, chosenMost));

const same = computed(() => JSON.stringify(chosenTexts.value.map((t) => readChosen(t)!)));

/** What is chosen; it is another list only when it changes. */
export const chosen = computed<readonly Chosen[]>(() => JSON.parse(same.value));

/** Chooses a container, or no longer. */
export function toggleChosen(c: Chosen): void {
  const text = chosenText(c);
  const now = chosenTexts.peek();
  setParams({ [key]: now.includes(text) ? now.filter((t) => t !== text) : [...now, text] });
}

/** The address of the page that compares; it keeps the range. */
export function compareHref(all: readonly string[]): string {
  const params = new URLSearchParams(rangeParams());
  for (const t of all) params.append(key, t);
  return `/compare?${params}`;
}
