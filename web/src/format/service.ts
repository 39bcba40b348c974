// SPDX-License-Identifier: Apache-2.0

const states: Record<string, { mark: string; word: string }> = {
  up: { mark: "", word: "up" },
  down: { mark: "warn", word: "down" },
  auth: { mark: "warn", word: "denied" },
  paused: { mark: "pause", word: "paused" },
};

/** The mark and the word of a service's state. */
export const serviceState = (state: string) => states[state] ?? { mark: "unknown", word: "pending" };

/** The address of a service on the page of services. */
export const serviceHref = (s: { type: string; instance: string }) => `/services?${new URLSearchParams({ service: `${s.type} ${s.instance}` })}`;
