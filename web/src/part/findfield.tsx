// SPDX-License-Identifier: Apache-2.0

import { useSignal } from "@preact/signals";
import type { ComponentChildren, RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Icon } from "./icon";

const typingPause = 350;

interface Props {
  label: string;
  placeholder: string;
  /** What is looked for now. */
  text: string;
  disabled?: boolean;
  input: RefObject<HTMLInputElement | null>;
  find(text: string): void;
  children?: ComponentChildren;
}

/** A field for a text to find: when typing pauses, at Enter and when the field is left. Escape empties it. */
export function FindField({ label, placeholder, text, disabled = false, input, find, children }: Props) {
  const typed = useSignal<string | undefined>(undefined);
  const timer = useRef(0);
  const latest = useRef(find);
  latest.current = find;
  useEffect(() => () => clearTimeout(timer.current), []);
  const commit = () => {
    clearTimeout(timer.current);
    const said = typed.peek();
    typed.value = undefined;
    if (said !== undefined) latest.current(said);
  };
  const type = (said: string) => {
    typed.value = said;
    clearTimeout(timer.current);
    timer.current = window.setTimeout(commit, typingPause);
  };
  return (
    <label class={disabled ? "field find off" : "field find"}>
      <Icon name="search" />
      {children}
      <input
        ref={input}
        type="search"
        disabled={disabled}
        value={typed.value ?? text}
        placeholder={placeholder}
        aria-label={label}
        spellcheck={false}
        autocomplete="off"
        onInput={(e) => type(e.currentTarget.value)}
        onBlur={commit}
        onKeyDown={(e) => {
          if (e.key === "Enter") commit();
          if (e.key !== "Escape") return;
          type("");
          commit();
          e.currentTarget.blur();
        }}
      />
      <kbd class="wide">/</kbd>
    </label>
  );
}
