// SPDX-License-Identifier: Apache-2.0

import type { Event } from "../api/schema";
import { glyph, tone } from "../chart/marks";
import "../style/mark.css";

/** The mark of an event beside its words; the glyph says its kind. */
export function EventMark({ of }: { of: Event }) {
  return (
    <span class={`mk ${tone(of)}`} aria-hidden="true">
      {glyph(of)}
    </span>
  );
}
