// SPDX-License-Identifier: Apache-2.0

import { useSignalEffect } from "@preact/signals";
import { silent } from "../api/client";

const every = 2000;

/** Whether a problem, in the words of the page, is one that passes when tallyman is back. */
export const passing = (problem: string) => problem === silent || /^tallyman answered 50[234]/.test(problem);

/** Tries again, as long as somebody sees the page, what failed because tallyman was not there. */
export function useRetry(problem: () => string, again: () => void): void {
  useSignalEffect(() => {
    if (!passing(problem())) return;
    const timer = setInterval(() => document.hidden || again(), every);
    return () => clearInterval(timer);
  });
}
