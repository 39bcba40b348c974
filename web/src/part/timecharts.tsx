// SPDX-License-Identifier: Apache-2.0

import { type ReadonlySignal, type Signal, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { useTimeActions } from "../chart/actions";
import type { Model } from "../chart/model";
import { type Section, Stack } from "../chart/stack";
import { show } from "../format/text";
import { useKeys } from "./keys";
import { copy } from "./notice";
import { changesHref, go, lastRange, linkTo, logsHref, rangeOf } from "./place";
import "./timepage.css";

interface Props {
  data: { model: Model; loaded: ReadonlySignal<boolean>; leftOut: ReadonlySignal<number>; load(): Promise<void> };
  /** Why the history cannot be read, empty where it can. */
  problem: string;
  sections: Section[];
  actions: ReturnType<typeof useTimeActions>;
  /** What the charts are of, for what changed in a stretch of them; all without it. */
  of?: { host: string; workload?: string };
  /** Whether there is a lane of instances. */
  instances?: boolean;
  /** Of charts within a page; else they are the page, and fill its height. */
  within?: { class: string; label: string };
  /** What stands below the charts. */
  children?: ComponentChildren;
}

/** The charts of a page over its time axis, with why they cannot be drawn. */
export function TimeCharts({ data, problem, sections, actions, of, instances, within, children }: Props) {
  const charts = useRef<HTMLElement>(null);
  const room = useRoom(charts, !within);
  const changed = (from: number, to: number) => changesHref(of ?? {}, rangeOf({ live: false, from, to }));
  useKeys("Charts", [{ keys: ["c"], label: "What changed in this range?", run: () => go(changed(data.model.view.peek().from, data.model.view.peek().to)) }]);
  return (
    <section ref={charts} class={within?.class ?? "charts"} aria-label={within?.label ?? "Charts"} aria-busy={!data.loaded.value}>
      {problem && (
        <p class="banner warn" role="alert">
          <span class="dot warn" />
          <span class="grow">History cannot be read: {show(problem)}</span>
          <button type="button" class="btn q" onClick={() => void data.load()}>Try again</button>
        </p>
      )}
      <Stack
        model={data.model}
        sections={sections}
        leftOut={data.leftOut.value}
        instances={instances}
        room={room}
        select={(m) => actions.select(m.lead)}
        pin={actions.pin}
        zoom={actions.zoomTo}
        zoomAround={actions.zoomAround}
        back={lastRange}
        changesHref={changed}
        everythingHref={(from, to) => logsHref("", rangeOf({ live: false, from, to }))}
        copyLink={(from, to) => void copy(linkTo({ live: false, from, to }))}
      />
      {children}
    </section>
  );
}

const stacked = matchMedia("(max-width: 1100px)");

/** The height that the charts may fill, 0 where the page scrolls as a whole. */
function useRoom(charts: { current: HTMLElement | null }, fills: boolean): Signal<number> {
  const room = useSignal(0);
  useLayoutEffect(() => {
    const el = charts.current;
    if (!el || !fills) return;
    const measure = () => {
      room.value = stacked.matches ? 0 : el.clientHeight;
    };
    const watch = new ResizeObserver(measure);
    watch.observe(el);
    measure();
    return () => watch.disconnect();
  }, [fills]);
  return room;
}
