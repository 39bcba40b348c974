// SPDX-License-Identifier: Apache-2.0

import { signal } from "@preact/signals";
import { fetchPart } from "../api/reach";
import type { Opened } from "./opened";

/** What is shown under an open line. A list does without it until one is opened. */
export const opened = signal<typeof Opened | undefined>(undefined);

/** Loads it. */
export async function opening(): Promise<void> {
  if (!opened.peek()) opened.value = await fetchPart(() => import("./opened").then((m) => m.Opened));
}
