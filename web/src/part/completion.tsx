// SPDX-License-Identifier: Apache-2.0

import { useSignal } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { lokiFields, lokiLabels, lokiValues, promLabels, promNames, promValues } from "../api/suggest";
import { durations, fitting, type Language, logFunctions, type Place, placeAt, promFunctions, stages, type Suggestion, written } from "../format/completing";
import { isLabel } from "../format/logql";
import { quote } from "../format/selector";
import { show } from "../format/text";
import "./completion.css";

type Field = HTMLInputElement | HTMLTextAreaElement;

const plain = (names: readonly string[]): Suggestion[] => names.map((n) => ({ text: n, insert: n }));
const pairs = (names: readonly string[]): Suggestion[] => names.filter(isLabel).map((n) => ({ text: n, insert: `${n}=` }));
const values = (all: readonly string[]): Suggestion[] => all.map((v) => ({ text: v, insert: quote(v) }));

/** All that may stand at a place. */
async function offered(p: Place, query: string, language: Language): Promise<readonly Suggestion[]> {
  const prom = language === "promql";
  const of = prom && isLabel(p.of.replaceAll(":", "_")) ? p.of : "";
  switch (p.kind) {
    case "name":
      return prom ? [...plain(await promNames()), ...promFunctions] : logFunctions;
    case "label": {
      const names = (prom ? await promLabels(of) : await lokiLabels()).filter((n) => n !== "__name__");
      return query.slice(0, p.from).trimEnd().match(/[{,]$/) && query.lastIndexOf("{", p.from - 1) > query.lastIndexOf("}", p.from - 1) ? pairs(names) : plain(names);
    }
    case "value":
      return values(prom ? await promValues(p.label!, of) : await lokiValues(p.label!));
    case "stage":
      return [...stages, ...plain(await lokiFields(p.of).catch(() => [])).map((s) => ({ ...s, note: "field" }))];
    case "duration":
      return durations;
    default:
      return [];
  }
}

/**
 * A list under a field of what may be written next. Down and up choose, Enter or Tab takes what is
 * chosen; without a choice they do what they do. put gets what the field holds then.
 */
export function Completion({ field, language, put }: { field: RefObject<Field | null>; language: Language; put(text: string): void }) {
  const open = useSignal<{ list: readonly Suggestion[]; place: Place; on: number } | undefined>(undefined);
  const list = useRef<HTMLUListElement>(null);
  const turn = useRef(0);
  const id = `complete-${language}`;

  const close = () => {
    turn.current++;
    open.value = undefined;
  };
  const look = (el: Field) => {
    const mine = ++turn.current;
    const caret = el.selectionStart ?? el.value.length;
    const place = placeAt(el.value, caret, language);
    offered(place, el.value, language).then(
      (all) => {
        if (turn.current !== mine) return;
        const fits = fitting(all, place.typed);
        open.value = fits.length > 0 && document.activeElement === el ? { list: fits, place, on: -1 } : undefined;
      },
      () => { if (turn.current === mine) open.value = undefined; }, // without it one writes
    );
  };
  const take = (s: Suggestion) => {
    const el = field.current!;
    const next = written(el.value, el.selectionStart ?? el.value.length, open.peek()!.place, s);
    put(next.text);
    el.value = next.text;
    el.setSelectionRange(next.caret, next.caret);
    el.focus();
    look(el);
  };
  const latest = useRef({ look, take });
  latest.current = { look, take };

  useEffect(() => {
    const el = field.current;
    if (!el) return;
    const stop = new AbortController();
    const on = <K extends keyof HTMLElementEventMap>(name: K, run: (e: HTMLElementEventMap[K]) => void, capture = false) => (el as HTMLElement).addEventListener(name, run, { signal: stop.signal, capture });
    on("input", () => latest.current.look(el));
    on("click", () => latest.current.look(el));
    on("blur", close);
    on("keydown", (e) => {
      const now = open.peek();
      if (e.key === " " && e.ctrlKey) latest.current.look(el);
      else if (!now) return;
      else if (e.key === "ArrowDown" || e.key === "ArrowUp") {
        const n = now.list.length;
        open.value = { ...now, on: now.on < 0 ? (e.key === "ArrowDown" ? 0 : n - 1) : (now.on + (e.key === "ArrowDown" ? 1 : n - 1)) % n };
      } else if ((e.key === "Enter" || e.key === "Tab") && now.on >= 0) latest.current.take(now.list[now.on]!);
      else if (e.key === "Escape") close();
      else {
        if (e.key === "Enter") close();
        return;
      }
      e.preventDefault();
      e.stopPropagation();
    }, true);
    if (document.activeElement === el) latest.current.look(el);
    return () => stop.abort();
  }, [language]);
  const now = open.value;
  useEffect(() => {
    const el = field.current;
    if (!el) return;
    el.setAttribute("role", "combobox");
    el.setAttribute("aria-autocomplete", "list");
    el.setAttribute("aria-expanded", String(now !== undefined));
    el.setAttribute("aria-controls", id);
    if (now && now.on >= 0) el.setAttribute("aria-activedescendant", `${id}-${now.on}`);
    else el.removeAttribute("aria-activedescendant");
    list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
  });
  return (
    <ul ref={list} id={id} class="complete" role="listbox" aria-label="What may stand here" hidden={!now}>
      {now?.list.map((s, i) => (
        <li key={s.text} id={`${id}-${i}`} role="option" aria-selected={i === now.on} onPointerDown={(e) => { e.preventDefault(); take(s); }}>
          <span class="ell">{show(s.text)}</span>
          {s.note && <span class="dim">{s.note}</span>}
        </li>
      ))}
    </ul>
  );
}
