// SPDX-License-Identifier: Apache-2.0

// Logs of files and units beside those of containers: chosen, kept in the
// address, told apart; and stack traces that a filter tears apart.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { accessible, check, container, finish, given, reader, sideways, within } from "./browser.mjs";
import { unharmed } from "./unharmed.mjs";

const { host, project, file, hostile, joined } = given;
const [api, db] = [`${project}-api-1`, `${project}-db-1`];
const unit = "docker.service";
const page = await reader();

const line = (text, p = page) => p.locator(".ll").filter({ hasText: text });
const query = () => new URL(page.url()).searchParams.get("q");
const choice = (name, p = page) => p.locator(".fc").filter({ has: p.locator(`[title=${JSON.stringify(name)}]`) }).locator("input");
const from = (text, p = page) => line(text, p).first().locator(".src");
// Files and units of the machine itself must not stand between.
const logs = async (q = "", p = page) => {
  await p.goto(`${given.url}/logs?${new URLSearchParams(q ? { q, range: "15m" } : { range: "15m" })}`);
  await p.locator('.res[aria-busy="false"]').waitFor();
};
const ofTest = `{source=~"container|file|journal", name=~"${api}|${db}|"}`;

await check("a source without a line says what it needs", async () => {
  await logs(`{source="journal"}`);
  await page.locator(".empty").getByText(/journal/).first().waitFor();
  return (await page.locator(".empty p").allTextContents()).join(" ");
});
await writeFile(given.shim, ""); // now the unit has a line

await check("without a choice the lines of all sources are there, each with where it is from", async () => {
  await logs();
  await choice(unit).waitFor();
  await logs(ofTest);
  for (const [text, name] of [["ready to serve", "api-1"], ["order written late", "api-1: api.log"], ["checkpoint done", "db-1: db.log"], ["login refused", "auth.log"], ["cleaning up", "docker"]]) {
    await line(text).first().waitFor();
    // Beside a container of another project it is the whole name.
    await within(3000, async () => assert.ok((await from(text).textContent()).endsWith(name), `${await from(text).textContent()}, want ${name}`));
  }
  assert.equal(await from("order written late").getAttribute("title"), `${api}: /app/api.log`);
  assert.equal(await from("login refused").getAttribute("title"), file);
});
await check("containers, files and units are chosen together, and the address brings them back", async () => {
  await logs();
  await choice(api).check();
  await within(3000, () => query() === `{source="container", name="${api}"}`);
  await choice(unit).check();
  await within(3000, () => query() === `{source=~"container|journal", name=~"${api}|", unit=~"docker\\\\.service|"}`);
  await choice(file).check();
  await within(3000, () => query()?.startsWith(`{source=~"container|file|journal", name=~"${api}|", filename=~"`));
  await within(3000, async () => {
    for (const text of ["ready to serve", "login refused", "cleaning up"]) assert.equal(await line(text).count(), 1, text);
    for (const text of ["accepting connections", "order written late", "hostile file"]) assert.equal(await line(text).count(), 0, text);
  });
  const link = page.url();
  await page.goto("about:blank");
  await page.goto(link);
  await line("login refused").waitFor();
  for (const name of [api, unit, file]) assert.ok(await choice(name).isChecked(), name);
  assert.equal(await choice("/app/db.log").count(), 0, "a file of another container is offered");
  await choice(unit).uncheck();
  await choice(file).uncheck();
  await within(3000, () => query() === `{source="container", name="${api}"}`);
  await choice("files").check();
  await within(3000, () => query() === `{source=~"container|file", name=~"${api}|"}`);
  await line("order written late").waitFor();
  await choice("containers").uncheck();
  await within(3000, () => query() === `{source="file"}`);
  await line("checkpoint done").waitFor();
  assert.equal(await line("ready to serve").count(), 0);
  await choice("files").uncheck();
  await within(3000, () => query() === null);
});
await check("hostile names of files are text", async () => {
  await logs(`{source="file"}`);
  await choice(hostile.replace("\u202e", "\\u202e")).waitFor();
  await line("of a hostile file").click();
  await page.locator(".exp").waitFor();
  await unharmed(page);
  await page.getByRole("button", { name: /^Only filename / }).click();
  await within(3000, () => query()?.startsWith('{source="file", filename="'));
  await within(3000, async () => assert.equal(await page.locator(".ll").count(), 1));
  await unharmed(page);
});
await check("the container's page has the lines of its files", async () => {
  await container(page, host, `${project}/api/1`, "&range=15m");
  const dock = (text) => page.locator(".dock .ll").filter({ hasText: text });
  await dock("order written late").waitFor();
  await dock("ready to serve").waitFor();
  assert.equal(await dock("order written late").locator(".src").textContent(), "api.log");
  assert.equal(await dock("ready to serve").locator(".src").textContent(), "stdout");
  assert.equal(await dock("checkpoint done").count(), 0);
  assert.match(await page.getByRole("link", { name: "Open in Logs" }).getAttribute("href"), /container%7Cfile/);
  await page.locator(".dock").scrollIntoViewIfNeeded();
  await page.screenshot({ path: `${given.shots}/dock-files-1440-dark.png` });
});
await check("a line of a trace that a text has found opens with the whole of it", async () => {
  for (const text of ["IllegalState", "Api.checkout"]) {
    await logs(`{source="container", name="${api}"} |= "${text}"`);
    await within(3000, async () => assert.equal(await page.locator(".ll").count(), 1));
    await within(3000, async () => assert.equal(await page.locator(".ll .torn").textContent(), "5 lines"));
    await page.locator(".ll button").click();
    await page.getByRole("button", { name: "Copy all 5 lines" }).waitFor();
    const whole = await page.locator(".exp pre").textContent();
    assert.equal(whole, "ERROR java.lang.IllegalStateException: pool exhausted\n    at shop.Pool.take(Pool.java:118)\n    at shop.Api.checkout(Api.java:41)\nCaused by: java.net.SocketTimeoutException\n    ... 12 more");
  }
});

await check("an entry of several lines is one row, and opens with all of them", async () => {
  await logs(`{source="file", filename=${JSON.stringify(joined)}}`);
  await within(8000, async () => assert.deepEqual(await page.locator(".ll .msg").allTextContents(), ["3 lines2026 boom", "2027 calm"]));
  await line("boom").locator("button").click();
  await page.locator(".exp pre").waitFor();
  assert.equal(await page.locator(".exp pre").textContent(), "2026 boom\n    at one\n    at two");
});

await check("accessible in light and dark, with pictures", async () => {
  const minor = [];
  for (const [width, height] of [[1440, 900], [360, 780]]) {
    const p = await reader({ width, height, touch: width < 760 });
    const rules = async (name) => {
      assert.equal(await sideways(p), "", `${name} at ${width}`);
      minor.push(...(await accessible(p, `${name}-${width}`)));
    };
    await logs(ofTest, p);
    await line("cleaning up", p).waitFor();
    await p.locator(".bars path").first().waitFor();
    await rules("logfiles");
    if (width < 760) {
      await p.getByRole("button", { name: "Filters" }).click();
      await choice(unit, p).waitFor();
      await rules("logfiles-filters");
    }
    await logs(`{source="container", name="${api}"} |= "IllegalState"`, p);
    await p.locator(".ll button").click();
    await p.getByRole("button", { name: "Copy all 5 lines" }).waitFor();
    await rules("logfiles-trace");
    await logs(`{source=~"file|journal", filename=~"/nothing|", unit=~"nothing|"}`, p);
    await p.locator(".empty").waitFor();
    await rules("logfiles-empty");
    await p.context().close();
  }
  return [...new Set(minor)].join(", ") || "no violation of any weight";
});
await finish();
