// SPDX-License-Identifier: Apache-2.0

import type { Feature, Report } from "../../api/schema";
import { show } from "../../format/text";
import { iso, span } from "../../format/time";
import { adviceOf, callLines, costLines, daemonLines, diskLine, dropWords, grouped, kept, lacking, type Line, says, stateOf, states, storeSize, verdict } from "./findings";

// What a host says of itself must not become markup in the report.
const plain = (text: string) => show(text).replace(/[\\`*_[\]<>|#]/g, "\\$&");
const code = (text: string) => {
  const clean = show(text);
  return clean.includes("`") ? `\`\` ${clean} \`\`` : `\`${clean}\``;
};

function line(f: Feature): string {
  const said = says(f);
  const state = stateOf(f.state);
  return `- **${plain(f.name)}**${state === "works" ? "" : `, ${states[state].word}`}${said ? `: ${plain(said)}` : ""}${f.unlock ? `  \n  ${adviceOf(f.unlock).map((a) => (a.code ? code(a.text) : plain(a.text))).join(" ")}` : ""}`;
}

/** What the Doctor page says, as Markdown for a ticket. */
export function report(d: Report): string {
  const out: string[] = [
    "# tallyman doctor",
    `tallyman ${plain(d.version)} on ${plain(d.host)}, ${d.where === "container" ? "in a container" : "not in a container"}, ${iso(d.time)}`,
    plain(verdict(d.features).text),
  ];
  const section = (title: string, lines: string[]) => {
    if (lines.length > 0) out.push(`## ${title}`, lines.join("\n"));
  };
  const values = (lines: Line[]) => lines.map((l) => `- ${plain(l.name)}: ${plain(l.value ?? "not known")}`);
  for (const [title, list] of [["Does not work", d.features.filter(lacking)], ["Works", d.features.filter((f) => !lacking(f))]] as const) {
    section(title, grouped(list).flatMap((g) => [`\n### ${plain(g.name)}\n`, ...g.features.map(line)]));
  }
  section("Cost of tallyman", values(costLines(d.cost)));
  section("Cost of the engine", values(daemonLines(d.cost)));
  section("Calls to the engine", values(callLines(d.cost)));
  section("Stores", d.stores.map((s) => `- ${plain(s.name)}, ${states[stateOf(s.state)].word}: ${plain(storeSize(s).value)}, ${plain(kept(s, (t) => `${span(d.time - t)} ago`))}${s.reason ? `. ${plain(s.reason)}` : ""}`));
  if (d.disk) section("Disk", [`- ${plain(d.disk.path)}: ${plain(diskLine(d.disk).value)}. ${plain(diskLine(d.disk).reserve)}`.trimEnd()]);
  section("Dropped", d.dropped.length ? d.dropped.map((x) => `- ${plain(dropWords(x))}${x.next ? ` ${plain(x.next)}` : ""}`) : ["Nothing was dropped."]);
  return out.join("\n\n").replace(/\n{3,}/g, "\n\n") + "\n";
}
