// SPDX-License-Identifier: Apache-2.0

import type { ChangesAnswer } from "../../api/schema";
import { bytes, cores, digits, percent, type Quantity, rate } from "../../format/number";

export type Moved = ChangesAnswer["moved"][number];

interface Measure {
  label: string;
  say(v: number): Quantity;
}

const pressure = (v: number): Quantity => ({ n: percent(v).replace(" %", ""), unit: "%" });
const each = (unit: string) => (v: number): Quantity => ({ n: digits(v), unit });

/** What moved, in the words of the charts. */
const measures: Record<Moved["measure"], Measure> = {
  cpu: { label: "CPU", say: (v) => ({ n: cores(v), unit: "cores" }) },
  throttled: { label: "CPU throttled", say: pressure },
  memory: { label: "Memory", say: bytes },
  cache: { label: "Page cache", say: bytes },
  swap: { label: "Swap", say: bytes },
  threads: { label: "Threads", say: each("") },
  rx: { label: "Network received", say: rate },
  tx: { label: "Network sent", say: rate },
  netErrors: { label: "Network errors and drops", say: each("/s") },
  blkRead: { label: "Block IO read", say: rate },
  blkWrite: { label: "Block IO written", say: rate },
  tcp: { label: "TCP", say: each("") },
  cpuPressure: { label: "Waiting for CPU", say: pressure },
  memoryPressure: { label: "Waiting for memory", say: pressure },
  ioPressure: { label: "Waiting for IO", say: pressure },
  hostCpu: { label: "CPU of the host", say: (v) => ({ n: cores(v), unit: "cores" }) },
  hostAvailable: { label: "Memory available", say: bytes },
  hostSpace: { label: "Space left on", say: bytes },
  hostRx: { label: "Network received by", say: rate },
  hostTx: { label: "Network sent by", say: rate },
  hostRead: { label: "Disk read from", say: rate },
  hostWritten: { label: "Disk written to", say: rate },
  hostCpuPressure: { label: "Waiting for CPU, whole host", say: pressure },
  hostMemoryPressure: { label: "Waiting for memory, whole host", say: pressure },
  hostIoPressure: { label: "Waiting for IO, whole host", say: pressure },
};

/** What a number is called, with which of several it is. */
export function labelOf(m: Pick<Moved, "measure" | "part">): string {
  return [measures[m.measure].label, m.part].filter(Boolean).join(" ");
}

/** A value of a measure. */
export function valueOf(m: Pick<Moved, "measure">, v: number): Quantity {
  return measures[m.measure].say(v);
}

/** How far something moved, in short: "× 20", "+ 38 %", "− 66 %"; what did not run before is new, what no longer ran is gone. */
export function moveWords(before: number | null, after: number | null): string {
  if (before === null) return "new";
  if (after === null) return "gone";
  const by = before > 0 ? after / before : Infinity;
  if (by >= 1000) return "from 0";
  if (after === 0) return "to 0";
  if (by >= 2) return `× ${by >= 9.95 ? by.toFixed(0) : by.toFixed(1)}`;
  return by >= 1 ? `+ ${((by - 1) * 100).toFixed(0)} %` : `− ${((1 - by) * 100).toFixed(0)} %`;
}

/** What of two ranges was not watched, as sentences; ms is the length of each. */
export function unwatched(watched: ChangesAnswer["watched"], ms: number): string[] {
  const out: string[] = [];
  for (const w of watched) {
    const part = (s: number) => s / (ms / 1000);
    // The first sample of a range and what is on its way at the end are no hole.
    if (w.before === 0) out.push(`${w.host} was not watched before: of it nothing can be compared.`);
    else if (w.after === 0) out.push(`${w.host} was not watched in this range: of it nothing can be compared.`);
    else if (part(w.before) < 0.8) out.push(`${w.host} was watched for ${percent(part(w.before))} of the time before.`);
    else if (part(w.after) < 0.8) out.push(`${w.host} was watched for ${percent(part(w.after))} of this range.`);
  }
  return out;
}
