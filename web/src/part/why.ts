// SPDX-License-Identifier: Apache-2.0

import type { Step, Why } from "../api/schema";
import { cores, plain, size } from "../format/number";
import { show } from "../format/text";
import { iso, span } from "../format/time";

type Figure = Why["before"][number];

/** A figure in words: the last value, the peak, and the limit where there is one. */
export function figureWords(f: Figure): { last: string; most: string; limit: string } {
  const say = f.unit === "bytes" ? size : f.unit === "cores" ? cores : plain;
  return { last: say(f.last), most: say(f.max), limit: f.limit === undefined || f.limit <= 0 ? "no limit" : say(f.limit) };
}

/** How it ended, in words. */
export function exitLine(y: Why): string {
  const ran = y.exit.ranFor ? `, after ${span(y.exit.ranFor * 1000)}` : "";
  const again = y.exit.restarts ? `, restarted ${y.exit.restarts} ${y.exit.restarts === 1 ? "time" : "times"}` : "";
  return `${y.exit.words}${ran}${again}`;
}

/** What an exit code says of the end, as a sentence; empty for one that says nothing. */
export function meaningLine(y: Why): string {
  return y.exit.meaning && y.exit.code != null ? `Exit ${y.exit.code} means ${y.exit.meaning}.` : "";
}

/** What happened to another workload, and how often. */
export function siblingWords(s: Why["siblings"][number]): string {
  return (s.times ?? 1) > 1 ? `${s.text}, ${s.times} times` : s.text;
}

/** What happened to others and is no step of the chain. */
export function besides(y: Why): Why["siblings"] {
  return y.siblings.filter((s) => !y.chain.some((c) => c.kind === "siblings" && c.time === s.time && c.title.startsWith(s.workload)));
}

/** The changed settings of a step, a line each. */
export function changeLines(s: Pick<Step, "changes" | "left">): string[] {
  const lines = (s.changes ?? []).map((c) => `${c.setting}: ${c.before} → ${c.after}`);
  if (s.left) lines.push(`and ${s.left} more`);
  return lines;
}

// Texts of strangers in Markdown: nothing in them is a mark of it, a link, or the end of a line.
const inMarkdown = (text: string) => show(text.replace(/\s+/g, " ")).replace(/[\\`*_[\]<>#|~&]|:(?=\/\/)|(?<=www)\./gi, "\\$&");

/** A fence that no line within it ends. */
function fenced(lines: readonly string[]): string[] {
  const longest = Math.max(2, ...lines.flatMap((l) => [...l.matchAll(/`+/g)].map(([run]) => run.length)));
  const fence = "`".repeat(longest + 1);
  return [fence, ...lines, fence];
}

/** The report as Markdown, to be pasted into a ticket. */
export function whyReport(y: Why): string {
  const md = inMarkdown;
  const out = [`## Why ${md(y.name || y.container)} died`, "", `**${md(y.guess)}**`, "", `- ${md(exitLine(y))}`];
  if (meaningLine(y)) out.push(`- ${md(meaningLine(y))}`);
  out.push(`- at ${iso(y.at)} on ${md(y.host)}, workload ${md(y.workload)}, image ${md(y.image)}, container ${md(y.container.slice(0, 12))}`);
  if (y.chain.length > 0) {
    out.push("", "### How it came to this", "");
    y.chain.forEach((s, i) => {
      out.push(`${i + 1}. ${s.from ? `${iso(s.from)} to ` : ""}${iso(s.time)} **${md(s.title)}**${s.text ? `: ${md(s.text)}` : ""}`);
      for (const c of changeLines(s)) out.push(`   - ${md(c)}`);
    });
  }
  if (y.before.length > 0) {
    out.push("", "| 5 min before | last | most | limit |", "|---|---:|---:|---:|");
    for (const f of y.before) {
      const w = figureWords(f);
      out.push(`| ${md(f.name)} | ${w.last} | ${w.most} | ${w.limit} |`);
    }
  }
  const others = besides(y);
  if (others.length > 0) out.push("", "### Others at that time", "", ...others.map((s) => `- ${iso(s.time)} ${md(s.workload)}: ${md(siblingWords(s))}`));
  if (y.notKnown.length > 0) out.push("", "### Not known", "", ...y.notKnown.map((n) => `- ${md(n)}`));
  if (y.lines.length > 0) out.push("", "### Its last lines", "", ...fenced(y.lines.map((l) => `${iso(l.time)} ${show(l.text)}`)));
  return out.join("\n") + "\n";
}
