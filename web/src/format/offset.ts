// SPDX-License-Identifier: Apache-2.0

/** Where each row starts, and the end of the last. */
export function offsets<Row>(rows: readonly Row[], height: (r: Row) => number): Float64Array {
  const out = new Float64Array(rows.length + 1);
  for (let i = 0; i < rows.length; i++) out[i + 1] = out[i]! + height(rows[i]!);
  return out;
}

/** The row that holds an offset, or the last. */
export function rowAt(tops: Float64Array, y: number): number {
  let [low, high] = [0, Math.max(0, tops.length - 2)];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (tops[middle]! <= y) low = middle;
    else high = middle - 1;
  }
  return low;
}
