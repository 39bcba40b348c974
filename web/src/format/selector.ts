// SPDX-License-Identifier: Apache-2.0

// How labels are selected, in LogQL and in PromQL alike.

/** A text as both write it. */
export function quote(text: string): string {
  return JSON.stringify(text.replace(/\p{Cs}/gu, "\ufffd"));
}

/** What has a meaning of its own in a regular expression. */
export const special = /[\\.+*?()|[\]{}^$]/g;

/** A text as a regular expression that means it alone. */
export function escape(text: string): string {
  return text.replace(special, "\\$&");
}

/** One of some values. */
export function oneOf(label: string, values: readonly string[]): string {
  return `${label}=~${quote(values.map(escape).join("|"))}`;
}

/** All lines of a workload, those in files inside of its containers too, in the form that the controls of the page write. */
export function ofWorkload(host: string, workload: string): string {
  return `{source=~"container|file", host=${quote(host)}, workload=${quote(workload)}}`;
}

/** All lines of a host that are of no container: its kernel, its engine, its files. */
export function ofHost(host: string): string {
  return `{source=~"journal|file", host=${quote(host)}, workload=""}`;
}
