// SPDX-License-Identifier: Apache-2.0

import { signal } from "@preact/signals";

/** A short word after an action, such as "Link copied". */
export const notice = signal("");

let noticeEnd = 0;

/** Shows a short word for some seconds. */
export function say(text: string): void {
  notice.value = text;
  clearTimeout(noticeEnd);
  noticeEnd = window.setTimeout(() => {
    notice.value = "";
  }, 4000);
}

/** Copies text and says so. */
export async function copy(text: string, done = "Link copied", instead = "copy the address instead"): Promise<void> {
  const copied = await navigator.clipboard?.writeText(text).then(() => true, () => false);
  say(copied || copyOld(text) ? done : `The browser does not allow copying here; ${instead}`);
}

// Without HTTPS a browser lends no clipboard, but it copies what is selected.
function copyOld(text: string): boolean {
  const before = document.activeElement as HTMLElement | null;
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "sr";
  document.body.append(field);
  field.select();
  let done = false;
  try {
    done = document.execCommand("copy");
  } catch {
    // It may be forbidden, too.
  }
  field.remove();
  before?.focus();
  return done;
}
