// SPDX-License-Identifier: Apache-2.0

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get, inWords } from "../../api/client";
import type { ProcessesAnswer } from "../../api/schema";
import { bytes, cores, count } from "../../format/number";
import { show } from "../../format/text";
import { hms, second } from "../../format/time";
import { Value } from "../../part/value";
import { used } from "./used";
import "./processes.css";

const every = 2 * second;

const states: Record<string, string> = { R: "runs", S: "sleeps", D: "waits for a disk", T: "stopped", t: "stopped", Z: "has ended", I: "idle" };

/** The processes of a container as top shows them, read while somebody looks. */
export function Processes({ id, host }: { id: string; host: string }) {
  const answer = useSignal<ProcessesAnswer | undefined>(undefined);
  const cpu = useSignal<ReadonlyMap<number, number>>(new Map());
  const problem = useSignal("");
  useEffect(() => {
    const stop = new AbortController();
    let timer = 0;
    const ask = async () => {
      if (!document.hidden) {
        try {
          const a = await get<"containers/{ref}/processes">(`containers/${encodeURIComponent(id)}/processes`, { host }, stop.signal);
          cpu.value = used(answer.peek(), a);
          answer.value = a;
          problem.value = "";
        } catch (err) {
          if (stop.signal.aborted) return;
          problem.value = inWords(err);
        }
      }
      timer = window.setTimeout(() => void ask(), every);
    };
    void ask();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [id, host]);
  const a = answer.value;
  if (!a) return <p class={problem.value ? "crit" : "dim"} role="status">{problem.value ? show(problem.value) : "Reading the processes …"}</p>;
  if (a.why) return <p class="mid"><span class="nk">not known</span> {show(a.why)}</p>;
  const list = [...a.processes].sort((x, y) => (cpu.value.get(y.pid) ?? 0) - (cpu.value.get(x.pid) ?? 0) || y.cpu - x.cpu);
  const [threads, files] = [list.reduce((n, p) => n + p.threads, 0), list.every((p) => p.files !== undefined) && a.left === 0 ? list.reduce((n, p) => n + p.files!, 0) : undefined];
  return (
    <div class="procs">
      <p class="mid">{count(list.length + a.left)} {list.length + a.left === 1 ? "process" : "processes"}, {count(threads)} {threads === 1 ? "thread" : "threads"}, {files === undefined ? <span class="nk" title="tallyman may not read what all of them have open">files not known</span> : `${count(files)} files open`} <span class="dim">at {hms(a.time)}{problem.value && `, since then: ${show(problem.value)}`}</span></p>
      {a.left > 0 && <p class="dim">{count(a.left)} that ran less are not shown.</p>}
      <table aria-label="Processes">
        <thead><tr><th scope="col">Process</th><th scope="col">CPU</th><th scope="col">Memory</th><th scope="col" title="Threads">Thr.</th><th scope="col" title="Files that are open">Files</th></tr></thead>
        <tbody>
          {list.map((p) => (
            <tr key={p.pid}>
              <th scope="row">
                <code title={show(p.command ?? p.name)}>{show(p.command || `[${p.name}]`)}</code>
                <span class="dim">{p.inside ? `${p.inside}, on the host ${p.pid}` : p.pid} · user {p.uid} · {states[p.state] ?? show(p.state)}</span>
              </th>
              <td>{cpu.value.has(p.pid) ? cores(cpu.value.get(p.pid)!) : <span class="dim" title="After the second look">…</span>}</td>
              <td><Value of={bytes(p.memory)} /></td>
              <td>{count(p.threads)}</td>
              <td>{p.files === undefined ? <span class="nk" title="tallyman may not read it">?</span> : count(p.files)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
