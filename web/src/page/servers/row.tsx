// SPDX-License-Identifier: Apache-2.0

import type { ReadonlySignal } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Container } from "../../api/schema";
import { plain, size } from "../../format/number";
import { assess, crashLoop, crashRate, isUp } from "../../format/state";
import { localName, shortImage, show } from "../../format/text";
import { iso, stamp } from "../../format/time";
import { clock, nowMinute, roomy } from "../../part/clock";
import { judge } from "../../part/firing";
import { Icon } from "../../part/icon";
import { containerHref, go, workloadLogsHref } from "../../part/place";
import { Spark } from "../../part/spark";
import { Ago, Bar, NotKnown, reasonFor, StateMark } from "../../part/value";
import { Choose } from "./choose";
import type { Row } from "./inventory";

const near = "200px";
const rows = new WeakMap<Element, Row>();
let watch: IntersectionObserver | undefined;

/** Tells a row whether it is near the screen. */
function useSight(row: Row) {
  const ref = useRef<HTMLElement>(null);
  useEffect(() => {
    const el = ref.current!;
    watch ??= new IntersectionObserver((seen) => {
      for (const s of seen) rows.get(s.target)?.see(s.isIntersecting);
    }, { rootMargin: near });
    rows.set(el, row);
    watch.observe(el);
    return () => {
      watch?.unobserve(el);
      row.see(true);
    };
  }, [row]);
  return ref;
}

const notYet = "tallyman has no sample of it yet.";

const betweenStarts = "It does not run between two starts.";

/** What stands in place of the values of a container that does not run. */
function ended(c: Container): string {
  if (c.state === "gone") return c.goneAt ? `gone since ${stamp(c.goneAt, clock.peek())}` : "gone";
  if (c.state === "unknown") return "not known, its host is silent";
  return c.state === "created" ? "not started" : "stopped";
}

/** The same with what is left of it, where there is room. */
function history(c: Container): string {
  return c.state === "created" ? "created, not started" : `${ended(c)}, history kept`;
}

/** One container as a row of the table. */
export function ContainerRow({ row, index, loading, several }: { row: Row; index: number; loading: boolean; several?: boolean }) {
  const c = row.data.value;
  const up = isUp(c);
  const state = judge(c);
  const ref = useSight(row) as RefObject<HTMLTableRowElement>;
  const open = (e: MouseEvent) => {
    if ((e.target as Element).closest("a, button, input") || getSelection()?.toString()) return;
    go(containerHref(c));
  };
  return (
    <tr ref={ref} class={up ? "c" : "c dead"} aria-rowindex={index} onClick={open}>
      <td>
        <div class="nm">
          <StateMark of={state} />
          <a data-row href={containerHref(c)} title={show(c.name)}>
            {show(localName(c.name, c.project))}
          </a>
          <span class="im ell" title={show(c.image)}>{several && `${show(c.host)} · `}{show(shortImage(c.image))}</span>
          <Choose c={c} />
          <a class="lg" href={workloadLogsHref(c)} aria-label={`Logs of ${show(c.name)}`} title="Logs">
            <Icon name="logs" />
          </a>
        </div>
      </td>
      {up && !c.disabled && !loading ? (
        <Values row={row} c={c} />
      ) : (
        <>
          <td class="over">
            <span class="sum">{loading ? "" : c.disabled ? <span title="It has the label tallyman.enable=false, or the settings include and exclude leave it out">not measured</span> : history(c)}</span>
          </td>
          <td />
          <td class="col-net" />
          {roomy.value && <td />}
        </>
      )}
      {loading ? <td /> : <Restarts c={c} />}
      <td class="last">{!loading && <LastEvent c={c} />}</td>
    </tr>
  );
}

function Values({ row, c }: { row: Row; c: Container }) {
  const has = new Set(row.has.value.split(" "));
  const why = c.state === "restarting" ? betweenStarts : notYet;
  return (
    <>
      <td>
        <div class="cell">
          <Spark values={row.cpuSpark} top={undefined} kind="cpu" />
          {has.has("cpu") ? (
            <div>
              <div class="v">
                <b>{row.cpuText}</b>
                <span class="dim">{c.cpuLimit ? `of ${plain(c.cpuLimit)}` : "no limit"}</span>
              </div>
              <Bar share={row.cpuShare} kind={row.cpuKind} />
            </div>
          ) : (
            <NotKnown why={reasonFor(c.absent, "cpu", why)} />
          )}
        </div>
      </td>
      <td>
        <div class="cell">
          <Spark values={row.memorySpark} top={c.memoryLimit} kind="memory" />
          {has.has("memory") ? (
            <div>
              <div class="v">
                <span class="nw"><b>{row.memoryText}</b><span class="u">{row.memoryUnit}</span></span>
                <span class="dim">{c.memoryLimit ? `of ${size(c.memoryLimit)}` : "no limit"}</span>
              </div>
              <Bar share={row.memoryShare} kind={row.memoryKind} />
            </div>
          ) : (
            <NotKnown why={reasonFor(c.absent, "memory", why)} />
          )}
        </div>
      </td>
      <td class="two col-net">
        {has.has("rx") || has.has("tx") ? (
          <>
            <Flow mark="up" word="sent" n={row.txText} unit={row.txUnit} />
            <Flow mark="dn" word="received" n={row.rxText} unit={row.rxUnit} />
          </>
        ) : (
          <NotKnown why={reasonFor(c.absent, "network", why)} />
        )}
      </td>
      {roomy.value && (
        <td class="two">
          {has.has("blkRead") || has.has("blkWrite") ? (
            <>
              <Flow mark="up" word="written" n={row.writeText} unit={row.writeUnit} />
              <Flow mark="dn" word="read" n={row.readText} unit={row.readUnit} />
            </>
          ) : (
            <NotKnown why={reasonFor(c.absent, "block IO", why)} />
          )}
        </td>
      )}
    </>
  );
}

/** How often its engine started it again, and how often it died of late. */
function Restarts({ c }: { c: Container }) {
  const rate = crashRate(c, nowMinute.value);
  const tone = c.restartCount ? "crit b" : "dim";
  if (!rate) return <td class={`num ${tone}`}>{c.restartCount ?? 0}</td>;
  return (
    <td class={`two ${tone}`} title={`Died ${rate}, not asked to`}>
      <div><span />{c.restartCount ?? 0}</div>
      <div><span />{rate.replace(" in ", " / ")}</div>
    </td>
  );
}

/** One direction of a flow, with an arrow for its word. */
function Flow({ mark, word, n, unit }: { mark: "up" | "dn"; word: string; n: ReadonlySignal<string>; unit: ReadonlySignal<string> }) {
  return (
    <div>
      <span class={mark} title={word} />
      <span><span class="sr">{word} </span>{n}<span class="u">{unit}</span></span>
    </div>
  );
}

const tones: Record<string, string> = { critical: "crit", warning: "warn" };

function LastEvent({ c }: { c: Container }) {
  if (crashLoop(c, nowMinute.value)) {
    const { words } = assess(c);
    return (
      <div class="ev crit" title={words}>
        <span class="ell">{words[0]!.toUpperCase() + words.slice(1)}</span>
        <Ago t={c.crashes!.last} />
      </div>
    );
  }
  const e = c.lastEvent;
  const finished = isUp(c) ? undefined : c.finished;
  const t = e?.time ?? c.goneAt ?? finished ?? c.started ?? c.created;
  if (t === undefined) return null;
  const text = e ? show(e.text) : c.goneAt ? "Removed" : finished ? "Ended" : c.started ? "Started" : "Created";
  return (
    <div class={`ev ${tones[e?.severity ?? ""] ?? ""}`} title={`${iso(t)}  ${text}`}>
      <span class="ell">{text}</span>
      <Ago t={t} />
    </div>
  );
}

/** One container as a card of the narrow page. */
export function ContainerCard({ row, loading }: { row: Row; loading: boolean }) {
  const c = row.data.value;
  const up = isUp(c) && !c.disabled && !loading;
  const has = new Set(row.has.value.split(" "));
  const why = c.state === "restarting" ? betweenStarts : notYet;
  const ref = useSight(row) as RefObject<HTMLDivElement>;
  return (
    <div ref={ref} class={up ? "cc" : "cc off"}>
      <span class="nm">
        <StateMark of={judge(c)} />
        <a class="ell" data-row href={containerHref(c)}>{show(localName(c.name, c.project))}</a>
      </span>
      {up ? (
        <>
          <span class="m">
            {has.has("cpu") ? (
              <>
                <span class="v"><b>{row.cpuText}</b><span class="dim">{c.cpuLimit ? `of ${plain(c.cpuLimit)}` : "cores"}</span></span>
                <Bar share={row.cpuShare} kind={row.cpuKind} />
              </>
            ) : (
              <NotKnown why={reasonFor(c.absent, "cpu", why)} />
            )}
          </span>
          <span class="m">
            {has.has("memory") ? (
              <>
                <span class="v"><span class="nw"><b>{row.memoryText}</b><span class="u">{row.memoryUnit}</span></span><span class="dim">{c.memoryLimit ? row.memoryPercent : ""}</span></span>
                <Bar share={row.memoryShare} kind={row.memoryKind} />
              </>
            ) : (
              <NotKnown why={reasonFor(c.absent, "memory", why)} />
            )}
          </span>
        </>
      ) : (
        <span class="m both dim">{loading ? "" : c.disabled ? "not measured" : ended(c)}</span>
      )}
      <span class="ev2">{!loading && <LastEvent c={c} />}</span>
      <a class="lg" href={workloadLogsHref(c)} aria-label={`Logs of ${show(c.name)}`}>
        <Icon name="logs" />
      </a>
    </div>
  );
}
