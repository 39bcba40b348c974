// SPDX-License-Identifier: Apache-2.0

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { keyMap } from "./keys";
import { version } from "./pages";

const open = signal(false);

export function openKeyMap(): void {
  open.value = true;
}

/** The group of keys that every page has. */
export const everywhere = "Everywhere";

const names: Record<string, string> = { ArrowLeft: "←", ArrowRight: "→", Escape: "Esc", " ": "Space" };

/** The keys that work on this page. */
export function KeyMap() {
  const ref = useRef<HTMLDialogElement>(null);
  const shown = open.value;
  useEffect(() => {
    if (shown) ref.current?.showModal();
  }, [shown]);
  if (!shown) return null;
  return (
    <dialog ref={ref} class="pal keymap" aria-labelledby="keymap-title" onClose={() => { open.value = false; }} onClick={(e) => { if (e.target === ref.current) ref.current?.close(); }}>
      <header class="row">
        <h2 id="keymap-title" class="h grow">Keys</h2>
        <span class="dim">{version.value && `tallyman ${version.value}`}</span>
        <button type="button" class="btn q" onClick={() => ref.current?.close()}>Close</button>
      </header>
      <div class="columns">
        {[...keyMap()].sort((a, b) => Number(b.title === everywhere) - Number(a.title === everywhere)).map((group) => (
          <section key={group.title}>
            <h3>{group.title}</h3>
            <dl>
              {group.title === everywhere && <Line keys={["Ctrl K"]} label="Jump to a container, host or page" />}
              {group.keys.map((k) => <Line key={k.label} keys={k.keys} label={k.label} />)}
            </dl>
          </section>
        ))}
      </div>
    </dialog>
  );
}

function Line({ keys, label }: { keys: string[]; label: string }) {
  return (
    <div>
      <dt>
        {keys.filter((k) => !(k !== k.toUpperCase() && keys.includes(k.toUpperCase()))).map((k) => (
          <kbd key={k}>{names[k] ?? k}</kbd>
        ))}
      </dt>
      <dd>{label}</dd>
    </div>
  );
}
