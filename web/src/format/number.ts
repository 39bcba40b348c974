// SPDX-License-Identifier: Apache-2.0

/** A number for reading and the unit that stands beside it. */
export interface Quantity {
  n: string;
  unit: string;
}

const steps = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** Three significant digits at most, without an exponent: 0.61, 12.4, 301. */
export function digits(v: number): string {
  const size = Math.abs(v);
  if (size >= 99.95) return v.toFixed(0);
  if (size >= 9.995) return v.toFixed(1);
  return v.toFixed(2);
}

/** As digits, without zeros at the end: limits read 4, 1.5, 512. */
export function plain(v: number): string {
  return String(Number(digits(v)));
}

// The step where v has at most three digits before the point.
function step(v: number): [number, string] {
  let i = 0;
  let size = Math.abs(v);
  while (size >= 999.5 && i < steps.length - 1) {
    size /= 1024;
    i++;
  }
  return [v / 1024 ** i, steps[i]!];
}

/** A size in binary units: 301 MiB, 1.90 GiB. */
export function bytes(v: number): Quantity {
  const [n, unit] = step(v);
  return { n: unit === "B" ? n.toFixed(0) : digits(n), unit };
}

/** A rate in bytes per second. */
export function rate(v: number): Quantity {
  const q = bytes(v);
  return { n: q.n, unit: q.unit + "/s" };
}

/** A size as a limit or a tick: 512 MiB, 1.5 GiB. */
export function size(v: number): string {
  const [n, unit] = step(v);
  return plain(n) + " " + unit;
}

/** A size in the unit that of has, as in "7.0 of 64 GiB". */
export function bytesLike(v: number, of: number): string {
  const [n] = step(of);
  return digits(n === 0 ? 0 : (v / of) * n);
}

/** Cores used: 0.61; of little three digits: 0.004. */
export function cores(v: number): string {
  if (v > 0 && v < 0.0005) return "<0.001";
  return v > 0 && v < 0.00995 ? v.toFixed(3) : digits(v);
}

/** A share 0..1 in per cent: 93 %. */
export function percent(share: number): string {
  const p = share * 100;
  return (p > 0 && p < 9.95 ? p.toFixed(1) : p.toFixed(0)) + " %";
}

/** A count with thin groups: 1,204. */
export function count(v: number): string {
  return Math.round(v).toLocaleString("en");
}

/** "1 host", "2 hosts". */
export function counted(n: number, one: string, many = one + "s"): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** What the fullest file system of a host has room for: as df counts, what is kept back for root is none. */
export function diskRoom(h: { diskUsed?: number; diskSize?: number; diskAvail?: number }): number | undefined {
  return h.diskUsed !== undefined && h.diskAvail !== undefined ? h.diskUsed + h.diskAvail : h.diskSize;
}

/** How near a value is to its limit; colours of bars follow from it. */
export function strain(v: number, limit: number | undefined): "" | "warn" | "crit" {
  if (!limit) return "";
  const share = v / limit;
  return share > 0.9 ? "crit" : share > 0.8 ? "warn" : "";
}
