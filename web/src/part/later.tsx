// SPDX-License-Identifier: Apache-2.0

import { signal } from "@preact/signals";
import type { ComponentType } from "preact";
import { useEffect } from "preact/hooks";
import { silent } from "../api/client";
import { fetchPart } from "../api/reach";
import { useRetry } from "./retry";

/** What stands in place of a part whose code has not come yet, or did not come. */
export type Waiting = ComponentType<{ missing: boolean; again(): void }>;

const Nothing: Waiting = () => null;

/** A part whose code comes when it is first shown. */
export function later<P extends object>(load: () => Promise<ComponentType<P>>, Meanwhile = Nothing) {
  const got = signal<{ Part?: ComponentType<P>; missing?: boolean }>({});
  const start = () => {
    got.value = {};
    fetchPart(load).then(
      (Part) => {
        got.value = { Part };
      },
      () => {
        got.value = { missing: true };
      },
    );
  };
  function Asking() {
    useEffect(start, []);
    useRetry(() => (got.value.missing ? silent : ""), start);
    return <Meanwhile missing={got.value.missing === true} again={start} />;
  }
  return function Later(props: P) {
    const { Part } = got.value;
    return Part ? <Part {...props} /> : <Asking />;
  };
}
