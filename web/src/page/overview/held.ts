// SPDX-License-Identifier: Apache-2.0

import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";

/** The rows in the order of before, what is new after them. */
export function inOrder<T>(rows: readonly T[], keys: readonly string[], key: (row: T) => string): T[] {
  const place = new Map(keys.map((k, i) => [k, i]));
  return [...rows].sort((a, b) => (place.get(key(a)) ?? keys.length) - (place.get(key(b)) ?? keys.length));
}

/** Rows that do not change places while the pointer or the focus is on them; what they say does. */
export function useHeld<T>(rows: readonly T[], key: (row: T) => string) {
  const over = useSignal(false);
  const focused = useSignal(false);
  const before = useRef<string[]>([]);
  const shown = over.value || focused.value ? inOrder(rows, before.current, key) : [...rows];
  before.current = shown.map(key);
  const on = {
    onPointerEnter: (e: PointerEvent) => { over.value = e.pointerType === "mouse"; },
    onPointerLeave: () => { over.value = false; },
    onFocusIn: () => { focused.value = true; },
    onFocusOut: () => { focused.value = false; },
  };
  return { rows: shown, on };
}
