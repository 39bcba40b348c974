// SPDX-License-Identifier: Apache-2.0

import { computed, signal } from "@preact/signals";

/** The present second. It stands still while the tab is hidden. */
export const clock = signal(Date.now());

/** The present minute, for what is true for some minutes. */
export const nowMinute = computed(() => Math.floor(clock.value / 60_000) * 60_000);
