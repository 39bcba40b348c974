// SPDX-License-Identifier: Apache-2.0

import { computed, useComputed, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { Service, ServiceChart } from "../../api/schema";
import { useTimeActions, useTimeKeys } from "../../chart/actions";
import type { Section } from "../../chart/stack";
import { bytes, plain, type Quantity, rate } from "../../format/number";
import { show } from "../../format/text";
import { parseWhen, second } from "../../format/time";
import { clock } from "../../part/clock";
import { EventList } from "../../part/eventlist";
import { containerHref, param, range, rangeParams } from "../../part/place";
import { useRetry } from "../../part/retry";
import { TimeCharts } from "../../part/timecharts";
import { columnOf, most, Timeline } from "./timeline";

const pinText = param("at");

/** What matters first of a service, on the time axis of its container and with its events. */
export function Charts({ s, charts, every, freeze }: { s: Service; charts: readonly ServiceChart[]; every: number; freeze: { current: () => void } }) {
  const pin = useMemo(() => computed(() => (pinText.value ? parseWhen(pinText.value, Date.now()) : undefined)), []);
  const data = useMemo(() => new Timeline(s, charts, every * second, pin), [s.type, s.instance, s.container]);
  const { model } = data;
  const filter = useRef<HTMLInputElement>(null);
  useEffect(() => () => data.stop(), [data]);
  const ready = useComputed(() => model.width.value > 0);
  useSignalEffect(() => {
    const r = range.value;
    if (ready.value) data.show(r);
  });
  useSignalEffect(() => {
    clock.value;
    if (ready.peek()) data.tick();
  });
  useRetry(() => data.problem.value, () => void data.load());
  const actions = useTimeActions(model, () => Date.now(), true);
  freeze.current = actions.freeze;
  useTimeKeys("Service", actions, []);
  const names = data.names.value;
  const crowded = data.crowded.value;
  const sections = useMemo(() => charts.map((c, i) => sectionOf(c, i, names[i] ?? [], crowded[i] ?? 0)), [charts, names, crowded]);
  if (charts.length === 0) return <p class="mid">The plugin has no charts. Its values are series with job="{s.type.toLowerCase()}" and instance="{show(s.instance)}".</p>;
  return (
    <TimeCharts data={data} problem={data.problem.value} sections={sections} actions={actions} within={{ class: "vcharts", label: `Charts of ${s.type} ${show(s.instance)}` }}>
      <div class="vevents">
        <EventList model={model} leftOut={data.leftOut.value} pin={pin.value} select={actions.select} field={filter} />
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
