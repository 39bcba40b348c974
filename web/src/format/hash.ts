// SPDX-License-Identifier: Apache-2.0

/** A number of 32 bits that a text has, and hardly another (FNV-1a). It guards nothing. */
export function hash(text: string): number {
  let h = 0x811c9dc5;
  for (const c of text) h = Math.imul(h ^ c.codePointAt(0)!, 0x01000193);
  return (h ^ (h >>> 15)) >>> 0;
}
