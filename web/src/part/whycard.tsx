// SPDX-License-Identifier: Apache-2.0

import type { Why } from "../api/schema";
import { show } from "../format/text";
import { hms, iso, moment } from "../format/time";
import { copy } from "./notice";
import { exitLine, figureWords, killedWords, siblingWords, whyReport } from "./why";
import "./whycard.css";

/** Why did it die? One sentence, and what it rests on. */
export function WhyCard({ y, title }: { y: Why; title?: string }) {
  return (
    <section class="why" aria-label={title ?? "Why did it die?"}>
      {title && <h2>{title}</h2>}
      <p class="crit guess">{show(y.guess)}</p>
      <p class="sub">{show(exitLine(y))}, at <time dateTime={iso(y.at)} title={iso(y.at)}>{moment(y.at, Date.now())}</time></p>
      {((y.killed ?? []).length > 0 || y.before.length > 0 || y.change || y.siblings.length > 0 || y.notKnown.length > 0) && (
        <dl>
          {y.killed?.map((k) => <div key={`${k.time} ${k.pid}`}><dt>the kernel killed at {moment(k.time, Date.now())}</dt><dd>{show(killedWords(k))}</dd></div>)}
          {y.before.map((f) => <div key={f.name}><dt>{show(f.name)}, 5 min before</dt><dd>{figureWords(f)}</dd></div>)}
          {y.change && <div><dt>changed at {moment(y.change.time, Date.now())}</dt><dd>{show(y.change.text)}</dd></div>}
          {y.siblings.map((s) => <div key={`${s.time} ${s.workload} ${s.text}`}><dt>{moment(s.time, Date.now())} {show(s.workload)}</dt><dd>{show(siblingWords(s))}</dd></div>)}
          {y.notKnown.map((n) => <div key={n}><dt>not known</dt><dd>{show(n)}</dd></div>)}
        </dl>
      )}
      {y.lines.length > 0 && (
        <pre tabIndex={0} aria-label="Its last lines">{y.lines.map((l) => `${hms(l.time)} ${show(l.text)}`).join("\n")}</pre>
      )}
      <p><button type="button" class="btn" onClick={() => void copy(whyReport(y), "Report copied", "select the text instead")}>Copy report</button></p>
    </section>
  );
}
