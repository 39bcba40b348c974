// SPDX-License-Identifier: Apache-2.0

import type { Kill } from "../../api/schema";
import { counted, size } from "../../format/number";
import { shortId, show } from "../../format/text";
import { iso, moment } from "../../format/time";

const most = 8;

/** What the kernel killed for want of memory in the range, the newest first, and in which containers. */
export function Kills({ kills, nameOf, hrefOf, pin }: { kills: Kill[] | undefined; nameOf(w: string): string; hrefOf(w: string): string | undefined; pin(t: number): void }) {
  if (!kills || kills.length === 0) return null;
  const newest = [...kills].reverse();
  return (
    <section class="kills" aria-label="Killed by the kernel">
      <h3>Killed by the kernel for want of memory</h3>
      <ul>
        {newest.slice(0, most).map((k) => (
          <li key={`${k.time} ${k.pid}`}>
            <button type="button" class="killed" title={`${iso(k.time)}\n${show(k.lines.at(-1) ?? "")}`} onClick={() => pin(k.time)}>{moment(k.time, Date.now())}</button>
            <span>
              <Where k={k} nameOf={nameOf} hrefOf={hrefOf} />
              <span class="mid">
                : {show(k.task)}{k.anonymous ? `, ${size(k.anonymous)}` : ""}
                {k.machine && ", the whole host had none left"}
              </span>
            </span>
          </li>
        ))}
      </ul>
      {newest.length > most && <p class="mid">{counted(newest.length - most, "more", "more")} in this range.</p>}
    </section>
  );
}

function Where({ k, nameOf, hrefOf }: { k: Kill; nameOf(w: string): string; hrefOf(w: string): string | undefined }) {
  const href = k.workload && hrefOf(k.workload);
  if (k.workload) return href ? <a class="link" href={href}>{nameOf(k.workload)}</a> : <b>{nameOf(k.workload)}</b>;
  if (k.container) return <b title="No container of this id is known any more.">{show(k.name ?? shortId(k.container))}</b>;
  return <b title={show(k.cgroup ?? "The kernel did not say where it was.")}>{k.cgroup ? "not in a container" : "a process"}</b>;
}
