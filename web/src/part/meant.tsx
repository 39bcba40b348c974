// SPDX-License-Identifier: Apache-2.0

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { servers } from "../api/client";
import { nearest } from "../format/nearest";
import { show } from "../format/text";
import { pages } from "./pages";
import { containerHref } from "./place";

/** Pages and containers whose names may have been meant by one that is not there. */
export function Meant({ name, host }: { name: string; host?: string }) {
  const found = useSignal<{ label: string; href: string }[]>([]);
  useEffect(() => {
    let gone = false;
    const own = host === undefined ? pages.map((p) => ({ label: p.label, href: p.href, name: p.href.slice(1) || "servers" })) : [];
    servers().then(({ hosts }) => {
      if (gone) return;
      // Of a workload the container that lives stands for it.
      const all = hosts.filter((h) => !host || h.host === host).flatMap((h) => h.containers).sort((a, b) => Number(b.state === "gone") - Number(a.state === "gone"));
      const each = [...new Map(all.map((c) => [`${c.host} ${c.workload}`, c])).values()];
      found.value = nearest(name, [...own, ...each.map((c) => ({ label: c.name, href: containerHref(c), name: host === undefined ? c.name : c.workload }))], (x) => x.name);
    }, () => undefined);
    return () => {
      gone = true;
    };
  }, [name, host]);
  if (found.value.length === 0) return null;
  return <p>Was it {found.value.map((x, i) => <span key={x.href}>{i > 0 && ", "}<a class="link" href={x.href}>{show(x.label)}</a></span>)}?</p>;
}
