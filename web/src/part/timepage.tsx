// SPDX-License-Identifier: Apache-2.0

import type { ReadonlySignal } from "@preact/signals";
import type { ComponentChildren, TargetedKeyboardEvent } from "preact";
import { param, setParams } from "./place";
import "./timepage.css";

// What the pages with charts over a time axis have in common beside them: key figures
// above, tabs at the side.

/** A key figure. */
export function Kpi({ name, two, children }: { name: string; two?: boolean; children: ComponentChildren }) {
  return (
    <div class={two ? "two" : undefined}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** One direction of a flow, with an arrow for its word. */
export function Flow({ n, unit, mark, word }: { n: ReadonlySignal<string>; unit: ReadonlySignal<string>; mark: "up" | "dn"; word: string }) {
  return (
    <>
      <span class={mark} title={word}><span class="sr">{word}</span></span> {n} <small>{unit}</small>
    </>
  );
}

/** A part of the side panel. */
export interface Tab {
  id: string;
  label: string;
  body(): ComponentChildren;
}

const tab = param("tab");

/** Shows the first tab, which the address does not name. */
export function firstTab(): void {
  setParams({ tab: undefined });
}

/** The panel beside the charts; the first tab is the usual one. */
export function Side({ head, tabs }: { head?: ComponentChildren; tabs: readonly Tab[] }) {
  const on = tabs.find((t) => t.id === tab.value) ?? tabs[0]!;
  const show = (t: Tab) => setParams({ tab: t === tabs[0] ? undefined : t.id });
  const arrows = (e: TargetedKeyboardEvent<HTMLElement>) => {
    const by = e.key === "ArrowRight" ? 1 : e.key === "ArrowLeft" ? tabs.length - 1 : 0;
    if (by === 0) return;
    e.preventDefault();
    const other = tabs[(tabs.indexOf(on) + by) % tabs.length]!;
    show(other);
    (e.currentTarget.querySelector(`#tab-${other.id}`) as HTMLElement | null)?.focus();
  };
  return (
    <aside class="side" aria-label="Details">
      {head}
      <div class="tabs" role="tablist" aria-label="Details" onKeyDown={arrows}>
        {tabs.map((t) => (
          <button key={t.id} id={`tab-${t.id}`} type="button" role="tab" aria-selected={t === on} aria-controls={`panel-${t.id}`} tabIndex={t === on ? 0 : -1} onClick={() => show(t)}>
            {t.label}
          </button>
        ))}
      </div>
      <div class="sbody" id={`panel-${on.id}`} role="tabpanel" aria-labelledby={`tab-${on.id}`} tabIndex={-1}>
        {on.body()}
      </div>
    </aside>
  );
}
