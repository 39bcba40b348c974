// SPDX-License-Identifier: Apache-2.0

import { localName } from "./text";

/** The labels of a line that say where it is from. */
type Labels = Readonly<Record<string, string | undefined>>;

/** What a line is of: a container, also when it is in a file of it, a file of the host, a unit. */
export function originOf(l: Labels): string {
  return l["name"] ?? l["filename"] ?? l["unit"] ?? l["service_name"] ?? "";
}

/** The whole of it, for titles and files. */
export function wholeOrigin(l: Labels): string {
  return l["name"] && l["filename"] ? `${l["name"]}: ${l["filename"]}` : originOf(l);
}

/** Which of a container's outputs or files a line is of. */
export function outputName(l: Labels): string {
  return l["filename"]?.replace(/^.*\//, "") ?? l["stream"] ?? "";
}

/** A unit as people call it: most are services. */
export function unitName(unit: string): string {
  return unit.replace(/(.)\.service$/, "$1");
}

/** Names within projects (the first part of a workload), as far as they tell the containers apart. */
export function shortNames(all: readonly { name: string; workload: string }[]): Map<string, string> {
  const out = new Map<string, string>();
  const taken = new Map<string, string>();
  for (const { name, workload } of all) {
    const [project, service] = workload.split("/");
    const short = service === undefined ? name : localName(name, project);
    const other = taken.get(short);
    if (other !== undefined && other !== name) {
      out.set(other, other);
      out.set(name, name);
    } else {
      taken.set(short, name);
      out.set(name, short);
    }
  }
  return out;
}

/** The ends of paths that tell them apart: the names of files, with folders where two are called the same. */
export function shortPaths(paths: readonly string[]): Map<string, string> {
  const out = new Map<string, string>();
  let left = [...new Set(paths)];
  for (let deep = 1; left.length > 0; deep++) {
    const ends = new Map<string, string[]>();
    for (const p of left) {
      const parts = p.split("/");
      const end = deep >= parts.length ? p : parts.slice(-deep).join("/");
      ends.set(end, [...(ends.get(end) ?? []), p]);
    }
    left = [];
    for (const [end, of] of ends) {
      if (of.length === 1) out.set(of[0]!, end);
      else left.push(...of);
    }
  }
  return out;
}
