// SPDX-License-Identifier: Apache-2.0

import { virtual } from "../../format/device";
import { quote } from "../../format/selector";
import { duration } from "./shares";

// What is asked of the samples of a host and of its engines.

// Of disks that stand on others only the lowest count.
const stacked = "dm-.*|md.*|drbd.*|bcache.*|loop.*|ram.*|zram.*|sr.*|fd.*";

/** The actions that an engine tells apart, and those of its networks. */
export const actions = ["create", "start", "delete", "commit", "changes"] as const;
export const networkActions = ["allocate", "connect", "release"] as const;
export const states = ["running", "paused", "restarting", "created", "exited", "dead"] as const;

/** The curves of the host itself, by the names of their columns. */
export function hostCurves(host: string, window: number): Record<string, string> {
  const of = (more = "") => `{host=${quote(host)}${more && `,${more}`}}[${duration(window)}]`;
  const idle = `sum(rate(node_cpu_seconds_total${of('mode=~"idle|iowait"')}))`;
  const waiting = (what: string) => `sum(rate(node_pressure_${what}_waiting_seconds_total${of()}))`;
  const time = `sum(rate(node_cpu_seconds_total${of()}))`;
  const cores = `count(last_over_time(node_cpu_seconds_total${of('mode="idle"')}))`;
  const total = `sum(avg_over_time(node_memory_MemTotal_bytes${of()}))`;
  return {
    cpuTotal: cores,
    // The kernel counts in ticks: the share of busy time is right where the sum of all modes is not. Time of guests is in that of their users.
    cpuUsed: `${cores} * (1 - ${idle} / ${time})`,
    // A rate is of the whole window; after a gap there are samples of a part of it only.
    covered: `${time} / ${cores}`,
    memoryTotal: total,
    memoryUsed: `${total} - sum(avg_over_time(node_memory_MemAvailable_bytes${of()}))`,
    networkOuter: `sum(rate(node_network_receive_bytes_total${of(`device!~"${virtual}"`)})) + sum(rate(node_network_transmit_bytes_total${of(`device!~"${virtual}"`)}))`,
    diskUsed: `sum(rate(node_disk_read_bytes_total${of(`device!~"${stacked}"`)})) + sum(rate(node_disk_written_bytes_total${of(`device!~"${stacked}"`)}))`,
    pressureCpu: waiting("cpu"),
    pressureMemory: waiting("memory"),
    pressureIo: waiting("io"),
    running: `sum(last_over_time(docker_containers${of('state="running"')}))`,
  };
}

/** The curves of the host's engines, all of them together. */
export function engineCurves(host: string, window: number): Record<string, string> {
  const of = (more = "") => `{host=${quote(host)},job="docker"${more && `,${more}`}}[${duration(window)}]`;
  const rate = (metric: string, more = "") => `sum(rate(${metric}${of(more)}))`;
  const last = (metric: string, more = "") => `sum(last_over_time(${metric}${of(more)}))`;
  const action = (a: string) => `action=${quote(a)}`;
  const mean = (metric: string, more: string) => `${rate(`${metric}_sum`, more)} / (${rate(`${metric}_count`, more)} > 0)`;
  return {
    ping: `max(max_over_time(docker_ping_seconds${of()}) and on (engine) (last_over_time(docker_up${of()}) == 1))`,
    ...Object.fromEntries(actions.flatMap((a) => [[`did_${a}`, rate("engine_daemon_container_actions_seconds_count", action(a))], [`took_${a}`, mean("engine_daemon_container_actions_seconds", action(a))]])),
    ...Object.fromEntries(networkActions.map((a) => [`net_${a}`, mean("engine_daemon_network_actions_seconds", action(a))])),
    events: rate("engine_daemon_events_total"),
    checks: rate("engine_daemon_health_checks_total"),
    checksFailed: rate("engine_daemon_health_checks_failed_total"),
    builds: rate("builder_builds_triggered_total"),
    buildsFailed: rate("builder_builds_failed_total"),
    goroutines: last("go_goroutines"),
    descriptors: last("process_open_fds"),
    ...Object.fromEntries(states.map((s) => [`is_${s}`, last("docker_containers", `state=${quote(s)}`)])),
  };
}

/** The figures of each engine over a range that ends at the moment that is asked for, all with the label engine. */
export function engineFigures(host: string, range: number): Record<string, string> {
  const sel = (more = "") => `{host=${quote(host)},job="docker"${more && `,${more}`}}`;
  const grown = (metric: string, by = "engine") => `sum by (${by}) (increase(${metric}${sel()}[${duration(range)}]))`;
  const last = (metric: string, by = "engine", more = "") => `sum by (${by}) (last_over_time(${metric}${sel(more)}[1m]))`;
  const high = (metric: string) => `histogram_quantile(0.95, sum by (engine, action, le) (increase(${metric}_bucket${sel()}[${duration(range)}])))`;
  const [container, network] = ["engine_daemon_container_actions_seconds", "engine_daemon_network_actions_seconds"];
  return {
    up: last("docker_up"),
    stalled: last("docker_stalled"),
    ping: last("docker_ping_seconds"),
    pingMost: `max by (engine) (max_over_time(docker_ping_seconds${sel()}[${duration(range)}]))`,
    upShare: `avg by (engine) (avg_over_time(docker_up_ratio${sel()}[${duration(range)}]))`,
    offset: last("docker_clock_offset_seconds"),
    ooms: grown("docker_oom_events_total"),
    state: last("docker_containers", "engine, state"),
    did: grown(`${container}_count`, "engine, action"),
    took: grown(`${container}_sum`, "engine, action"),
    high: high(container),
    netDid: grown(`${network}_count`, "engine, action"),
    netTook: grown(`${network}_sum`, "engine, action"),
    netHigh: high(network),
    builds: grown("builder_builds_triggered_total"),
    buildsFailed: grown("builder_builds_failed_total"),
    events: grown("engine_daemon_events_total"),
    subscribers: last("engine_daemon_events_subscribers_total"),
    checks: grown("engine_daemon_health_checks_total"),
    checksFailed: grown("engine_daemon_health_checks_failed_total"),
    goroutines: last("go_goroutines"),
    descriptors: last("process_open_fds"),
    descriptorsMost: last("process_max_fds"),
    memory: last("process_resident_memory_bytes"),
  };
}

// What is asked for seldom stands in each round until it is asked for again.
const disks = "3m";
const real = 'fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660|erofs|devtmpfs|fuse.*"';

/** What is on the disks of a host. */
export function diskFigures(host: string): Record<string, string> {
  const sel = (more = "") => `{host=${quote(host)}${more && `,${more}`}}`;
  const most = (metric: string, within: string) => `topk(6, sum by (workload) (last_over_time(${metric}${sel('workload!=""')}[${within}])) > 0)`;
  return {
    bytes: `sum by (engine, what) (last_over_time(docker_disk_bytes${sel()}[${disks}]))`,
    reclaimable: `sum by (engine, what) (last_over_time(docker_disk_reclaimable_bytes${sel()}[${disks}]))`,
    objects: `sum by (engine, what) (last_over_time(docker_disk_objects${sel()}[${disks}]))`,
    active: `sum by (engine, what) (last_over_time(docker_disk_objects_active${sel()}[${disks}]))`,
    volume: `topk(4, sum by (engine, volume) (last_over_time(docker_volume_bytes${sel()}[${disks}])) > 0)`,
    log: most("container_log_size_bytes", "3m"),
    layer: most("container_fs_usage_bytes", disks),
    size: `max by (device, mountpoint) (last_over_time(node_filesystem_size_bytes${sel(real)}[1m]))`,
    free: `max by (device, mountpoint) (last_over_time(node_filesystem_free_bytes${sel(real)}[1m]))`,
    avail: `max by (device, mountpoint) (last_over_time(node_filesystem_avail_bytes${sel(real)}[1m]))`,
    readonly: `max by (device, mountpoint) (last_over_time(node_filesystem_readonly${sel(real)}[1m]))`,
  };
}

/** What users other than root may still write, over time. */
export const availQuery = (host: string, window: number) => `max by (device, mountpoint) (last_over_time(node_filesystem_avail_bytes{host=${quote(host)},${real}}[${duration(window)}]))`;

/** How containers waited, or were held back by their own limits, in a window. */
export function sufferQuery(kind: "waited" | "throttled", want: string, host: string, window: number): string {
  const metric = kind === "waited" ? `container_pressure_${want}_waiting_seconds_total` : "container_cpu_cfs_throttled_seconds_total";
  return `sum by (workload) (rate(${metric}{host=${quote(host)},workload!=""}[${duration(window)}]))`;
}
