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

export interface Host {
  host: string;
  engine: Engine;
  cores?: number;
  memory?: number;
  /** Cores in use by the whole host. */
  cpu?: number;
  memoryUsed?: number;
  /** What tallyman itself costs. */
  self?: Cost;
  containers: Container[];
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

export type EventKind = "death" | "start" | "stop" | "pause" | "unpause" | "oom" | "health" | "exec" | "rename" | "create" | "destroy" | "kill" | "engine" | "gap" | "other";

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
  "rx", "tx", "rxErrors", "txErrors", "rxDropped", "txDropped", "pids",
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
  hosts?: Record<string, { cpu?: number; memoryUsed?: number; self?: Cost }>;
  /** null while nothing is measured. */
  now: Record<string, Now> | null;
}
