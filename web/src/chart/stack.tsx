// SPDX-License-Identifier: Apache-2.0

import { computed, type ReadonlySignal, useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import type { ComponentChildren } from "preact";
import { AlarmLane, AxisLane, EventLane, InstanceLane, Overlay } from "./lanes";
import type { EventMark } from "./marks";
import type { Model } from "./model";
import { Track, type TrackSpec } from "./track";
import "./chart.css";

export interface Section {
  spec: TrackSpec;
  /** Why there is nothing, when there is nothing. */
  missing: string;
  /** What its head folds out. */
  more?: { label: string; sections: Section[] };
}

interface Props {
  model: Model;
  sections: Section[];
  /** How many events of the range are not drawn. */
  leftOut: number;
  /** Whether there is a lane of instances; a workload has them, a host has none. */
  instances?: boolean;
  /** Height in pixels that the whole stack may fill, 0 when it may not grow. */
  room: ReadonlySignal<number>;
  select(m: EventMark): void;
  pin(t: number): void;
  zoom(from: number, to: number): void;
  zoomAround(t: number, factor: number): void;
  back(): void;
  copyLink(from: number, to: number): void;
  /** The address of what changed in a selected time. */
  changesHref?(from: number, to: number): string;
  /** The address of what everything logged in a selected time. */
  everythingHref?(from: number, to: number): string;
}

// Less than this many pixels is a click that trembled.
const dragLeast = 5;
const longPress = 450;
const growMost = 2.4;
const lanesHeight = 88;

/** Lanes and charts over one time axis, with one cursor and the gestures. */
export function Stack(props: Props) {
  const { model, sections, room } = props;
  const root = useRef<HTMLDivElement>(null);
  const area = useRef<HTMLDivElement>(null);
  const menu = useSignal<{ from: number; to: number } | undefined>(undefined);
  const open = useSignal<Record<string, boolean>>({});

  const shown: { section: Section; inner: boolean }[] = sections.flatMap((section) => [
    { section, inner: false },
    ...(open.value[section.spec.id] ? (section.more?.sections ?? []).map((s) => ({ section: s, inner: true })) : []),
  ]);
  // The sections are the same for the whole life of the page; only what is folded out changes their height.
  const factor = useMemo(
    () =>
      computed(() => {
        const height = (list: Section[]): number => list.reduce((sum, s) => sum + s.spec.height + (s.more && open.value[s.spec.id] ? height(s.more.sections) : 0), 0);
        return Math.max(1, Math.min(growMost, (room.value - lanesHeight) / height(sections)));
      }),
    [],
  );

  useLayoutEffect(() => {
    const el = area.current;
    if (!el) return;
    const watch = new ResizeObserver(() => {
      model.width.value = el.clientWidth;
    });
    watch.observe(el);
    model.width.value = el.clientWidth;
    return () => watch.disconnect();
  }, []);

  useGestures(root, area, props, menu);

  const close = () => {
    menu.value = undefined;
    model.selection.value = undefined;
  };
  const chosen = menu.value;
  return (
    <div ref={root} class="tracks">
      <AxisLane model={model} />
      {props.instances !== false && <InstanceLane model={model} />}
      <AlarmLane model={model} />
      <EventLane model={model} leftOut={props.leftOut} select={props.select} />
      {shown.map(({ section, inner }) => (
        <Sized key={section.spec.id} model={model} section={section} factor={factor}>
          {!inner && section.more && (
            <button type="button" class="fold" aria-expanded={open.value[section.spec.id] === true} onClick={() => { open.value = { ...open.value, [section.spec.id]: !open.value[section.spec.id] }; }}>
              {open.value[section.spec.id] ? "less" : section.more.label}
            </button>
          )}
        </Sized>
      ))}
      <div ref={area} class="area">
        <Overlay model={model} />
      </div>
      {chosen && (
        <div class="pop" role="group" aria-label="Selected time" style={{ left: `min(calc(var(--gutter) + ${model.position(chosen.to).toFixed(0)}px), calc(100% - 8px))` }} onKeyDown={(e) => { if (e.key === "Escape") { e.preventDefault(); close(); } }}>
          <button type="button" class="btn p" ref={(b) => b?.focus({ preventScroll: true })} onClick={() => { props.zoom(chosen.from, chosen.to); close(); }}>Zoom</button>
          {props.changesHref && <a class="btn q" href={props.changesHref(chosen.from, chosen.to)} title="Against the time before">What changed here?</a>}
          {props.everythingHref && <a class="btn q" href={props.everythingHref(chosen.from, chosen.to)} title="Lines of everything in this time">Everything</a>}
          <button type="button" class="btn q" onClick={() => { props.copyLink(chosen.from, chosen.to); close(); }}>Copy link</button>
          <button type="button" class="btn q" onClick={close}>Cancel</button>
        </div>
      )}
    </div>
  );
}

function Sized({ model, section, factor, children }: { model: Model; section: Section; factor: ReadonlySignal<number>; children: ComponentChildren }) {
  const height = useMemo(() => computed(() => Math.round(section.spec.height * factor.value)), [section.spec, factor]);
  return (
    <Track model={model} spec={section.spec} height={height} missing={section.missing}>
      {children}
    </Track>
  );
}

type MenuSignal = { value: { from: number; to: number } | undefined };

/** Pointer, wheel and touch on the plots. Handlers read the props of the last render. */
function useGestures(root: { current: HTMLElement | null }, area: { current: HTMLElement | null }, props: Props, menu: MenuSignal): void {
  const latest = useRef(props);
  latest.current = props;

  useEffect(() => {
    const el = root.current!;
    const stop = new AbortController();
    const { signal } = stop;
    const { model } = props;
    const xOf = (e: { clientX: number }) => e.clientX - area.current!.getBoundingClientRect().left;
    const onPlot = (e: Event) => (e.target as Element).closest(".plot, .area") !== null && (e.target as Element).closest("button") === null;

    let frame = 0;
    let wanted: number | undefined;
    // However often the pointer reports, the cursor is written once per frame.
    const hover = (t: number | undefined) => {
      wanted = t;
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        model.hover.value = wanted;
      });
    };

    let drag: { id: number; x: number; t: number; zoom: boolean; moved: boolean } | undefined;
    const fingers = new Map<number, number>();
    let pinch: { span: number; middle: number } | undefined;
    let press = 0;
    let touching = false;

    const on = <K extends keyof HTMLElementEventMap>(name: K, run: (e: HTMLElementEventMap[K]) => void, options: AddEventListenerOptions = {}) => el.addEventListener(name, run, { ...options, signal });

    on("pointerdown", (e) => {
      if (!onPlot(e) || e.button !== 0) return;
      if (e.pointerType === "touch") {
        fingers.set(e.pointerId, xOf(e));
        clearTimeout(press);
        if (fingers.size === 1) {
          const t = model.timeAt(xOf(e));
          press = window.setTimeout(() => {
            touching = true;
            hover(t);
          }, longPress);
        } else if (fingers.size === 2) {
          const [a, b] = [...fingers.values()] as [number, number];
          pinch = { span: Math.abs(a - b), middle: model.timeAt((a + b) / 2) };
        }
        return;
      }
      menu.value = undefined;
      model.selection.value = undefined;
      drag = { id: e.pointerId, x: xOf(e), t: model.timeAt(xOf(e)), zoom: e.shiftKey, moved: false };
    });
    on("pointermove", (e) => {
      const x = xOf(e);
      if (e.pointerType === "touch") {
        if (fingers.has(e.pointerId)) fingers.set(e.pointerId, x);
        if (touching) hover(model.timeAt(x));
        return;
      }
      if (drag) {
        if (!drag.moved && Math.abs(x - drag.x) >= dragLeast) {
          drag.moved = true;
          el.setPointerCapture(drag.id);
        }
        if (drag.moved) model.selection.value = { from: drag.t, to: model.timeAt(x) };
      }
      hover(drag?.moved || onPlot(e) || (e.target as Element).closest(".mk") ? model.timeAt(x) : undefined);
    });
    on("pointerup", (e) => {
      if (e.pointerType === "touch") {
        if (pinch && fingers.size === 2) {
          const [a, b] = [...fingers.values()] as [number, number];
          const span = Math.max(20, Math.abs(a - b));
          if (Math.abs(span - pinch.span) > 20) latest.current.zoomAround(pinch.middle, pinch.span / span);
        }
        lift(e);
        return;
      }
      if (!drag) return;
      const done = drag;
      drag = undefined;
      const t = model.timeAt(xOf(e));
      if (!done.moved) {
        latest.current.pin(done.t);
        return;
      }
      const range = { from: Math.min(done.t, t), to: Math.max(done.t, t) };
      if (done.zoom) {
        model.selection.value = undefined;
        latest.current.zoom(range.from, range.to);
      } else {
        model.selection.value = range;
        menu.value = range;
      }
    });
    const lift = (e: PointerEvent) => {
      clearTimeout(press);
      fingers.delete(e.pointerId);
      if (fingers.size < 2) pinch = undefined;
      if (fingers.size === 0) touching = false;
    };
    on("pointercancel", (e) => {
      lift(e);
      drag = undefined;
      model.selection.value = undefined;
    });
    on("pointerleave", (e) => {
      if (e.pointerType !== "touch") hover(undefined);
    });
    on("dblclick", (e) => {
      if (onPlot(e)) latest.current.back();
    });
    on("contextmenu", (e) => {
      // A long press shows the cursor; the browser's menu would cover it.
      if (touching) e.preventDefault();
    });
    on("touchmove", (e) => {
      if (touching || e.touches.length > 1) e.preventDefault();
    }, { passive: false });
    on("wheel", (e) => {
      if (!e.ctrlKey || !onPlot(e)) return;
      e.preventDefault();
      latest.current.zoomAround(model.timeAt(xOf(e)), e.deltaY > 0 ? 1.25 : 0.8);
    }, { passive: false });

    return () => {
      stop.abort();
      cancelAnimationFrame(frame);
      clearTimeout(press);
    };
  }, []);
}
