// SPDX-License-Identifier: Apache-2.0

import { useEffect } from "preact/hooks";

/** A key of the page. Keys do nothing while the reader types or a dialog is open. */
export interface Key {
  /** As KeyboardEvent.key says it; "g s" is one after the other. Several share a line of the map. */
  keys: string[];
  label: string;
  run(e: KeyboardEvent): void;
}

const groups: { title: string; keys: Key[] }[] = [];

/** All keys that work now, for the map. */
export function keyMap(): readonly { title: string; keys: readonly Key[] }[] {
  return groups;
}

/** Makes keys work while the component is there. The functions are read anew at each render. */
export function useKeys(title: string, keys: Key[]): void {
  useEffect(() => {
    const group = { title, keys };
    groups.push(group);
    return () => {
      groups.splice(groups.indexOf(group), 1);
    };
  });
}

let first = "";
// Ends the wait for the second key of the present first one, not of one before.
let forget: ReturnType<typeof setTimeout> | undefined;

export function listen(): void {
  document.addEventListener("keydown", (e) => {
    if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || busy(e.target)) return;
    const said = first ? `${first} ${e.key}` : e.key;
    first = "";
    clearTimeout(forget);
    const all = groups.flatMap((g) => g.keys);
    const hit = all.find((k) => k.keys.includes(said));
    if (hit) {
      e.preventDefault();
      hit.run(e);
    } else if (all.some((k) => k.keys.some((name) => name.startsWith(e.key + " ")))) {
      first = e.key;
      forget = setTimeout(() => {
        first = "";
      }, 1500);
    }
  });
}

function busy(target: EventTarget | null): boolean {
  if (document.querySelector("dialog:modal")) return true;
  const el = target as HTMLElement | null;
  if (el?.isContentEditable || el?.matches?.("textarea, select")) return true;
  return el instanceof HTMLInputElement && el.type !== "checkbox" && el.type !== "radio";
}
