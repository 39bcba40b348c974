// SPDX-License-Identifier: Apache-2.0

import { type ReadonlySignal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { Event } from "../api/schema";
import { pinnedOf, tone } from "../chart/marks";
import { counted } from "../format/number";
import { show } from "../format/text";
import { hms, iso, midnight, weekday } from "../format/time";
import { EventMark } from "./mark";
import "./eventlist.css";

/** The events of the range, newest first; a click pins the time of one. */
export function EventList({ model, leftOut, pin, select, field }: { model: { events: ReadonlySignal<Event[]>; heard: ReadonlySignal<boolean> }; leftOut: number; pin: number | undefined; select(e: Event): void; field: { current: HTMLInputElement | null } }) {
  const words = useSignal("");
  const list = useRef<HTMLOListElement>(null);
  const wanted = words.value.toLowerCase().split(/\s+/);
  const newest = [...model.events.value].reverse();
  const shown = newest.filter((e) => {
    const text = [e.text, e.kind, e.type, e.action, ...Object.values(e.attributes ?? {})].join(" ").toLowerCase();
    return wanted.every((w) => text.includes(w));
  });
  const pinned = pinnedOf(shown, pin)?.id;

  useEffect(() => {
    if (pinned) list.current?.querySelector('[aria-current="true"]')?.scrollIntoView({ block: "nearest" });
  }, [pinned]);

  return (
    <div class="events">
      <label class="field">
        <input ref={field} type="search" value={words.value} placeholder="Filter events" aria-label="Filter events" spellcheck={false} autocomplete="off" onInput={(e) => { words.value = e.currentTarget.value; }} />
      </label>
      {shown.length === 0 && model.heard.value && <p class="mid">{newest.length ? `0 of ${newest.length} match.` : "Nothing happened in this range."}</p>}
      <ol ref={list}>
        {shown.map((e, i) => {
          const newDay = i === 0 || midnight(shown[i - 1]!.time) !== midnight(e.time);
          return (
            <li key={e.id}>
              {newDay && <h3>{weekday(e.time)}</h3>}
              <button type="button" class="evr" aria-current={e.id === pinned} title={iso(e.time)} onClick={() => select(e)}>
                <EventMark of={e} />
                <span class={tone(e) === "crit" ? "crit" : ""}>
                  {show(e.text)}
                  {e.inferred && <span class="dim" title="tallyman did not see it: it follows from two inventories."> inferred</span>}
                </span>
                <time dateTime={iso(e.time)}>{hms(e.time)}</time>
              </button>
            </li>
          );
        })}
      </ol>
      {leftOut > 0 && <p class="mid">{counted(leftOut, "event")} more of this range {leftOut === 1 ? "is" : "are"} not here; deaths and changes come first. A shorter range shows more.</p>}
    </div>
  );
}
