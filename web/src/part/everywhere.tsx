// SPDX-License-Identifier: Apache-2.0

import { build, everything } from "../format/logql";
import { iso, minute, second } from "../format/time";
import { logsHref } from "./place";

const spans = [{ by: second, name: "1 s" }, { by: 10 * second, name: "10 s" }, { by: minute, name: "1 min" }];

const around = (t: number, by: number, at: string) => ({ from: iso(t - by), to: iso(t + by), at });

/** Leads from a moment to what everything has logged around it; at is how an address names the moment. */
export function Everywhere({ t, at }: { t: number; at: string }) {
  return (
    <span class="seg" role="group" aria-label="Lines of everything around it">
      {spans.map((s, i) => (
        <a key={s.name} href={logsHref("", around(t, s.by, at))} title={`Lines of everything within ${s.name}`}>{i === 0 ? "Everything ± " : "± "}{s.name}</a>
      ))}
    </span>
  );
}

/** The lines of everything that hold a text, such as the id of a request, within five minutes of a moment. */
export function sameHref(text: string, t: number, at: string): string {
  return logsHref(build({ ...everything, text, exact: true }), around(t, 5 * minute, at));
}
