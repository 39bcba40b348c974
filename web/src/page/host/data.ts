// SPDX-License-Identifier: Apache-2.0

import { batch, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { doctor, get, inWords } from "../../api/client";
import { Live } from "../../api/live";
import { type Curve, curves, type Point, valuesAt } from "../../api/prom";
import type { Container, Engine, Event, Feature, Host, HostFigures, Kill, Servers, Tick } from "../../api/schema";
import { alarmSpans } from "../../chart/alarms";
import type { Columns } from "../../chart/columns";
import { happened, unique } from "../../chart/happened";
import { Model } from "../../chart/model";
import { findWatched } from "../../chart/watched";
import { all, type Range } from "../../format/range";
import { day, hour, minute, second } from "../../format/time";
import { type Filling, filling } from "./fill";
import { judge, otherwise, type Piece, pressureOf, type Taken, type Want, wants } from "./neighbour";
import { availQuery, diskFigures, engineCurves, engineFigures, hostCurves, sufferQuery } from "./queries";
import { columnsOf, ranked, rankQuery, resources, type Resource, seat, type Seats, shareQuery, union, useQuery } from "./shares";

const alarmsEvery = 10_000;
// Averages are over at least three rounds of samples, so that there are always two in them.
const rounds = 3;
const stepLeast = 5 * second;
const reloadLeast = 5 * second;
// Figures that are not drawn follow more slowly.
const figuresEvery = 20 * second;
const fillPoints = 120;

/** A host that the page can show. */
export interface Known {
  host: string;
  remote: boolean;
}

/** A file system, and when it is full. */
export interface FileSystem {
  mount: string;
  device: string;
  size: number;
  used: number;
  avail: number;
  filling: Filling | undefined;
}

/** The state of one Host page. */
export class HostData {
  /** All hosts there are, undefined until that is known. */
  readonly hosts = signal<Known[] | undefined>(undefined);
  readonly engines = signal<Engine[]>([]);
  readonly info = signal<Pick<Host, "cores" | "memory"> | undefined>(undefined);
  readonly now = signal<HostFigures | undefined>(undefined);
  readonly containers = signal<ReadonlyMap<string, Container>>(new Map());
  readonly problem = signal("");
  /** How many events of the range are not drawn. */
  readonly leftOut = signal(0);
  readonly loaded = signal(false);
  readonly model: Model;

  /** Which containers are drawn, and how many there are of each resource. */
  readonly seats = signal<Seats>({ cpu: [], memory: [], network: [], disk: [] });
  readonly counts = signal<Record<Resource, number>>({ cpu: 0, memory: 0, network: 0, disk: 0 });
  readonly neighbour = signal<Piece[] | undefined>(undefined);
  readonly engineFigures = signal<Point[] | undefined>(undefined);
  readonly diskFigures = signal<Point[] | undefined>(undefined);
  readonly fileSystems = signal<FileSystem[] | undefined>(undefined);
  readonly kills = signal<Kill[] | undefined>(undefined);
  /** Why figures cannot be read. */
  readonly figuresProblem = signal("");
  /** What the doctor says of this machine. */
  readonly features = signal<Feature[]>([]);

  private range: Range = { live: true, span: hour };
  private stream: Live<Servers> | undefined;
  private interval = 10 * second;
  private skew = 0;
  private loadedAt = 0;
  private figuresAt = 0;
  private doctorAt = 0;
  private alarmsAt = 0;
  private loading: AbortController | undefined;
  private busy = false;
  private readonly kept = new Map<string, number>();

  constructor(
    /** The name of the host; "" is that of this machine, or the first. */
    private readonly asked: string,
    readonly host: Signal<string>,
    pin: ReadonlySignal<number | undefined>,
  ) {
    this.model = new Model(pin);
  }

  start(): void {
    this.stream = new Live<Servers>(
      { view: "servers" },
      {
        snapshot: (s) => this.known(s),
        tick: (t) => this.tick(t),
        container: (c) => this.container(c),
        event: (e) => this.happened(e),
        engine: (e) => {
          if (e.host === this.host.peek()) this.engines.value = this.engines.peek().map((x) => (x.name === e.engine.name ? e.engine : x));
        },
      },
    );
    this.stream.start();
  }

  stop(): void {
    this.loading?.abort();
    this.stream?.stop();
  }

  /** The server's present. */
  time(): number {
    return Date.now() + this.skew;
  }

  private known(s: Servers): void {
    const first = this.hosts.peek() === undefined;
    batch(() => {
      this.interval = s.interval * second;
      this.skew = s.time - Date.now();
      this.hosts.value = [...new Map(s.hosts.map((h) => [h.host, { host: h.host, remote: h.engine.remote ?? false }])).values()];
      this.host.value = this.asked || (this.hosts.value.find((h) => !h.remote) ?? this.hosts.value[0])?.host || "";
      const mine = s.hosts.filter((h) => h.host === this.host.peek());
      this.engines.value = mine.map((h) => h.engine);
      this.info.value = mine[0];
      this.now.value = mine[0];
      this.containers.value = new Map(mine.flatMap((h) => living(h.containers)).map((c) => [c.workload, c]));
      this.model.up.value = true;
    });
    if (first) this.show(this.range);
  }

  private container(c: Container): void {
    if (c.host !== this.host.peek()) return;
    const next = new Map(this.containers.peek());
    const before = next.get(c.workload);
    if (!before || before.id === c.id || c.state !== "gone") next.set(c.workload, c);
    this.containers.value = next;
  }

  private resolve(r: Range): { from: number; to: number } {
    if (!r.live) return { from: r.from, to: r.to };
    const to = this.time();
    if (r.span !== all) return { from: to - r.span, to };
    return { from: Math.min(this.first ?? to - 7 * day, to - minute), to };
  }

  // The first sample of the host, once "all" was asked for.
  private first: number | undefined;

  /** Shows another range: the axis at once, samples when they come. */
  show(r: Range): void {
    this.range = r;
    this.model.view.value = this.resolve(r);
    this.figuresAt = 0;
    if (this.hosts.peek() !== undefined) void this.load();
  }

  /** The step of the points, and the window that each is the average of. */
  private pace(from: number, to: number): { step: number; window: number } {
    const points = Math.max(120, Math.min(480, Math.round(this.model.width.peek() / 2)));
    const step = Math.max(stepLeast, Math.ceil((to - from) / points / second) * second);
    return { step, window: Math.max(step, rounds * this.interval) };
  }

  async load(): Promise<void> {
    this.loading?.abort();
    const stop = (this.loading = new AbortController());
    const { signal } = stop;
    this.busy = true;
    this.loadedAt = this.time();
    const host = this.host.peek();
    if (host === "") {
      this.busy = false;
      return;
    }
    if (this.alarmsAt < Number.POSITIVE_INFINITY) void this.loadAlarms(signal);
    const watched = findWatched(this.model, host, signal);
    try {
      if (this.range.live && this.range.span === all && this.first === undefined) {
        await watched;
        this.first = this.model.watched.peek().first ?? this.time() - hour;
        this.model.view.value = this.resolve(this.range);
      }
      const { from, to } = this.model.view.peek();
      const { step, window } = this.pace(from, to);
      const end = Math.floor(Math.min(to, this.time()) / step) * step;
      const start = Math.floor(from / step) * step;
      if (end <= start) return;
      const rank = ranked(await valuesAt(rankQuery(host, end - start, window), end, signal));
      const seats = seat({ cpu: rank.cpu.top, memory: rank.memory.top, network: rank.network.top, disk: rank.disk.top }, this.kept);
      const ask = (query: string) => curves(query, start, end, step, signal);
      const [own, engine, shares, found] = await Promise.all([
        ask(union(hostCurves(host, window))),
        ask(union(engineCurves(host, window))),
        Promise.all(resources.map((r) => ask(shareQuery(r, host, rank[r].top, window)))),
        happened(
          [
            { all: { hosts: [host], types: ["engine", "daemon", "tallyman"] }, keep: { actions: ["drift"] } },
            { all: { hosts: [host], types: ["container"], severities: ["critical", "warning"] }, keep: { severities: ["critical"], actions: ["die", "oom"] } },
          ],
          from,
          to,
          signal,
        ),
      ]);
      const t = Array.from({ length: Math.floor((end - start) / step + 1e-6) + 1 }, (_, i) => start + i * step);
      batch(() => {
        this.seats.value = seats;
        this.counts.value = { cpu: rank.cpu.of, memory: rank.memory.of, network: rank.network.of, disk: rank.disk.of };
        this.model.columns.value = columnsFrom(t, Math.max(step, this.interval), own, engine, shares, seats);
        const came = this.model.events.peek().filter((e) => this.range.live || e.time <= to);
        this.model.events.value = unique([...found.events.map(named), ...came]).filter((e) => e.time >= from);
        this.leftOut.value = found.left;
        this.model.heard.value = true;
        this.problem.value = "";
        this.loaded.value = true;
      });
      if (this.time() - this.figuresAt > figuresEvery) {
        this.figuresAt = this.time();
        await Promise.all([this.loadFigures(host, start, end, signal), this.loadNeighbour(host, window, signal), this.loadDoctor(signal)]);
      }
    } catch (err) {
      if (!signal.aborted) this.problem.value = inWords(err);
    } finally {
      if (this.loading === stop) this.busy = false;
    }
  }

  private async loadAlarms(stop: AbortSignal): Promise<void> {
    this.alarmsAt = this.time();
    const found = await alarmSpans({ host: this.host.peek() }, this.model.view.peek().from, stop);
    if (stop.aborted) return;
    this.model.alarms.value = found === "off" ? undefined : found;
    if (found === "off") this.alarmsAt = Number.POSITIVE_INFINITY;
  }

  private async loadFigures(host: string, start: number, end: number, stop: AbortSignal): Promise<void> {
    const range = end - start;
    const apart = Math.max(stepLeast, Math.ceil(range / fillPoints / second) * second);
    try {
      const [engine, disk, avail, killed] = await Promise.all([
        valuesAt(union(engineFigures(host, range)), end, stop),
        valuesAt(union(diskFigures(host)), end, stop),
        curves(availQuery(host, Math.max(apart, rounds * this.interval)), start, end, apart, stop),
        get<"kills">("kills", { host, start: Math.floor(start), end: Math.ceil(end + minute) }, stop),
      ]);
      batch(() => {
        this.engineFigures.value = engine;
        this.diskFigures.value = disk;
        this.fileSystems.value = fileSystems(disk, avail, start, apart);
        this.kills.value = killed.kills;
        this.figuresProblem.value = "";
      });
    } catch (err) {
      if (!stop.aborted) this.figuresProblem.value = inWords(err);
    }
  }

  // First when there was pressure, then who took more than before it.
  private async loadNeighbour(host: string, window: number, stop: AbortSignal): Promise<void> {
    const c = this.model.columns.peek();
    const { from, to } = this.model.view.peek();
    const found = pressureOf(c.t, Object.fromEntries(wants.map((w) => [w, c.series[pressureColumn[w]]])), from, to, window);
    if (found.as !== "rose") {
      this.neighbour.value = [otherwise(found)];
      return;
    }
    const s = found.stress;
    const r: Resource = s.want === "io" ? "disk" : s.want;
    const two = async (query: (window: number) => string) => {
      const long = Math.max(s.to - s.from, rounds * this.interval);
      const short = Math.max(s.until - s.since, rounds * this.interval);
      const [before, during] = await Promise.all([valuesAt(query(short), s.until, stop), valuesAt(query(long), s.to, stop)]);
      return { before, during };
    };
    try {
      const [use, waited, throttled] = await Promise.all([
        two((w) => useQuery(r, host, w)),
        two((w) => sufferQuery("waited", s.want, host, w)),
        two((w) => sufferQuery("throttled", s.want, host, w)),
      ]);
      const used = c.series[`${r}Used`];
      const before = used && meanOf(c.t, used, s.since, s.until);
      const during = used && meanOf(c.t, used, s.from, s.to);
      this.neighbour.value = judge({
        stress: s,
        use: taken(use),
        host: before === undefined || during === undefined ? undefined : { before, during },
        capacity: r === "disk" ? undefined : (c.series[`${r}Total`]?.findLast((v) => v !== null) ?? undefined),
        waited: taken(waited) ?? [],
        throttled: taken(throttled) ?? [],
      });
    } catch (err) {
      if (!stop.aborted) this.figuresProblem.value = inWords(err);
    }
  }

  private async loadDoctor(stop: AbortSignal): Promise<void> {
    if (this.time() - this.doctorAt < minute) return;
    this.doctorAt = this.time();
    this.features.value = await doctor(stop).then((r) => r.features, () => this.features.peek());
  }

  private tick(t: Tick): void {
    this.skew = t.time - Date.now();
    const figures = t.hosts?.[this.host.peek()];
    batch(() => {
      if (figures) this.now.value = figures;
      if (this.range.live) {
        const view = this.model.view.peek();
        this.model.view.value = this.range.span === all ? { from: view.from, to: t.time } : { from: t.time - this.range.span, to: t.time };
      }
    });
    if (!this.range.live || this.busy) return;
    const { from, to } = this.model.view.peek();
    if (t.time - this.loadedAt > Math.max(reloadLeast, (to - from) / 300)) void this.load();
    else if (t.time - this.alarmsAt > alarmsEvery && this.loading) void this.loadAlarms(this.loading.signal);
  }

  private happened(e: Event): void {
    if (e.host !== this.host.peek() || !matters(e)) return;
    if (e.kind === "oom" || e.kind === "death") this.figuresAt = 0; // the kernel may have told of it
    const list = this.model.events.peek();
    const { from, to } = this.model.view.peek();
    if (list.some((x) => x.id === e.id) || e.time < from || (!this.range.live && e.time > to)) return;
    this.model.events.value = [...list, named(e)].sort((a, b) => a.time - b.time);
  }
}

const pressureColumn: Record<Want, string> = { cpu: "pressureCpu", memory: "pressureMemory", io: "pressureIo" };

/** Whether an event is one of the host's: of its engines, or a grave one of a container. */
export function matters(e: Pick<Event, "type" | "severity">): boolean {
  return e.type === "engine" || e.type === "daemon" || e.type === "tallyman" || (e.type === "container" && (e.severity === "critical" || e.severity === "warning"));
}

/** An event whose text has the name of what it is of, which on the page of a host does not go without saying. */
export function named(e: Event): Event {
  const name = e.name || e.workload;
  return name ? { ...e, name: "", text: `${name}: ${e.text}` } : e;
}

// Of a workload the container that lives, or lived last, stands for it.
function living(list: readonly Container[]): Container[] {
  return [...list].sort((a, b) => Number(a.state !== "gone") - Number(b.state !== "gone") || (a.goneAt ?? 0) - (b.goneAt ?? 0));
}

function columnsFrom(t: number[], step: number, own: readonly Curve[], engine: readonly Curve[], shares: readonly (readonly Curve[])[], seats: Seats): Columns {
  const series: Columns["series"] = {};
  for (const c of [...own, ...engine]) series[c.labels["of"]!] = c.points;
  const covered = series["covered"];
  delete series["covered"];
  for (const name of ["networkOuter", "diskUsed", ...Object.values(pressureColumn)]) if (series[name]) series[name] = wholly(series[name], covered);
  resources.forEach((r, i) => Object.assign(series, columnsOf(r, r === "memory" ? shares[i]! : shares[i]!.map((c) => ({ ...c, points: wholly(c.points, covered) })), seats[r], { used: series[`${r}Used`], total: series[`${r}Total`], running: series["running"] }, t.length)));
  const telling = ["cpuTotal", "memoryTotal", "cpuOthers", "memoryOthers", "running", "ping"];
  const at = t.findIndex((_, i) => telling.some((name) => series[name]?.[i] != null));
  // What is to come yet is no gap.
  let n = t.length;
  while (n > 0 && telling.every((name) => series[name]?.[n - 1] == null)) n--;
  for (const [name, column] of Object.entries(series)) series[name] = column?.slice(0, n);
  return { t: t.slice(0, n), series, telling, step, firstSample: t[at] };
}

// Of less than this part of its time a window tells nothing.
const coveredLeast = 0.15;

/** What rates would be if there were samples of all of their time, where there were samples of a part of it. */
export function wholly(points: (number | null)[], covered: readonly (number | null)[] | undefined): (number | null)[] {
  return points.map((v, i) => {
    const part = covered?.[i];
    if (v === null || part == null || part > 0.97) return v;
    return part < coveredLeast ? null : v / part;
  });
}

function taken({ before, during }: { before: Point[]; during: Point[] }): Taken[] | undefined {
  const by = new Map<string, Taken>();
  for (const [when, points] of [["before", before], ["during", during]] as const) {
    for (const p of points) {
      const workload = p.labels["workload"] ?? "";
      // Who was not there took nothing.
      const one = by.get(workload) ?? { workload, before: 0, during: 0 };
      one[when] = p.value;
      by.set(workload, one);
    }
  }
  return by.size > 0 ? [...by.values()] : undefined;
}

function meanOf(t: readonly number[], column: readonly (number | null)[], from: number, to: number): number | undefined {
  const inside = column.filter((v, i): v is number => v !== null && t[i]! >= from && t[i]! <= to);
  return inside.length ? inside.reduce((a, b) => a + b, 0) / inside.length : undefined;
}

/** The file systems that lie on disks and can be written to, the fullest first; of one that is mounted several times the shortest mount point. */
export function fileSystems(found: readonly Point[], avail: readonly Curve[], start: number, step: number): FileSystem[] {
  const of = (name: string) => found.filter((p) => p.labels["of"] === name);
  const same = (a: Record<string, string>, b: Record<string, string>) => a["device"] === b["device"] && a["mountpoint"] === b["mountpoint"];
  const by = new Map<string, FileSystem>();
  for (const p of of("size")) {
    const value = (name: string) => of(name).find((x) => same(x.labels, p.labels))?.value;
    const [free, left] = [value("free"), value("avail")];
    const mount = p.labels["mountpoint"] ?? "";
    const device = p.labels["device"] ?? "";
    if (p.value <= 0 || free === undefined || left === undefined || value("readonly") === 1) continue;
    const before = by.get(device);
    if (before && (before.mount.length < mount.length || (before.mount.length === mount.length && before.mount < mount))) continue;
    const curve = avail.find((c) => same(c.labels, p.labels))?.points ?? [];
    by.set(device, { mount, device, size: p.value, used: p.value - free, avail: left, filling: filling(curve.map((_, i) => start + i * step), curve, p.value) });
  }
  const share = (f: FileSystem) => f.used / (f.used + f.avail || 1);
  return [...by.values()].sort((a, b) => share(b) - share(a));
}
