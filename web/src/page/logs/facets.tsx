// SPDX-License-Identifier: Apache-2.0

import { useSignal } from "@preact/signals";
import type { ComponentChild } from "preact";
import type { Kind } from "../../format/logline";
import { among, type Controls, everything, places, type Source, toggled, withPlace, withSource } from "../../format/logql";
import { count, size as inBytes } from "../../format/number";
import { shortNames, shortPaths, unitName } from "../../format/origin";
import { Choice, Group, withChosen } from "../../part/facets";

/** How much there is of each value, of the lines of the range that the other choices leave. */
export interface Facets {
  sources: Map<string, number>;
  /** What is counted: lines, where a text was looked for, else bytes. */
  of?: "lines" | "bytes";
  /** Nothing of it is known yet. */
  unknown?: boolean;
  hosts: Map<string, number>;
  names: Map<string, number>;
  files: Map<string, number>;
  units: Map<string, number>;
  streams: Map<string, number>;
  /** The containers that a file is in; "" for one of the host. */
  owners: Map<string, Set<string>>;
  /** What containers are called within their projects, and files without their folders, where no other is called so. */
  short: Map<string, string>;
}

export const facetLabels = ["source", "host", "name", "workload", "filename", "unit", "stream"];

type Kinds = "sources" | "hosts" | "places" | "streams";

/** What the choices of the controls leave of some lines, told apart by the kind of choice. */
function leaves(c: Controls, l: Record<string, string>): Record<Kinds, boolean> {
  const of = (list: readonly string[], v: string | undefined) => list.length === 0 || (v !== undefined && list.includes(v));
  const source = l["source"] ?? "";
  const place = source === "container" ? of(c.names, l["name"]) : source === "journal" ? of(c.units, l["unit"]) : of(c.files, l["filename"]) && (!l["name"] || of(c.names, l["name"]));
  return {
    sources: of(c.sources, source),
    hosts: of(c.hosts, l["host"]) && of(c.workloads, l["workload"]),
    places: place,
    streams: source !== "container" || of(c.streams, l["stream"]),
  };
}

/** The sums of what there is by labels; of each kind of choice what the others leave. What nothing is left of is there with 0. */
export function facetsOf(found: readonly { labels: Record<string, string>; amount: number }[] | undefined, c: Controls = everything): Facets {
  const out: Facets = { unknown: !found, sources: new Map(), hosts: new Map(), names: new Map(), files: new Map(), units: new Map(), streams: new Map(), owners: new Map(), short: new Map() };
  const add = (m: Map<string, number>, k: string | undefined, n: number) => k && m.set(k, (m.get(k) ?? 0) + n);
  for (const { labels, amount } of found ?? []) {
    const left = leaves(c, labels);
    const n = (of: Kinds) => ((Object.keys(left) as Kinds[]).every((k) => k === of || left[k] || (of === "places" && k === "sources")) ? amount : 0);
    add(out.sources, labels["source"], n("sources"));
    add(out.hosts, labels["host"], n("hosts"));
    add(out.streams, labels["stream"], n("streams"));
    if (labels["source"] === "container") add(out.names, labels["name"], n("places"));
    add(out.files, labels["filename"], n("places"));
    add(out.units, labels["unit"], n("places"));
    const file = labels["filename"];
    if (file) out.owners.set(file, (out.owners.get(file) ?? new Set()).add(labels["name"] ?? ""));
  }
  const named = (found ?? []).filter((f) => f.labels["name"]).map((f) => ({ name: f.labels["name"]!, workload: f.labels["workload"] ?? "" }));
  out.short = new Map([...shortNames(named), ...shortPaths([...out.files.keys()])]);
  return out;
}

/** The files that lines can be of beside some containers: those of the host and of these. */
export function filesWith(facets: Facets, names: readonly string[]): Map<string, number> {
  if (names.length === 0) return facets.files;
  return new Map([...facets.files].filter(([file]) => [...facets.owners.get(file)!].some((n) => n === "" || names.includes(n))));
}

const levels: readonly { kind: Kind; label: string }[] = [
  { kind: "error", label: "error" },
  { kind: "warn", label: "warn" },
  { kind: "info", label: "info" },
  { kind: "debug", label: "debug" },
  { kind: "unknown", label: "no level" },
];

const kinds: readonly { source: Source; label: string }[] = [
  { source: "container", label: "containers" },
  { source: "file", label: "files" },
  { source: "journal", label: "units" },
];

// From so many on there is a field to find one, and the list scrolls by itself.
const findFrom = 12;

interface Props {
  controls: Controls | undefined;
  facets: Facets;
  byLevel: Partial<Record<Kind, number>>;
  colour(name: string): number | undefined;
  change(c: Controls): void;
  /** Back from a query that was written by hand. */
  reset(): void;
}

/** The simple controls: what the query selects. */
export function FacetList({ controls: c, facets, byLevel, colour, change, reset }: Props) {
  const size = (n: number) => (facets.of === "lines" ? count(n) : inBytes(n));
  if (!c) {
    return (
      <div class="byhand">
        <p>This query says more than the controls can.</p>
        <button type="button" class="btn" onClick={reset}>Back to the controls</button>
      </div>
    );
  }
  const hosts = withChosen(facets.hosts, c.hosts);
  const choose = (source: Source) => ({
    chosen: c[places[source].list],
    toggle: (value: string) => change(withPlace(c, source, value)),
    clear: () => change(c[places[source].list].reduce((next, v) => withPlace(next, source, v), c)),
    mark: (value: string) => {
      const k = colour(value);
      return <i class={k ? `c${k}` : ""} />;
    },
  });
  const files = filesWith(facets, c.names);
  return (
    <>
      <Group name="Source" clear={c.sources.length > 0 && (() => change({ ...c, sources: [], names: [], files: [], units: [] }))}>
        {kinds.map(({ source, label }) => (
          <Choice key={source} on={c.sources.includes(source)} toggle={() => change(withSource(c, source))} label={label} note={facets.unknown ? "" : size(facets.sources.get(source) ?? 0)} />
        ))}
      </Group>
      <Group name="Level" clear={c.levels.length > 0 && (() => change({ ...c, levels: [] }))}>
        {levels.map(({ kind, label }) => (
          <Choice key={kind} on={c.levels.includes(kind)} toggle={() => change({ ...c, levels: toggled(c.levels, kind) })} mark={<i class={kind} />} label={label} note={byLevel[kind] ? count(byLevel[kind]) : ""} />
        ))}
      </Group>
      {hosts.length > 1 && (
        <Group name="Host" clear={c.hosts.length > 0 && (() => change({ ...c, hosts: [] }))}>
          {hosts.map(([h, n]) => <Choice key={h} on={c.hosts.includes(h)} toggle={() => change({ ...c, hosts: toggled(c.hosts, h) })} label={h} note={n ? size(n) : ""} />)}
        </Group>
      )}
      <Places name="Container" say={size} known={facets.names} {...choose("container")} label={(name) => facets.short.get(name) ?? name} none={facets.unknown ? "" : "No container wrote anything."} />
      {facets.files.size + c.files.length > 0 && (
        <Places
          name="File"
          say={size}
          known={files}
          {...choose("file")}
          label={(path) => facets.short.get(path) ?? path}
          none="No file of these containers."
          // Of a file inside of a container that was not chosen nothing is shown.
          note={(path) => (facets.files.has(path) && !files.has(path) ? "other container" : undefined)}
        />
      )}
      {facets.units.size + c.units.length > 0 && <Places name="Unit" say={size} known={facets.units} {...choose("journal")} label={unitName} none="" />}
      {among(c).includes("container") && (
        <Group name="Stream" clear={c.streams.length > 0 && (() => change({ ...c, streams: [] }))}>
          {["stdout", "stderr"].map((s) => (
            <Choice key={s} on={c.streams.includes(s)} toggle={() => change({ ...c, streams: toggled(c.streams, s).length === 2 ? [] : toggled(c.streams, s) })} label={s} note={facets.unknown ? "" : size(facets.streams.get(s) ?? 0)} />
          ))}
        </Group>
      )}
    </>
  );
}

interface PlacesProps {
  name: string;
  /** How much there is, in words. */
  say(n: number): string;
  known: Map<string, number>;
  chosen: readonly string[];
  label(value: string): string;
  mark(value: string): ComponentChild;
  /** What is said in place of how much there is. */
  note?: (value: string) => string | undefined;
  toggle(value: string): void;
  clear(): void;
  /** What is said when there is none. */
  none: string;
}

/** Containers, files or units; of many there is one to find. */
function Places({ name, say, known, chosen, label, mark, note, toggle, clear, none }: PlacesProps) {
  const find = useSignal("");
  const all = withChosen(known, chosen);
  const many = all.length >= findFrom;
  const wanted = many ? find.value.toLowerCase() : "";
  const found = all.filter(([v]) => v.toLowerCase().includes(wanted) || chosen.includes(v));
  const word = `Find a ${name.toLowerCase()}`;
  return (
    <Group name={name} clear={chosen.length > 0 && clear}>
      {many && (
        <label class="field">
          <input type="search" value={find.value} placeholder={word} aria-label={word} spellcheck={false} autocomplete="off" onInput={(e) => { find.value = e.currentTarget.value; }} />
        </label>
      )}
      <div class={many ? "many" : ""}>
        {found.map(([v, n]) => <Choice key={v} on={chosen.includes(v)} toggle={() => toggle(v)} mark={mark(v)} label={label(v)} title={v} note={note?.(v) ?? (n ? say(n) : "")} />)}
      </div>
      {all.length === 0 && <p class="dim">{none}</p>}
      {all.length > 0 && found.length === 0 && <p class="dim">None is called so.</p>}
    </Group>
  );
}
