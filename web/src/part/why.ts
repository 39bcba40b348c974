// SPDX-License-Identifier: Apache-2.0

import type { Why } from "../api/schema";
import { cores, plain, size } from "../format/number";
import { iso, span } from "../format/time";

type Figure = Why["before"][number];

/** A figure in words: the last value, the peak, and the limit where there is one. */
export function figureWords(f: Figure): string {
  const say = f.unit === "bytes" ? size : f.unit === "cores" ? cores : plain;
  const limit = f.limit === undefined || f.limit <= 0 ? "" : `, limit ${say(f.limit)}`;
  return `${say(f.last)}, at most ${say(f.max)}${limit}`;
}

/** How it ended, in words. */
export function exitLine(y: Why): string {
  const ran = y.exit.ranFor ? `, after ${span(y.exit.ranFor * 1000)}` : "";
  const again = y.exit.restarts ? `, restarted ${y.exit.restarts} ${y.exit.restarts === 1 ? "time" : "times"}` : "";
  return `${y.exit.words}${ran}${again}`;
}

/** Which process the kernel killed, and what it had. */
export function killedWords(k: NonNullable<Why["killed"]>[number]): string {
  return `${k.task}, process ${k.pid}${k.anonymous ? `, which had ${size(k.anonymous)}` : ""}`;
}

/** What happened to another workload, and how often. */
export function siblingWords(s: Why["siblings"][number]): string {
  return (s.times ?? 1) > 1 ? `${s.text}, ${s.times} times` : s.text;
}

/** The report as Markdown, to be pasted into a ticket. */
export function whyReport(y: Why): string {
  const out = [`## Why ${y.name || y.container} died`, "", y.guess, "", `- ${exitLine(y)}`, `- at ${iso(y.at)} on ${y.host}, workload ${y.workload}, image ${y.image}`];
  for (const k of y.killed ?? []) out.push(`- ${iso(k.time)} the kernel killed ${killedWords(k)}`);
  if (y.change) out.push(`- ${iso(y.change.time)} ${y.change.text}`);
  for (const f of y.before) out.push(`- ${f.name}, 5 min before: ${figureWords(f)}`);
  for (const s of y.siblings) out.push(`- ${iso(s.time)} ${s.workload}: ${siblingWords(s)}`);
  for (const n of y.notKnown) out.push(`- not known: ${n}`);
  if (y.lines.length > 0) out.push("", "```", ...y.lines.map((l) => `${iso(l.time)} ${l.text.replaceAll("```", "'''")}`), "```");
  return out.join("\n") + "\n";
}
