// SPDX-License-Identifier: Apache-2.0

import type { Step, Why } from "../api/schema";
import { show } from "../format/text";
import { hms, iso, moment } from "../format/time";
import { copy } from "./notice";
import { besides, changeLines, exitLine, figureWords, meaningLine, siblingWords, whyReport } from "./why";
import "./whycard.css";

const at = (t: number) => <time dateTime={iso(t)} title={iso(t)}>{moment(t, Date.now())}</time>;

/** Why did it die? One sentence and what the exit code means, unless that stands above already, how it came to this, and what that rests on. */
export function WhyCard({ y, title, said }: { y: Why; title?: string; said?: boolean }) {
  const others = besides(y);
  return (
    <section class="why" aria-label={title ?? "Why did it die?"}>
      {title && <h2>{title}</h2>}
      {!said && <p class="crit guess">{show(y.guess)}</p>}
      {!said && <p class="sub">{show(meaningLine(y))}</p>}
      <h3>How it came to this</h3>
      <ol class="chain">
        {y.chain.map((s) => <Link key={`${s.kind} ${s.time} ${s.title}`} s={s} />)}
        <li class="crit">
          <b>{show(exitLine(y))}</b>
          {at(y.at)}
        </li>
      </ol>
      {y.before.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">5 min before</th>
              <th scope="col">last</th>
              <th scope="col">most</th>
              <th scope="col">limit</th>
            </tr>
          </thead>
          <tbody>
            {y.before.map((f) => {
              const w = figureWords(f);
              return (
                <tr key={f.name}>
                  <th scope="row">{show(f.name)}</th>
                  <td>{w.last}</td>
                  <td>{w.most}</td>
                  <td class={f.limit ? "" : "dim"}>{w.limit}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      )}
      {others.length > 0 && <h3>Others at that time</h3>}
      {(others.length > 0 || y.notKnown.length > 0) && (
        <dl>
          {others.map((s) => <div key={`${s.time} ${s.workload} ${s.text}`}><dt>{at(s.time)} {show(s.workload)}</dt><dd>{show(siblingWords(s))}</dd></div>)}
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

function Link({ s }: { s: Step }) {
  const changes = changeLines(s);
  return (
    <li class={s.kind === "change" ? "conf" : undefined}>
      <b>{show(s.title)}</b>
      <span class="at">{s.from !== undefined && <>{at(s.from)} – </>}{at(s.time)}</span>
      {s.text && <p>{show(s.text)}</p>}
      {changes.length > 0 && <ul>{changes.map((c) => <li key={c}>{show(c)}</li>)}</ul>}
    </li>
  );
}
