// SPDX-License-Identifier: Apache-2.0

/** How many letters have to be changed, put in or left out to make one text of another. */
export function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let k = 1; k <= b.length; k++) next.push(Math.min(row[k]! + 1, next[k - 1]! + 1, row[k - 1]! + Number(a[i - 1] !== b[k - 1])));
    row = next;
  }
  return row[b.length]!;
}

/** Those of some things whose names may have been meant, the nearest first. */
export function nearest<T>(meant: string, of: readonly T[], name: (x: T) => string, most = 3): T[] {
  const word = meant.toLowerCase().slice(0, 100);
  const far = (x: T) => {
    const n = name(x).toLowerCase().slice(0, 100);
    return word.length > 2 && (n.includes(word) || word.includes(n)) ? 0.5 : distance(word, n);
  };
  return of
    .map((x) => ({ x, far: far(x) }))
    .filter((c) => c.far <= Math.max(2, word.length / 3))
    .sort((a, b) => a.far - b.far || name(a.x).localeCompare(name(b.x)))
    .slice(0, most)
    .map((c) => c.x);
}
