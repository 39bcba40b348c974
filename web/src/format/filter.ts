// SPDX-License-Identifier: Apache-2.0

/** What a filter sees of a container. */
export interface Filterable {
  id: string;
  name: string;
  image: string;
  host: string;
  workload: string;
  project?: string;
  service?: string;
  state: string;
  health?: string;
}

const keys: Record<string, (c: Filterable) => string | undefined> = {
  name: (c) => c.name,
  image: (c) => c.image,
  state: (c) => c.state,
  health: (c) => c.health ?? "none",
  project: (c) => c.project ?? "",
  service: (c) => c.service ?? "",
  host: (c) => c.host,
  id: (c) => c.id,
  workload: (c) => c.workload,
};

/** One word of a filter; without a key it is looked for in everything. */
export interface Term {
  key?: string;
  value: string;
  /** As typed, for a chip. */
  text: string;
}

/** Splits a filter into words. "api:1.43" is a word, "image:api" has a key. */
export function parseFilter(text: string): Term[] {
  return text
    .trim()
    .split(/\s+/)
    .filter((w) => w !== "")
    .map((w) => {
      const cut = w.indexOf(":");
      const key = w.slice(0, cut).toLowerCase();
      if (cut > 0 && Object.hasOwn(keys, key)) return { key, value: w.slice(cut + 1).toLowerCase(), text: w };
      return { value: w.toLowerCase(), text: w };
    });
}

/** A filter for exactly this; words cannot be kept together, so that text with spaces is looked for. */
export function only(key: string, value: string): string {
  return `${key}:${/\s/.test(value) ? "" : "="}${value}`;
}

/** Reports whether c has all of the words. "host:=harbor-1" is the whole of it: not harbor-12. */
export function matches(c: Filterable, terms: readonly Term[]): boolean {
  return terms.every(({ key, value }) => {
    if (key !== undefined) {
      const has = (keys[key]!(c) ?? "").toLowerCase();
      return value.startsWith("=") ? has === value.slice(1) : has.includes(value);
    }
    return Object.values(keys).some((read) => (read(c) ?? "").toLowerCase().includes(value));
  });
}
