// SPDX-License-Identifier: Apache-2.0

import { show } from "../format/text";
import "./template.css";

/** What lines have in common; what differs is a plate. */
export function Template({ of }: { of: string }) {
  const texts = of.split("<_>");
  return (
    <>
      {texts.map((t, i) => [i > 0 && <span key={i} class="ph" title="differs from line to line">…</span>, show(t)])}
    </>
  );
}
