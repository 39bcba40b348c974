// SPDX-License-Identifier: Apache-2.0

import { batch, signal as state } from "@preact/signals";
import { inWords } from "../../api/client";
import { anything, configurations, diff, eventPage, siblings, snapshot, snapshots } from "../../api/kept";
import type { Change, Configuration, Event, SiblingsAnswer, Snapshot } from "../../api/schema";
import { flat } from "../../format/setting";
import type { Said, SetFilter } from "./rights";
import { dayBefore, hour, midnight, day } from "../../format/time";

const versionsMost = 100;
// What came of a change is looked for so long after it.
export const aftermath = hour;

/** A configuration of a workload with its number, the oldest kept is 1. */
export interface Version extends Snapshot {
  n: number;
}

/** How a version stands in the address: one hash may have come twice. */
export function refOf(v: Snapshot): string {
  return `${v.hash}.${v.time}`;
}

/**
 * The two versions that an address names, the later one second; without a name
 * the newest and the one before it. Versions are the newest first.
 */
export function pick(versions: readonly Version[], a: string, b: string): { a?: Version; b?: Version } {
  const find = (ref: string, before: Version | undefined): Version | undefined => {
    const [hash, time] = ref.split(".");
    const same = versions.filter((v) => v.hash === hash);
    return same.find((v) => v.time === Number(time)) ?? same.find((v) => !before || v.n < before.n) ?? same[0];
  };
  const later = (b && find(b, undefined)) || versions[0];
  const earlier = (a && find(a, later)) || (later && versions.find((v) => v.n === later.n - 1));
  if (!later || !earlier || earlier === later) return { b: later };
  return earlier.n > later.n ? { a: later, b: earlier } : { a: earlier, b: later };
}

/** The workloads under days of their last change; those that are gone and never changed come last. */
export function byChange(all: readonly Configuration[], now: number): { name: string; items: Configuration[] }[] {
  const today = midnight(now);
  const yesterday = dayBefore(now);
  const name = (c: Configuration) => (!c.changed ? (c.state === "gone" ? "Gone, unchanged" : "Unchanged") : c.changed >= today ? "Today" : c.changed >= yesterday ? "Yesterday" : c.changed >= today - 6 * day ? "This week" : "Earlier");
  return under(all, name, ["Today", "Yesterday", "This week", "Earlier", "Unchanged", "Gone, unchanged"]);
}

/** The workloads under their projects. */
export function byProject(all: readonly Configuration[]): { name: string; items: Configuration[] }[] {
  const name = (c: Configuration) => c.project || "No project";
  const names = [...new Set(all.map(name))].sort((a, b) => Number(a === "No project") - Number(b === "No project") || a.localeCompare(b));
  return under([...all].sort((a, b) => a.workload.localeCompare(b.workload)), name, names);
}

function under(all: readonly Configuration[], name: (c: Configuration) => string, names: readonly string[]): { name: string; items: Configuration[] }[] {
  return names.map((n) => ({ name: n, items: all.filter((c) => name(c) === n) })).filter((g) => g.items.length > 0);
}

/** How a workload is named in what is found by a setting. */
export const nameOf = (c: { host: string; workload: string }) => `${c.host} ${c.workload}`;

/** The workloads that have all the words somewhere, and the settings; undefined while it is not known who has the latter. */
export function found(all: readonly Configuration[], said: Said, having: ReadonlySet<string> | undefined): Configuration[] | undefined {
  if (said.settings.length > 0 && !having) return undefined;
  return all.filter((c) => {
    if (said.settings.length > 0 && !having!.has(nameOf(c))) return false;
    const text = [c.workload, c.name, c.image, c.host, c.state, ...(c.changes ?? []).map((x) => x.path)].join(" ").toLowerCase();
    return said.words.every((w) => text.includes(w));
  });
}

/** The state of the Configuration page. */
export class ConfigData {
  readonly list = state<Configuration[] | undefined>(undefined);
  readonly listProblem = state("");
  /** Who has the settings that the filter asks for, see nameOf. */
  readonly having = state<ReadonlySet<string> | undefined>(undefined);
  readonly havingProblem = state("");
  readonly versions = state<Version[] | undefined>(undefined);
  readonly more = state(false);
  readonly problem = state("");
  readonly siblings = state<SiblingsAnswer | undefined>(undefined);
  readonly changes = state<Change[] | undefined>(undefined);
  readonly changesProblem = state("");
  /** What went wrong within the hour after the later version, oldest first. */
  readonly after = state<Event[]>([]);
  readonly both = state<{ a?: Snapshot; b: Snapshot } | undefined>(undefined);
  readonly image = state<Snapshot | "none" | undefined>(undefined);
  /** Rises when the history was read again. */
  readonly turn = state(0);
  private asking = new AbortController();
  private comparing = new AbortController();

  stop(): void {
    this.asking.abort();
    this.comparing.abort();
  }

  async loadList(): Promise<void> {
    try {
      this.list.value = (await configurations([])).workloads;
      this.listProblem.value = "";
    } catch (err) {
      this.listProblem.value = inWords(err);
    }
  }

  /** Asks who has some settings now. */
  async loadHaving(settings: readonly SetFilter[], signal: AbortSignal): Promise<void> {
    try {
      const { workloads } = await configurations(settings.map((s) => `${s.name}=${s.value}`), signal);
      batch(() => {
        this.having.value = new Set(workloads.map(nameOf));
        this.havingProblem.value = "";
      });
    } catch (err) {
      if (!signal.aborted) this.havingProblem.value = inWords(err);
    }
  }

  /** Reads the history of a workload; keep is for one that is on the screen. */
  async loadWorkload(host: string, workload: string, keep: boolean): Promise<void> {
    this.asking.abort();
    const { signal } = (this.asking = new AbortController());
    if (!keep) {
      batch(() => {
        this.versions.value = undefined;
        this.siblings.value = undefined;
        this.changes.value = undefined;
        this.both.value = undefined;
        this.after.value = [];
        this.image.value = undefined;
      });
    }
    this.problem.value = "";
    try {
      const [found, like] = await Promise.all([snapshots({ host, workload }, versionsMost, signal), siblings(host, workload, signal)]);
      if (signal.aborted) return;
      batch(() => {
        const first = found.more ? Math.max(found.snapshots.length, this.list.peek()?.find((c) => c.host === host && c.workload === workload)?.kept ?? 0) : found.snapshots.length;
        this.versions.value = found.snapshots.map((s, i) => ({ ...s, n: first - i }));
        this.more.value = found.more;
        this.siblings.value = like;
        this.turn.value++;
      });
    } catch (err) {
      if (!signal.aborted) this.problem.value = inWords(err);
    }
  }

  /** Compares two versions, or shows the only one there is. */
  async compare(a: Version | undefined, b: Version, what: "changed" | "all" | "image"): Promise<void> {
    this.comparing.abort();
    const { signal } = (this.comparing = new AbortController());
    this.changesProblem.value = "";
    try {
      if (a) {
        const [d, came] = await Promise.all([
          diff(a.hash, b.hash, signal),
          eventPage({ ...anything, severities: ["critical"], hosts: [b.host], workloads: [b.workload ?? ""] }, { start: b.time, end: b.time + aftermath, limit: 50 }, signal),
        ]);
        if (signal.aborted) return;
        batch(() => {
          this.changes.value = d.changes;
          this.after.value = [...came.events].reverse();
        });
      } else {
        this.changes.value = [];
        this.after.value = [];
      }
      if (what === "changed" && a) return;
      const [first, second] = await Promise.all([a && snapshot(a.hash, signal), snapshot(b.hash, signal)]);
      if (signal.aborted) return;
      this.both.value = { a: first, b: second };
      if (what !== "image") return;
      const id = flat(second.config).get("Image");
      if (typeof id !== "string") {
        this.image.value = "none";
        return;
      }
      const kept = (await snapshots({ host: b.host, image: id }, 1, signal)).snapshots[0];
      const whole = kept && (await snapshot(kept.hash, signal));
      if (!signal.aborted) this.image.value = whole ?? "none";
    } catch (err) {
      if (!signal.aborted) this.changesProblem.value = inWords(err);
    }
  }
}
