// SPDX-License-Identifier: Apache-2.0

import { type Signal, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { ApiError } from "../api/client";
import { Poll } from "../api/poll";
import { show } from "../format/text";

const every = 5000;

/** Asks for a page's answer again and again as long as the page is open; off says that tallyman does not have it at all. */
export function usePoll<T>(ask: (signal: AbortSignal) => Promise<T>): { poll: Poll<T>; off: Signal<boolean> } {
  const off = useSignal(false);
  const poll = useMemo(
    () =>
      new Poll<T>(async (signal) => {
        try {
          return await ask(signal);
        } catch (err) {
          if (err instanceof ApiError && err.status === 404) off.value = true;
          throw err;
        }
      }, every),
    [],
  );
  useEffect(() => {
    poll.start();
    return () => poll.stop();
  }, []);
  return { poll, off };
}

/** That a page shows an old answer, and why. */
export function Old({ poll, shows = "The page shows what was before." }: { poll: Poll<unknown>; shows?: string }) {
  if (!poll.problem.value) return null;
  return (
    <p class="banner warn old" role="alert">
      <span class="dot warn" />
      <span class="grow">{show(poll.problem.value)} {shows}</span>
      <button type="button" class="btn q" onClick={() => poll.again()}>Try again</button>
    </p>
  );
}

/** What a page shows while it has no answer: that it is switched off, that none comes, or what it waits with. */
export function NoAnswer({ poll, title, off, waiting }: { poll: Poll<unknown>; title: string; off?: ComponentChildren; waiting: ComponentChildren }) {
  const problem = poll.problem.value;
  if (!off && !problem) return <>{waiting}</>;
  return (
    <section class="empty">
      {off || (
        <>
          <h1>{title}</h1>
          <p role="alert">{show(problem)}</p>
          <p><button type="button" class="btn" onClick={() => poll.again()}>Try again</button></p>
        </>
      )}
    </section>
  );
}
