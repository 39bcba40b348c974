// SPDX-License-Identifier: Apache-2.0

import { around, problemOf } from "../format/mistake";
import { show } from "../format/text";
import "./wrong.css";

/** What is wrong with a query, at its place; reset leads back to all lines. */
export function Wrong({ text, query, reset }: { text: string; query: string; reset?: () => void }) {
  const p = problemOf(text);
  const where = around(query, p);
  return (
    <div id="logql-problem" class="wrong" role="alert">
      {where && (
        <pre>
          {show(where[0])}
          <mark>{show(where[1])}</mark>
          {show(where[2])}
        </pre>
      )}
      <p>
        {p.column !== undefined && <b>{p.line! > 1 ? `Line ${p.line}, column` : "Column"} {p.column}: </b>}
        {show(p.message)}{" "}
        {reset && <button type="button" onClick={reset}>Back to all lines</button>}
      </p>
    </div>
  );
}
