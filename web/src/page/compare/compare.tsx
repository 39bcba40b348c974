// SPDX-License-Identifier: Apache-2.0

import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { servers } from "../../api/client";
import type { Container } from "../../api/schema";
import type { Section } from "../../chart/stack";
import { type Chosen, chosenText } from "../../format/chosen";
import { placesOf } from "../../format/colour";
import { bytes, cores, count, plain, type Quantity, rate, size } from "../../format/number";
import { localName, show } from "../../format/text";
import { chosen, chosenMost, toggleChosen } from "../../part/chosen";
import { Frame } from "../../part/frame";
import { Icon } from "../../part/icon";
import { copy } from "../../part/notice";
import { containerHref, linkTo, range, rangeParams } from "../../part/place";
import { RangeControl } from "../../part/rangecontrol";
import { TimeCharts } from "../../part/timecharts";
import { useTimeline } from "../../part/timeline";
import { columnOf, type Compared, Comparison } from "./data";
import "./compare.css";

/** Which of them is different? Some containers side by side, a line for each on every chart. */
export function ComparePage() {
  const all = chosen.value;
  const known = useSignal<Container[] | undefined>(undefined);
  useEffect(() => {
    const stop = new AbortController();
    // Without the names there are those of the workloads, and nothing to add.
    servers(stop.signal).then((s) => { known.value = s.hosts.flatMap((h) => h.containers.map((c) => ({ ...c, host: h.host }))); }, () => undefined);
    return () => stop.abort();
  }, []);
  return <Side key={all.map(chosenText).join("\n")} all={all} known={known.value} />;
}

const colors = ["c1", "c2", "c3", "c4", "c5", "c7", "c6", "c8"];

function Side({ all, known }: { all: readonly Chosen[]; known: readonly Container[] | undefined }) {
  const { data, actions } = useTimeline("Compare", (pin) => new Comparison(all, pin), []);
  const names = useMemo(() => namesOf(all, known ?? []), [known]);
  // Of whom there are no samples, that is said; it is not left out.
  const has = useComputed(() => (data.loaded.value ? kinds.map((k) => all.map((_, i) => (data.model.columns.value.series[columnOf(k.what, i)] ? "1" : "0")).join("")) : []).join(" ")).value;
  const sections = useMemo(() => {
    const there = has.split(" ");
    const placed = placesOf(all.map(chosenText), colors.length);
    const lines = all.map((c, i) => ({ name: names[i]!, color: colors[placed.get(chosenText(c))!]!, href: hrefOf(c) }));
    return kinds.map((k, n) => sectionOf(k, lines, there[n] ?? ""));
  }, [names, has, range.value]);
  const others = (known ?? []).filter((c) => c.state !== "gone" && !all.some((x) => x.host === c.host && x.workload === c.workload));
  return (
    <Frame
      title="Compare"
      mainClass="sides"
      crumb={
        <>
          <a class="wide" href={serversHref(all)}>Servers</a>
          <span class="wide">/</span>
          <b>Compare</b>
        </>
      }
      range={<RangeControl range={range.value} freeze={actions.freeze} canLive />}
    >
      <header class="row wrap">
        <h1>{all.length > 0 ? `${all.length} side by side` : "Compare"}</h1>
        {all.map((c, i) => (
          <span key={chosenText(c)} class="chip">
            <a class="ell" href={hrefOf(c)} title={names[i]}>{names[i]}</a>
            <button type="button" aria-label={`Leave out ${names[i]}`} title="Leave out" onClick={() => toggleChosen(c)}>×</button>
          </span>
        ))}
        {all.length < chosenMost && others.length > 0 && (
          <select class="btn" aria-label="Add a container" value="" onChange={(e) => { const c = others[Number(e.currentTarget.value)]; if (c) toggleChosen(c); }}>
            <option value="">Add …</option>
            {others.map((c, i) => <option key={c.id} value={i}>{nameOf(c)}{` on ${show(c.host)}`}</option>)}
          </select>
        )}
        <span class="grow" />
        {all.length > 0 && (
          <button type="button" class="btn wide" title="Copy a link to this range" onClick={() => void copy(linkTo({ live: false, ...data.model.view.peek() }))}>
            <Icon name="link" />
            Share
          </button>
        )}
      </header>
      {all.length > 0 ? (
        <TimeCharts data={data} problem={data.problem.value} sections={sections} actions={actions} instances={false} />
      ) : (
        <section class="empty">
          <h2>Nothing is chosen yet</h2>
          <p>Choose containers here, or on <a class="link" href="/servers">Servers</a> with the box beside a name or the key <kbd>x</kbd>.</p>
        </section>
      )}
    </Frame>
  );
}

const hrefOf = (c: Chosen) => containerHref({ ...c, id: "" }, rangeParams());

function serversHref(all: readonly Chosen[]): string {
  const params = new URLSearchParams(rangeParams());
  for (const c of all) params.append("c", chosenText(c));
  return `/?${params}`;
}

const nameOf = (c: Pick<Container, "name" | "project">) => show(c.project ? `${c.project} / ${localName(c.name, c.project)}` : c.name);

/** What they are called: as short as tells them apart, with the project and the host where it takes that. */
function namesOf(all: readonly Chosen[], known: readonly Container[]): string[] {
  const names = all.map((x) => {
    const same = known.filter((c) => c.host === x.host && c.workload === x.workload);
    const c = same.find((s) => s.state !== "gone") ?? same[0];
    const whole = c ? nameOf(c) : show(x.workload);
    return [c ? show(localName(c.name, c.project)) : whole, whole, `${whole} on ${show(x.host)}`];
  });
  const apart = (n: number, i: number) => names.filter((x) => x[n] === names[i]![n]).length === 1;
  return names.map((x, i) => x.find((_, n) => apart(n, i)) ?? x[2]!);
}

interface Kind {
  what: Compared;
  title: string;
  note?: string;
  base: "decimal" | "binary";
  least: number;
  tick(v: number): string;
  value(v: number): Quantity;
}

const noUnit = (n: string) => ({ n, unit: "" });
const flow = { base: "binary", least: 1024, tick: (v: number) => size(v) + "/s", value: rate } as const;

const kinds: Kind[] = [
  { what: "cpu", title: "CPU", note: "cores", base: "decimal", least: 0.04, tick: plain, value: (v) => noUnit(cores(v)) },
  { what: "memory", title: "Memory", note: "working set", base: "binary", least: 512 * 1024, tick: size, value: bytes },
  { what: "rx", title: "Received", ...flow },
  { what: "tx", title: "Sent", ...flow },
  { what: "blkRead", title: "Block IO read", ...flow },
  { what: "blkWrite", title: "Block IO written", ...flow },
  { what: "pids", title: "Threads", base: "decimal", least: 4, tick: plain, value: (v) => noUnit(count(v)) },
];

const none = "There are no samples of it in this range.";

function sectionOf({ what, ...of }: Kind, lines: readonly { name: string; color: string; href: string }[], there: string): Section {
  return {
    spec: { ...of, id: what, height: 100, unknown: lines.filter((_, i) => there[i] === "0").map((l) => ({ name: l.name, why: none })), lines: lines.map((l, i) => ({ ...l, series: columnOf(what, i), kind: "line" as const })) },
    missing: none,
  };
}
