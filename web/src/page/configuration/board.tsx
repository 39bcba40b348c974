// SPDX-License-Identifier: Apache-2.0

import type { Configuration } from "../../api/schema";
import { counted } from "../../format/number";
import { show } from "../../format/text";
import { board, type Holder, rightWords, toggledRight, understand } from "./rights";

const most = 3;

/** Who may too much: the rights of all containers that are there, each of them a filter. */
export function Board({ list, text, find }: { list: readonly Configuration[]; text: string; find(text: string): void }) {
  const { present, known, rows } = board(list);
  const said = understand(text);
  const hosts = new Set(list.map((c) => c.host)).size;
  return (
    <section class="rk" aria-labelledby="rights">
      <h2 id="rights">Rights at a glance</h2>
      <p class="dim">
        {counted(known, "container")}{hosts > 1 ? `, ${hosts} hosts` : ""}{present > known ? `; of ${present - known} more it is not known yet` : ""}
      </p>
      <ul>
        {rows.map(({ id, holders }) => {
          const { label, hint, grave } = rightWords.find((r) => r.id === id)!;
          const on = said.settings.some((r) => r.name === id && r.value === "yes");
          return (
            <li key={id} class={holders.length === 0 ? "z" : grave ? "grave" : undefined}>
              <button type="button" aria-pressed={on} disabled={holders.length === 0 && !on} onClick={() => find(toggledRight(text, id))} title={`Filter by set:${id}=yes`}>
                <b>{holders.length}</b>
                <span>{label}</span>
                {holders.length > 0 && <small>{who(holders)}{hint ? `; ${hint}` : ""}</small>}
              </button>
            </li>
          );
        })}
      </ul>
    </section>
  );
}

/** The first of them by name, with which of it. */
function who(holders: readonly Holder[]): string {
  const some = holders.slice(0, most).map((h) => show(h.c.workload.split("/").join(" / ")) + (h.detail ? `: ${show(h.detail)}` : ""));
  return some.join(", ") + (holders.length > most ? ` and ${holders.length - most} more` : "");
}
