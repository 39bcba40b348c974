// SPDX-License-Identifier: Apache-2.0

import { signal } from "@preact/signals";

/** A short word after an action, such as "Link copied". */
export const notice = signal("");

let noticeEnd = 0;

/** Copies text and says so. */
export async function copy(text: string): Promise<void> {
  let said = "Link copied";
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without HTTPS a browser lends no clipboard: the address bar still holds the link.
    said = "The browser does not allow copying here; copy the address instead";
  }
  notice.value = said;
  clearTimeout(noticeEnd);
  noticeEnd = window.setTimeout(() => {
    notice.value = "";
  }, 4000);
}
