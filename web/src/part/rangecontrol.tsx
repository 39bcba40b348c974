// SPDX-License-Identifier: Apache-2.0

import { useRef, useState } from "preact/hooks";
import { stream } from "../api/live";
import { type Range, rangeLabel, spans } from "../format/range";
import { iso, parseWhen, staleFor, zone } from "../format/time";
import { clock } from "./clock";
import { Icon } from "./icon";
import { useKeys } from "./keys";
import { lastRange, place, setRange } from "./place";

/** The button that says whether the page follows the present. */
export function LiveButton({ on, toggle }: { on: boolean; toggle(): void }) {
  const s = stream.value;
  if (on && s.phase === "stale") {
    return (
      <button type="button" aria-pressed="true" title="No answer from tallyman" onClick={toggle}>
        Stale {staleFor(s.last, clock.value)}
      </button>
    );
  }
  return (
    <button type="button" class={on ? "live" : ""} aria-pressed={on} title={on ? "Live, each second (L)" : "Back to live (L)"} onClick={toggle}>
      Live
    </button>
  );
}

interface Props {
  range: Range;
  freeze(): void;
  canLive: boolean;
  /** What choosing a range does, where it is more than showing that. */
  choose?(r: Range): void;
  /** What going back to live does, where it is more than choosing a live range. */
  live?(): void;
}

/** The range of the page: live or not, how long, and the way back. */
export function RangeControl({ range, freeze, canLive, choose = setRange, live: goLive }: Props) {
  const pop = useRef<HTMLDivElement>(null);
  const opener = useRef<HTMLButtonElement>(null);
  const [from, setFrom] = useState("");
  const [to, setTo] = useState("");
  const [problem, setProblem] = useState("");

  const toggle = () => {
    if (range.live) freeze();
    else if (goLive) goLive();
    else choose({ live: true, span: nearest(range.to - range.from) });
  };
  const live = range.live && canLive;
  useKeys("Range", [
    ...(canLive ? [{ keys: ["L", "l"], label: "Live", run: toggle }] : []),
    { keys: ["T", "t"], label: "Choose the range", run: () => opener.current?.click() },
    { keys: ["Backspace"], label: "Back to the last range", run: lastRange },
  ]);

  const take = (r: Range) => {
    pop.current?.hidePopover();
    choose(r);
  };
  const apply = (e: Event) => {
    e.preventDefault();
    const now = Date.now();
    const a = parseWhen(from, now);
    const b = parseWhen(to.trim() === "" ? "now" : to, now);
    if (a === undefined || b === undefined) {
      setProblem(`"${a === undefined ? from : to}" is no time. Say -2h, 14:02, yesterday or 2026-11-20 14:02.`);
    } else if (b <= a) {
      setProblem("The range ends before it starts.");
    } else {
      setProblem("");
      take({ live: false, from: a, to: b });
    }
  };
  const opened = (e: { newState: string }) => {
    if (e.newState !== "open") return;
    pop.current?.querySelector<HTMLElement>('[aria-pressed="true"], button')?.focus();
    if (range.live) return;
    setFrom(iso(range.from).slice(0, 19).replace("T", " "));
    setTo(iso(range.to).slice(0, 19).replace("T", " "));
  };

  return (
    <>
      <button type="button" class="btn q wide" aria-label="Back to the last range" title="Back to the last range (Backspace)" disabled={place.value.ranges === 0} onClick={lastRange}>
        <Icon name="back" />
      </button>
      <div class="seg" role="group" aria-label="Time range">
        {canLive && <LiveButton on={live} toggle={toggle} />}
        <button type="button" ref={opener} aria-haspopup="dialog" title={range.live ? "Range (T)" : `${iso(range.from)} – ${iso(range.to)} (T)`} onClick={() => pop.current?.togglePopover()}>
          <span class="ell">{rangeLabel(range)}</span>
          <Icon name="down" small />
        </button>
      </div>
      <div ref={pop} popover="auto" class="rangepop" role="dialog" aria-label="Choose the range" onToggle={opened}>
        <div class="spans">
          {spans.map((s) => (
            <button key={s.key} type="button" class="btn" aria-pressed={range.live && range.span === s.span} onClick={() => take({ live: true, span: s.span })}>
              {s.label}
            </button>
          ))}
        </div>
        <form onSubmit={apply}>
          <label>
            From
            <input value={from} placeholder="-2h, 14:02, yesterday" spellcheck={false} autocomplete="off" onInput={(e) => setFrom(e.currentTarget.value)} />
          </label>
          <label>
            To
            <input value={to} placeholder="now" spellcheck={false} autocomplete="off" onInput={(e) => setTo(e.currentTarget.value)} />
          </label>
          {problem && <p class="crit" role="alert">{problem}</p>}
          <div class="row">
            <span class="dim grow">Times are in {zone(Date.now())}</span>
            <button type="submit" class="btn p">Show</button>
          </div>
        </form>
      </div>
    </>
  );
}

// The offered span that shows at least as much as a fixed range did.
function nearest(length: number): number {
  return spans.find((s) => s.span >= length)!.span;
}
