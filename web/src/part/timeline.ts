// SPDX-License-Identifier: Apache-2.0

import { type ReadonlySignal, computed, useComputed, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { useTimeActions, useTimeKeys } from "../chart/actions";
import type { Timeline } from "../chart/timeline";
import { parseWhen } from "../format/time";
import { clock } from "./clock";
import { param, range } from "./place";
import { useRetry } from "./retry";

const pinText = param("at");

/** A timeline that follows the range of the page, and what gestures and keys do to it. It is made anew for other things. */
export function useTimeline<T extends Timeline>(title: string, make: (pin: ReadonlySignal<number | undefined>) => T, of: readonly unknown[]) {
  const pin = useMemo(() => computed(() => (pinText.value ? parseWhen(pinText.value, Date.now()) : undefined)), []);
  const data = useMemo(() => make(pin), of);
  useEffect(() => () => data.stop(), [data]);
  // Samples are asked for as soon as the width is known, since it says how many are worth having.
  const ready = useComputed(() => data.model.width.value > 0);
  useSignalEffect(() => {
    const r = range.value;
    if (ready.value) data.show(r);
  });
  useSignalEffect(() => {
    clock.value;
    if (ready.peek()) data.tick();
  });
  useRetry(() => data.problem.value, () => void data.load());
  const actions = useTimeActions(data.model, () => Date.now(), true);
  useTimeKeys(title, actions, []);
  return { data, pin, actions };
}
