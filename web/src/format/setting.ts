// SPDX-License-Identifier: Apache-2.0

import type { Json } from "../api/schema";
import { plain, size } from "./number";

/** A setting of a container: under which heading it stands and what it is called. */
export interface Setting {
  group: string;
  label: string;
}

/** The headings, in the order in which somebody looks for what went wrong. */
export const groups = ["Image", "Resources", "Rights", "Environment", "Command", "Mounts", "Network", "Health and restart", "Logging", "Labels", "Other"] as const;

type Unit = "bytes" | "cores" | "time" | "count";

interface Known {
  group: (typeof groups)[number];
  label: string;
  unit?: Unit;
}

const of = (group: Known["group"], label: string, unit?: Unit): Known => ({ group, label, unit });

// Settings by their path, in Docker's words; what is not here is shown as Docker calls it.
const known: Record<string, Known> = {
  "Config.Image": of("Image", "Image"),
  Image: of("Image", "Image id"),
  Platform: of("Image", "Platform"),
  RepoTags: of("Image", "Tags"),
  RepoDigests: of("Image", "Digests"),
  "HostConfig.Memory": of("Resources", "Memory limit", "bytes"),
  "HostConfig.MemoryReservation": of("Resources", "Memory reservation", "bytes"),
  "HostConfig.MemorySwap": of("Resources", "Memory and swap limit", "bytes"),
  "HostConfig.MemorySwappiness": of("Resources", "Swappiness", "count"),
  "HostConfig.KernelMemory": of("Resources", "Kernel memory limit", "bytes"),
  "HostConfig.ShmSize": of("Resources", "Shared memory", "bytes"),
  "HostConfig.NanoCpus": of("Resources", "CPU limit", "cores"),
  "HostConfig.CpuQuota": of("Resources", "CPU quota", "count"),
  "HostConfig.CpuPeriod": of("Resources", "CPU period", "count"),
  "HostConfig.CpuShares": of("Resources", "CPU shares", "count"),
  "HostConfig.CpusetCpus": of("Resources", "CPUs"),
  "HostConfig.CpusetMems": of("Resources", "Memory nodes"),
  "HostConfig.PidsLimit": of("Resources", "Process limit", "count"),
  "HostConfig.OomKillDisable": of("Resources", "OOM killer off"),
  "HostConfig.OomScoreAdj": of("Resources", "OOM score adjustment", "count"),
  "HostConfig.BlkioWeight": of("Resources", "Block IO weight", "count"),
  "HostConfig.Privileged": of("Rights", "Privileged"),
  "HostConfig.CapAdd": of("Rights", "Capabilities added"),
  "HostConfig.CapDrop": of("Rights", "Capabilities dropped"),
  "HostConfig.SecurityOpt": of("Rights", "Security options"),
  "HostConfig.ReadonlyRootfs": of("Rights", "Root file system read-only"),
  "HostConfig.Devices": of("Rights", "Devices"),
  "HostConfig.DeviceRequests": of("Rights", "Device requests"),
  "HostConfig.GroupAdd": of("Rights", "Groups added"),
  "HostConfig.PidMode": of("Rights", "PID namespace"),
  "HostConfig.IpcMode": of("Rights", "IPC namespace"),
  "HostConfig.UTSMode": of("Rights", "UTS namespace"),
  "HostConfig.UsernsMode": of("Rights", "User namespace"),
  "HostConfig.CgroupnsMode": of("Rights", "Cgroup namespace"),
  "HostConfig.MaskedPaths": of("Rights", "Masked paths"),
  "HostConfig.ReadonlyPaths": of("Rights", "Read-only paths"),
  "Config.User": of("Rights", "User"),
  "Config.Cmd": of("Command", "Command"),
  "Config.Entrypoint": of("Command", "Entry point"),
  "Config.WorkingDir": of("Command", "Working directory"),
  "Config.Shell": of("Command", "Shell"),
  "Config.StopSignal": of("Command", "Stop signal"),
  "Config.StopTimeout": of("Command", "Stop timeout, seconds", "count"),
  "Config.Tty": of("Command", "Terminal"),
  "Config.OpenStdin": of("Command", "Standard input open"),
  "HostConfig.Init": of("Command", "Init process"),
  "HostConfig.Binds": of("Mounts", "Binds"),
  "HostConfig.VolumesFrom": of("Mounts", "Volumes from"),
  "Config.Volumes": of("Mounts", "Volumes of the image"),
  "HostConfig.NetworkMode": of("Network", "Network mode"),
  "HostConfig.ExtraHosts": of("Network", "Extra hosts"),
  "HostConfig.Dns": of("Network", "DNS servers"),
  "HostConfig.DnsSearch": of("Network", "DNS search domains"),
  "HostConfig.Links": of("Network", "Links"),
  "HostConfig.PublishAllPorts": of("Network", "Publish all ports"),
  "Config.ExposedPorts": of("Network", "Exposed ports"),
  "Config.Hostname": of("Network", "Host name"),
  "Config.Domainname": of("Network", "Domain name"),
  "Config.MacAddress": of("Network", "MAC address"),
  "Config.Healthcheck.Test": of("Health and restart", "Health check"),
  "Config.Healthcheck.Interval": of("Health and restart", "Health check interval", "time"),
  "Config.Healthcheck.Timeout": of("Health and restart", "Health check timeout", "time"),
  "Config.Healthcheck.StartPeriod": of("Health and restart", "Health check start period", "time"),
  "Config.Healthcheck.Retries": of("Health and restart", "Health check retries", "count"),
  "HostConfig.RestartPolicy.Name": of("Health and restart", "Restart policy"),
  "HostConfig.RestartPolicy.MaximumRetryCount": of("Health and restart", "Restarts at most", "count"),
  "HostConfig.AutoRemove": of("Health and restart", "Removed when it ends"),
  "HostConfig.LogConfig.Type": of("Logging", "Log driver"),
  Created: of("Other", "Created"),
  Id: of("Other", "Id"),
  Name: of("Other", "Name"),
  Driver: of("Other", "Storage driver"),
  "HostConfig.Runtime": of("Other", "Runtime"),
};

// Beginnings of paths whose next part is a name that somebody chose.
const named: readonly { start: readonly string[]; group: Known["group"]; label: (name: string, rest: readonly string[]) => string }[] = [
  { start: ["Config", "Env"], group: "Environment", label: (n) => n },
  { start: ["Config", "Labels"], group: "Labels", label: (n) => n },
  { start: ["HostConfig", "Ulimits"], group: "Resources", label: (n) => `ulimit ${n}` },
  { start: ["HostConfig", "Sysctls"], group: "Rights", label: (n) => `sysctl ${n}` },
  { start: ["HostConfig", "PortBindings"], group: "Network", label: (n) => `Port ${n} published as` },
  { start: ["HostConfig", "Tmpfs"], group: "Mounts", label: (n) => `tmpfs ${n}` },
  { start: ["HostConfig", "Mounts"], group: "Mounts", label: (n, r) => `${n} asked for${r.length ? `: ${spoken(r)}` : ""}` },
  { start: ["HostConfig", "LogConfig", "Config"], group: "Logging", label: (n) => `Option ${n}` },
  { start: ["Mounts"], group: "Mounts", label: (n, r) => (r.length ? `${n}: ${mountWords[r.join(".")] ?? spoken(r)}` : n) },
  { start: ["Networks"], group: "Network", label: (n, r) => `${n}: ${spoken(r)}` },
];

const mountWords: Record<string, string> = { RW: "writable", Source: "source", Type: "type", Mode: "mode", Propagation: "propagation", Name: "volume", Driver: "driver" };

/** The parts of a path such as HostConfig.Memory or Config.Labels["a.b"]. */
export function partsOf(path: string): string[] {
  const out: string[] = [];
  for (const [, simple, quoted] of path.matchAll(/([A-Za-z_]\w*)|\[("(?:[^"\\]|\\.)*")\]/g)) {
    if (quoted === undefined) out.push(simple!);
    else {
      try {
        out.push(JSON.parse(quoted) as string);
      } catch {
        out.push(quoted.slice(1, -1)); // an escape that only Go knows
      }
    }
  }
  return out;
}

// "IPAMConfig.IPv4Address" as words: what is not known is told in Docker's.
function spoken(parts: readonly string[]): string {
  return parts.map((p) => (/^[A-Z][a-z]+(?:[A-Z][a-z]+)*$/.test(p) ? p.replace(/(?!^)[A-Z]/g, (c) => " " + c.toLowerCase()).toLowerCase() : p)).join(" ");
}

/** What a setting is called. */
export function settingOf(path: string): Setting {
  const exact = Object.hasOwn(known, path) ? known[path] : undefined;
  if (exact) return { group: exact.group, label: exact.label };
  const parts = partsOf(path);
  for (const n of named) {
    if (parts.length > n.start.length && n.start.every((s, i) => parts[i] === s)) return { group: n.group, label: n.label(parts[n.start.length]!, parts.slice(n.start.length + 1)) };
  }
  const health = parts[0] === "Config" && parts[1] === "Healthcheck";
  return { group: health ? "Health and restart" : "Other", label: parts.at(-1) ?? path };
}

const units: Record<Unit, (n: number) => string> = {
  bytes: (n) => (n < 0 ? "no limit" : size(n)),
  cores: (n) => `${plain(n / 1e9)} ${n === 1e9 ? "core" : "cores"}`,
  time: (n) => (n >= 60e9 && n % 60e9 === 0 ? `${n / 60e9} min` : n >= 1e9 ? `${plain(n / 1e9)} s` : `${plain(n / 1e6)} ms`),
  count: String,
};

/** A value in parts, of which those are marked that the other side has not. */
export interface Piece {
  text: string;
  hit: boolean;
}

/** How a value reads. */
export interface Said {
  text: string;
  /** How it was before it was made readable, where that differs. */
  exact?: string;
  /** The elements of a list, which are told one below the other. */
  list?: string[];
  /** It is not set, or its value is hidden. */
  kind: "value" | "none" | "hidden";
}

const hidden = /^\[set\] ([0-9a-f]{4})([0-9a-f]{12})$/;

/** How a value of a setting reads; undefined where there is none. */
export function said(path: string, value: Json | undefined): Said {
  if (value === undefined || value === null) return { text: "not set", kind: "none" };
  if (typeof value === "string") {
    const h = hidden.exec(value);
    if (h) return { text: `hidden, hash ${h[1]}`, exact: `hash ${h[1]}${h[2]}`, kind: "hidden" };
    if (value === "[empty]") return { text: "set, but empty", kind: "value" };
    if (value === "[unset]") return { text: "named without a value", kind: "value" };
    return { text: value, kind: "value" };
  }
  if (typeof value === "boolean") return { text: value ? "yes" : "no", kind: "value" };
  if (typeof value === "number") {
    const unit = Object.hasOwn(known, path) ? known[path]!.unit : undefined;
    const text = unit ? units[unit](value) : String(value);
    return { text, exact: text === String(value) ? undefined : String(value), kind: "value" };
  }
  if (Array.isArray(value)) {
    const list = value.map((v) => (typeof v === "string" ? v : JSON.stringify(v)));
    return { text: list.join("\n"), list, kind: "value" };
  }
  return { text: JSON.stringify(value), kind: "value" };
}

/** Two values with what differs between them marked, as lines. */
export function compared(a: Said, b: Said): [Piece[][], Piece[][]] {
  if (a.list || b.list) {
    const lines = (x: Said, other: Said): Piece[][] => (x.list ?? [x.text]).map((text) => [{ text, hit: x.kind !== "none" && !(other.list ?? []).includes(text) }]);
    return [lines(a, b), lines(b, a)];
  }
  if (a.kind === "none" || b.kind === "none") return [[[{ text: a.text, hit: false }]], [[{ text: b.text, hit: false }]]];
  // Hashes that begin alike are told whole.
  const [x, y] = a.text === b.text ? [a.exact ?? a.text, b.exact ?? b.text] : [a.text, b.text];
  const s = [...x];
  const t = [...y];
  let start = 0;
  while (start < s.length && start < t.length && s[start] === t[start]) start++;
  let end = 0;
  while (end < s.length - start && end < t.length - start && s[s.length - 1 - end] === t[t.length - 1 - end]) end++;
  // A number is marked whole: 768 → 512 and not 1[28] → 1[92].
  const word = (c: string | undefined) => c !== undefined && /[\p{L}\p{N}]/u.test(c);
  while (start > 0 && word(s[start - 1]) && (word(s[start]) || word(t[start]))) start--;
  while (end > 0 && word(s[s.length - end]) && (word(s[s.length - end - 1]) || word(t[t.length - end - 1]))) end--;
  const cut = (c: string[]): Piece[] =>
    [{ text: c.slice(0, start).join(""), hit: false }, { text: c.slice(start, c.length - end).join(""), hit: true }, { text: c.slice(c.length - end).join(""), hit: false }].filter((p) => p.text !== "");
  return [[cut(s)], [cut(t)]];
}

const simple = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Every setting of a configuration by its path. */
export function flat(config: Json | undefined): Map<string, Json> {
  const out = new Map<string, Json>();
  const walk = (path: string, v: Json) => {
    if (typeof v !== "object" || v === null || Array.isArray(v)) {
      out.set(path, v);
      return;
    }
    for (const [k, inner] of Object.entries(v)) walk(!simple.test(k) ? `${path}[${JSON.stringify(k)}]` : path === "" ? k : `${path}.${k}`, inner);
  };
  if (config !== undefined) walk("", config);
  return out;
}

/** A setting with its value before and after. */
export interface SettingRow extends Setting {
  path: string;
  a: Json | undefined;
  b: Json | undefined;
  how: "added" | "removed" | "changed" | "same";
}

export function rowOf(path: string, a: Json | undefined, b: Json | undefined): SettingRow {
  const how = a === undefined ? "added" : b === undefined ? "removed" : JSON.stringify(a) === JSON.stringify(b) ? "same" : "changed";
  return { path, a, b, how, ...settingOf(path) };
}

/** All settings of two configurations. */
export function union(a: Map<string, Json>, b: Map<string, Json>): SettingRow[] {
  return [...new Set([...a.keys(), ...b.keys()])].map((path) => rowOf(path, a.get(path), b.get(path)));
}

/** Rows under their headings. */
export function grouped(rows: readonly SettingRow[]): { group: string; rows: SettingRow[] }[] {
  return groups
    .map((group) => ({ group, rows: rows.filter((r) => r.group === group).sort((a, b) => a.label.localeCompare(b.label) || (a.path < b.path ? -1 : 1)) }))
    .filter((g) => g.rows.length > 0);
}

/** "Memory limit, CAP_X, 2 more": some changes in short. */
export function inShort(paths: readonly string[], total = paths.length, most = 2): string {
  const names = [...new Set(paths.map((p) => settingOf(p).label))];
  const shown = names.slice(0, most);
  const more = total - shown.length - (paths.length - names.length);
  return shown.join(", ") + (more > 0 ? `${shown.length ? ", " : ""}${more} more` : "");
}

/** Which values are not those of most; none where there is no most. */
export function odd(values: readonly (Json | null)[]): boolean[] {
  const texts = values.map((v) => JSON.stringify(v));
  const n = new Map<string, number>();
  for (const t of texts) n.set(t, (n.get(t) ?? 0) + 1);
  const most = Math.max(...n.values());
  const usual = [...n].filter(([, c]) => c === most).map(([t]) => t);
  return texts.map((t) => usual.length === 1 && t !== usual[0]);
}

/** Which members of a service are not as most are, by their places. */
export function strangers(differences: readonly { values: readonly (Json | null)[] }[]): Set<number> {
  const off = new Set<number>();
  for (const d of differences) odd(d.values).forEach((is, i) => is && off.add(i));
  return off;
}
