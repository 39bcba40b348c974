// SPDX-License-Identifier: Apache-2.0

import type { ComponentChildren } from "preact";
import { show } from "../format/text";
import "../style/search.css";

/** What there is to choose from, most first; what is chosen stands on top, also when there is none of it. */
export function withChosen(known: Map<string, number>, chosen: readonly string[]): [string, number][] {
  const all = new Map(known);
  for (const c of chosen) if (!all.has(c)) all.set(c, 0);
  const first = (name: string) => Number(chosen.includes(name));
  return [...all].sort(([a, x], [b, y]) => first(b) - first(a) || y - x || a.localeCompare(b));
}

/** A heading and what can be chosen under it. */
export function Group({ name, clear, children }: { name: string; clear: false | (() => void); children: ComponentChildren }) {
  return (
    <fieldset>
      <legend>{name}</legend>
      {clear && <button type="button" class="clear" aria-label={`All of ${name.toLowerCase()}`} onClick={clear}>all</button>}
      {children}
    </fieldset>
  );
}

/** One thing to choose, with how much there is of it. */
export function Choice({ on, toggle, mark, label, title, note }: { on: boolean; toggle(): void; mark?: ComponentChildren; label: string; title?: string; note: string }) {
  return (
    <label class="fc">
      <input type="checkbox" checked={on} onChange={toggle} />
      {mark}
      <span class="ell" title={show(title ?? label)}>{show(label)}</span>
      <span class="dim">{note}</span>
    </label>
  );
}
