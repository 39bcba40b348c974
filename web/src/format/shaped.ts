// SPDX-License-Identifier: Apache-2.0

import { bare } from "./ansi";
import { Exact, json, logfmt, onlyPairs } from "./logline";

/** A line of JSON or logfmt as it is read: what it says first, then the rest. */
export interface ShapedLine {
  message: string;
  fields: [string, string][];
}

// Longer lines are shown as they are.
const most = 16_384;
const messages = ["msg", "message", "@message", "log", "text"];
// What stands before each line anyhow comes last.
const beside = new Set(["ts", "time", "timestamp", "@timestamp", "t", "level", "lvl", "severity", "@level"]);

/** The fields of a line in JSON or logfmt, those of an object only at its top. */
export function fieldsOf(line: string): [string, string][] | undefined {
  if (line.length > most) return undefined;
  const value = json(line);
  if (value) {
    if (Array.isArray(value)) return undefined;
    return Object.entries(value).map(([k, v]) => [k, typeof v === "string" ? v : v instanceof Exact ? v.text : JSON.stringify(v)]);
  }
  return line.includes("\n") ? undefined : logfmt(line);
}

/** A line with its message first; undefined for one that has none, or says more than its fields do. */
export function shapedOf(line: string): ShapedLine | undefined {
  if (line.length > most || !(/^\s*(?:\u001b\[[\d;]*m)?\{/.test(line) || (line.includes("=") && onlyPairs(bare(line))))) return undefined;
  const all = fieldsOf(line);
  const name = messages.find((m) => all?.some(([k, v]) => k === m && v !== ""));
  if (!all || !name) return undefined;
  const rest = all.filter(([k]) => k !== name);
  return { message: all.find(([k]) => k === name)![1], fields: [...rest.filter(([k]) => !beside.has(k)), ...rest.filter(([k]) => beside.has(k))] };
}

/** What a line of progress says at last: each \r began it anew. */
export function lastState(line: string): string {
  if (!line.includes("\r")) return line;
  const states = line.replace(/\r+$/, "").split("\r");
  return states.findLast((s) => bare(s).trim() !== "") ?? "";
}
