// SPDX-License-Identifier: Apache-2.0

// What containers say of themselves is text and nothing else: no script of it
// runs, no element comes of it, and what cannot be seen is written out.

import assert from "node:assert/strict";
import { ask, check, container, finish, given, hostPage, reader, servers, sideways, within } from "./browser.mjs";
import { unharmed as harmless } from "./unharmed.mjs";

const page = await reader();
const { host, hostile, escaped } = given;
const projects = Object.values(hostile).map((c) => c.project).filter(Boolean);

// Long tables draw the rows near the screen only: others than this test's are filtered away. All names end in its word.
const word = Object.keys(hostile)[0].split("-").at(-1);
const ours = `?q=${word}`;

const unharmed = () => harmless(page);
await check("Servers shows hostile projects and images as text", async () => {
  await servers(page);
  await page.getByLabel(/^Filter containers/).fill(word);
  await within(2000, () => new URL(page.url()).searchParams.get("q") === word);
  for (const name of Object.keys(hostile)) await page.locator(`a[data-row][title="${name}"]`).waitFor();
  await unharmed();
  const text = await page.locator("table").first().textContent();
  // A project with a slash or of endless length is none: its containers stand under "no project".
  assert.ok(projects.length >= 3);
  for (const project of projects) assert.ok(text.includes(escaped[project]), `${escaped[project]} is not on the page`);
  return `${Object.keys(hostile).length} containers in ${projects.length} projects`;
});
await check("hostile text fits the width", async () => assert.equal(await sideways(page), ""));
await check("so do cards", async () => {
  await page.setViewportSize({ width: 360, height: 780 });
  await page.locator(".cc").first().waitFor();
  await unharmed();
  assert.equal(await sideways(page), "");
  await page.setViewportSize({ width: 1440, height: 900 });
});
await check("so do a range and a comparison", async () => {
  const range = { from: new Date(Date.now() - 60_000).toISOString(), to: new Date().toISOString() };
  const compared = Object.values(hostile).map((c) => ["c", `${encodeURIComponent(host)}/${c.workload}`]);
  for (const [path, shown] of [[`/${ours}&${new URLSearchParams(range)}`, '.past[aria-busy="false"] tr.c'], [`/compare?${new URLSearchParams([...compared, ["range", "5m"]])}`, '.charts[aria-busy="false"] .leg li']]) {
    await page.goto(given.url + path);
    await page.locator(shown).nth(2).waitFor();
    for (const width of [360, 1440]) {
      await page.setViewportSize({ width, height: 900 });
      await unharmed();
      assert.equal(await sideways(page), "", `${path} at ${width}`);
    }
  }
});
await check("the filter takes hostile words", async () => {
  await page.goto(`${given.url}/?q=${encodeURIComponent("<img src=x onerror=globalThis.__xss=1>\u202e")}`);
  await page.getByText(/^0 of \d+ match$/).waitFor();
  await unharmed();
});
await check("the palette lists them", async () => {
  await servers(page, ours);
  await page.keyboard.press("Control+k");
  await page.locator("dialog input:focus").waitFor();
  await page.keyboard.type(word);
  for (const project of projects) await page.locator("dialog li", { hasText: escaped[project] }).first().waitFor();
  await unharmed();
  await page.keyboard.press("Escape");
});

for (const [name, { workload }] of Object.entries(hostile)) {
  await check(`Container of ${JSON.stringify(workload)}`, async () => {
    await servers(page, ours);
    await page.locator(`a[data-row][title="${name}"]`).click();
    await page.locator(".chead h1").waitFor();
    await page.locator('.charts[aria-busy="false"]').waitFor();
    await unharmed();
    await page.getByRole("tab", { name: "Facts" }).click();
    await page.locator("#panel-facts .labels").waitFor();
    await unharmed();
    const facts = await page.locator("#panel-facts").textContent();
    for (const text of given.facts) assert.ok(facts.includes(text), `${text} is not among the facts: ${facts}`);
    for (const width of [360, 768, 1440]) {
      await page.setViewportSize({ width, height: 900 });
      assert.equal(await sideways(page), "", `at ${width}`);
    }
  });
}

await check("the page of their host", async () => {
  for (const tab of ["", "engine", "disks"]) {
    await hostPage(page, host, `&range=5m&tab=${tab}`);
    await page.locator("[role=tabpanel] > *").first().waitFor();
    await unharmed();
    for (const width of [360, 768, 1440]) {
      await page.setViewportSize({ width, height: 900 });
      assert.equal(await sideways(page), "", `${tab} at ${width}`);
    }
  }
});

await check("hostile attributes of events are text", async () => {
  const [name, { workload }] = Object.entries(hostile)[0];
  await container(page, host, workload);
  await ask("docker", "exec", name, "sh", "-c", ": '<img src=x onerror=globalThis.__xss=1>'");
  await ask("docker", "stop", "-t", "0", name);
  await within(5000, async () => assert.ok((await page.locator(".evr").allTextContents()).some((t) => t.includes("exit 137"))));
  await page.locator(".events input").fill("globalThis.__xss");
  await unharmed();
  await page.locator(".events input").fill("");
  await page.locator(".lane .mk").last().hover();
  await unharmed();
  return `${await page.locator(".evr").count()} events`;
});
await check("hostile addresses are text", async () => {
  await page.goto(`${given.url}/container?host=${encodeURIComponent("<script>globalThis.__xss=1</script>")}&workload=${encodeURIComponent("<img src=x onerror=globalThis.__xss=1>\u202e/x")}`);
  await page.getByText("cannot be shown").waitFor();
  await unharmed();
  await page.goto(`${given.url}/<img src=x onerror=globalThis.__xss=1>?x="><script>globalThis.__xss=1</script>`);
  await page.locator("h1").first().waitFor();
  await unharmed();
});
await finish();
