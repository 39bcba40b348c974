// SPDX-License-Identifier: Apache-2.0

import type { Configuration } from "../../api/schema";

type Right = NonNullable<Configuration["rights"]>[number];
export type RightID = Right["id"];

/** The rights in the order of the board, in words; grave are those through which one gets at the host. */
export const rightWords: readonly { id: RightID; label: string; hint?: string; grave?: boolean }[] = [
  { id: "privileged", label: "Privileged", hint: "it may do everything on the host", grave: true },
  { id: "socket", label: "Engine's socket mounted", hint: "read-only does not limit it", grave: true },
  { id: "hostpid", label: "Host's processes", grave: true },
  { id: "hostnetwork", label: "Host's network" },
  { id: "capabilities", label: "Capabilities added", grave: true },
  { id: "root", label: "Runs as root" },
  { id: "writable", label: "Writable root file system" },
  { id: "nolimit", label: "No memory limit" },
  { id: "latest", label: "Image by latest or no tag" },
  { id: "public", label: "Ports on every address" },
];

/** A setting that is looked for: set:name=value. */
export interface SetFilter {
  name: string;
  value: string;
}

/** What the filter says: words, settings, rights among them, of which the server tells who has them, and what cannot be understood. */
export interface Said {
  words: string[];
  settings: SetFilter[];
  wrong: string[];
}

/** Takes the text of the filter apart; a value with spaces stands in quotes. */
export function understand(text: string): Said {
  const said: Said = { words: [], settings: [], wrong: [] };
  for (const [token] of text.matchAll(/set:[^\s="]*="[^"]*"?|\S+/g)) {
    if (!token.startsWith("set:")) {
      said.words.push(token.toLowerCase());
      continue;
    }
    const at = token.indexOf("=");
    const name = at < 0 ? "" : token.slice(4, at);
    const value = at < 0 ? "" : token.slice(at + 1).replace(/^"|"$/g, "");
    if (!name || !value) said.wrong.push(token);
    else said.settings.push({ name, value });
  }
  return said;
}

/** The text of the filter with one right more, or without it. */
export function toggledRight(text: string, id: RightID): string {
  const token = `set:${id}=yes`;
  const rest = text.split(/\s+/).filter((t) => t !== "" && t !== token);
  return text.split(/\s+/).includes(token) ? rest.join(" ") : [...rest, token].join(" ");
}

/** Who has a right, and which of it. */
export interface Holder {
  c: Configuration;
  detail?: string;
}

/** Of each right who has it, among the containers that are there; known is of how many that is known. */
export function board(all: readonly Configuration[]): { present: number; known: number; rows: { id: RightID; holders: Holder[] }[] } {
  const present = all.filter((c) => c.state !== "gone");
  const known = present.filter((c) => c.rights);
  const rows = rightWords.map(({ id }) => ({
    id,
    holders: known.flatMap((c) => {
      const right = c.rights!.find((r) => r.id === id);
      return right ? [{ c, detail: right.detail }] : [];
    }),
  }));
  return { present: present.length, known: known.length, rows };
}
