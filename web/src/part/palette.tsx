// SPDX-License-Identifier: Apache-2.0

import { signal } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { inWords, logout, servers } from "../api/client";
import type { Servers } from "../api/schema";
import { localName, show } from "../format/text";
import { stamp } from "../format/time";
import { Icon, type IconName } from "./icon";
import { openKeyMap } from "./keymap";
import { auth, pages } from "./pages";
import { containerHref, go, hostHref } from "./place";
import { switchTheme } from "./theme";

interface Hit {
  icon: IconName;
  label: string;
  note: string;
  /** What the words are looked for in, lower case. */
  text: string;
  run(): void;
}

const open = signal(false);

export function openPalette(): void {
  open.value = true;
}

const most = 60;

/** The places that the palette jumps to: pages, hosts, containers (gone ones last), actions. */
export function hits(known: Servers | undefined, now: number): Hit[] {
  const out: Hit[] = [];
  const add = (icon: IconName, label: string, note: string, run: () => void, more = "") => {
    out.push({ icon, label: show(label), note, text: `${label} ${note} ${more}`.toLowerCase(), run });
  };
  const containers = (known?.hosts ?? []).flatMap((h) => h.containers);
  const goneLast = [...containers.filter((c) => c.state !== "gone"), ...containers.filter((c) => c.state === "gone").sort((a, b) => (b.goneAt ?? 0) - (a.goneAt ?? 0))];
  for (const c of goneLast) {
    const name = c.project ? `${c.project} / ${localName(c.name, c.project)}` : c.name;
    const gone = c.state === "gone" ? `, gone${c.goneAt ? " since " + stamp(c.goneAt, now) : ""}` : "";
    add("container", name, `container · ${show(c.host)}${gone}`, () => go(containerHref(c)), `${c.name} ${c.image} ${c.id}`);
  }
  for (const h of known?.hosts ?? []) add("host", h.host, "host", () => go(hostHref(h.host)));
  for (const p of pages) add(p.icon, p.label, "page", () => go(p.href));
  add("theme", "Switch the theme", "action", switchTheme);
  add("keys", "Show the keys", "action", openKeyMap);
  if (auth.value) add("leave", "Log out", "action", () => void logout());
  return out;
}

/** The field that jumps to anything by name. */
export function Palette() {
  return open.value ? <Dialog /> : null;
}

function Dialog() {
  const ref = useRef<HTMLDialogElement>(null);
  const list = useRef<HTMLUListElement>(null);
  const [words, setWords] = useState("");
  const [at, setAt] = useState(0);
  const [known, setKnown] = useState<Servers>();
  const [problem, setProblem] = useState("");

  useEffect(() => {
    ref.current?.showModal();
    const stop = new AbortController();
    servers(stop.signal).then(setKnown, (err: unknown) => {
      if (!stop.signal.aborted) setProblem(inWords(err));
    });
    return () => stop.abort();
  }, []);

  const all = useMemo(() => hits(known, Date.now()), [known]);
  const found = useMemo(() => {
    const wanted = words.toLowerCase().split(/\s+/);
    return all.filter((h) => wanted.every((w) => h.text.includes(w)));
  }, [all, words]);
  const shown = found.slice(0, most);

  useEffect(() => {
    list.current?.children[at]?.scrollIntoView({ block: "nearest" });
  }, [at]);

  const close = () => {
    open.value = false;
  };
  const take = (hit: Hit | undefined) => {
    if (!hit) return;
    close();
    hit.run();
  };
  const press = (e: KeyboardEvent) => {
    if (e.key === "ArrowDown") setAt(Math.min(at + 1, shown.length - 1));
    else if (e.key === "ArrowUp") setAt(Math.max(at - 1, 0));
    else if (e.key === "Enter") take(shown[at]);
    else return;
    e.preventDefault();
  };

  return (
    <dialog ref={ref} class="pal" aria-label="Jump" onClose={close} onClick={(e) => { if (e.target === ref.current) ref.current?.close(); }}>
      <input
        role="combobox"
        aria-label="Jump to"
        aria-expanded="true"
        aria-controls="hits"
        aria-activedescendant={shown.length ? `hit-${at}` : undefined}
        placeholder="Container, host, page or action"
        spellcheck={false}
        autocomplete="off"
        value={words}
        onInput={(e) => { setWords(e.currentTarget.value); setAt(0); }}
        onKeyDown={press}
      />
      <ul id="hits" ref={list} role="listbox" aria-label="Places">
        {shown.map((h, i) => (
          <li key={h.label + h.note} id={`hit-${i}`} role="option" aria-selected={i === at} onClick={() => take(h)}>
            <Icon name={h.icon} />
            <span class="ell">{h.label}</span>
            <span class="dim nw">{h.note}</span>
          </li>
        ))}
      </ul>
      <p class="foot dim" role="status">
        {problem || (shown.length === 0 ? "Nothing is called that." : found.length > most ? `${found.length - most} more; another word narrows it.` : "")}
      </p>
    </dialog>
  );
}
