// SPDX-License-Identifier: Apache-2.0

const most = 3;
// Fields whose value names a request, whatever it looks like.
const field = /(?:request|req|trace|correlation|transaction|session|order|job|task)[-_. ]?(?:id|nr|no)["']?\s*[=:]\s*["']?([\w.:/+-]{4,100})/gi;
// UUIDs, hexadecimal numbers of 16 to 64 digits, ULIDs.
const shaped = /\b(?:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{16,64}|[0-7][0-9A-HJKMNP-TV-Z]{25})\b/gi;

/** What in a line looks like the id of a request, by which its other lines are found; fields that say so come first. */
export function idsOf(line: string): string[] {
  const text = line.slice(0, 8192);
  const found = new Set<string>();
  for (const m of text.matchAll(field)) found.add(m[1]!.replace(/[.:/]+$/, ""));
  for (const m of text.matchAll(shaped)) if (![...found].some((id) => id.includes(m[0]))) found.add(m[0]);
  return [...found].slice(0, most);
}
