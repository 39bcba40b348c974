// SPDX-License-Identifier: Apache-2.0

import { useComputed } from "@preact/signals";
import type { TargetedKeyboardEvent } from "preact";
import type { Instance } from "../api/schema";
import { exitWords } from "../format/state";
import { shortId, shortImage, show } from "../format/text";
import { iso, moment, span, stamp, weekday, zone } from "../format/time";
import { clock } from "../part/clock";
import { type EventMark, glyph, gravest, lineClass, pinnedOf, tone } from "./marks";
import type { Model, Span } from "./model";
import { timeTicks } from "./scale";
import "../style/mark.css";

// Two labels of the axis stand at least so far apart.
const tickRoom = 84;

/** The time axis, with the cursor's time as a flag. */
export function AxisLane({ model }: { model: Model }) {
  const { from, to } = model.view.value;
  const width = model.width.value;
  const ticks = timeTicks(from, to, Math.max(2, Math.floor(width / tickRoom)));
  return (
    <div class="track axis">
      <div class="lab">
        {weekday(to)}, {zone(to)}
        {before(model) && <span class="sr">{before(model)}</span>}
      </div>
      <div class="plot" aria-hidden="true">
        {ticks.map((k) => {
          const x = model.position(k.t);
          return x < 24 || x > width - 24 ? null : (
            <span key={k.t} class={k.major ? "tick d" : "tick"} style={{ transform: `translateX(calc(${x.toFixed(1)}px - 50%))` }}>
              {k.label}
            </span>
          );
        })}
      </div>
      <Flag model={model} />
    </div>
  );
}

function Flag({ model }: { model: Model }) {
  const t = model.cursor.value;
  if (t === undefined) return null;
  const { from, to } = model.view.value;
  if (t < from || t > to) return null;
  const gap = model.gapAt(t);
  const i = model.index.value;
  // In a gap a pinned moment has the values of the last sample before it.
  const age = model.stale.value ? ` · last sample ${span(Math.max(0, t - model.columns.value.t[i]!))} before` : "";
  const text = moment(t, clock.value) + (gap ? ` · gap: ${gap.reason}` : "") + age;
  // Half of the flag's width, near enough to keep it within the plot.
  const half = Math.min(model.width.value / 2, text.length * 3.6 + 8);
  const x = Math.max(half, Math.min(model.width.value - half, model.position(t)));
  return (
    <span class="ctime" style={{ transform: `translateX(calc(${x.toFixed(1)}px - 50%))` }}>
      {text}
    </span>
  );
}

/** Which container was this workload at the time. */
export function InstanceLane({ model }: { model: Model }) {
  const { from, to } = model.view.value;
  const width = model.width.value;
  // One that never started has no stretch of time.
  const shown = model.instances.value.filter((i) => i.started !== undefined && i.started < to && (i.ended ?? to) > from);
  return (
    <section class="track lane" aria-label="Instances">
      <div class="lab">
        <span>Instances</span>
        <b class="dim">{model.instances.value.length || ""}</b>
      </div>
      <div class="plot">
        <ul>
          {shown.map((i) => {
            const a = Math.max(0, model.position(i.started!));
            const b = Math.min(width, model.position(i.ended ?? to));
            return (
              <li key={i.id} class={i.current ? "ver now" : "ver"} title={describe(i)} style={{ transform: `translateX(${a.toFixed(1)}px)`, width: `${Math.max(2, b - a - 2).toFixed(1)}px` }}>
                {label(i)}
                <span class="sr">{describe(i)}</span>
              </li>
            );
          })}
        </ul>
      </div>
    </section>
  );
}

function label(i: Instance): string {
  const image = shortImage(i.image);
  const tag = image.slice(image.lastIndexOf(":") + 1);
  return show(`${tag} · ${shortId(i.id).slice(0, 6)}`);
}

function describe(i: Instance): string {
  const parts = [`${show(i.image)}, ${shortId(i.id)}`];
  if (i.started) parts.push(`from ${iso(i.started)}`);
  if (i.ended) parts.push(`to ${iso(i.ended)}`);
  if (i.ended && i.exitCode !== undefined) parts.push(exitWords(i.exitCode));
  return parts.join(", ");
}

const titleMost = 8;

function title(m: EventMark): string {
  const lines = gravest(m.events, titleMost).map((e) => `${moment(e.time, clock.peek())}  ${show(e.text)}${e.inferred ? " (inferred)" : ""}`);
  if (m.events.length > titleMost) lines.push(`${m.events.length - titleMost} more`);
  return lines.join("\n");
}

/** The alarms as spans: pending ones dashed, firing ones filled. */
export function AlarmLane({ model }: { model: Model }) {
  const alarms = model.alarms.value;
  if (!alarms) return null;
  const { from, to } = model.view.value;
  const now = clock.value; // a range may end later
  const shown = alarms.filter((a) => a.since < to && (a.ended ?? now) > from);
  const firing = alarms.filter((a) => a.fired !== undefined && a.ended === undefined).length;
  return (
    <section class="track lane" aria-label="Alarms">
      <div class="lab">
        <span>Alarms</span>
        <b class={firing ? "crit" : "dim"}>{firing ? `${firing} ${firing === 1 ? "fires" : "fire"}` : shown.length || ""}</b>
      </div>
      <div class="plot">
        <ul>
          {shown.map((a) => {
            const end = Math.min(to, a.ended ?? now);
            return [
              { kind: "pending", from: a.since, to: Math.min(end, a.fired ?? end) },
              { kind: "firing", from: a.fired ?? end, to: end },
            ].map((part) => {
              const x = Math.max(0, model.position(part.from));
              const width = Math.min(model.width.value, model.position(part.to)) - x;
              // One that was there for less than a pixel is drawn all the same, if it fired.
              return width < (part.kind === "firing" && a.fired !== undefined ? -2 : 1) ? null : (
                <li key={`${a.id} ${part.kind}`} class={`held ${part.kind} ${a.tone}`} title={inWords(a)} style={{ transform: `translateX(${x.toFixed(1)}px)`, width: `${Math.max(2, width).toFixed(1)}px` }}>
                  {part.kind === "firing" && show(a.name)}
                  <span class="sr">{inWords(a)}</span>
                </li>
              );
            });
          })}
        </ul>
      </div>
    </section>
  );
}

function inWords(a: Span): string {
  const parts = [`${show(a.name)}: ${show(a.text)}`, `pending from ${iso(a.since)}`];
  if (a.fired !== undefined) parts.push(`fired at ${iso(a.fired)}`);
  if (a.ended !== undefined) parts.push(`ended at ${iso(a.ended)}`);
  return parts.join("\n");
}

/** The events as marks; a click pins one. Arrow keys go from mark to mark. */
export function EventLane({ model, leftOut, select }: { model: Model; leftOut: number; select(m: EventMark): void }) {
  const marks = model.marks.value;
  const pin = model.pin.value;
  const meant = pinnedOf(model.events.value, pin);
  const on = meant ? marks.findIndex((m) => m.events.includes(meant)) : -1;
  const arrows = (e: TargetedKeyboardEvent<HTMLElement>) => {
    const by = e.key === "ArrowRight" ? 1 : e.key === "ArrowLeft" ? -1 : 0;
    if (by === 0) return;
    const buttons = [...e.currentTarget.querySelectorAll("button")];
    buttons[buttons.indexOf(document.activeElement as HTMLButtonElement) + by]?.focus();
    e.preventDefault();
  };
  const style = useComputed(() => model.shift.value);
  return (
    <section class="track lane" aria-label="Events">
      <div class="lab">
        <span>Events, changes</span>
        <b class="dim">
          {(model.heard.value || model.events.value.length > 0) && model.events.value.length}
          {leftOut > 0 && <span title={`The newest of the range, and its deaths and changes, are drawn; ${leftOut} more are not. A shorter range shows them.`}> +{leftOut}</span>}
        </b>
      </div>
      <div class="plot">
        <div class="layer" role="toolbar" aria-label="Events on the time axis" style={style} onKeyDown={arrows}>
          {marks.map((m, i) => (
            <button
              key={m.lead.id}
              type="button"
              class={`mk ${tone(m.lead)}`}
              style={{ left: `${model.place(m.lead.time).toFixed(1)}px` }}
              title={title(m)}
              aria-label={m.events.length > 1 ? `${m.events.length} events: ${title(m)}` : title(m)}
              aria-pressed={i === on}
              tabIndex={i === Math.max(0, on) ? 0 : -1}
              onClick={() => select(m)}
            >
              <span aria-hidden="true">{glyph(m.lead)}</span>
              {m.events.length > 1 && <sup aria-hidden="true">{m.events.length}</sup>}
            </button>
          ))}
        </div>
      </div>
    </section>
  );
}

/** Lines of events, gaps, selection and cursor: one layer over all charts. */
export function Overlay({ model }: { model: Model }) {
  const style = useComputed(() => model.shift.value);
  const cursor = useComputed(() => {
    const t = model.cursor.value;
    const { from, to } = model.view.value;
    return t === undefined || t < from || t > to ? "display: none" : `transform: translateX(${model.position(t).toFixed(1)}px)`;
  });
  const selection = useComputed(() => {
    const s = model.selection.value;
    if (!s) return "display: none";
    const a = model.position(Math.min(s.from, s.to));
    const b = model.position(Math.max(s.from, s.to));
    return `transform: translateX(${a.toFixed(1)}px); width: ${(b - a).toFixed(1)}px`;
  });
  return (
    <div class="ov" aria-hidden="true">
      <div class="layer" style={style}>
        <Tints model={model} />
        <Lines model={model} />
      </div>
      <Before model={model} />
      <div class="sel" style={selection} />
      <div class="cur" style={cursor} />
    </div>
  );
}

/** Why there is nothing before a time; empty where the range begins later. */
function before(model: Model): string {
  const { first, began } = model.watched.value;
  if (first === undefined || first <= model.view.value.from) return "";
  return `${began ? "not watched" : "no samples kept"} before ${stamp(first, clock.value)}`;
}

/** The time of which there is nothing, because nobody watched or nothing is kept. */
function Before({ model }: { model: Model }) {
  const why = before(model);
  if (!why) return null;
  const width = Math.min(model.width.value, model.position(model.watched.value.first!));
  return (
    <div class="before" style={{ width: `${width.toFixed(1)}px` }}>
      <span class="ell">{why}</span>
    </div>
  );
}

/** While an alarm fires, all charts have a tint. */
function Tints({ model }: { model: Model }) {
  const fired = model.alarms.value?.filter((a) => a.fired !== undefined) ?? [];
  const now = fired.some((a) => a.ended === undefined) ? clock.value : 0;
  return (
    <>
      {fired.map((a) => (
        <div key={a.id} class={`tint ${a.tone}`} style={{ left: `${model.place(a.fired!).toFixed(1)}px`, width: `${(Math.max(0, (a.ended ?? now) - a.fired!) * model.scale.value).toFixed(1)}px` }} />
      ))}
    </>
  );
}

function Lines({ model }: { model: Model }) {
  const scale = model.scale.value;
  return (
    <>
      {model.gaps.value.map((g) => (
        <div key={`g${g.from}`} class="gap" style={{ left: `${model.place(g.from).toFixed(1)}px`, width: `${((g.to - g.from) * scale).toFixed(1)}px` }} />
      ))}
      {model.events.value.map((e) => (
        <div key={e.id} class={`v ${lineClass(e)}`} style={{ left: `${model.place(e.time).toFixed(1)}px` }} />
      ))}
    </>
  );
}
