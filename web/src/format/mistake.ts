// SPDX-License-Identifier: Apache-2.0

/** Where in a query an error is, as the server says it. */
export interface Problem {
  message: string;
  line?: number;
  column?: number;
}

export function problemOf(text: string): Problem {
  const logql = /^parse error at line (\d+), column (\d+): ([\s\S]*)$/.exec(text);
  const m = logql ?? /^(?:invalid parameter "query": )?(\d+):(\d+): parse error: ([\s\S]*)$/.exec(text); // as Prometheus says it
  return m ? { message: m[3]!, line: Number(m[1]), column: Number(m[2]) } : { message: text };
}

/** The line of the query with the error, in what is before, at, and behind its place. */
export function around(query: string, p: Problem): [string, string, string] | undefined {
  if (!p.line || !p.column) return undefined;
  const chars = [...(query.split("\n")[p.line - 1] ?? "")];
  const at = Math.min(p.column - 1, chars.length);
  return [chars.slice(0, at).join(""), chars[at] ?? " ", chars.slice(at + 1).join("")];
}
