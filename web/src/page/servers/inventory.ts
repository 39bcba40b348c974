// SPDX-License-Identifier: Apache-2.0

import { batch, computed, type ReadonlySignal, signal } from "@preact/signals";
import { namesKey } from "../../api/client";
import type { Container, Cost, Engine, Event, Host, HostFigures, Now, Servers, Tick } from "../../api/schema";
import { bytes, cores, diskRoom, rate, strain } from "../../format/number";
import { day } from "../../format/time";

// A sparkline covers 15 minutes.
const sparkSpan = 15 * 60 * 1000;
const sparkPoints = 40;

/**
 * One container on the Servers page. What changes each second are signals that
 * are bound to text nodes and bars, so that a tick renders nothing.
 */
export class Row {
  readonly data;
  readonly live;
  readonly cpuText: ReadonlySignal<string>;
  readonly cpuShare: ReadonlySignal<number>;
  readonly cpuKind: ReadonlySignal<string>;
  readonly memoryText: ReadonlySignal<string>;
  readonly memoryUnit: ReadonlySignal<string>;
  readonly memoryShare: ReadonlySignal<number>;
  readonly memoryKind: ReadonlySignal<string>;
  readonly memoryPercent: ReadonlySignal<string>;
  readonly txText: ReadonlySignal<string>;
  readonly txUnit: ReadonlySignal<string>;
  readonly rxText: ReadonlySignal<string>;
  readonly rxUnit: ReadonlySignal<string>;
  readonly writeText: ReadonlySignal<string>;
  readonly writeUnit: ReadonlySignal<string>;
  readonly readText: ReadonlySignal<string>;
  readonly readUnit: ReadonlySignal<string>;
  /** Which values there are; a row is rendered again only when that changes. */
  readonly has: ReadonlySignal<string>;
  readonly cpuSpark;
  readonly memorySpark;
  /** Whether it is near the screen. What nobody sees is not written each second. */
  private seen = true;
  private latest: Now | undefined;
  private sums = { cpu: 0, memory: 0, cpuN: 0, memoryN: 0, end: 0 };

  constructor(c: Container) {
    this.data = signal(c);
    this.live = signal<Now | undefined>(c.now);
    this.latest = c.now;
    const now = this.live;
    this.cpuText = computed(() => cores(now.value?.cpu ?? 0));
    this.cpuShare = computed(() => (now.value?.cpu ?? 0) / (this.data.value.cpuLimit || Infinity));
    this.cpuKind = computed(() => strain(now.value?.cpu ?? 0, this.data.value.cpuLimit));
    this.memoryText = computed(() => bytes(now.value?.memory ?? 0).n);
    this.memoryUnit = computed(() => bytes(now.value?.memory ?? 0).unit);
    this.memoryShare = computed(() => (now.value?.memory ?? 0) / (this.data.value.memoryLimit || Infinity));
    this.memoryKind = computed(() => "m " + strain(now.value?.memory ?? 0, this.data.value.memoryLimit));
    this.memoryPercent = computed(() => (this.memoryShare.value * 100).toFixed(0) + " %");
    this.txText = computed(() => rate(now.value?.tx ?? 0).n);
    this.txUnit = computed(() => rate(now.value?.tx ?? 0).unit);
    this.rxText = computed(() => rate(now.value?.rx ?? 0).n);
    this.rxUnit = computed(() => rate(now.value?.rx ?? 0).unit);
    this.writeText = computed(() => rate(now.value?.blkWrite ?? 0).n);
    this.writeUnit = computed(() => rate(now.value?.blkWrite ?? 0).unit);
    this.readText = computed(() => rate(now.value?.blkRead ?? 0).n);
    this.readUnit = computed(() => rate(now.value?.blkRead ?? 0).unit);
    this.has = computed(() => (["cpu", "memory", "rx", "tx", "blkRead", "blkWrite"] as const).filter((k) => now.value?.[k] !== undefined).join(" "));
    this.cpuSpark = signal<(number | null)[]>(c.spark?.cpu ?? []);
    this.memorySpark = signal<(number | null)[]>(c.spark?.memory ?? []);
  }

  get info(): Container {
    return this.data.peek();
  }

  get now(): Now | undefined {
    return this.latest;
  }

  /** Says whether the row is near the screen. */
  see(near: boolean): void {
    this.seen = near;
    if (near) this.live.value = this.latest;
  }

  /** Takes over what the server says of the container as a whole. */
  update(c: Container): void {
    this.data.value = c;
    if (c.now || c.state !== "running") this.live.value = this.latest = c.now;
    if (c.spark) {
      this.cpuSpark.value = c.spark.cpu;
      this.memorySpark.value = c.spark.memory;
      this.sums = { cpu: 0, memory: 0, cpuN: 0, memoryN: 0, end: 0 };
    }
  }

  /** Takes over the values of a second. */
  tick(now: Now, time: number): void {
    this.latest = now;
    if (this.seen) this.live.value = now;
    const s = this.sums;
    if (s.end === 0) s.end = time + sparkSpan / sparkPoints;
    if (now.cpu !== undefined) (s.cpu += now.cpu), s.cpuN++;
    if (now.memory !== undefined) (s.memory += now.memory), s.memoryN++;
    if (time < s.end) return;
    this.cpuSpark.value = shift(this.cpuSpark.peek(), s.cpuN ? s.cpu / s.cpuN : null);
    this.memorySpark.value = shift(this.memorySpark.peek(), s.memoryN ? s.memory / s.memoryN : null);
    this.sums = { cpu: 0, memory: 0, cpuN: 0, memoryN: 0, end: time + sparkSpan / sparkPoints };
  }
}

function shift(values: (number | null)[], v: number | null): (number | null)[] {
  return [...values, v].slice(-sparkPoints);
}

// A host may have more than one engine; each has a block of its own.
const keyOf = (h: Host) => `${h.host} ${h.engine.name}`;

/** One host on the Servers page. */
export class HostBlock {
  readonly key: string;
  readonly data;
  readonly engine;
  readonly cpu;
  readonly memoryUsed;
  readonly load;
  readonly disk;
  readonly self;
  readonly rows = signal<Row[]>([]);

  constructor(h: Host) {
    this.key = keyOf(h);
    this.data = signal(h);
    this.engine = signal<Engine>(h.engine);
    this.cpu = signal(h.cpu);
    this.memoryUsed = signal(h.memoryUsed);
    this.load = signal(h.load1);
    this.disk = signal<Disk | undefined>(diskOf(h));
    this.self = signal<Cost | undefined>(h.self);
  }

  update(h: Host): void {
    this.data.value = h;
    this.engine.value = h.engine;
    this.figures(h);
    this.self.value = h.self;
  }

  /** Takes over the values of a second. */
  figures(h: HostFigures): void {
    this.cpu.value = h.cpu;
    this.memoryUsed.value = h.memoryUsed;
    this.load.value = h.load1;
    const disk = diskOf(h);
    const before = this.disk.peek();
    // The same values are no change; an object would be one each second.
    if (disk?.used !== before?.used || disk?.size !== before?.size || disk?.mount !== before?.mount) this.disk.value = disk;
    if (h.self) this.self.value = h.self;
  }
}

/** The fullest file system of a host. */
export interface Disk {
  used: number;
  size: number;
  mount: string;
}

function diskOf(h: HostFigures): Disk | undefined {
  const room = diskRoom(h);
  return h.diskUsed !== undefined && room ? { used: h.diskUsed, size: room, mount: h.diskMount ?? "" } : undefined;
}

/** All hosts and containers of the Servers page, kept up to date by the stream. */
export class Inventory {
  readonly hosts = signal<HostBlock[]>([]);
  /** False until tallyman has answered: names are from the last visit, values are missing. */
  readonly fresh = signal(false);
  /** Rises with every change that may move rows. */
  readonly changed = signal(0);
  /** Rises with every tick, for sums over rows. */
  readonly beat = signal(0);
  // By id. Two engines may be one under two addresses: then a container has a row in each block.
  private readonly rows = new Map<string, Row[]>();

  snapshot(s: Servers): void {
    batch(() => {
      this.fresh.value = true;
      this.fill(s.hosts);
    });
    keepNames(s);
  }

  /** Fills the page with the names of the last visit. */
  remembered(): void {
    const hosts = keptNames();
    if (hosts) this.fill(hosts);
  }

  private fill(hosts: Host[]): void {
    const before = new Map(this.hosts.peek().map((h) => [h.key, h]));
    const seen = new Set<Row>();
    this.hosts.value = hosts.map((h) => {
      const block = before.get(keyOf(h)) ?? new HostBlock(h);
      block.update(h);
      block.rows.value = h.containers.map((c) => {
        const row = this.row(c);
        seen.add(row);
        return row;
      });
      return block;
    });
    for (const [id, rows] of this.rows) {
      const left = rows.filter((r) => seen.has(r));
      if (left.length > 0) this.rows.set(id, left);
      else this.rows.delete(id);
    }
    this.changed.value++;
    this.beat.value++;
  }

  private row(c: Container): Row {
    const known = this.find(c.id, c.host);
    if (known) {
      known.update(c);
      return known;
    }
    const made = new Row(c);
    this.rows.set(c.id, [...(this.rows.get(c.id) ?? []), made]);
    return made;
  }

  private find(id: string, host: string | undefined): Row | undefined {
    return this.rows.get(id)?.find((r) => !host || r.info.host === host);
  }

  tick(t: Tick): void {
    batch(() => {
      for (const block of this.hosts.peek()) {
        const h = t.hosts?.[block.data.peek().host];
        if (h) block.figures(h);
      }
      for (const [id, now] of Object.entries(t.now)) for (const row of this.rows.get(id) ?? []) row.tick(now, t.time);
      this.beat.value++;
    });
  }

  container(c: Container): void {
    const block = this.hosts.peek().find((h) => h.data.peek().host === c.host && (c.engine === undefined || h.engine.peek().name === c.engine));
    if (!block) return;
    batch(() => {
      const isNew = !this.find(c.id, c.host);
      const row = this.row(c);
      if (isNew) block.rows.value = [...block.rows.peek(), row];
      this.changed.value++;
    });
  }

  event(e: Event): void {
    const row = e.actor ? this.find(e.actor, e.host) : undefined;
    if (row && (row.info.lastEvent?.time ?? 0) <= e.time) row.data.value = { ...row.info, lastEvent: e };
  }

  engine(e: { host: string; engine: Engine }): void {
    const block = this.hosts.peek().find((h) => h.data.peek().host === e.host && h.engine.peek().name === e.engine.name);
    if (block) block.engine.value = e.engine;
  }
}

const namesMost = 300;

// Only what draws the frame of the page is kept, and it goes with the login.
function keepNames(s: Servers): void {
  const hosts = s.hosts.map(({ host, engine, containers }) => ({
    host,
    engine: { name: engine.name, address: engine.address, up: true, version: engine.version, remote: engine.remote },
    containers: containers.filter((c) => c.state !== "gone").slice(0, namesMost).map(({ id, name, image, engine, workload, project, origin, state }) => ({ id, name, image, host, engine, workload, project, origin, state })),
  }));
  try {
    localStorage.setItem(namesKey, JSON.stringify({ time: Date.now(), hosts }));
  } catch {
    // A full or forbidden storage costs the names of the next visit's first moment.
  }
}

function keptNames(): Host[] | undefined {
  try {
    const kept = JSON.parse(localStorage.getItem(namesKey) ?? "null") as { time: number; hosts: Host[] } | null;
    return kept && Date.now() - kept.time < day ? kept.hosts : undefined;
  } catch {
    return undefined;
  }
}
