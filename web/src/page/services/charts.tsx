// SPDX-License-Identifier: Apache-2.0

import { useMemo, useRef } from "preact/hooks";
import type { Service, ServiceChart } from "../../api/schema";
import type { Section } from "../../chart/stack";
import { bytes, plain, type Quantity, rate } from "../../format/number";
import { show } from "../../format/text";
import { second } from "../../format/time";
import { EventList } from "../../part/eventlist";
import { containerHref, param, rangeParams } from "../../part/place";
import { TimeCharts } from "../../part/timecharts";
import { useTimeline } from "../../part/timeline";
import { columnOf, most, ServiceTimeline } from "./timeline";

const pinText = param("at");

/** What matters first of a service, on the time axis of its container and with its events. */
export function Charts({ s, charts, every, freeze }: { s: Service; charts: readonly ServiceChart[]; every: number; freeze: { current: () => void } }) {
  const { data, pin, actions } = useTimeline("Service", (at) => new ServiceTimeline(s, charts, every * second, at), [s.type, s.instance, s.container]);
  const filter = useRef<HTMLInputElement>(null);
  freeze.current = actions.freeze;
  const names = data.names.value;
  const crowded = data.crowded.value;
  const sections = useMemo(() => charts.map((c, i) => sectionOf(c, i, names[i] ?? [], crowded[i] ?? 0)), [charts, names, crowded]);
  if (charts.length === 0) return <p class="mid">The plugin has no charts. Its values are series with job="{s.type.toLowerCase()}" and instance="{show(s.instance)}".</p>;
  return (
    <TimeCharts data={data} problem={data.problem.value} sections={sections} actions={actions} within={{ class: "vcharts", label: `Charts of ${s.type} ${show(s.instance)}` }}>
      <div class="vevents">
        <EventList model={data.model} leftOut={data.leftOut.value} pin={pin.value} select={actions.select} field={filter} />
        <a class="link" href={containerHref({ host: s.host, workload: s.workload, id: s.container }, { ...rangeParams(), at: pinText.value || undefined })}>The container at this time</a>
      </div>
    </TimeCharts>
  );
}

function quantity(unit: string, v: number): Quantity {
  switch (unit) {
    case "bytes":
      return bytes(v);
    case "bytes per second":
      return rate(v);
    case "seconds":
      return v > 0 && v < 1 ? { n: plain(v * 1000), unit: "ms" } : { n: plain(v), unit: "s" };
    case "ratio":
      return { n: plain(v * 100), unit: "%" };
    case "per second":
      return { n: plain(v), unit: "/s" };
    default:
      return { n: plain(v), unit: "" };
  }
}

const perSecond: Record<string, string> = { "": "per second", bytes: "bytes per second", seconds: "ratio" };

function sectionOf(c: ServiceChart, i: number, names: readonly (string | undefined)[], crowded: number): Section {
  const unit = c.lines.some((l) => l.rate) ? (perSecond[c.unit] ?? c.unit) : c.unit;
  return {
    spec: {
      id: `chart${i}`,
      title: c.title,
      note: crowded > 0 ? `${crowded} lines more` : "",
      height: 96,
      base: unit.startsWith("bytes") ? "binary" : "decimal",
      least: unit.startsWith("bytes") ? 1024 : unit === "ratio" ? 0.02 : unit === "seconds" ? 0.001 : 1,
      tick: (v) => {
        const q = quantity(unit, v);
        return q.unit === "/s" || q.unit === "" ? q.n + q.unit : `${q.n} ${q.unit}`;
      },
      value: (v) => quantity(unit, v),
      lines: Array.from({ length: most }, (_, k) => ({ series: columnOf(i, k), name: show(names[k] ?? ""), color: `c${k + 1}`, kind: "line" as const })),
    },
    missing: "The service did not give it in this range.",
  };
}
