// SPDX-License-Identifier: Apache-2.0

// What no text of a container may do to a page.

import assert from "node:assert/strict";

/** Nothing of a container's text became more than text, and nothing of it is unseen. */
export async function unharmed(page) {
  assert.equal(await page.evaluate(() => globalThis.__xss), undefined, "a script of a container ran");
  const strange = await page.evaluate(() => {
    const own = /^\/assets\/[a-z]+\.js$/;
    const found = [...document.querySelectorAll("script, img, iframe, object, embed, base, meta[http-equiv], form[action], [onerror], [onload], [onclick], [srcdoc]")];
    return found.filter((e) => !(e.tagName === "SCRIPT" && own.test(new URL(e.src).pathname))).map((e) => e.outerHTML);
  });
  assert.deepEqual(strange, [], "elements came of text");
  const links = await page.evaluate(() => [...document.querySelectorAll("a[href]")].map((a) => a.href).filter((h) => !h.startsWith(location.origin + "/")));
  assert.deepEqual(links, [], "links lead elsewhere");
  // Text and the attributes that are read out or shown on hover.
  const unseen = await page.evaluate(() => {
    const bad = /[\p{Cc}\p{Cf}]/u;
    const out = [];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) if (bad.test(walk.currentNode.data.replaceAll("\n", ""))) out.push(JSON.stringify(walk.currentNode.data));
    for (const e of document.querySelectorAll("[title], [aria-label]")) {
      for (const name of ["title", "aria-label"]) if (bad.test((e.getAttribute(name) ?? "").replaceAll("\n", ""))) out.push(`${name}=${JSON.stringify(e.getAttribute(name))}`);
    }
    return [...new Set(out), ...(bad.test(document.title) ? [document.title] : [])];
  });
  assert.deepEqual(unseen, [], "characters that cannot be seen");
}
