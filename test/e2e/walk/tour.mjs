// SPDX-License-Identifier: Apache-2.0

// The ways on which people find what they came for, with the steps that each takes, and the
// pictures of the documents. A step is a click, a key, a drag, or a text that is typed.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { ask, check, finish, given, reader, row, servers, within } from "./browser.mjs";

mkdirSync(given.tour, { recursive: true });
const page = await reader();
const { host } = given;
let steps = 0;
const click = async (what) => {
  steps++;
  await what.click();
};
const key = async (k) => {
  steps++;
  await page.keyboard.press(k);
};
const type = async (text) => {
  steps++;
  await page.keyboard.type(text);
};
const drag = async (area, from, to) => {
  steps++;
  const y = area.y + Math.min(30, area.height / 2);
  await page.mouse.move(area.x + area.width * from, y);
  await page.mouse.down();
  await page.mouse.move(area.x + area.width * ((from + to) / 2), y, { steps: 4 });
  await page.mouse.move(area.x + area.width * to, y, { steps: 4 });
  await page.mouse.up();
};
const journey = (what, run) =>
  check(what, async () => {
    steps = 0;
    const found = await run();
    return `${steps} steps: ${found}`;
  });
const names = () => page.locator("tr.c a[data-row]").evaluateAll((all) => all.map((a) => a.title));
const began = Date.now();

await check("half a minute goes by", () => page.waitForTimeout(30_000));
await journey("who eats the CPU now", async () => {
  await servers(page);
  await within(10_000, async () => assert.match((await names()).join(), /ops-backup-1|shop-api/));
  return `${(await names())[0]} stands first where the page opens`;
});
await journey("and at another time", async () => {
  await page.goto(`${given.url}/?${new URLSearchParams({ from: new Date(began - 20_000).toISOString(), to: new Date().toISOString(), group: "none" })}`);
  await page.locator('.past[aria-busy="false"] tr.c').first().waitFor();
  await drag(await page.locator(".harea").first().boundingBox(), 0.3, 0.7);
  await page.locator('.past[aria-busy="false"] tr.c').first().waitFor();
  return `${(await names())[0]}, by the mean of the part that was dragged over`;
});

await ask("oomer");
const oomer = page.locator('tr.c a[data-row][title="ops-oomer-1"]');
await journey("why did it die", async () => {
  await servers(page);
  await row(page, "ops-oomer-1").locator(".dot.crit, .chip.crit").first().waitFor();
  await page.waitForTimeout(2000); // what led to it is stored
  await click(oomer);
  const verdict = page.locator(".chead .verdict");
  await within(15_000, async () => assert.match(await verdict.textContent(), /want of memory/));
  return await verdict.textContent();
});
await page.locator(".side .why .chain > li").nth(2).waitFor();
await picture("died");

await journey("the line with an id, and what all others logged in that second", async () => {
  await servers(page);
  await key("g");
  await key("l");
  await page.locator(".ll").first().waitFor();
  const id = (await page.locator(".ll").filter({ hasText: "request_id=" }).last().textContent()).match(/req-\d+/)[0];
  await key("/");
  await type(id);
  await key("Enter");
  const hit = page.locator(".ll").filter({ hasText: id });
  await within(10_000, async () => assert.ok((await page.locator(".ll").count()) <= 6 && (await hit.count()) > 0));
  await click(hit.first());
  await click(page.getByRole("link", { name: /^Everything ± 1 s/ }));
  await within(10_000, async () => assert.ok((await page.locator(".ll").count()) > 4));
  return `${id}, with ${await page.locator(".ll").count()} lines of all within a second of it`;
});

await ask("docker", "exec", "shop-api-1", "sh", "-c", ": > /go");
await check("twenty seconds go by", () => page.waitForTimeout(20_000));
await journey("what changed on a service before it got slow", async () => {
  await servers(page);
  await click(page.locator('tr.c a[data-row][title="shop-api-1"]'));
  await page.locator('.charts[aria-busy="false"] canvas').first().waitFor();
  const at = Date.now();
  await page.goto(`${given.url}/container?${new URLSearchParams({ host, workload: "shop/api/1", from: new Date(at - 60_000).toISOString(), to: new Date(at).toISOString() })}`);
  await page.locator('.charts[aria-busy="false"] canvas').first().waitFor();
  await drag(await page.locator(".track canvas").first().boundingBox(), 0.72, 0.97);
  await click(page.getByText("What changed here?").first());
  await page.locator('section[aria-label="Moved most"][aria-busy="false"] .moved li').first().waitFor();
  await page.locator('section[aria-label="Lines"][aria-busy="false"]').waitFor();
  return (await page.locator(".moved > li").first().innerText()).replaceAll("\n", " ");
});
await picture("changed");

await journey("two siblings' memory on one chart", async () => {
  await servers(page, "?q=shop-api");
  await page.locator("main").focus();
  for (const k of ["j", "x", "j", "x"]) await key(k);
  await click(page.getByRole("link", { name: "Compare 2" }));
  await page.locator('.charts[aria-busy="false"] canvas').first().waitFor();
  const memory = page.locator('.track[aria-label="Memory"]');
  await within(10_000, async () => assert.equal(await memory.locator(".leg li").count(), 2));
  return (await memory.locator(".leg").innerText()).replaceAll("\n", " ");
});
const shared = page.url();
await picture("compare");

await journey("which containers hold the docker socket", async () => {
  await servers(page);
  await key("g");
  await key("c");
  const right = page.locator(".rk button").filter({ hasText: /socket/i });
  await right.first().waitFor();
  await click(right.first());
  await within(10_000, async () => assert.ok((await page.locator(".wl a b").count()) > 0));
  return (await page.locator(".wl a b").evaluateAll((all) => all.map((b) => b.title))).join(", ");
});

await journey("a link that a colleague sent", async () => {
  const other = await reader({ login: false, allow: [/status of 401/] });
  await other.goto(shared);
  await other.locator("#form").waitFor();
  steps += 2; // the token, and Enter
  await other.fill("#token", given.token);
  await other.keyboard.press("Enter");
  await other.locator('.charts[aria-busy="false"] canvas').first().waitFor();
  assert.equal(other.url(), shared);
  await other.context().close();
  return "the same comparison";
});

await check("pictures of the other pages", async () => {
  for (const [name, path, shown] of [
    ["overview", "/overview", ".orest, .ook"],
    ["servers", "/servers", "tr.c"],
    ["logs", `/logs?${new URLSearchParams({ range: "5m" })}`, ".ll"],
  ]) {
    await page.goto(given.url + path);
    await page.locator(shown).first().waitFor();
    await page.waitForTimeout(2500);
    await picture(name);
  }
  await page.goto(`${given.url}/container?${new URLSearchParams({ host, workload: "shop/api/1", range: "5m" })}`);
  await page.locator('.charts[aria-busy="false"] canvas').first().waitFor();
  await page.waitForTimeout(2000);
  await picture("container");
});
await finish();

/** A picture of the page as it is, for the documents. */
async function picture(name) {
  await page.mouse.move(3, 3);
  await page.screenshot({ path: `${given.tour}/${name}.png` });
}
