// SPDX-License-Identifier: Apache-2.0

import { show } from "./text";

/** A stretch of a line in one style; the style is class names from a fixed list. */
export interface Piece {
  text: string;
  style: string;
}

// Colours and type (SGR), other control sequences (cursor, erase), operating system commands (titles, links), character sets.
const sequence = /\u001b\[([\d;:]*)m|\u001b\[[0-?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b[()][0-9A-B]/g;

const flags: Record<number, string> = { 1: "bold", 2: "faint", 3: "italic", 4: "under", 7: "inverse", 9: "strike" };
const ends: Record<number, string[]> = { 22: ["bold", "faint"], 23: ["italic"], 24: ["under"], 27: ["inverse"], 29: ["strike"] };

// The sixteen colours as terminals have them, for finding the nearest.
const sixteen: readonly [number, number, number][] = [
  [0, 0, 0], [205, 0, 0], [0, 205, 0], [205, 205, 0], [0, 0, 238], [205, 0, 205], [0, 205, 205], [229, 229, 229],
  [127, 127, 127], [255, 0, 0], [0, 255, 0], [255, 255, 0], [92, 92, 255], [255, 0, 255], [0, 255, 255], [255, 255, 255],
];

function nearest(r: number, g: number, b: number): number {
  let best = 0;
  let least = Infinity;
  sixteen.forEach(([x, y, z], i) => {
    const d = (r - x) ** 2 + (g - y) ** 2 + (b - z) ** 2;
    if (d < least) [best, least] = [i, d];
  });
  return best;
}

/** One of the 256 colours as one of the sixteen. */
function of256(n: number): number {
  if (n < 16) return n;
  if (n > 231) return nearest(8 + 10 * (n - 232), 8 + 10 * (n - 232), 8 + 10 * (n - 232));
  const level = (v: number) => (v === 0 ? 0 : 55 + 40 * v);
  const at = n - 16;
  return nearest(level(Math.floor(at / 36)), level(Math.floor(at / 6) % 6), level(at % 6));
}

class Style {
  private front = -1;
  private back = -1;
  private on = new Set<string>();

  /** Takes the numbers of one sequence. Hidden and blinking text is shown as any other. */
  take(codes: string): void {
    const n = codes === "" ? [0] : codes.split(/[;:]/).filter((c, i, all) => c !== "" || all.length === 1 || i === 0).map(Number);
    for (let i = 0; i < n.length; i++) {
      const c = n[i]!;
      if (c === 0) {
        this.front = this.back = -1;
        this.on.clear();
      } else if (flags[c]) this.on.add(flags[c]);
      else if (ends[c]) for (const f of ends[c]) this.on.delete(f);
      else if (c >= 30 && c <= 37) this.front = c - 30;
      else if (c >= 90 && c <= 97) this.front = c - 82;
      else if (c >= 40 && c <= 47) this.back = c - 40;
      else if (c >= 100 && c <= 107) this.back = c - 92;
      else if (c === 39) this.front = -1;
      else if (c === 49) this.back = -1;
      else if (c === 38 || c === 48) {
        let colour = -1;
        if (n[i + 1] === 5) {
          colour = of256(Math.min(255, n[i + 2] ?? 0));
          i += 2;
        } else if (n[i + 1] === 2) {
          colour = nearest(n[i + 2] ?? 0, n[i + 3] ?? 0, n[i + 4] ?? 0);
          i += 4;
        }
        if (c === 38) this.front = colour;
        else this.back = colour;
      }
    }
  }

  words(): string {
    // A background is a wash under text of the theme's colours, so that no text can be painted away.
    const out = [...this.on];
    if (this.front >= 0) out.push(`a${this.front % 8}`);
    if (this.back >= 0) out.push(`b${this.back % 8}`);
    return out.join(" ");
  }
}

/** Text of a line for the page: a tab is room, the end of a line from Windows is none, what cannot be seen is written out. */
export function visible(text: string): string {
  return show(text.replace(/\r$/, "").replaceAll("\t", "    "));
}

/** The same for text of several lines. */
export function visibleLines(text: string): string {
  return text.split("\n").map(visible).join("\n");
}

/** A line in pieces of one style each. Sequences that are no style are left out; a lone escape is written out. */
export function ansi(line: string): Piece[] {
  if (!line.includes("\u001b")) return line === "" ? [] : [{ text: visible(line), style: "" }];
  const out: Piece[] = [];
  const style = new Style();
  let words = "";
  let from = 0;
  const put = (to: number) => {
    const text = visible(line.slice(from, to));
    if (text === "") return;
    const last = out.at(-1);
    if (last && last.style === words) last.text += text;
    else out.push({ text, style: words });
  };
  for (const m of line.matchAll(sequence)) {
    put(m.index);
    from = m.index + m[0].length;
    if (m[1] !== undefined) {
      style.take(m[1]);
      words = style.words();
    }
  }
  put(line.length);
  return out;
}

/** A line without any sequence, as it is searched and parsed. */
export function bare(line: string): string {
  return line.includes("\u001b") ? line.replace(sequence, "") : line;
}
