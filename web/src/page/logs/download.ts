// SPDX-License-Identifier: Apache-2.0

import { inWords } from "../../api/client";
import { count, counted } from "../../format/number";
import { iso } from "../../format/time";
import type { LogData } from "../../log/data";
import { withGaps } from "../../log/lines";
import { asText, readAll } from "../../log/whole";

const most = 50_000;

/** Reads the lines of what is shown into a file; returns what came of it. */
export async function download(data: LogData): Promise<string> {
  try {
    const { all: found, more } = await readAll(data.lines.wanted, most, AbortSignal.timeout(60_000));
    const url = URL.createObjectURL(new Blob([asText(withGaps(found, data.gaps.peek(), more, false))], { type: "text/plain" }));
    const link = document.createElement("a");
    link.href = url;
    link.download = `logs-${iso(found.at(-1)?.t ?? Date.now()).slice(0, 19).replaceAll(":", "")}.txt`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    return more ? `Only the newest ${count(most)} lines; a shorter range has the others` : `${counted(found.length, "line")} downloaded`;
  } catch (err) {
    return `The lines cannot be read: ${inWords(err)}`;
  }
}
