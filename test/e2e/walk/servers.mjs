// SPDX-License-Identifier: Apache-2.0

// Servers: what is there, what changes, and how it is looked through.

import assert from "node:assert/strict";
import { ask, changes, check, finish, given, reader, row, servers, sideways, tall, within } from "./browser.mjs";

const page = await reader({ height: tall });
const { project, names } = given;
const cpu = (name) => row(page, name).locator("td").nth(1).locator(".v b");
const memory = (name) => row(page, name).locator("td").nth(2).locator(".v .nw");
const order = async () => (await page.locator("tr.c a[data-row]").evaluateAll((rows) => rows.map((r) => r.title))).filter((n) => Object.values(names).includes(n));

await servers(page);
await check("every container is there, under its project", async () => {
  for (const name of Object.values(names)) await row(page, name).waitFor();
  const group = await page.locator("tbody tr").evaluateAll((rows, project) => {
    const out = [];
    let on = false;
    for (const r of rows) {
      if (r.classList.contains("g")) on = r.querySelector("b").textContent === project;
      else if (on) out.push(r.querySelector("a[data-row]").title);
    }
    return out;
  }, project);
  assert.deepEqual(group.sort(), [names.busy, names.late, names.large, names.small].sort());
  assert.equal(await row(page, names.busy).locator("a[data-row]").textContent(), "busy-1", "the name within its project");
  return `${group.length} in ${project}, ${Object.values(names).length - group.length} beside`;
});
await check("numbers change each second", async () => changes(4000, () => cpu(names.busy).textContent()));
await check("a stopped container says so instead of values", async () => {
  assert.match(await row(page, names.done).textContent(), /stopped, history kept/);
  assert.match(await row(page, names.done).locator(".dot").getAttribute("aria-label"), /exit 3/);
  return await row(page, names.done).locator(".dot").getAttribute("aria-label");
});

await check("/ filters by words, by key and clears", async () => {
  await page.keyboard.press("/");
  await page.keyboard.type(`${project} large`);
  await within(2000, async () => assert.deepEqual(await order(), [names.large]));
  assert.match(decodeURIComponent(page.url()).replaceAll("+", " "), new RegExp(`q=${project} large`));
  await page.keyboard.press("Escape");
  await within(2000, async () => assert.equal((await order()).length, Object.values(names).length));
  await page.keyboard.press("/");
  await page.keyboard.type("nothing-has-this-name");
  await page.getByText(/^0 of \d+ match$/).waitFor();
  await page.getByRole("button", { name: "Clear" }).click();
  await row(page, names.busy).waitFor();
});

await check("sorted by memory by a click, both ways", async () => {
  const head = page.locator("th", { hasText: "Memory" }).first();
  await head.getByRole("button").click();
  assert.equal(await head.getAttribute("aria-sort"), "descending");
  const inProject = async () => (await order()).filter((n) => [names.large, names.small].includes(n));
  assert.deepEqual(await inProject(), [names.large, names.small]);
  const figures = `${await memory(names.large).textContent()} before ${await memory(names.small).textContent()}`;
  await head.getByRole("button").click();
  assert.equal(await head.getAttribute("aria-sort"), "ascending");
  assert.deepEqual(await inProject(), [names.small, names.large]);
  assert.match(page.url(), /sort=memory/);
  return figures;
});

await check("the order stands still under the pointer and goes on after it", async () => {
  await servers(page);
  await page.mouse.move(700, 20);
  const two = async () => (await order()).filter((n) => [names.busy, names.late].includes(n));
  await within(8000, async () => assert.deepEqual(await two(), [names.busy, names.late]));
  await row(page, names.late).hover();
  await page.getByText("order frozen").waitFor();
  await ask("docker", "exec", names.late, "sh", "-c", ": > /tmp/go");
  const value = async (name) => Number(await cpu(name).textContent());
  await within(8000, async () => assert.ok((await value(names.late)) > (await value(names.busy)), "late uses more than busy"));
  // A beat after the values say otherwise, rows are where they were; they would be sorted every 5 s.
  await new Promise((done) => setTimeout(done, 5500));
  assert.deepEqual(await two(), [names.busy, names.late]);
  const figures = `late ${await cpu(names.late).textContent()}, busy ${await cpu(names.busy).textContent()} cores`;
  await page.mouse.move(700, 20);
  const took = await within(7000, async () => assert.deepEqual(await two(), [names.late, names.busy]));
  assert.equal(await page.getByText("order frozen").count(), 0);
  return `${figures}; sorted ${took} ms after the pointer left`;
});

await check("a container that starts shows up within 3 s", async () => {
  await ask("start", "fresh");
  return `${await within(3000, async () => assert.ok((await row(page, given.fresh).count()) === 1))} ms after docker run returned`;
});
await check("its values follow", async () => {
  await within(5000, async () => assert.match(await row(page, given.fresh).locator("td").nth(2).textContent(), /\d.*iB/));
});
await check("a removed container moves to Gone with the time", async () => {
  await ask("docker", "rm", "-f", names.small);
  await within(3000, async () => assert.equal(await row(page, names.small).count(), 0));
  await page.getByRole("button", { name: /^Gone/ }).click();
  await row(page, names.small).waitFor();
  const text = await row(page, names.small).textContent();
  assert.match(text, /gone since/);
  assert.match(page.url(), /show=gone/);
  return text.match(/gone since [^,]+/)[0];
});
await check("Attention shows what failed", async () => {
  await servers(page, "?show=attention");
  await row(page, names.done).waitFor();
  assert.equal(await row(page, names.busy).count(), 0);
});

await check("j, k and Enter open a container", async () => {
  await servers(page, "?q=" + project);
  await page.locator("main").focus();
  const focused = () => page.evaluate(() => document.activeElement?.title ?? "");
  await page.keyboard.press("j");
  const one = await focused();
  await page.keyboard.press("j");
  assert.notEqual(await focused(), one);
  await page.keyboard.press("k");
  assert.equal(await focused(), one);
  assert.ok((await order()).includes(one));
  await page.keyboard.press("Enter");
  await page.locator(".chead h1").waitFor();
  assert.match(page.url(), /\/container\?host=/);
  await page.goBack();
  await row(page, one).waitFor();
});
await check("Ctrl-K jumps to a container", async () => {
  await page.keyboard.press("Control+k");
  await page.locator("dialog input:focus").waitFor();
  await page.keyboard.type("busy-1");
  await page.locator('dialog li[aria-selected="true"]', { hasText: "busy-1" }).waitFor();
  await page.keyboard.press("Enter");
  await page.locator(".chead h1", { hasText: "busy-1" }).waitFor();
});
await check("a hidden page closes its stream", async () => {
  await servers(page);
  const streams = [];
  page.on("requestfailed", (r) => streams.push(r.url()));
  page.on("requestfinished", (r) => streams.push(r.url()));
  await page.evaluate(() => {
    Object.defineProperty(document, "hidden", { get: () => true, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await within(3000, () => streams.some((u) => u.includes("/live")));
  const still = await cpu(names.busy).textContent();
  await page.evaluate(() => {
    delete document.hidden;
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await within(4000, async () => assert.notEqual(await cpu(names.busy).textContent(), still));
});
assert.equal(await sideways(page), "");
await finish();
