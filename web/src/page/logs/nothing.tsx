// SPDX-License-Identifier: Apache-2.0

import { doctor, servers } from "../../api/client";
import { type Entry, lines, nanos, volumes } from "../../api/loki";
import type { Container } from "../../api/schema";
import { build, type Controls, everything, type Source } from "../../format/logql";
import { counted } from "../../format/number";
import { wholeOrigin } from "../../format/origin";
import { show } from "../../format/text";
import { ago, hour, moment } from "../../format/time";
import { gapText } from "../../log/lines";
import { clock } from "../../part/clock";
import { hrefAround } from "../../part/place";
import { chosen } from "./chosen";

const everyLine = build(everything);

/** Why no line is there. */
export interface Nothing {
  /** The newest line of the query before the range. */
  last?: Entry;
  /** Whether any container's line is stored at all. */
  any: boolean;
  /** What was asked for and is nowhere: how it comes here. */
  unread: { name: string; reason: string; unlock?: string }[];
  /** Containers whose log cannot be read, with the reason. */
  absent: { name: string; reason: string; unlock?: string }[];
}

// How lines of a source come here, where the doctor has no reason why they do not.
const howTo: Partial<Record<Source, { name: string; feature: string; reason: string }>> = {
  file: {
    name: "Files",
    feature: "host/log files",
    reason: "No file has given a line. The setting logs.files names files of the host; the label tallyman.logs, or the setting logs.rules, those inside of a container.",
  },
  journal: {
    name: "Units",
    feature: "host/journal",
    reason: "The journal has given no line. It is read where the folders of systemd's journal can be reached; the setting logs.journal.units names the units.",
  },
};

/** Finds out why a query has no line from a time on. */
export async function whyNothing(query: string, c: Controls | undefined, from: number): Promise<Nothing> {
  const [last, stored, known] = await Promise.all([
    from > 0 ? lines({ query, start: "0", end: nanos(from), limit: 1 }).catch((): Entry[] => []) : Promise.resolve<Entry[]>([]),
    volumes(everyLine, ["source"], 0, Date.now() + hour).catch(() => undefined),
    servers().catch(() => undefined),
  ]);
  const containers: Container[] = (known?.hosts ?? []).flatMap((h) => h.containers);
  const chosen = c?.sources ?? [];
  const missing = chosen.flatMap((s) => (stored?.some((v) => v.labels["source"] === s) === false && howTo[s] ? [howTo[s]] : []));
  const features = missing.length ? ((await doctor().catch(() => undefined))?.features ?? []) : [];
  const unread = missing.map(({ name, feature, reason }) => {
    const found = features.find((f) => f.id === feature && f.reason);
    return { name, reason: found?.reason ?? reason, unlock: found?.unlock };
  });
  const of = new Set(chosen.length === 0 ? ["log", "log files"] : chosen.map((s) => ({ container: "log", file: "log files", journal: "" })[s]));
  const absent = containers.filter((x) => x.state !== "gone").flatMap((x) => (x.absent ?? []).filter((a) => of.has(a.what)).map((a) => ({ name: x.name, reason: a.reason, unlock: a.unlock })));
  return { last: last[0], any: stored === undefined || stored.some((s) => s.amount > 0), unread, absent };
}

/** Says it. */
export function Empty({ n, c, gaps, clear }: { n: Nothing; c: Controls | undefined; gaps: readonly Entry[]; clear(): void }) {
  const narrowed = !c || chosen(c) > 0 || c.text !== "";
  return (
    <section class="empty">
      {!n.any ? (
        <>
          <h2>No lines here yet</h2>
          <p>A line of a container shows up here as soon as the container writes one to its standard output or error.</p>
        </>
      ) : (
        <>
          <h2>{narrowed ? "No line matches in this range" : "No line in this range"}</h2>
          {n.last ? (
            <p>
              The newest one before it was written {ago(n.last.t, clock.value)}. <a class="link" href={hrefAround(n.last.t)}>Show it</a>
            </p>
          ) : (
            <p>{narrowed ? "Nothing before it does, either." : "Nothing was written before it, either."}</p>
          )}
          {narrowed && <p><button type="button" class="btn" onClick={clear}>Show all lines</button></p>}
        </>
      )}
      {gaps.slice(-3).map((g) => <p key={g.ns}>{moment(g.t, Date.now())} <b>{show(wholeOrigin(g.labels))}</b>: {show(gapText(g))}</p>)}
      {gaps.length > 3 && <p>Lines are missing at {counted(gaps.length - 3, "other place")} of this range, too.</p>}
      {n.unread.map((u) => <p key={u.name}><b>{u.name}</b>: {show(u.reason)} {u.unlock && <span class="mid">{show(u.unlock)}</span>}</p>)}
      {n.absent.slice(0, 3).map((a) => <p key={a.name}><b>{show(a.name)}</b>: {show(a.reason)} {a.unlock && <span class="mid">{show(a.unlock)}</span>}</p>)}
      {n.absent.length > 3 && <p>{counted(n.absent.length - 3, "other container")} cannot be read, either.</p>}
      <p><a class="link" href="/doctor">Doctor</a> tells what tallyman can read here.</p>
    </section>
  );
}
