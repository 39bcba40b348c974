// SPDX-License-Identifier: Apache-2.0

// The engine goes away and comes back; then tallyman itself does.

import assert from "node:assert/strict";
import { ask, check, container, finish, given, reader, row, servers, within } from "./browser.mjs";

// The browser reports each try to connect.
const page = await reader({ allow: [/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_ABORTED/] });
const { name, host, workload } = given;
const cpu = row(page, name).locator("td").nth(1).locator(".v b");
const away = page.locator(".host .banner");
const stale = page.locator(".body > .banner.warn");

await servers(page);
await row(page, name).waitFor();

await check("what breaks off is asked for again, parts of the page too", async () => {
  const cut = new Set();
  const kinds = ["script", "stylesheet", "fetch"];
  await page.route("**/*", (route) => {
    const { pathname } = new URL(route.request().url());
    if (!kinds.includes(route.request().resourceType()) || cut.has(pathname)) return route.continue();
    cut.add(pathname);
    return route.abort("connectionreset");
  });
  await row(page, name).locator("a[data-row]").click();
  await page.locator('.charts[aria-busy="false"] canvas').first().waitFor();
  await page.locator(".dock .ll").first().waitFor();
  await within(5000, async () => assert.ok(await page.locator(".kpis dd").first().textContent()));
  assert.equal(await page.locator(".banner, .missing").count(), 0);
  const styles = await page.evaluate(() => [...document.querySelectorAll("link[rel=stylesheet]")].map((l) => [new URL(l.href).pathname, l.sheet !== null]));
  for (const path of cut) if (path.endsWith(".css")) assert.ok(styles.some(([href, there]) => href === path && there), `${path} of ${JSON.stringify(styles)}`);
  for (const kind of [/container\.js$/, /container\.css$/, /docked\.js$/, /\/history$/, /\/query_range$/]) assert.ok([...cut].some((p) => kind.test(p)), `${kind} was not cut: ${[...cut]}`);
  await page.unroute("**/*");
  await page.goBack();
  await row(page, name).waitFor();
  return `${cut.size} kinds of request, each cut once`;
});

await check("no engine: a banner in words, the containers stay", async () => {
  await ask("refuse");
  const took = await within(10_000, async () => assert.match(await away.textContent(), new RegExp(`${host} has not answered since .*: connection refused\\. History stays readable`)));
  await row(page, name).waitFor();
  assert.equal(await stale.count(), 0, "tallyman itself answers");
  assert.ok(await page.locator(".host h2 .dot.crit").count());
  return `after ${took} ms: ${await away.textContent()}`;
});
await check("history of the container stays readable", async () => {
  await row(page, name).locator("a[data-row]").click();
  await page.locator('.charts[aria-busy="false"] canvas').first().waitFor();
  await page.goBack();
  await row(page, name).waitFor();
});
await check("the engine answers again: the banner goes, values go on", async () => {
  await ask("pass");
  const took = await within(15_000, async () => assert.equal(await away.count(), 0));
  const before = await cpu.textContent();
  await within(6000, async () => assert.notEqual(await cpu.textContent(), before));
  return `after ${took} ms`;
});

await check("tallyman stops: the page says it is stale within 6 s", async () => {
  await ask("stop");
  const took = await within(6000, async () => assert.match(await stale.textContent(), /No answer from tallyman/));
  assert.match(await page.locator(".bar .seg button").first().textContent(), /Stale \d/);
  await row(page, name).waitFor();
  return `after ${took} ms: ${(await stale.textContent()).trim()}`;
});
await check("tallyman starts again: the page recovers by itself, still logged in", async () => {
  // Samples less than 5 s apart are joined; a longer hole is a gap.
  await within(8000, async () => assert.match(await page.locator(".bar .seg button").first().textContent(), /Stale [89]/));
  await ask("restart");
  const took = await within(15_000, async () => assert.equal(await stale.count(), 0));
  const before = await cpu.textContent();
  await within(6000, async () => assert.notEqual(await cpu.textContent(), before));
  assert.equal(page.url(), `${given.url}/servers`);
  return `${took} ms after it was ready`;
});
await check("the hole is drawn as a gap, with its reason", async () => {
  await container(page, host, workload, "&range=5m");
  const gap = page.locator(".ov .gap").last();
  await within(20_000, async () => assert.ok((await page.locator(".ov .gap").count()) >= 1));
  const box = await gap.boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + 40);
  await within(2000, async () => assert.match(await page.locator(".ctime").textContent(), /gap: /));
  return `${await page.locator(".ctime").textContent()}, ${Math.round(box.width)} px`;
});
await finish();
