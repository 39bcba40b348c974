// SPDX-License-Identifier: Apache-2.0

import type { ReadonlySignal } from "@preact/signals";
import { computed, useSignalEffect } from "@preact/signals";
import { useMemo, useRef } from "preact/hooks";
import type { Absence } from "../api/schema";
import { show } from "../format/text";
import type { Quantity } from "../format/number";
import { ago, iso } from "../format/time";
import type { Assessment } from "../format/state";
import { clock } from "./clock";

/** A number with its unit beside it. */
export function Value({ of: q }: { of: Quantity }) {
  return (
    <>
      {q.n}
      <span class="u">{q.unit}</span>
    </>
  );
}

/** Why a value is not known, and what would change that. */
export function reasonFor(absent: Absence[] | undefined, what: string, otherwise: string): string {
  const known = absent?.find((a) => a.what === what || a.what.startsWith(what + "."));
  if (!known) return otherwise;
  return show(known.unlock ? `${known.reason} ${known.unlock}` : known.reason);
}

/** What stands in place of a value that cannot be known. */
export function NotKnown({ why }: { why: string }) {
  return (
    <span class="nk" title={why}>
      not known<span class="sr">: {why}</span>
    </span>
  );
}

/** The state mark: a shape per state, so that it reads without colour. */
export function StateMark({ of: { mark, words } }: { of: Assessment }) {
  return <span class={`dot ${mark}`} role="img" aria-label={show(words)} title={show(words)} />;
}

/** "8 min ago", kept right, with the exact time on hover. */
export function Ago({ t }: { t: number }) {
  // A signal of its own: the text node changes when the words do, not each second.
  const words = useMemo(() => computed(() => ago(t, clock.value)), [t]);
  return (
    <time dateTime={iso(t)} title={iso(t)}>
      {words}
    </time>
  );
}

/** A bar of a share 0..1 that follows a signal without rendering anything. */
export function Bar({ share, kind }: { share: ReadonlySignal<number>; kind: ReadonlySignal<string> }) {
  const ref = useRef<HTMLElement>(null);
  useSignalEffect(() => {
    const s = Math.max(0, Math.min(1, share.value));
    if (ref.current) {
      // Painted, not laid out; a transform would be a layer's worth of bookkeeping per bar.
      ref.current.style.backgroundSize = `${(s * 100).toFixed(1)}% 100%`;
      ref.current.className = kind.value;
    }
  });
  return (
    <span class="barc">
      <i ref={ref} />
    </span>
  );
}
