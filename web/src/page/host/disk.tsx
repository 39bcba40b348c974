// SPDX-License-Identifier: Apache-2.0

import { useComputed } from "@preact/signals";
import type { Point } from "../../api/prom";
import { counted, percent, size, strain } from "../../format/number";
import { show } from "../../format/text";
import { day, hour, minute } from "../../format/time";
import { Bar } from "../../part/value";
import type { FileSystem, HostData } from "./data";

const kinds: Record<string, string> = { images: "Images", containers: "Writable layers", volumes: "Volumes", build_cache: "Build cache" };

interface Props {
  data: HostData;
  nameOf(w: string): string;
  hrefOf(w: string): string | undefined;
  why(feature: string, otherwise: string): string;
}

/** What is on the disks of a host, who put it there, and when there is no room left. */
export function DiskPanel({ data, nameOf, hrefOf, why }: Props) {
  const found = data.diskFigures.value;
  const files = data.fileSystems.value;
  if (!found || !files) return <p class="mid">{data.figuresProblem.value ? show(data.figuresProblem.value) : "–"}</p>;
  const of = (name: string) => found.filter((p) => p.labels["of"] === name);
  const kept = of("bytes");
  return (
    <div class="hpanel">
      <section aria-label="File systems">
        <h3>File systems</h3>
        {files.length === 0 ? <p class="mid"><span class="nk">Not known</span>: {why("host/filesystems", "The host's file systems cannot be seen from here.")}</p> : <ul class="fsys">{files.map((f) => <Mount key={f.device} f={f} />)}</ul>}
      </section>
      <section aria-label="Kept by the engine">
        <h3>Kept by the engine</h3>
        {kept.length === 0 ? (
          <p class="mid"><span class="nk">Not known</span>: {data.engines.value.map((e) => why(`engine/${e.name}/disk`, "")).find((t) => t !== "") || "The engine was not asked yet; that is done some minutes after the start, and then once an hour."}</p>
        ) : (
          <Kept bytes={kept} reclaimable={of("reclaimable")} objects={of("objects")} active={of("active")} />
        )}
      </section>
      <Largest title="Largest logs" of={of("log")} nameOf={nameOf} hrefOf={hrefOf} none="No container that runs has a log file that can be seen from here." />
      <Largest title="Largest writable layers" of={of("layer")} nameOf={nameOf} hrefOf={hrefOf} none="None has one, or the engine was not asked yet; it is asked once an hour, one container after the other." />
      {of("volume").length > 0 && (
        <section aria-label="Largest volumes">
          <h3>Largest volumes</h3>
          <ul class="largest">
            {sorted(of("volume")).map((p) => (
              <li key={`${p.labels["engine"]} ${p.labels["volume"]}`}><span class="ell" title={show(p.labels["volume"] ?? "")}>{show(p.labels["volume"] ?? "")}</span> <b>{size(p.value)}</b></li>
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}

const sorted = (list: Point[]) => [...list].sort((a, b) => b.value - a.value);

/** How long something takes, in the greatest unit that is not a fraction. */
export function lasting(ms: number): string {
  if (ms < 2 * hour) return counted(Math.max(1, Math.round(ms / minute)), "minute");
  if (ms < 2 * day) return counted(Math.round(ms / hour), "hour");
  return counted(Math.round(ms / day), "day");
}

function Mount({ f }: { f: FileSystem }) {
  const share = f.used / (f.used + f.avail || 1);
  const worn = strain(share, 1);
  const shown = useComputed(() => share);
  const kind = useComputed(() => worn);
  const soon = f.filling && (f.filling.full < hour * 24 ? "crit" : f.filling.full < 7 * day ? "warn" : "");
  return (
    <li>
      <p class="row"><b class="ell" title={`${show(f.mount)}, ${show(f.device)}`}>{show(f.mount)}</b><span class="grow" /><span class={`nw ${worn}`}>{percent(share)}</span></p>
      <Bar share={shown} kind={kind} />
      <p class="mid">
        {size(f.avail)} free of {size(f.size)}
        {f.filling ? (
          <>, loses {size(f.filling.perHour)} an hour: <span class={soon}>full in {lasting(f.filling.full)}</span> if that goes on</>
        ) : (
          <>, no trend in this range that would fill it</>
        )}
      </p>
    </li>
  );
}

function Kept({ bytes, reclaimable, objects, active }: { bytes: Point[]; reclaimable: Point[]; objects: Point[]; active: Point[] }) {
  // Several engines of one host are told together: they share its disk.
  const sum = (list: Point[], what: string) => list.filter((p) => p.labels["what"] === what).reduce((n, p) => n + p.value, 0);
  const whats = Object.keys(kinds).filter((w) => bytes.some((p) => p.labels["what"] === w));
  const free = whats.reduce((n, w) => n + sum(reclaimable, w), 0);
  return (
    <>
      <table class="acts">
        <thead>
          <tr><th scope="col">What</th><th scope="col">In use</th><th scope="col">Size</th><th scope="col">Reclaimable</th></tr>
        </thead>
        <tbody>
          {whats.map((w) => (
            <tr key={w}>
              <th scope="row">{kinds[w]}</th>
              <td>{sum(active, w)} of {sum(objects, w)}</td>
              <td>{size(sum(bytes, w))}</td>
              <td>{size(sum(reclaimable, w))}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {free > 0 && <p class="mid">{size(free)} are of what nobody uses. <code>docker system prune -a</code> removes images, stopped containers and build cache, <code>docker volume prune</code> volumes; look at what they name first.</p>}
    </>
  );
}

function Largest({ title, of, nameOf, hrefOf, none }: { title: string; of: Point[]; nameOf(w: string): string; hrefOf(w: string): string | undefined; none: string }) {
  return (
    <section aria-label={title}>
      <h3>{title}</h3>
      {of.length === 0 ? (
        <p class="mid">{none}</p>
      ) : (
        <ul class="largest">
          {sorted(of).map((p) => {
            const w = p.labels["workload"] ?? "";
            const href = hrefOf(w);
            return (
              <li key={w}>{href ? <a class="ell" href={href} title={nameOf(w)}>{nameOf(w)}</a> : <span class="ell">{nameOf(w)}</span>} <b>{size(p.value)}</b></li>
            );
          })}
        </ul>
      )}
    </section>
  );
}
