// SPDX-License-Identifier: Apache-2.0

// What tallyman's API says. Times are milliseconds since the epoch. A field
// that is not known is absent; it is never zero instead.

export interface Servers {
  time: number;
  version: string;
  auth: boolean;
  /** Seconds between stored samples. */
  interval: number;
  /** null without any engine. */
  hosts: Host[] | null;
}

export interface Host extends HostFigures {
  host: string;
  engine: Engine;
  cores?: number;
  memory?: number;
  containers: Container[];
}

/** What a machine does at present; a host that is only reached over its engine's API has none of it. */
export interface HostFigures {
  /** Cores in use by the whole host. */
  cpu?: number;
  memoryUsed?: number;
  load1?: number;
  /** The fullest file system. */
  diskUsed?: number;
  diskSize?: number;
  diskMount?: string;
  /** What tallyman itself costs. */
  self?: Cost;
}

export interface Cost {
  cpu?: number;
  memory?: number;
}

export interface Engine {
  name: string;
  address: string;
  up: boolean;
  since?: number;
  lastGood?: number;
  failure?: string;
  error?: string;
  version?: string;
  apiVersion?: string;
  cgroupVersion?: string;
  cgroupDriver?: string;
  os?: string;
  kernel?: string;
  /** How numbers of its containers come: from files of control groups, or from the engine's API. */
  collect?: "cgroup" | "api" | "";
  /** Another machine's, reached over the network. */
  remote?: boolean;
}

export type State = "created" | "running" | "paused" | "restarting" | "removing" | "exited" | "dead" | "gone";

export interface Container {
  id: string;
  name: string;
  image: string;
  imageId?: string;
  host: string;
  engine?: string;
  workload: string;
  project?: string;
  origin?: string;
  service?: string;
  state: State;
  health?: "healthy" | "unhealthy" | "starting";
  exitCode?: number;
  oomKilled?: boolean;
  error?: string;
  created?: number;
  started?: number;
  finished?: number;
  goneAt?: number;
  restartCount?: number;
  restartPolicy?: string;
  /** Cores; absent without a limit. */
  cpuLimit?: number;
  /** Bytes; absent without a limit. */
  memoryLimit?: number;
  networkMode?: string;
  /** Listed, but not measured. */
  disabled?: boolean;
  lastEvent?: Event;
  now?: Now;
  spark?: Spark;
  absent?: Absence[];
}

/** Oldest first, spread over the last 15 minutes. */
export interface Spark {
  cpu?: (number | null)[];
  memory?: (number | null)[];
}

/** A value that cannot be known here, why, and what would change that. */
export interface Absence {
  what: string;
  reason: string;
  unlock?: string;
}

export interface Now {
  t?: number;
  cpu?: number;
  cpuUser?: number;
  cpuSystem?: number;
  throttled?: number;
  /** Working set in bytes. */
  memory?: number;
  memoryUsage?: number;
  anon?: number;
  cache?: number;
  kernel?: number;
  swap?: number;
  rx?: number;
  tx?: number;
  /** Block IO, bytes per second. */
  blkRead?: number;
  blkWrite?: number;
  pids?: number;
}

export interface Detail extends Container {
  command?: string[];
  user?: string;
  ports?: { port: number; protocol: string; hostIp?: string; hostPort?: number }[];
  mounts?: { type: string; source?: string; destination: string; readOnly?: boolean }[];
  networks?: { name: string; ip?: string; ipv6?: string }[];
  logDriver?: string;
  labels?: Record<string, string>;
  tty?: boolean;
  instances?: Instance[];
}

/** One container of a workload. */
export interface Instance {
  id: string;
  image: string;
  name?: string;
  started?: number;
  ended?: number;
  state?: State;
  exitCode?: number;
  current?: boolean;
}

export type EventKind = "death" | "start" | "stop" | "pause" | "unpause" | "oom" | "health" | "exec" | "rename" | "create" | "destroy" | "kill" | "engine" | "gap" | "drift" | "other";

export interface Event {
  id: string;
  time: number;
  host?: string;
  type: string;
  action: string;
  actor?: string;
  name?: string;
  image?: string;
  workload?: string;
  /** Nobody saw it: it follows from two inventories. */
  inferred?: boolean;
  attributes?: Record<string, string>;
  kind: EventKind;
  severity?: "critical" | "warning" | "info" | "good" | "";
  text: string;
}

export interface Events {
  events: Event[];
  more: boolean;
}

export const seriesNames = [
  "cpuUser", "cpuSystem", "throttled", "cpuLimit",
  "anon", "cache", "kernel", "swap", "workingSet", "memoryLimit",
  "rx", "tx", "rxErrors", "txErrors", "rxDropped", "txDropped", "blkRead", "blkWrite", "pids",
] as const;

export type SeriesName = (typeof seriesNames)[number];

export interface History {
  start: number;
  end: number;
  step: number;
  t: number[] | null;
  series: Partial<Record<SeriesName, (number | null)[]>>;
  firstSample?: number;
}

export interface Session {
  auth: boolean;
  version: string;
  host: string;
}

export interface Tick {
  time: number;
  hosts?: Record<string, HostFigures>;
  /** null while nothing is measured. */
  now: Record<string, Now> | null;
}

/** What works on this host, what does not, and what tallyman costs. */
export interface Doctor {
  time: number;
  version: string;
  host: string;
  where: "binary" | "container";
  features: Feature[] | null;
  cost?: OwnCost;
  stores?: Store[] | null;
  disk?: { path: string; size?: number; free?: number; reserve?: number };
  /** What was lost since the start; only counts above 0. */
  dropped?: Dropped[] | null;
}

export type FeatureState = "works" | "partly" | "off" | "unknown";

export interface Feature {
  id: string;
  group: string;
  name: string;
  state: FeatureState;
  detail?: string;
  reason?: string;
  /** What to add to make it work: a flag, a mount, a setting. */
  unlock?: string;
}

export interface OwnCost {
  cpu?: number;
  /** Counted against memoryLimit. */
  memory?: number;
  resident?: number;
  memoryLimit?: number;
  files?: number;
  filesLimit?: number;
  goroutines?: number;
  roundSeconds?: number;
  rounds?: number;
  lateRounds?: number;
  daemons?: { name: string; cpu?: number; memory?: number }[] | null;
  calls?: { engine: string; call: string; count: number }[] | null;
}

export interface Store {
  name: string;
  bytes?: number;
  /** Bytes; 0 or absent for none. */
  limit?: number;
  /** Seconds; 0 or absent for ever. */
  retention?: number;
  oldest?: number;
  newest?: number;
  series?: number;
  state: FeatureState;
  reason?: string;
}

export interface Dropped {
  what: string;
  reason: string;
  count: number;
  /** What to do about it. */
  next?: string;
}
