// SPDX-License-Identifier: Apache-2.0

import { type ReadonlySignal, useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import type { Entry } from "../api/loki";
import type { Event } from "../api/schema";
import { count } from "../format/number";
import { offsets, rowAt } from "../format/offset";
import { narrow as narrowWindow } from "../part/clock";
import { param } from "../part/place";
import { useKeys } from "../part/keys";
import { say } from "../part/notice";
import { type LineView, Row } from "./line";
import { markOf } from "./meant";
import { opened, opening } from "./opening";
import { type LogLines, withGaps } from "./lines";
import { type LogRow, rowsOf } from "./rows";
import "../style/search.css";
import "./log.css";

const usualHeight = 20;
// Rows that are drawn beyond the edges, in pixels.
const spare = 300;
// More lines are asked for when the edge is so near.
const near = 600;

interface Props {
  lines: LogLines;
  events: ReadonlySignal<Event[]>;
  /** Notes of missing lines that the query leaves out. */
  gaps?: ReadonlySignal<Entry[]>;
  /** Whether the lines were searched for: each is a hit. */
  hits?: boolean;
  wrap: boolean;
  label: string;
  view: Omit<LineView, "toggle" | "group" | "reload">;
  /** Whether the range ends now. */
  live: boolean;
  /** The moment whose line is marked. */
  at: number | undefined;
  /** Back to the present, from lines of another time. */
  toNow(): void;
  /** The pointer is over a line, or over none. */
  hover?: (t: number | undefined) => void;
}

/** The lines, the newest at the bottom; only those near the screen are drawn. */
export function LogList(props: Props) {
  const { lines, events, gaps, live, at } = props;
  const wrap = props.wrap || narrowWindow.value;
  const box = useRef<HTMLDivElement>(null);
  const body = useRef<HTMLDivElement>(null);
  const view = useSignal({ top: 0, height: 600 });
  const open = useSignal<ReadonlySet<string>>(new Set());
  const current = useSignal("");
  const following = useSignal(true);
  const seenAt = useSignal("");
  const measured = useSignal(0);
  const heights = useMemo(() => new Map<string, number>(), []);
  // The row that stays where it is while rows before it change, and where the list was put last.
  const anchor = useRef<{ key: string; delta: number } | undefined>(undefined);
  const put = useRef(-1);
  // The row that was opened just now: what opens below the screen is scrolled in.
  const reveal = useRef("");

  // Between pressing and releasing nothing moves: a click is meant for the line it began on.
  const held = useRef(false);
  useEffect(() => {
    const release = () => {
      setTimeout(() => {
        if (!held.current || !box.current) return;
        held.current = false;
        // Who selects text wants it to stay.
        if (getSelection()?.toString() && box.current.contains(getSelection()!.anchorNode)) {
          if (following.peek()) setFollowing(false);
          remember();
        } else if (following.peek()) place(box.current.scrollHeight);
      });
    };
    addEventListener("pointerup", release);
    addEventListener("pointercancel", release);
    return () => {
      removeEventListener("pointerup", release);
      removeEventListener("pointercancel", release);
    };
  }, []);

  const hitting = useSignal(false);
  hitting.value = props.hits ?? false;
  const rows = useComputed(() => rowsOf(withGaps(lines.entries.value, gaps?.value ?? [], lines.older.value, lines.newer.value), events.value, !lines.older.value, lines.holes.value, hitting.value));
  const layout = useComputed(() => {
    measured.value;
    const list = rows.value;
    return { rows: list, tops: offsets(list, (r) => heights.get(r.key) ?? usualHeight) };
  });
  const { rows: all, tops } = layout.value;
  const total = tops.at(-1)!;
  const first = all.length ? rowAt(tops, view.value.top - spare) : 0;
  const last = all.length ? rowAt(tops, view.value.top + view.value.height + spare) + 1 : 0;
  const shown = all.slice(first, last);
  const nearest = at === undefined ? undefined : nearestRow(all, at);

  const again = () => {
    measured.value = measured.peek() + 1;
  };
  const setFollowing = (on: boolean) => {
    following.value = on;
    lines.followed = on;
    if (!on) seenAt.value = lines.entries.peek().at(-1)?.ns ?? "";
  };
  const remember = () => {
    const el = box.current!;
    const { rows, tops } = layout.peek();
    if (rows.length === 0) return;
    const i = rowAt(tops, el.scrollTop);
    anchor.current = { key: rows[i]!.key, delta: tops[i]! - el.scrollTop };
  };
  const place = (top: number) => {
    const el = box.current!;
    el.scrollTop = top;
    put.current = el.scrollTop;
    look(1);
  };
  // Notes which part is in sight, unless it is as good as the same: each other one is a drawing.
  const look = (most: number) => {
    const { scrollTop: top, clientHeight: height } = box.current!;
    const was = view.peek();
    if (Math.abs(was.top - top) > most || was.height !== height) view.value = { top, height };
  };

  // Other lines: to their end, or to the moment that was asked for.
  useSignalEffect(() => {
    lines.turn.value;
    heights.clear();
    open.value = new Set();
    anchor.current = undefined;
    put.current = -1;
    const to = lines.wanted.at;
    setFollowing(to === undefined);
    if (to !== undefined) {
      const { rows } = layout.peek();
      const i = rows.indexOf(nearestRow(rows, to)!);
      if (i >= 0) anchor.current = { key: rows[i]!.key, delta: Math.max(0, (box.current?.clientHeight ?? 0) / 2 - 20) };
    }
    again();
  });
  // Rows of another width have other heights.
  useLayoutEffect(() => {
    const el = box.current!;
    let width = el.clientWidth;
    const watch = new ResizeObserver(() => {
      if (el.clientWidth !== width) {
        width = el.clientWidth;
        heights.clear();
        again();
      }
      look(0);
      if (following.peek() && !held.current) place(el.scrollHeight);
    });
    watch.observe(el);
    return () => watch.disconnect();
  }, []);
  useLayoutEffect(() => {
    heights.clear();
    again();
  }, [wrap]);

  // After each drawing: heights are read, and what was in sight is put where it was.
  useLayoutEffect(() => {
    const el = box.current!;
    let changed = false;
    const drawn = body.current!.children;
    for (let i = 0; i < shown.length; i++) {
      const height = (drawn[i] as HTMLElement | undefined)?.offsetHeight ?? usualHeight;
      if (height !== (heights.get(shown[i]!.key) ?? usualHeight)) {
        heights.set(shown[i]!.key, height);
        changed = true;
      }
    }
    if (changed) again();
    const at = changed ? layout.value : layout.peek();
    if (held.current) return;
    if (following.peek() && el.scrollTop < put.current - 2 && el.scrollHeight - el.clientHeight - el.scrollTop > 6) {
      // The reader has scrolled up since the last drawing, and the event that says so is still to come.
      setFollowing(false);
      remember();
    } else if (following.peek()) {
      place(Math.max(el.scrollHeight, at.tops.at(-1)!));
    } else if (anchor.current) {
      const i = at.rows.findIndex((r) => r.key === anchor.current!.key);
      if (i >= 0) {
        const want = at.tops[i]! - anchor.current.delta;
        if (Math.abs(want - el.scrollTop) > 1) place(want);
      } else remember();
    }
    const i = reveal.current && !changed ? at.rows.findIndex((r) => r.key === reveal.current) : -1;
    if (i < 0) return;
    reveal.current = "";
    if (at.tops[i + 1]! > el.scrollTop + el.clientHeight) {
      place(Math.min(at.tops[i]!, at.tops[i + 1]! - el.clientHeight));
      remember();
    }
  });

  const scrolled = () => {
    const el = box.current;
    if (!el) return; // the event of a list that has gone meanwhile
    const end = el.scrollHeight - el.clientHeight - el.scrollTop < 6;
    const up = el.scrollTop < put.current - 2;
    // Around a moment the list stays there, also when that is near the end: what comes would push the moment out of sight.
    if (end && !lines.newer.peek() && lines.wanted.at === undefined) {
      if (!following.peek()) setFollowing(true);
    } else if (up || !following.peek()) {
      if (following.peek()) setFollowing(false);
    }
    put.current = el.scrollTop;
    if (!following.peek()) remember();
    look(0);
    more();
  };
  const more = () => {
    const el = box.current;
    if (!el) return;
    if (el.scrollTop < near && lines.older.peek()) void lines.loadOlder();
    if (el.scrollHeight - el.clientHeight - el.scrollTop < near && lines.newer.peek()) void lines.loadNewer();
  };
  useEffect(more, [all.length]);

  // The first line that is opened would wait for how it is shown.
  useEffect(() => void opening().catch(() => undefined), []);
  const toggle = (r: LogRow) => {
    if (!opened.peek()) {
      opening().then(() => toggle(r), () => say("tallyman does not answer; the line cannot be opened."));
      return;
    }
    const next = new Set(open.peek());
    if (!next.delete(r.key)) next.add(r.key);
    // What was opened stays where it is, also when it was the last line.
    if (following.peek() && next.size > 0) setFollowing(false);
    remember();
    reveal.current = next.has(r.key) ? r.key : "";
    current.value = r.key;
    open.value = next;
  };
  const group = (r: LogRow): Entry[] => {
    const at = rows.peek().indexOf(r);
    const out: Entry[] = r.as === "line" ? [r.entry] : [];
    for (let i = at + 1; ; i++) {
      const next = rows.peek()[i];
      if (next?.as !== "line" || !next.joins) return out;
      out.push(next.entry);
    }
  };
  const step = (by: number) => {
    const list = rows.peek();
    const isLine = (r: LogRow | undefined) => r?.as === "line";
    let i = list.findIndex((r) => r.key === current.peek());
    if (i < 0) {
      const el = box.current!;
      i = rowAt(layout.peek().tops, by > 0 ? el.scrollTop : el.scrollTop + el.clientHeight - 1) - by;
    }
    do i += by;
    while (list[i] && !isLine(list[i]));
    const row = list[i];
    if (!row) return;
    current.value = row.key;
    const { tops } = layout.peek();
    const el = box.current!;
    if (following.peek() && by < 0) setFollowing(false);
    if (tops[i]! < el.scrollTop) place(tops[i]!);
    else if (tops[i + 1]! > el.scrollTop + el.clientHeight) place(tops[i + 1]! - el.clientHeight);
    if (!following.peek()) remember();
    requestAnimationFrame(() => box.current?.querySelector<HTMLElement>(`button[data-key="${row.key}"]`)?.focus({ preventScroll: true }));
    more();
  };
  useKeys("Log lines", [
    ...(props.hits ? [{ keys: ["n", "p"], label: "Next, previous hit", run: (e: KeyboardEvent) => step(e.key === "n" ? 1 : -1) }] : []),
    { keys: ["j", "k"], label: "Next, previous line", run: (e) => step(e.key === "j" ? 1 : -1) },
    {
      keys: ["Escape"],
      label: "Close the lines that are open",
      run: () => {
        if (open.peek().size === 0) return false;
        remember();
        return (open.value = new Set());
      },
    },
    { keys: ["e"], label: "To the newest line", run: () => toEnd() },
  ]);
  const toEnd = () => {
    if (lines.newer.peek() || !live || lines.wanted.at !== undefined) props.toNow();
    else {
      setFollowing(true);
      place(box.current!.scrollHeight);
    }
  };

  const waiting = following.value ? 0 : lines.entries.value.length - 1 - lines.entries.value.findLastIndex((e) => e.ns <= seenAt.value);
  const latest = useRef(props);
  latest.current = props;
  // The functions read signals and references only, so those of the first drawing are as good as any.
  const lineView = useMemo((): LineView => ({ ...props.view, toggle, group, reload: () => latest.current.toNow() }), [props.view]);
  const target = current.value || shown.find((r) => r.as === "line")?.key;
  return (
    <div class="logbox">
      <div
        ref={box}
        class={wrap ? "log wrapped" : "log"}
        role="log"
        aria-live="off"
        aria-label={props.label}
        tabIndex={0}
        onScroll={scrolled}
        onPointerDown={() => { held.current = true; }}
        onPointerMove={
          props.hover &&
          ((e) => {
            const key = (e.target as Element).closest(".ll")?.querySelector<HTMLElement>("[data-key]")?.dataset["key"];
            props.hover!(shown.find((r) => r.key === key)?.t);
          })
        }
        onPointerLeave={props.hover && (() => props.hover!(undefined))}
      >
        <div style={{ height: `${tops[first] ?? 0}px` }} />
        <div ref={body}>
          {shown.map((r) => (
            <div key={r.key}>
              <Row row={r} view={lineView} open={open.value.has(r.key)} current={r.key === target} near={r === nearest} />
            </div>
          ))}
        </div>
        <div style={{ height: `${Math.max(0, total - (tops[last] ?? total))}px` }} />
      </div>
      {live && (!following.value || lines.newer.value) && (
        <button type="button" class="btn p newl" onClick={toEnd}>
          {lines.newer.value ? "Jump to now" : waiting ? `${count(waiting)} new ${waiting === 1 ? "line" : "lines"}, jump to now` : "Jump to now"}
        </button>
      )}
    </div>
  );
}

const atText = param("at");

/** The line that the address means, else the one whose time is nearest to a moment. */
function nearestRow(rows: readonly LogRow[], t: number): LogRow | undefined {
  let best: LogRow | undefined;
  const meant = atText.value;
  for (const r of rows) {
    if (r.as !== "line") continue;
    if (r.t === t && markOf(r.entry) === meant) return r;
    if (!best || Math.abs(r.t - t) < Math.abs(best.t - t)) best = r;
    else if (r.t > t + 1) break;
  }
  return best;
}
