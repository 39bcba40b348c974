// SPDX-License-Identifier: Apache-2.0

import { useSignal } from "@preact/signals";
import type { ComponentType } from "preact";
import { useEffect } from "preact/hooks";
import { fetchPart } from "../api/reach";
import { Icon } from "../part/icon";
import { param, setParams } from "../part/place";
import type { DockProps } from "./docked";

const logs = param("logs");

/** The logs under the charts; their code comes when they are first shown. */
export function Dock(props: DockProps) {
  const part = useSignal<{ Part?: ComponentType<DockProps>; missing?: boolean }>({});
  const open = logs.value !== "off";
  useEffect(() => {
    if (!open || part.peek().Part) return;
    fetchPart(() => import("./docked")).then(
      (m) => {
        part.value = { Part: m.LogDock };
      },
      () => {
        part.value = { missing: true };
      },
    );
  }, [open]);
  const { Part, missing } = part.value;
  return (
    <section class={open ? "dock" : "dock shut"} aria-label="Logs">
      <button type="button" class="btn q dfold" aria-expanded={open} aria-label={open ? "Fold the logs" : "Show the logs"} title={open ? "Fold the logs" : "Show the logs"} onClick={() => setParams({ logs: open ? "off" : undefined })}>
        <Icon name={open ? "down" : "right"} small />
        {!open && "Logs"}
      </button>
      {open && Part && <Part {...props} />}
      {open && missing && <p class="none">The logs could not be loaded: tallyman does not answer.</p>}
    </section>
  );
}
