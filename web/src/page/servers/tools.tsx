// SPDX-License-Identifier: Apache-2.0

import type { ComponentChildren, RefObject } from "preact";
import type { Range } from "../../format/range";
import { narrow } from "../../part/clock";
import { Icon } from "../../part/icon";
import { type Key, useKeys } from "../../part/keys";
import { param, setParams, setRange } from "../../part/place";
import { RangeControl } from "../../part/rangecontrol";
import { type Grouping, groupings, readGrouping } from "./arrange";
import { Compare } from "./choose";

export const query = param("q");
const groupText = param("group");

/** What the rows are grouped by. */
export const grouping = (): Grouping => readGrouping(groupText.value);

/** The row above the hosts: filter, groups, what is compared, and what is a page's own. */
export function Tools({ filter, children }: { filter: RefObject<HTMLInputElement | null>; children?: ComponentChildren }) {
  return (
    <div class="tools row">
      <label class="field">
        <Icon name="filter" />
        <input
          ref={filter}
          type="search"
          value={query.value}
          placeholder={narrow.value ? "Filter" : "Filter: name, image:nginx, state:exited"}
          aria-label="Filter containers by words or name:, image:, state:, health:, project:"
          spellcheck={false}
          autocomplete="off"
          onInput={(e) => setParams({ q: e.currentTarget.value })}
          onKeyDown={(e) => {
            if (e.key !== "Escape") return;
            setParams({ q: undefined });
            e.currentTarget.blur();
          }}
        />
        <kbd class="wide">/</kbd>
      </label>
      {children}
      {!narrow.value && (
        <select class="btn" aria-label="Group by" value={grouping()} onChange={(e) => setParams({ group: e.currentTarget.value === "project" ? undefined : e.currentTarget.value })}>
          {groupings.map((g) => <option key={g} value={g}>{{ project: "By project", image: "By image", host: "By host", none: "Not grouped" }[g]}</option>)}
        </select>
      )}
      <Compare />
    </div>
  );
}

/** The keys of rows, which are links marked data-row. */
export function useRows(root: RefObject<HTMLElement | null>, filter: RefObject<HTMLInputElement | null>, own: Key[]): void {
  const step = (by: number) => {
    const rows = [...(root.current?.querySelectorAll<HTMLElement>("a[data-row]") ?? [])];
    const at = rows.findIndex((r) => r === document.activeElement);
    const next = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.max(0, Math.min(rows.length - 1, at + by))];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  };
  useKeys("Servers", [
    { keys: ["/"], label: "Filter", run: () => filter.current?.focus() },
    { keys: ["j", "k"], label: "Next, previous row", run: (e) => step(e.key === "j" ? 1 : -1) },
    { keys: ["x"], label: "Compare this row, or no longer", run: () => document.activeElement?.closest("tr")?.querySelector<HTMLElement>("[data-choose]")?.click() },
    ...own,
    { keys: ["Escape"], label: "Leave the rows", run: () => (document.activeElement as HTMLElement | null)?.blur() },
  ]);
}

const shownNow = 15 * 60_000;

/** The range of Servers: what is live shows now, whatever else is chosen the time from then until now. */
export function ServersRange({ range }: { range: Range }) {
  const choose = (r: Range) => setRange(r.live ? until(r.span) : r);
  const control: Range = range.live ? { live: true, span: shownNow } : range;
  return <RangeControl range={control} freeze={() => choose(control)} canLive choose={choose} live={() => setRange({ live: true, span: 60 * 60_000 })} />;
}

const longest = 30 * 24 * 60 * 60_000;

function until(span: number): Range {
  const now = Date.now();
  return { live: false, from: now - Math.min(span, longest), to: now };
}
