// SPDX-License-Identifier: Apache-2.0

/** A workload of a host, as it is chosen to be compared. */
export interface Chosen {
  host: string;
  workload: string;
}

/** Its text in the address: host/workload. */
export const chosenText = ({ host, workload }: Chosen) => `${encodeURIComponent(host)}/${workload}`;

/** What a text in the address means, undefined for one that means nothing. */
export function readChosen(text: string): Chosen | undefined {
  const cut = text.indexOf("/");
  if (cut < 1 || cut === text.length - 1) return undefined;
  try {
    return { host: decodeURIComponent(text.slice(0, cut)), workload: text.slice(cut + 1) };
  } catch {
    return undefined;
  }
}
