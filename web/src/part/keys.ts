// SPDX-License-Identifier: Apache-2.0

import { useLayoutEffect, useRef } from "preact/hooks";

/** A key of the page. Keys do nothing while the reader types or a dialog is open. */
export interface Key {
  /** As KeyboardEvent.key says it; "g s" is one after the other. Several share a line of the map. */
  keys: string[];
  label: string;
  /** false says that there was nothing to do: another key of that name is asked. */
  run(e: KeyboardEvent): unknown;
}

const groups: { title: string; keys: Key[] }[] = [];

/** All keys that work now, for the map. */
export function keyMap(): readonly { title: string; keys: readonly Key[] }[] {
  return groups;
}

/**
 * Makes keys work while the component is there. Their functions are those of the last render, at
 * once: an effect runs after the paint, and what is pressed before it would do what the page
 * before it did.
 */
export function useKeys(title: string, keys: Key[]): void {
  const group = useRef({ title, keys }).current;
  group.title = title;
  group.keys = keys;
  useLayoutEffect(() => {
    groups.push(group);
    return () => {
      groups.splice(groups.indexOf(group), 1);
    };
  }, []);
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
    const hits = all.filter((k) => k.keys.includes(said));
    if (hits.length > 0) {
      e.preventDefault();
      hits.some((k) => k.run(e) !== false);
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
