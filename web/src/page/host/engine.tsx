// SPDX-License-Identifier: Apache-2.0

import type { ComponentChildren } from "preact";
import type { Point } from "../../api/prom";
import type { Engine } from "../../api/schema";
import { count, counted, percent, plain, size } from "../../format/number";
import { show } from "../../format/text";
import { iso, moment, stamp } from "../../format/time";
import { clock } from "../../part/clock";
import { NotKnown } from "../../part/value";
import type { HostData } from "./data";

/** How the engines of the host fare in the range, from what is seen of them and what they measure of themselves. */
export function EnginePanel({ data, why }: { data: HostData; why(feature: string, otherwise: string): string }) {
  const found = data.engineFigures.value;
  if (!found) return <p class="mid">{data.figuresProblem.value ? show(data.figuresProblem.value) : "–"}</p>;
  return (
    <>
      {data.engines.value.map((e) => <One key={e.name} e={e} found={found.filter((p) => p.labels["engine"] === e.name)} several={data.engines.value.length > 1} why={why} />)}
    </>
  );
}

function time(seconds: number | undefined): string {
  if (seconds === undefined) return "–";
  return seconds < 1 ? `${plain(seconds * 1000)} ms` : `${plain(seconds)} s`;
}

function One({ e, found, several, why }: { e: Engine; found: Point[]; several: boolean; why(feature: string, otherwise: string): string }) {
  const of = (name: string) => found.find((p) => p.labels["of"] === name)?.value;
  const by = (name: string, label: string) => new Map(found.filter((p) => p.labels["of"] === name).map((p) => [p.labels[label] ?? "", p.value]));
  const states = [...by("state", "state")].filter(([, n]) => n > 0);
  const measured = of("goroutines") !== undefined;
  const now = clock.value;
  const most = of("descriptorsMost");
  const ooms = Math.round(of("ooms") ?? 0);
  const share = of("upShare");
  return (
    <section class="engine" aria-label={`Engine ${show(e.name)}`}>
      {several && <h2>{show(e.name)}</h2>}
      <dl class="facts">
        <Row name="Answers">
          {e.up ? (
            <>yes{e.since ? <>, since <time dateTime={iso(e.since)} title={iso(e.since)}>{stamp(e.since, now)}</time></> : ""}</>
          ) : e.failure === "silent" ? (
            <span class="crit">not known: nothing comes from the tallyman of this host{e.since ? ` since ${moment(e.since, Date.now())}` : ""}.</span>
          ) : e.failure === "slow" ? (
            <span class="crit">no: stalled{e.lastGood ? ` since ${moment(e.lastGood, Date.now())}` : ""}. It takes connections and does not answer; its containers go on.</span>
          ) : (
            <span class="crit">no{e.lastGood ? `, since ${moment(e.lastGood, Date.now())}` : ""}: {show(e.error ?? "not known why")}</span>
          )}
          {share !== undefined && share < 0.9995 && <span class="mid">; {percent(share)} of this range</span>}
        </Row>
        <Row name="Ping">{of("ping") === undefined ? <NotKnown why="It was not asked in the last minute." /> : <>{time(of("ping"))} <span class="dim">at most {time(of("pingMost"))}</span></>}</Row>
        {Math.abs(of("offset") ?? 0) >= 1 && <Row name="Clock"><span class="warn">{plain(Math.abs(of("offset")!))} s {of("offset")! > 0 ? "ahead" : "behind"}</span></Row>}
        <Row name="Containers">{states.length ? states.map(([s, n]) => `${count(n)} ${show(s)}`).join(", ") : "none"}</Row>
        {ooms > 0 && <Row name="Memory ran out"><span class="crit">{counted(ooms, "time")} in a container</span></Row>}
        {measured && (
          <>
            <Row name="Goroutines">{count(of("goroutines")!)}</Row>
            {of("descriptors") !== undefined && <Row name="Descriptors">{count(of("descriptors")!)}{most ? <span class="dim"> of {count(most)}</span> : ""}</Row>}
            {of("memory") !== undefined && <Row name="Memory">{size(of("memory")!)}</Row>}
            <Row name="Events">{count(of("events") ?? 0)}{of("subscribers") !== undefined && <span class="dim">, {counted(of("subscribers")!, "listener")}</span>}</Row>
            <Row name="Health checks">{count(of("checks") ?? 0)}<Failed n={of("checksFailed")} /></Row>
            <Row name="Builds">{count(of("builds") ?? 0)}<Failed n={of("buildsFailed")} /></Row>
          </>
        )}
      </dl>
      {measured ? (
        <>
          <Actions title="Actions of containers" did={by("did", "action")} took={by("took", "action")} high={by("high", "action")} />
          <Actions title="Actions of networks" did={by("netDid", "action")} took={by("netTook", "action")} high={by("netHigh", "action")} />
          <p class="mid">Counts and times are those of the range. How they went over time folds out under <i>Engine</i> in the charts.</p>
        </>
      ) : (
        <p class="mid">
          <span class="nk">Not known</span>: its actions and their times, builds, events, health checks, goroutines and descriptors. {why(`engine/${e.name}/metrics`, "The engine measured nothing of itself in this range.")} <a class="link" href="/doctor">Doctor</a>
        </p>
      )}
    </section>
  );
}

function Row({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Failed({ n }: { n: number | undefined }) {
  const failed = Math.round(n ?? 0);
  return failed > 0 ? <span class="crit">, {count(failed)} failed</span> : null;
}

function Actions({ title, did, took, high }: { title: string; did: Map<string, number>; took: Map<string, number>; high: Map<string, number> }) {
  const rows = [...did].filter(([, n]) => Math.round(n) > 0).sort((a, b) => b[1] - a[1]);
  return (
    <>
      <h3>{title}</h3>
      {rows.length === 0 ? (
        <p class="mid">None in this range.</p>
      ) : (
        <table class="acts">
          <thead>
            <tr><th scope="col">Action</th><th scope="col">Times</th><th scope="col">Mean</th><th scope="col">19 of 20 within</th></tr>
          </thead>
          <tbody>
            {rows.map(([a, n]) => (
              <tr key={a}>
                <th scope="row" class="ell">{show(a)}</th>
                <td>{count(n)}</td>
                <td>{time((took.get(a) ?? 0) / n)}</td>
                <td>{time(high.get(a))}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}
