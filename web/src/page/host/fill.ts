// SPDX-License-Identifier: Apache-2.0

import { hour, minute } from "../../format/time";

/** How a file system fills. */
export interface Filling {
  /** Bytes per hour that it loses. */
  perHour: number;
  /** In how many milliseconds it is full, if that goes on. */
  full: number;
}

const shortest = 10 * minute;
const fewest = 10;
const most = 120; // of the slopes between two points the number is the square of this
const leastBytes = 16 << 20;
const leastShare = 0.0005;
// What was seen for an hour tells of two days, and no more.
const farthest = 48;

/**
 * What the free bytes of a file system at some times say of the future; undefined where
 * they say nothing: too few of them, a loss that is lost in the ups and downs or too small
 * to matter, one that has come to an end, or an end that is too far away.
 */
export function filling(t: readonly number[], free: readonly (number | null)[], size: number): Filling | undefined {
  let points = t.flatMap((at, i) => (typeof free[i] === "number" ? [{ at, free: free[i] }] : []));
  if (points.length > most) points = Array.from({ length: most }, (_, i) => points[Math.round((i * (points.length - 1)) / (most - 1))]!);
  const length = points.length < fewest ? 0 : points.at(-1)!.at - points[0]!.at;
  if (length < shortest) return undefined;
  const slope = steepness(points);
  const lost = -slope * length;
  if (lost < Math.max(leastBytes, leastShare * size)) return undefined;
  // The ups and downs around the line. What is written and removed again is no trend.
  const middle = median(points.map((p) => p.free - slope * p.at));
  const scatter = median(points.map((p) => Math.abs(p.free - slope * p.at - middle)));
  if (lost < 4 * scatter) return undefined;
  // One that was filled and is so no more has no end.
  const last = points.slice(-Math.max(5, Math.ceil(points.length / 3)));
  if (steepness(last) > 0.3 * slope) return undefined;
  const full = points.at(-1)!.free / -slope;
  return full > farthest * length ? undefined : { perHour: -slope * hour, full };
}

// The median of the slopes between all pairs: a jump, such as an image that was pulled,
// does not tip it as it would a least square.
function steepness(points: readonly { at: number; free: number }[]): number {
  const slopes: number[] = [];
  for (let i = 0; i < points.length; i++) {
    for (let k = i + 1; k < points.length; k++) slopes.push((points[k]!.free - points[i]!.free) / (points[k]!.at - points[i]!.at));
  }
  return median(slopes);
}

function median(values: number[]): number {
  const sorted = Float64Array.from(values).sort();
  const n = sorted.length;
  return n === 0 ? 0 : n % 2 ? sorted[(n - 1) / 2]! : (sorted[n / 2 - 1]! + sorted[n / 2]!) / 2;
}
