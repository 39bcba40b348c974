// SPDX-License-Identifier: Apache-2.0

import { computed, effect, signal } from "@preact/signals";

type Choice = "dark" | "light";

const key = "tallyman.theme";
const system = matchMedia("(prefers-color-scheme: light)");
const systemLight = signal(system.matches);
const choice = signal<Choice | undefined>(readChoice());

/** The theme that shows: the reader's choice, else the system's. */
export const theme = computed<Choice>(() => choice.value ?? (systemLight.value ? "light" : "dark"));

function readChoice(): Choice | undefined {
  const kept = localStorage.getItem(key);
  return kept === "dark" || kept === "light" ? kept : undefined;
}

/** Applies the theme to the document and keeps it applied. */
export function applyTheme(): void {
  system.addEventListener("change", () => {
    systemLight.value = system.matches;
  });
  effect(() => {
    document.documentElement.dataset.theme = theme.value;
  });
}

/** Changes to the other theme. The system's own theme is the default again when chosen. */
export function switchTheme(): void {
  const next: Choice = theme.value === "dark" ? "light" : "dark";
  const asSystem = (next === "light") === systemLight.value;
  choice.value = asSystem ? undefined : next;
  if (asSystem) localStorage.removeItem(key);
  else localStorage.setItem(key, next);
}
